"""Every check catches what it is there for: errors planted in a small copy of the tree, under the real configuration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# An editable install puts its own finder before everything on the path; the copy must be the one that is found.
LINT_IMPORTS = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
sys.path.insert(0, "src")
from importlinter.cli import lint_imports_command
lint_imports_command(["--no-cache"])
"""

TOOLS = {
    "format": [sys.executable, "-m", "ruff", "format", "--check", "--no-cache", "."],
    "lint": [sys.executable, "-m", "ruff", "check", "--no-cache", "."],
    "types": [sys.executable, "-m", "mypy", "--cache-dir=/dev/null"],
    "layers": [sys.executable, "-c", LINT_IMPORTS],
}

UNTYPED = "def planted(x):\n    return x\n"
WRONG_TYPE = 'planted: int = "one"\n'

PLANTED = [
    ("format", "ir/planted.py", "planted   =  1\n", "ir/planted.py"),
    ("lint", "passes/planted.py", "import os\n", "F401"),
    ("types", "ir/planted.py", UNTYPED, "ir/planted.py:1"),
    ("types", "passes/planted.py", UNTYPED, "passes/planted.py:1"),
    ("types", "frontends/dml/planted.py", WRONG_TYPE, "frontends/dml/planted.py:1"),
    ("layers", "ir/planted.py", "import sysmlc.passes\n", "sysmlc.ir.planted -> sysmlc.passes"),
    ("layers", "passes/planted.py", "import sysmlc.codegen\n", "sysmlc.passes.planted -> sysmlc.codegen"),
    ("layers", "frontends/planted.py", "import sysmlc.codegen.cpu\n", "sysmlc.frontends.planted ->"),
    ("layers", "runtime/planted.py", "import sysmlc.ir\n", "sysmlc.runtime.planted -> sysmlc.ir"),
    (
        "layers",
        "frontends/planted.py",
        "import sysmlc.frontends.dml\n",
        "Frontends do not know each other BROKEN",
    ),
    ("layers", "codegen/planted.py", "import sysmlc.codegen.cpu\n", "Backends do not know each other BROKEN"),
    ("layers", "tools/planted.py", "import llvmlite\n", "sysmlc.tools.planted -> llvmlite"),
    ("layers", "passes/planted.py", "import cupy\n", "sysmlc.passes.planted -> cupy"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The packages of this repository without their modules, linked as here, under this configuration."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = tmp_path / "src" / "sysmlc"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for link in (ROOT / "src" / "sysmlc").iterdir():
        if link.is_symlink():
            (package / link.name).symlink_to(link.readlink())
            (tmp_path / link.name).mkdir()
            for init in (ROOT / link.name).rglob("__init__.py"):
                copy = tmp_path / init.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.touch()
    return tmp_path


def run(tool: str, tree: Path) -> tuple[int, str]:
    done = subprocess.run(TOOLS[tool], cwd=tree, capture_output=True, text=True, timeout=120)
    # Tools break long lines where they like.
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("tool", TOOLS)
def test_accepts_the_tree_without_errors(tool: str, tree: Path) -> None:
    code, output = run(tool, tree)
    assert code == 0, output


@pytest.mark.parametrize(("tool", "file", "text", "message"), PLANTED)
def test_catches_a_planted_error(tool: str, file: str, text: str, message: str, tree: Path) -> None:
    (tree / file).write_text(text)
    code, output = run(tool, tree)
    assert code != 0, output
    assert message in output
