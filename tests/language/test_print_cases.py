"""What print, toString and string concatenation show: 320 scripts with the output of SystemDS 3.4.

A case with a `difference` is one where sysmlc deliberately differs; docs/language.md explains each kind.
An output of null means that the script must fail with a diagnostic.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import sysmlc
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.runtime.bridge import NativeError
from sysmlc.tools.sysmlc import main

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("print_cases.json").read_text(encoding="utf-8")
)


def expected(case: dict[str, Any]) -> str | None:
    text = case["ours"] if "difference" in case else case["engine"]
    return None if text is None else str(text).rstrip("\n")


def by_reference(case: dict[str, Any]) -> str | None:
    printed: list[str] = []
    try:
        module = compile_source(Source("case.dml", case["script"]), case.get("args", {}))
        evaluate(module, output=printed.append)
    except (Diagnostic, DiagnosticGroup):
        return None
    return "\n".join(printed).rstrip("\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}")
def test_reference_evaluator(case: dict[str, Any]) -> None:
    assert by_reference(case) == expected(case), case["script"]


def in_process(case: dict[str, Any], level: int) -> str | None:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            program = sysmlc.compile(case["script"] + "\n", args=case.get("args"), outputs=(), optimize=level)
            program.run()
    except (Diagnostic, DiagnosticGroup, NativeError):
        return None
    return printed.getvalue().rstrip("\n")


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}")
def test_in_process(case: dict[str, Any], level: int) -> None:
    assert in_process(case, level) == expected(case), case["script"]


@pytest.mark.parametrize("case", CASES[::12], ids=lambda case: f"{case['id']}")
def test_executable(case: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "case.dml"
    script.write_text(case["script"], encoding="utf-8")
    built = main([str(script), "-o", str(tmp_path / "case")])
    if built:
        assert expected(case) is None, case["script"]
        return
    args = ["-nvargs", *(f"{k}={v}" for k, v in case["args"].items())] if "args" in case else []
    done = subprocess.run([str(tmp_path / "case"), *args], capture_output=True, text=True, env={}, timeout=60)
    assert (None if done.returncode else done.stdout.rstrip("\n")) == expected(case), case["script"]


def test_differences_are_documented() -> None:
    kinds = {case["difference"] for case in CASES if "difference" in case}
    documented = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in documented] == []
