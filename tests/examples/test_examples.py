"""Every example, run by the compiler in process and as an executable, against its reference."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .expected import EXAMPLES, check

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


@pytest.mark.parametrize("name", EXAMPLES)
def test_runs_in_process_and_as_an_executable(name: str, data: Path, tmp_path: Path) -> None:
    compiler = [sys.executable, "-m", "sysmlc.tools.sysmlc"]
    script = str(ROOT / "examples" / f"{name}.dml")
    folders = {kind: tmp_path / kind for kind in ("jit", "aot")}
    for folder in folders.values():
        folder.mkdir()

    arguments = EXAMPLES[name].arguments(data, folders["jit"])
    in_process = run([*compiler, "run", script, "-nvargs", *arguments], tmp_path, SOURCES)
    check(name, data, folders["jit"])

    run([*compiler, script, "-o", "program"], tmp_path, SOURCES)
    arguments = EXAMPLES[name].arguments(data, folders["aot"])
    executable = run([str(tmp_path / "program"), "-nvargs", *arguments], tmp_path, {})
    check(name, data, folders["aot"])
    assert_close(executable, in_process)


def assert_close(a: str, b: str) -> None:
    """The same texts, with numbers that differ by rounding: in process more sizes are known, and other plans are chosen."""
    number = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
    assert number.sub("#", a) == number.sub("#", b)
    assert [float(n) for n in number.findall(a)] == pytest.approx(
        [float(n) for n in number.findall(b)], rel=1e-6, abs=1e-9
    )
