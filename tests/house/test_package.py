"""The package as it is imported: start-up, public names, files that come with it, levels."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import grimp
import pytest

import sysmlc
from sysmlc.runtime.library import include_dir, native_library, static_library

ROOT = Path(__file__).resolve().parents[2]


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, sysmlc; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"numpy", "scipy", "llvmlite", "networkx", "pandas", "cupy", "pyspark", "sysmlc.ir"}
    assert heavy.isdisjoint(loaded)


def test_public_names() -> None:
    assert sysmlc.Diagnostic.__module__ == "sysmlc.ir.source"
    assert "compile" in dir(sysmlc)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sysmlc.nonsense


def test_the_nn_library_comes_with_the_package() -> None:
    layers = files("sysmlc").joinpath("scripts", "nn", "layers")
    assert layers.joinpath("affine.dml").is_file()


def test_the_native_runtime_is_found() -> None:
    assert native_library().stat().st_size > 0
    assert static_library().stat().st_size > 0
    assert (include_dir() / "sysmlc.h").is_file()


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYSMLC_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"libsysmlc_rt.so is not in {tmp_path}"):
        native_library()


def test_the_core_of_the_ir_knows_no_dialect() -> None:
    graph = grimp.build_graph("sysmlc", exclude_type_checking_imports=True, cache_dir=None)
    dialects = {"sysmlc.ir.dialects"} | graph.find_descendants("sysmlc.ir.dialects")
    core = {"sysmlc.ir"} | graph.find_descendants("sysmlc.ir")
    for module in core - dialects:
        assert graph.find_modules_directly_imported_by(module).isdisjoint(dialects), module


@pytest.mark.parametrize(
    "folder", sorted(p.name for p in (ROOT / "src" / "sysmlc").iterdir() if p.is_symlink())
)
def test_links_lead_to_the_folders_at_the_root(folder: str) -> None:
    link = ROOT / "src" / "sysmlc" / folder
    assert link.readlink() == Path("../..") / folder
    assert link.is_dir()
