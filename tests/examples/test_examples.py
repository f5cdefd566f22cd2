"""Every example, run by the compiler in process and as an executable, against its reference and the reference evaluator."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sysmlc
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source
from sysmlc.tools.sysmlc import main

from .expected import EXAMPLES, check, read

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.environ | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the examples' inputs, freshly written."""
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "examples" / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    folder = tmp_path_factory.mktemp("data")
    prepare.write_all(folder)
    return folder


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run in another folder than the sources', so that nothing is found by accident; returns what it printed."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compiled(*command: object) -> None:
    """The command `sysmlc` in this process, which keeps its compiling processes from one call to the next."""
    assert main([str(word) for word in command]) == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_runs_in_process_and_as_an_executable(
    name: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    compiler = [sys.executable, "-m", "sysmlc.tools.sysmlc"]
    script = str(ROOT / "examples" / f"{name}.dml")
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = ["-nvargs", *EXAMPLES[name].arguments(data, folder)]

    in_process = run([*compiler, "run", script, *arguments], tmp_path, SOURCES)
    check(name, data, folder)
    written = results(name, folder)

    # Compiled for the same arguments, it is the same program.
    compiled(script, "-o", tmp_path / "fixed", *arguments)
    assert run([str(tmp_path / "fixed")], tmp_path, {}) == in_process
    assert results(name, folder) == written

    # Compiled for any arguments, it may take another way to the same results: it does not know the sizes of its inputs.
    compiled(script, "-o", tmp_path / "program")
    assert run([str(tmp_path / "program"), *arguments], tmp_path, {}) == in_process
    check(name, data, folder)
    found = results(name, folder)
    for file, before in written.items():
        assert_close(found[file].decode(), before.decode())

    # The reference evaluator, which no pass has seen, agrees with both; some examples are cut short for it.
    shorter = [f"{key}={value}" for key, value in EXAMPLES[name].shorter.items()]
    if shorter:
        capfd.readouterr()
        compiled("run", script, *arguments, *shorter)
        in_process = capfd.readouterr().out
        written = results(name, folder)
        assert run([str(tmp_path / "program"), *arguments, *shorter], tmp_path, {}) == in_process
        found = results(name, folder)
    lines: list[str] = []
    given = dict(word.split("=", 1) for word in arguments[1:] + shorter)
    evaluate(compile_source(Source(script, Path(script).read_text()), given), output=lines.append)
    assert_same_text(in_process, "".join(f"{line}\n" for line in lines))
    for file, expected in results(name, folder).items():
        for made in (written[file], found[file]):
            assert_close(made.decode(), expected.decode(), 1e-6)


@pytest.mark.parametrize("name", ["logistic_regression", "als_cg"])
def test_single_precision(name: str, data: Path, tmp_path: Path) -> None:
    """In process and as an executable: what double precision gives, to the digits that f32 has."""
    script, example = str(ROOT / "examples" / f"{name}.dml"), EXAMPLES[name]
    found = []
    compiled(script, "-o", tmp_path / "program", "--precision=single")
    for command in (["run", script], ["run", script, "--precision=single"], []):
        folder = tmp_path / f"out{len(found)}"
        folder.mkdir()
        arguments = ["-nvargs", *example.arguments(data, folder)]
        if command:
            compiled(*command, *arguments)
        else:
            run([str(tmp_path / "program"), *arguments], tmp_path, SOURCES)
        found.append({key: read(folder / file) for key, file in example.outputs.items()})
    double, *singles = found
    for single in singles:
        for key, exact in double.items():
            assert single[key].shape == exact.shape
            np.testing.assert_allclose(single[key], exact, atol=2e-5 * np.abs(exact).max())


def test_rounding_of_the_objective_does_not_end_the_newton_steps(data: Path) -> None:
    """In single precision the last step promises less than the objective is rounded by, and the order of the rows
    decides what it seems to do: where it was rejected for that, the radius shrank and all that followed was."""
    source = (ROOT / "examples" / "logistic_regression.dml").read_text()
    script = source.replace("read(file_X)", "rows").replace("read(file_y)", "classes")
    kinds, outputs = {"rows": "matrix", "classes": "matrix"}, ["B", "iteration"]
    single, double = (
        sysmlc.compile(script, inputs=kinds, outputs=outputs, precision=p) for p in ("single", "double")
    )
    X, y = read(data / "wine_X.csv"), read(data / "wine_y.csv")
    exact = double.run(inputs={"rows": X, "classes": y})
    random = np.random.default_rng(3)
    for _ in range(20):
        order = random.permutation(len(X))
        found = single.run(inputs={"rows": X[order], "classes": y[order]})
        assert found["iteration"] == exact["iteration"]
        np.testing.assert_allclose(found["B"], exact["B"], atol=2e-5 * np.abs(exact["B"]).max())


def results(name: str, folder: Path) -> dict[str, bytes]:
    """What a run wrote, and does not write if it runs again without writing."""
    paths = [folder / file for file in EXAMPLES[name].outputs.values()]
    found = {path.name: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    return found


def assert_same_text(a: str, b: str) -> None:
    """The same words; numbers that are the ends of iterations differ in their last digits."""
    number = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:E-?[0-9]+)?")
    assert number.sub("#", a) == number.sub("#", b)
    found, expected = (np.array(number.findall(text), float) for text in (a, b))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def assert_close(a: str, b: str, tolerance: float = 1e-9) -> None:
    """The same layout, with numbers that differ by rounding at most."""
    separator = re.compile(r"[,\s]+")
    assert separator.findall(a) == separator.findall(b)
    found, expected = (np.array(separator.split(text.strip()), float) for text in (a, b))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
