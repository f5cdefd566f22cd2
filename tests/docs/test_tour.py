"""The listings of the documentation are what its commands print.

A block ```` ```console ```` has lines `$ command` and below each what it prints. The commands run in a shell, those of README.md in
a folder like the root, others in a copy of `docs/tour`. `pytest tests/docs --update` writes what they print into the pages. Machine code depends on
LLVM: a block after `<!-- llvmlite VERSION -->` is compared only where that version is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/tour.md", "docs/explain.md")
BLOCK = re.compile(r"(?:<!-- llvmlite (?P<version>\S+) -->\n)?```console\n(?P<body>.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Listing:
    """One block of commands with their output."""

    page: str
    number: int
    start: int
    body: str
    version: str | None

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.body.split("\n") if line.startswith("$ ")]


def listings(page: str) -> list[Listing]:
    """The blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Listing(page, i, found.start("body"), found["body"], found["version"])
        for i, found in enumerate(BLOCK.finditer(text), 1)
    ]


def printed(listing: Listing, tools: Path, folder: Path) -> str:
    """The block as its commands make it now."""
    lines = []
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "LC_ALL": "C.UTF-8",
    }
    for command in listing.commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        lines += [f"$ {command}\n", done.stdout]
    return "".join(lines)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the commands, for this interpreter."""
    folder = tmp_path_factory.mktemp("tools")
    for name, module in (("sysmlc", "sysmlc"), ("sysmlc-opt", "opt"), ("sysmlc-reduce", "reduce")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sysmlc.tools.{module} "$@"\n')
        script.chmod(0o755)
    return folder


def _installed_llvmlite() -> str:
    from importlib.metadata import version

    return version("llvmlite")


@pytest.mark.parametrize("page", PAGES)
def test_listings_are_what_the_commands_print(
    page: str, tools: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    folder = tmp_path / "here"
    if page == "README.md":
        folder.mkdir()
        for name in ("docs", "examples"):
            (folder / name).symlink_to(ROOT / name)
    else:
        shutil.copytree(ROOT / "docs" / "tour", folder)
    update = pytestconfig.getoption("--update")
    stale = []
    outputs = [(listing, printed(listing, tools, folder)) for listing in listings(page)]
    for listing, now in reversed(outputs):  # so that places stay right while updating
        if now == listing.body or (listing.version not in (None, _installed_llvmlite()) and not update):
            continue
        if update:
            path = ROOT / page
            text = path.read_text(encoding="utf-8")
            end = listing.start + len(listing.body)
            path.write_text(text[: listing.start] + now + text[end:], encoding="utf-8")
        else:
            stale.append(f"block {listing.number}:\n{now}")
    assert not stale, f"{page}: {len(stale)} listings are stale (--update rewrites them)\n" + "\n".join(stale)


def test_pages_have_listings() -> None:
    assert len(listings("docs/tour.md")) >= 8
    assert listings("README.md")


LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
)  # fmt: skip
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{page}: {target} does not exist"


NAMED = re.compile(
    r"`((?:ir|passes|codegen|frontends|runtime|tools|tests|docs|examples|scripts|benchmarks)/[\w./*-]+)`"
)


@pytest.mark.parametrize(
    "page",
    sorted(
        str(p.relative_to(ROOT))
        for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    ),
)
def test_files_that_are_named_exist(page: str) -> None:
    made = {"examples/data"}  # by the commands of the page
    for name in set(NAMED.findall((ROOT / page).read_text(encoding="utf-8"))) - made:
        assert list(ROOT.glob(name.rstrip("/"))), f"{page}: there is no {name}"


def test_python_of_the_readme_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        w = names["w"]
        assert getattr(w, "shape", None) == (3, 1)
