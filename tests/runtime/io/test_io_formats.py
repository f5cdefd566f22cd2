"""Text, Matrix Market and binary files, and guessing which one a file is."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

FORMATS = ["text", "csv", "mm", "binary"]


def matrices():
    rng = np.random.default_rng(7)
    special = np.array([[0.0, math.nan], [math.inf, -math.inf], [-0.5, 1e300]])
    yield from (special, np.zeros((3, 4)), np.ones((1, 1)), rng.normal(size=(200, 9)), np.eye(40))
    yield sp.random(5000, 300, density=0.01, random_state=1, format="csr").toarray()
    yield sp.random(3, 90000, density=0.2, random_state=1, format="csr").toarray()


@pytest.mark.parametrize("format", FORMATS)
def test_round_trip(io, tmp_path, format):
    for i, x in enumerate(matrices()):
        path = tmp_path / f"x{i}"
        for value in (x, sp.csr_matrix(x)):
            io.write(value, path, format=format)
            assert (tmp_path / f"x{i}.mtd").exists() == (format != "mm")
            back = io.read_any(path)
            dense = back if isinstance(back, np.ndarray) else back.toarray()
            assert np.array_equal(dense, x, equal_nan=True)
            share = np.count_nonzero(x) / x.size
            assert isinstance(back, np.ndarray) or share < 0.4


def test_text_layout(io, tmp_path, mtd):
    path = tmp_path / "x"
    io.write(np.array([[0.0, 2.0], [-1.5, 0.0], [0.0, 1e8]]), path)
    assert path.read_text() == "1 2 2.0\n2 1 -1.5\n3 2 1.0E8\n"
    info = mtd(path)
    assert (info["format"], info["nnz"], "sep" in info) == ("text", 3, False)
    io.write(np.zeros((3, 2)), path)
    assert path.read_text() == "0 0 0\n"
    assert io.read(path).tolist() == [[0, 0]] * 3


def test_text_input(io, fails, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\n 2 1 5\r\n1\t2\t-1e3\n2 1 6\n\n1 1 0")
    assert io.read(path, rows=2, cols=2).tolist() == [[0, -1000], [6, 0]]
    assert "rows and cols must be stated" in fails(io.read, path)
    for text, message in [
        ("1 1 1\n3 1 1\n", "x:2: row index 3 is outside 1 .. 2"),
        ("1 0 1\n", "x:1: column index 0 is outside 1 .. 2"),
        ("-1 1 1\n", "x:1: row index -1 is outside"),
        ("1 1\n", 'x:1: expected a number as value in "1 1"'),
        ("1 1 one\n", 'x:1: expected a number as value in "1 1 one"'),
        ("1.5 1 1\n", 'x:1: expected two indices and a value in "1.5 1 1"'),
        ("1 1 1 1\n", "x:1: unexpected text after the value"),
        ("99999999999999999999 1 1\n", "x:1: index too large"),
        ("1,1,1\n", "x:1: expected two indices and a value"),
    ]:
        path.write_text(text)
        assert message in fails(io.read, path, rows=2, cols=2, format="text")
    path.write_text("1 1 1\n")
    assert "is too large" in fails(io.read, path, rows=2, cols=2**40)
    assert fails(io.read, path, rows=2**62, cols=2**31 - 1)
    assert "out of memory" in fails(io.read, path, rows=2**45, cols=1000)


def test_text_error_in_a_late_chunk(io, fails, tmp_path):
    path = tmp_path / "x"
    lines = [f"{i} 1 {i}.25" for i in range(1, 200_001)]
    lines[150_000] = "1 1 x"
    path.write_text("\n".join(lines))
    assert path.stat().st_size > 2 << 20
    assert "x:150001: expected a number" in fails(io.read, path, rows=200_000, cols=2)


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("field", ["real", "integer", "pattern"])
def test_mm_against_scipy(io, tmp_path, symmetry, field):
    rng = np.random.default_rng(5)
    n = 30
    x = np.triu(rng.integers(-3, 4, (n, n)) * (rng.random((n, n)) < 0.2), 1)
    if symmetry == "symmetric":
        x = x + x.T + np.diag(np.arange(n) % 3)
    elif symmetry == "skew-symmetric":
        x = x - x.T
    path = tmp_path / "x.mtx"
    scipy.io.mmwrite(path, sp.coo_matrix(x.astype(float)), field=field, symmetry=symmetry)
    assert np.array_equal(io.read(path), scipy.io.mmread(path).toarray())
    if field == "real":
        scipy.io.mmwrite(path, x.astype(float), symmetry=symmetry)  # array
        assert path.read_text().startswith("%%MatrixMarket matrix array")
        assert np.array_equal(io.read(path), scipy.io.mmread(path))


def test_mm_layout(io, tmp_path):
    path = tmp_path / "x"
    (tmp_path / "x.mtd").write_text("{}")
    x = np.array([[0.0, 2.5], [1.0, 0.0]])
    io.write(x, path, format="mm")
    assert path.read_text() == "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 2.5\n2 1 1.0\n"
    assert not (tmp_path / "x.mtd").exists()  # it would speak about an older file
    assert np.array_equal(scipy.io.mmread(path).toarray(), x)


def test_mm_duplicates_are_summed(io, tmp_path):
    path = tmp_path / "x"
    head = "%%MatrixMarket matrix coordinate real general\n"
    path.write_text(head + "% remark\n\n2 2 3\n1 1 1\n% remark\n1 1 2\n2 2 -1\n")
    assert io.read(path).tolist() == [[3, 0], [0, -1]]
    path.write_text(head + "90 90 4\n9 1 1\n9 1 2\n2 2 -1\n2 2 1\n")
    value = io.read_any(path)
    assert value.nnz == 1
    assert value[8, 0] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%%MatrixMarket matrix coordinate complex general\n1 1 0\n", '"complex" is not supported'),
        ("%%MatrixMarket matrix coordinate real hermitian\n1 1 0\n", '"hermitian" is not supported'),
        ("%%MatrixMarket vector coordinate real general\n1 1 0\n", '"vector" is not supported'),
        ("%%MatrixMarket\n", "x:1:"),
        ("%%MatrixMarket matrix coordinate real general\n", "x:2: the Matrix Market header is incomplete"),
        ("%%MatrixMarket matrix coordinate real general\n2 2\n", "x:2: expected rows, columns and entries"),
        ("%%MatrixMarket matrix coordinate real general\n2 -2 1\n", 'x:2: "-2" is not a size'),
        (
            "%%MatrixMarket matrix coordinate real general\n2 9999999999999 1\n",
            "x:2: the matrix is too large",
        ),
        ("%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n", "must be square"),
        (
            "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n",
            "has 1 entries, but its header announces 2",
        ),
        (
            "%%MatrixMarket matrix coordinate real general\n2 2 1\n%\n1 3 1\n",
            "x:4: column index 3 is outside 1 .. 2",
        ),
        ("%%MatrixMarket matrix coordinate pattern general\n2 2 1\n1 1 1\n", "x:3: unexpected text"),
        (
            "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n",
            "has 3 values, but its header announces 4",
        ),
        ("%%MatrixMarket matrix array real general\n1 2\n1\n2\n3\n", "x:5: more than the expected 2 values"),
        ("%%MatrixMarket matrix array real general\n99999999 99999\n1\n", "ends before all"),
        ("%%MatrixMarket matrix array real general\n1 1\nx\n", 'x:3: expected a number, found "x"'),
    ],
)
def test_mm_damage(io, fails, tmp_path, text, message):
    path = tmp_path / "x"
    path.write_text(text)
    assert message in fails(io.read, path)


def test_binary_damage(io, fails, tmp_path, binary):
    path = tmp_path / "x"
    dense, csr = np.arange(6.0).reshape(2, 3), sp.csr_matrix(np.eye(9))

    def message(data: bytes) -> str:
        path.write_bytes(data)
        return fails(io.read, path, format="binary")

    whole = binary(dense)
    assert "is not a binary matrix" in message(b"1,2,3\n")
    assert "is not a binary matrix" in message(b"")
    assert "header is not intact" in message(whole[:40])
    assert "header is not intact" in message(whole[:20] + b"\x01" + whole[21:])
    assert "is cut off: it has 111 of 112 bytes" in message(whole[:-1])
    assert "1 bytes follow its end" in message(whole + b"x")
    assert "newer version" in message(binary(dense, version=2))
    for changes in (
        {"rows": -2},
        {"rows": 2**62, "cols": 2**62},
        {"nnz": 7},
        {"cols": 2**60},
        {"size": 2**62},
    ):
        assert "makes no sense" in message(binary(dense, **changes))
    for changes in ({"rows": 2**62}, {"nnz": 2**62}, {"cols": 2**33}):
        assert "makes no sense" in message(binary(csr, **changes))
    data = bytearray(binary(csr))
    struct.pack_into("<q", data, 64 + 8 * 3, -5)
    assert "row offsets" in message(bytes(data))
    data = bytearray(binary(csr))
    struct.pack_into("<i", data, len(data) - 4, 9)
    assert "column indices" in message(bytes(data))


def test_guesses(io, tmp_path, fails):
    def guess(name: str, text: str, **options: int) -> list[list[float]]:
        (tmp_path / name).write_text(text)
        return io.read(tmp_path / name, **options).tolist()

    assert guess("a", "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 3\n") == [[3]]
    assert guess("a.csv", "3\n4\n") == [[3], [4]]
    assert guess("a.txt", "3,4\n") == [[3, 4]]
    assert guess("b.txt", "1 2 3\n", rows=1, cols=2) == [[0, 3]]


def test_metadata(io, fails, tmp_path):
    path = tmp_path / "x.csv"
    info = io.metadata(path)
    assert (info.exists, info.has_mtd, info.rows, info.cols) == (0, 0, -1, -1)
    path.write_text("1,2,3\n4,5,6\n")
    info = io.metadata(path)
    assert (info.exists, info.format, info.rows, info.cols, info.sizes) == (1, 1, -1, 3, 2)
    io.write(np.ones((4, 5)), path, format="csv")
    info = io.metadata(path)
    assert (info.has_mtd, info.rows, info.cols, info.nnz, info.sizes) == (1, 4, 5, 20, 1)
    io.write(np.eye(40), path, format="binary")
    (tmp_path / "x.csv.mtd").unlink()
    info = io.metadata(path)
    assert (info.format, info.rows, info.cols, info.nnz, info.sizes) == (3, 40, 40, 40, 2)
    io.write(np.eye(40), path, format="mm")
    assert (io.metadata(path).rows, io.metadata(path).nnz) == (40, 40)
    assert "rows must be a number" in fails(io.metadata, path, rows="x")
