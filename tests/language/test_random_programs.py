"""Random scripts do the same on the reference evaluator, in process at every level, and as executables.

By hand, for a long time: `python -m tests.language.test_random_programs --first 1000 --count 5000`.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from scipy import sparse

from sysmlc.api import Results, _type_of, matrix_facts
from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.codegen.reference import ListValue, evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.runtime.bridge import Context, NativeError, value_kind
from sysmlc.tools.sysmlc import main as sysmlc
from tests.language.random_programs import Writer, write


def module_of(made: Writer, sized: bool = False) -> Op:
    """The script as a module that knows the kinds of the inputs, or their sizes too."""
    types = {}
    for name, value in made.inputs.items():
        kind = value_kind(value)
        types[name] = _type_of(matrix_facts(value) if sized and kind == "matrix" else kind)
    return compile_source(Source("random.dml", made.text), {}, inputs=types, outputs=made.outputs)


FORMATS = {
    "every matrix CSR": Options(2, formats="csr"),
    "every matrix dense": Options(2, formats="dense"),
    "formats alternating": Options(2, formats="alternating"),
    "every matrix CSR at -O0": Options(0, formats="csr"),
    "without fusion": Options(2, fusion=False),
    "without fusion, formats alternating": Options(2, fusion=False, formats="alternating"),
}
LEVELS = {"-O0": Options(0), "-O2": Options(2)}


def native(made: Writer, options: Options, sized: bool) -> tuple[Results | None, list[str], int]:
    """What a run gives, prints, and leaves unreleased; None where the program stopped."""
    loaded = engine().load(compile_program(module_of(made, sized), "random", options))
    context, printed = Context(), list[str]()
    for name, value in made.inputs.items():
        context.set_input(name, value)
    context.print_to(printed.append)
    try:
        context.run(loaded, engine().resolver)
    except NativeError:
        return None, printed, 0
    return Results(context, made.outputs), printed, context.leaked()


def plain(value: Any) -> Any:
    if isinstance(value, ListValue):
        return [plain(item) for item in value.items]
    if isinstance(value, dict):
        return [plain(item) for item in value.values()]
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.toarray() if sparse.issparse(value) else value


def compare(found: Any, expected: Any, exact: bool, what: str) -> None:
    found, expected = plain(found), plain(expected)
    if isinstance(expected, list):
        assert len(found) == len(expected), what
        for a, b in zip(found, expected, strict=True):
            compare(a, b, exact, what)
    elif isinstance(expected, np.ndarray):
        assert found.shape == expected.shape, f"{what}: {found.shape} instead of {expected.shape}"
        if exact:
            np.testing.assert_array_equal(found, expected, err_msg=what)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8, err_msg=what)
    else:
        assert type(found) is type(expected), f"{what}: {found!r} instead of {expected!r}"
        same = (
            found == expected
            if exact or not isinstance(found, float)
            else np.isclose(found, expected, 1e-8, 1e-8, equal_nan=True)
        )
        assert same, f"{what}: {found!r} instead of {expected!r}"


def without_signs_of_zero(text: str) -> str:
    """Optimisation may lose the sign of a zero (docs/language.md)."""
    return re.sub(r"(?<!\de)-(0(\.0+)?)(?![\d.eE])", r"\1", text)


def check(made: Writer, ways: Mapping[str, Options] = LEVELS) -> None:
    """One script: the reference, then native code, without and with optimisation or in other ways."""
    lines: list[str] = []
    try:
        with np.errstate(all="ignore"):
            expected = evaluate(module_of(made), inputs=made.inputs, output=lines.append)
    except Diagnostic as error:
        expected = None
        reason = str(error)
    for what, options in ways.items():
        found, printed, leaked = native(made, options, sized=options.level > 0 and len(made.text) % 2 == 0)
        if expected is None:
            assert found is None or options.level == 2, f"{what}: no error, but the reference says {reason}"
            continue
        assert found is not None, f"{what}: an error, but the reference has none"
        shown, wanted = "".join(printed), "".join(line + "\n" for line in lines)
        if options.level:
            shown, wanted = without_signs_of_zero(shown), without_signs_of_zero(wanted)
        assert shown == wanted, f"{what}: other lines are printed"
        for name in made.outputs:
            compare(found[name], expected[name], name not in made.approximate, f"{name} {what}")
        assert leaked == 0, f"{what}: {leaked} objects were never released"


@seed(20240611)
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_random_programs(rng: random.Random) -> None:
    made = write(rng, statements=10)
    try:
        check(made)
    except Exception as error:
        raise AssertionError(f"{made.text}\n{made.inputs}\n{error}") from error


def test_only_signs_of_zeros_are_left_out() -> None:
    assert (
        without_signs_of_zero("-0.0 pq-0.0 -0.5 1e-07 9 - 0 -0.000\n-0")
        == "0.0 pq0.0 -0.5 1e-07 9 - 0 0.000\n0"
    )


@pytest.mark.parametrize("number", range(6))
def test_formats_and_plans_change_nothing(number: int) -> None:
    """Long scripts (hundreds of operations), each in three of the ways."""
    made = write(random.Random(7000 + number), statements=30)
    ways = {what: options for i, (what, options) in enumerate(FORMATS.items()) if (i + number) % 2}
    try:
        check(made, ways)
    except Exception as error:
        raise AssertionError(f"{made.text}\n{made.inputs}\n{error}") from error


@pytest.mark.parametrize("number", [3, 11])
def test_as_executables(number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Scripts whose inputs are written out, compiled to executables, print what they print in process."""
    made = write(random.Random(number))
    head = []
    for name, value in made.inputs.items():
        if value_kind(value) == "matrix":
            cells = " ".join(str(c) for c in plain(value).ravel())
            rows, cols = value.shape
            head.append(f'{name} = matrix("{cells}", rows={rows}, cols={cols})')
        else:
            head.append(f"{name} = ifdef(${name}, {literal(value)})")
    shown = [name for name in made.outputs if made.env[name].kind == "matrix"]
    tail = [f'print("{name} " + sum(round({name} * 1000)))' for name in shown]
    script = tmp_path / "random.dml"
    script.write_text("\n".join(head) + "\n" + made.text + "\n".join(tail) + "\n")
    assert sysmlc([str(script), "-o", str(tmp_path / "prog")]) == 0
    alone = subprocess.run([tmp_path / "prog"], capture_output=True, text=True, timeout=60, env={})
    capfd.readouterr()
    assert sysmlc(["run", str(script)]) == 0
    in_process = capfd.readouterr()
    assert alone.stderr == in_process.err == ""
    assert alone.stdout == in_process.out


def literal(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "/").replace('"', '\\"') + '"'
    return str(value).upper()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--statements", type=int, default=12)
    parser.add_argument("--formats", action="store_true", help="with formats forced and without fusion, too")
    parser.add_argument("--out", type=Path, default=Path("."))
    options = parser.parse_args()
    failures = 0
    for number in range(options.first, options.first + options.count):
        made = write(random.Random(number), options.statements)
        start = time.perf_counter()
        (options.out / "last.dml").write_text(f"# {number}\n{made.text}\n# {made.inputs}\n")
        try:
            check(made, {**LEVELS, **FORMATS} if options.formats else LEVELS)
        except Exception as error:
            failures += 1
            text = str(error).strip().split("\n")
            print(f"{number}: {type(error).__name__}: {' | '.join(text)[:400]}", flush=True)
            (options.out / f"failed{number}.dml").write_text(f"{made.text}\n# {made.inputs}\n")
        if time.perf_counter() - start > 20:
            print(f"{number}: slow, {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{options.count} scripts, {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
