"""Metadata files, scalars, and how outputs appear on disk."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest


def test_conflicts_name_both_sides(io, fails, tmp_path):
    path, mtd = tmp_path / "x.csv", tmp_path / "x.csv.mtd"
    path.write_text("1,2\n3,4\n")
    mtd.write_text('{"rows": 2, "cols": 2, "format": "csv", "header": false, "value_type": "double"}')
    assert io.read(path).tolist() == [[1, 2], [3, 4]]
    assert io.read(path, rows=2, format="CSV", header=False).tolist() == [[1, 2], [3, 4]]
    message = fails(io.read, path, rows=3)
    assert "rows=" in message
    assert "in the call" in message
    assert "x.csv.mtd" in message
    assert 'format="text" in the call, but "csv" in' in fails(io.read, path, format="text")
    mtd.write_text('{"rows": 5, "cols": 2, "format": "csv"}')
    assert "has 2 rows, but" in fails(io.read, path)
    assert "x.csv.mtd says 5" in fails(io.read, path)
    mtd.write_text('{"rows": -1, "cols": "2", "nnz": -1, "format": "csv", "privacy": {"a": [1]}}')
    assert io.read(path, rows=2).tolist() == [[1, 2], [3, 4]]
    mtd.write_text('{"format": "csv", "na.strings": ["3", "?"], "sep": ","}')
    assert np.isnan(io.read(path)[1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.mtd:1:1: expected a value"),
        ("{", "x.mtd:1:2: expected a quoted key"),
        ('{"rows" 1}', "x.mtd:1:9: expected ':'"),
        ('{"rows": 1,\n "cols": }', "x.mtd:2:10: expected a value"),
        ('{"rows": 1} x', "x.mtd:1:13: unexpected text"),
        ('{"rows": "1\n"}', "control character"),
        ('{"rows": "\\q"}', "unknown escape"),
        ('{"rows": "\\u12"}', "expected four hexadecimal digits"),
        ('{"rows": "1', "unterminated string"),
        ("[" * 1000, "nested too deeply"),
        ("[1]", "expected a JSON object"),
        ('{"rows": "ten"}', 'rows must be a number, not "ten"'),
        ('{"rows": 1.5}', "rows=1.5 is not a possible size"),
        ('{"rows": -2}', "rows=-2 is not a possible size"),
        ('{"nnz": -2}', "nnz=-2 is not a possible size"),
        ('{"rows": 1e30}', "rows=1e30 is not a possible size"),
        ('{"rows": [1]}', "rows must be a single value"),
        ('{"header": {}}', "header must be a single value"),
        ('{"rows": 9000000000000000000}', "out of memory"),
        ('{"rows": 2, "nnz": 3}', "x: 1 cells are not 0, but "),
        ('{"format": "parquet"}', 'format="parquet" is not supported'),
        ('{"data_type": "tensor"}', 'data_type="tensor" is not supported'),
    ],
)
def test_damaged_mtd(io, fails, tmp_path, text, message):
    (tmp_path / "x").write_text("1 1 1\n")
    (tmp_path / "x.mtd").write_text(text)
    assert message in fails(io.read, tmp_path / "x", cols=1)


@pytest.mark.parametrize("format", ["text", "csv", "binary"])
def test_a_wrong_number_of_non_zeros(io, fails, tmp_path, mtd, format):
    path = tmp_path / "x"
    io.write(np.array([[1, 0, 2], [0, 0, np.nan]]), path, format=format)
    described = mtd(path)
    assert described["nnz"] == 3
    for wrong in (0, 2, 7, 10**18):
        (tmp_path / "x.mtd").write_text(json.dumps({**described, "nnz": wrong}))
        assert fails(io.read, path).startswith(f"{path}: 3 cells are not 0, but {path}.mtd says {wrong}")
    for right in (-1, 3):
        (tmp_path / "x.mtd").write_text(json.dumps({**described, "nnz": right}))
        assert io.read(path).shape == (2, 3)


def test_mtd_that_is_no_text(io, fails, tmp_path):
    (tmp_path / "x").write_text("1 1 1\n")
    (tmp_path / "x.mtd").write_bytes(b'{"author": "\xff"}')
    assert "not UTF-8" in fails(io.read, tmp_path / "x")


def test_mtd_escapes(io, tmp_path, mtd):
    path = tmp_path / "x"
    text = 'a "quoted"\n= \\ é \x01'
    io.write(np.ones((1, 1)), path, format="csv", description=text, sep="\t")
    assert (mtd(path)["description"], mtd(path)["sep"]) == (text, "\t")
    (tmp_path / "x.mtd").write_text('{"format": "csv", "sep": "\\u0009", "author": "\\ud83d\\ude00"}')
    path.write_text("1\t2\n")
    assert io.read(path).tolist() == [[1, 2]]


def test_scalars(io, fails, tmp_path, mtd):
    path = tmp_path / "s"
    for name, value, text, kind in [
        ("f64", 1e7, "1.0E7", "double"),
        ("i64", -(2**63), "-9223372036854775808", "int"),
        ("i1", 1, "true", "boolean"),
    ]:
        io.call(f"sm_write_{name}", path, {}, value)
        assert path.read_text() == text
        info = mtd(path)
        assert (info["data_type"], info["value_type"], info["format"]) == ("scalar", kind, "text")
        assert io.call(f"sm_read_{name}", path, {"data_type": "scalar"}) == value
    assert "this is a scalar, not a matrix" in fails(io.read, path)
    assert io.call("sm_read_f64", path, {"data_type": "scalar"}) == 1.0
    io.write_str("two\nlines é", path)
    assert path.read_bytes() == "two\nlines é".encode()
    assert io.read_str(path) == "two\nlines é"
    assert "expected a number" in fails(io.call, "sm_read_f64", path, {})
    assert "expected TRUE or FALSE" in fails(io.call, "sm_read_i1", path, {})
    path.write_bytes(b"\xff")
    assert "not UTF-8" in fails(io.read_str, path)
    io.write(np.ones((2, 2)), path)
    assert "this is no scalar" in fails(io.call, "sm_read_f64", path, {})
    assert 'a scalar has format "text"' in fails(io.write_str, "x", path, format="csv")
    (tmp_path / "plain").write_text(" 42.5 \n")
    assert io.call("sm_read_f64", tmp_path / "plain", {}) == 42.5
    assert io.call("sm_read_i64", tmp_path / "plain", {}) == 42


def test_missing_and_unreadable(io, fails, tmp_path):
    assert (
        fails(io.read, tmp_path / "no.csv") == f'cannot read "{tmp_path}/no.csv": No such file or directory'
    )
    (tmp_path / "file").write_text("1\n")
    assert "Not a directory" in fails(io.write, np.ones((1, 1)), tmp_path / "file" / "x")
    assert "Is a directory" in fails(io.write, np.ones((1, 1)), tmp_path)
    assert "is no file name" in fails(io.read, b"")
    assert "is no file name" in fails(io.read, b"a\0b")
    assert "File name too long" in fails(io.write, np.ones((1, 1)), tmp_path / ("x" * 300))
    if os.geteuid() != 0:
        (tmp_path / "x").write_text("1\n")
        (tmp_path / "x").chmod(0)
        assert "Permission denied" in fails(io.read, tmp_path / "x")


def test_missing_folders_are_made(io, fails, tmp_path):
    for format in ("csv", "binary"):
        io.write(np.ones((2, 2)), tmp_path / format / "deep" / "x", format=format)
        np.testing.assert_array_equal(io.read(tmp_path / format / "deep" / "x"), np.ones((2, 2)))
    io.write_str("x", tmp_path / "other" / "s")
    assert (tmp_path / "other" / "s").read_text() == "x"
    assert "File name too long" in fails(io.write, np.ones((1, 1)), tmp_path / "new" / "deep" / ("x" * 300))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("format", ["text", "csv", "mm", "binary"])
def test_full_disk(io, fails, binary, tmp_path, format):
    x = np.random.default_rng(1).normal(size=(300, 300))
    assert "No space left on device" in fails(io.write, x, "/dev/full", format=format)
    path, source = tmp_path / "x", tmp_path / "source"
    path.write_text("before")
    source.write_bytes(binary(x))
    handle = io.handle(source)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        message = fails(io.call, "sm_write_matrix", path, {"format": format}, handle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        io.lib.sm_release(io.ctx, handle)
    assert message == f'cannot write "{path}": File too large'
    assert path.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "x"]


def test_devices_and_pipes(io, tmp_path):
    io.write(np.ones((3, 3)), "/dev/null", format="csv")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    x = np.random.default_rng(1).normal(size=(2000, 50))
    io.write(x, pipe, format="csv")
    reader.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert not (tmp_path / "pipe.mtd").exists()
    writer = threading.Thread(target=lambda: pipe.write_bytes(received[0]))
    writer.start()
    assert np.array_equal(io.read(pipe, format="csv"), x)
    writer.join()


def test_mode_and_links_are_kept(io, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    io.write(np.ones((1, 2)), link, format="csv")
    assert link.is_symlink()
    assert real.read_text() == "1.0,1.0\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert json.loads((tmp_path / "link.mtd").read_text())["cols"] == 2


def test_interrupt_leaves_nothing(io, fails, tmp_path):
    source = tmp_path / "source.csv"
    source.write_text("1,2\n" * 300_000)
    handle = io.handle(source)
    io.lib.sm_interrupt(io.ctx)
    assert "interrupted" in fails(io.call, "sm_write_matrix", tmp_path / "x", {"format": "csv"}, handle)
    assert "interrupted" in fails(io.read, source)
    assert [p.name for p in tmp_path.iterdir()] == ["source.csv"]
    io.lib.sm_release(io.ctx, handle)


PROGRESS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("calls", sys.argv[1])
calls = importlib.util.module_from_spec(spec)
spec.loader.exec_module(calls)
io = calls.InputOutput()
io.lib.sm_set_progress(io.ctx, int(sys.argv[3]))
io.read(sys.argv[2])
"""


def test_no_progress_without_terminal(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2\n" * 3_000_000)
    script = [sys.executable, "-c", PROGRESS, str(Path(__file__).with_name("conftest.py")), str(path), "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(script, capture_output=True, check=True, env=environment)
    assert done.stderr == b""
