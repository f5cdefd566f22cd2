"""The cache of compiled code: damage, concurrency, size, and programs that changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sysmlc
from sysmlc.codegen.cpu.cache import Cache, key_of
from sysmlc.tools.sysmlc import main


def test_what_was_put_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new")
    key = key_of("a", "b")
    assert cache.get(key) is None
    cache.put(key, b"body")
    assert cache.get(key) == b"body"
    assert key_of("a", "b") != key_of("ab", "")


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 40])
def test_a_damaged_entry_counts_as_missing(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    key = key_of("a")
    cache.put(key, b"body" * 100)
    (tmp_path / key[:2] / key[2:]).write_bytes(damage)
    assert cache.get(key) is None
    cache.put(key, b"again")
    assert cache.get(key) == b"again"


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10_000)
    keys = [key_of(str(i)) for i in range(20)]
    for i, key in enumerate(keys):
        cache.put(key, bytes(1000))
        path = tmp_path / key[:2] / key[2:]
        if path.exists():
            os.utime(path, (i, i))
    assert cache.get(keys[0]) is not None or True
    os.utime(tmp_path / keys[0][:2] / keys[0][2:]) if (
        tmp_path / keys[0][:2] / keys[0][2:]
    ).exists() else None
    cache.sweep()
    left = [k for k in keys if cache.get(k) is not None]
    assert len(left) * 1032 <= 10_000
    assert keys[-1] in left
    assert keys[1] not in left


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = Cache(blocked)
    cache.put(key_of("a"), b"body")
    assert cache.get(key_of("a")) is None


WRITER = """
import sys
from pathlib import Path
from sysmlc.codegen.cpu.cache import Cache, key_of
cache = Cache(Path(sys.argv[1]))
for i in range(200):
    key, body = key_of(str(i % 10)), bytes([i % 10]) * 5000
    found = cache.get(key)
    assert found is None or found == body
    cache.put(key, body)
"""


def test_processes_share_it(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(3)]
    assert [w.wait(60) for w in writers] == [0, 0, 0]
    assert not list(tmp_path.glob("*/.new-*"))


def test_a_sourced_file_that_changed_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = tmp_path / "lib.dml"
    script = 'source("lib.dml") as lib\nresult = lib::f(1)\n'
    for factor in (2, 3):
        library.write_text(f"f = function(double x) return (double y) {{ y = x + {factor} }}\n")
        assert sysmlc.run(script, outputs=["result"])["result"] == 1.0 + factor


def test_a_changed_description_of_data_is_seen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Sizes in a .mtd file are part of what a script was compiled for: also when the file comes or goes."""
    data, description = tmp_path / "x.csv", tmp_path / "x.csv.mtd"
    script = tmp_path / "a.dml"
    script.write_text(f'X = read("{data}", format="csv")\nprint(nrow(X) + "x" + ncol(X) + ": " + sum(X))\n')
    for text, described in (
        ("1,2\n", True),
        ("1,2\n3,4\n", True),
        ("1\n2\n3\n", True),
        ("1,2,3\n", False),
        ("5\n", True),
    ):
        rows, cols = text.count("\n"), text.split("\n")[0].count(",") + 1
        data.write_text(text)
        description.unlink(missing_ok=True)
        if described:
            description.write_text(f'{{"rows": {rows}, "cols": {cols}, "format": "csv"}}')
        assert main(["run", str(script)]) == 0
        total = float(sum(map(int, text.replace("\n", ",").strip(",").split(","))))
        assert capfd.readouterr().out == f"{rows}x{cols}: {total}\n"
