"""The wheel works in an empty virtual environment, in a directory that has nothing to do with the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

USE = """
from importlib.resources import files
import ctypes, sysmlc
from sysmlc.runtime.library import native_library, static_library
ctypes.CDLL(str(native_library()))
assert static_library().is_file()
assert files("sysmlc").joinpath("scripts", "nn", "util.dml").is_file()
print(sysmlc.__file__)
# What compiled code is kept under depends on what is installed, not on the name of the release alone.
from sysmlc.codegen.cpu.cache import compiler_version, key_of
assert compiler_version() != key_of(sysmlc.__version__)
"""


@pytest.mark.slow
def test_wheel(tmp_path: Path) -> None:
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # which would find the sources

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, env=clean)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("sysmlc-*.whl")
    assert "-py3-none-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert len([n for n in names if n.endswith("libsysmlc_rt.so")]) == 1
    assert not [n for n in names if n.endswith((".cpp", ".o"))]

    run(sys.executable, "-m", "venv", "venv")
    python = str(tmp_path / "venv" / "bin" / "python")
    run(python, *pip, "install", str(wheel))
    assert run(python, "-c", USE).startswith(str(tmp_path))
    hello = tmp_path / "hello.dml"
    hello.write_text('print("sum " + sum(matrix(2, rows=3, cols=4)))\n')
    assert run(str(tmp_path / "venv" / "bin" / "sysmlc"), "run", str(hello)).startswith("sum 24")
