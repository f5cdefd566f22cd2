"""Every DML file that comes with the project parses, and says what it and each of its functions is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sysmlc.frontends.dml.parser import parse
from sysmlc.ir.source import Source

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "scripts").rglob("*.dml"), *(ROOT / "examples").glob("*.dml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file(path: Path) -> None:
    text = path.read_text()
    parse(Source(str(path), text))
    lines = text.split("\n")
    assert lines[0].startswith("# ")
    assert max(map(len, lines)) <= 120
    for number, line in enumerate(lines):
        if re.match(r"\w+ = function", line):
            assert lines[number - 1].startswith("# "), f"{line} is not explained"
