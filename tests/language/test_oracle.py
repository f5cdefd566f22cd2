"""Scripts of our own print what SystemDS 3.4 prints for them: `oracle/*.out` are its outputs, without its statistics.

Numbers are compared as numbers: the last digits depend on the order of sums, and some integers of the engine are doubles
here (docs/language.md).
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

import pytest

import sysmlc

FOLDER = Path(__file__).parent / "oracle"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.dml"))


def words(text: str) -> list[str]:
    """The words of all lines that have any."""
    return re.split(r"[\s,;]+", text.strip())


def same(found: str, expected: str) -> bool:
    try:
        return math.isclose(float(found), float(expected), rel_tol=1e-9, abs_tol=1e-9) or found == expected
    except ValueError:
        return found == expected


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", SCRIPTS)
def test_like_systemds(name: str, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        sysmlc.compile(FOLDER / f"{name}.dml", outputs=[], optimize=level).run()
    found, expected = words(shown.getvalue()), words((FOLDER / f"{name}.out").read_text())
    differences = [pair for pair in zip(found, expected, strict=False) if not same(*pair)]
    assert not differences
    assert len(found) == len(expected)
