"""CSV: every option, the shapes of real files, and what is wrong with bad ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp


def test_round_trip_dense(io, tmp_path, mtd):
    x = np.random.default_rng(1).normal(size=(300, 7))
    x[3, 4], x[5, 0], x[6, 6], x[7, 1] = math.nan, math.inf, -math.inf, 1e23
    path = tmp_path / "x.csv"
    io.write(x, path, format="csv")
    assert np.array_equal(io.read(path), x, equal_nan=True)
    info = mtd(path)
    assert {k: info[k] for k in ("data_type", "value_type", "rows", "cols", "nnz", "format", "header", "sep")} == {
        "data_type": "matrix", "value_type": "double", "rows": 300, "cols": 7, "nnz": 2100,
        "format": "csv", "header": False, "sep": ",",
    }  # fmt: skip
    assert set(info) - {"description"} >= {"author", "created"}
    assert (tmp_path / "x.csv.mtd").read_text().startswith('{\n    "data_type": "matrix",\n    "value_type"')
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.csv.mtd"]


@pytest.mark.parametrize("sparse", [False, True])
def test_layout(io, tmp_path, sparse):
    x = np.array([[1.0, 0.0, -2.5], [0.0, 1e7, 1e-4], [0.0, -0.0, 0.0]])
    value = sp.csr_matrix(x) if sparse else x
    path = tmp_path / "x"
    io.write(value, path, format="csv")
    assert path.read_text() == "1.0,0,-2.5\n0,1.0E7,1.0E-4\n0,0,0\n"
    io.write(value, path, format="csv", header=True, sep=";;", sparse=True)
    assert path.read_text() == "C1;;C2;;C3\n1.0;;;;-2.5\n;;1.0E7;;1.0E-4\n;;;;\n"
    assert np.array_equal(io.read(path), x)


def test_sparse_column_with_empty_lines(io, tmp_path):
    x = np.array([[0.0], [1.0], [0.0], [0.0]])
    path = tmp_path / "x"
    io.write(x, path, format="csv", sparse=True)
    assert path.read_text() == "\n1.0\n\n\n"
    assert np.array_equal(io.read(path), x)
    (tmp_path / "x.mtd").unlink()
    assert io.read(path, format="csv").tolist() == [[0.0], [1.0]]  # at the end nobody knows
    path.write_text("1\n\n3")
    assert io.read(path, format="csv").tolist() == [[1.0], [0.0], [3.0]]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("1,2\n3,4\n", {}, [[1, 2], [3, 4]]),
        ("1,2\n3,4", {}, [[1, 2], [3, 4]]),
        ("1,2\r\n3,4\r\n", {}, [[1, 2], [3, 4]]),
        ("1,2\r\n\r\n3,4\r\n\r\n", {}, [[1, 2], [3, 4]]),
        ("\n\n1,2\n\n3,4\n\n\n", {}, [[1, 2], [3, 4]]),
        ("\ufeff1,2\n3,4\n", {}, [[1, 2], [3, 4]]),
        ("\ufeffa,b\n3,4\n", {"header": True}, [[3, 4]]),
        ('"a, b",c\r\n3,4\r\n', {"header": True}, [[3, 4]]),
        ('"1","-2.5"\n" 3 ", "4" \n', {}, [[1, -2.5], [3, 4]]),
        (" 1 ,\t2\n3, 4 \n", {}, [[1, 2], [3, 4]]),
        ("1;2\n3;4\n", {"sep": ";"}, [[1, 2], [3, 4]]),
        ("1 2\n3 4\n", {"sep": " "}, [[1, 2], [3, 4]]),
        ("1\t2\n3\t4\n", {"sep": "\t"}, [[1, 2], [3, 4]]),
        ("1::2\n3::4\n", {"sep": "::"}, [[1, 2], [3, 4]]),
        ("1e2e3\n", {"sep": "e"}, [[1, 2, 3]]),
        ("1,,3\n,5,\n", {}, [[1, 0, 3], [0, 5, 0]]),
        ('1,"",3\n', {"default": 7.5}, [[1, 7.5, 3]]),
        ("1,?,n/a\n", {"na_strings": "?\u00b7n/a"}, [[1, math.nan, math.nan]]),
        ("NaN,nan,NA,Inf\n", {}, [[math.nan, math.nan, math.nan, math.inf]]),
        ("-inf,+Infinity,-Infinity,INF\n", {}, [[-math.inf, math.inf, -math.inf, math.inf]]),
        (".5,5.,+1,-0.0,1E3,1e-2\n", {}, [[0.5, 5.0, 1.0, -0.0, 1000.0, 0.01]]),
        ("7", {}, [[7]]),
    ],
)
def test_forms(io, tmp_path, text, options, expected):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    assert np.array_equal(io.read(path, format="csv", **options), np.array(expected, float), equal_nan=True)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1,2\n3\n", {}, "x.csv:2: expected 2 columns, found 1"),
        ("1,2\n\n3,4,5\n", {}, "x.csv:3: expected 2 columns, found 3"),
        ("a,b\n1,2\n3\n", {"header": True}, "x.csv:3: expected 2 columns, found 1"),
        ("1,2\n3,four\n", {}, 'x.csv:2: column 2: expected a number, found "four"'),
        ("1,2\n3,4x\n", {}, 'x.csv:2: column 2: expected a number, found "4x"'),
        ("1,1.2.3\n", {}, 'x.csv:1: column 2: expected a number, found "1.2.3"'),
        ("1,\xff\n", {}, 'x.csv:1: column 2: expected a number, found "ÿ"'),
        ("1,,3\n", {"fill": False}, "x.csv:1: column 2: missing value, and fill=FALSE"),
        ("1,2\n", {"rows": 2}, "has 1 rows, but the call says 2"),
        ("1,2\n3,4\n", {"rows": 1}, "has 2 rows, but the call says 1"),
        ("1,2\n", {"cols": 3}, "x.csv:1: expected 3 columns, found 2"),
        ("", {}, "has no rows"),
        ("\n\n", {}, "has no rows"),
        ("1\n", {"rows": -5}, "rows=-5 is not a possible size"),
        ("1\n", {"rows": "many"}, 'rows must be a number, not "many"'),
        ("1\n", {"rows": 1e30}, "rows=1e+30 is not a possible size"),
        ("1\n", {"sep": ""}, "cannot separate cells"),
        ("1\n", {"header": "maybe"}, "header must be TRUE or FALSE"),
        ("1\n", {"colour": "red"}, 'unknown parameter "colour"'),
        ("1\n", {"value_type": "string"}, 'a matrix cannot have value_type "string"'),
        ("1\n", {"data_type": "frame"}, "frames are not supported"),
    ],
)
def test_bad_files(io, fails, tmp_path, text, options, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert message in fails(io.read, path, **{"format": "csv", **options})


def test_bytes_that_are_no_text(io, fails, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"1,\xfe\xff\x00\n")
    assert 'column 2: expected a number, found "\\xFE\\xFF\\x00"' in fails(io.read, path)


def test_many_chunks(io, tmp_path, fails):
    x = np.round(np.random.default_rng(2).normal(size=(60000, 11)), 4)
    path = tmp_path / "x.csv"
    text = "".join(",".join(map(repr, row)) + "\n" for row in x.tolist())
    assert len(text) > 3 << 20
    path.write_text(text)
    assert np.array_equal(io.read(path), x)
    path.write_text(text.replace("\n", "\r\n"))
    assert np.array_equal(io.read(path), x)
    lines = text.split("\n")
    lines[54321], lines[58000] = lines[54321] + ",1", "x"
    path.write_text("\n".join(lines))
    assert "x.csv:54322: expected 11 columns, found 12" in fails(io.read, path)


def test_line_longer_than_a_chunk(io, tmp_path):
    x = np.arange(2 * 400_000, dtype=float).reshape(2, -1)
    path = tmp_path / "x.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in x.astype(int).tolist()))
    assert path.stat().st_size > 4 << 20
    assert np.array_equal(io.read(path), x)


@pytest.mark.parametrize("density", [0.001, 0.1, 0.35, 0.9])
def test_sparse_result(io, tmp_path, density):
    x = sp.random(20000, 50, density=density, random_state=3, format="csr").toarray()
    path = tmp_path / "x.csv"
    io.write(x, path, format="csv")
    value = io.read_any(path)
    assert isinstance(value, np.ndarray) == (density >= 0.4)
    assert np.array_equal(value if isinstance(value, np.ndarray) else value.toarray(), x)
    assert np.array_equal(io.read(path, format="csv"), x)


def test_sparse_head_dense_tail(io, tmp_path):
    x = np.zeros((100_000, 20))
    x[30_000:49_000] = 1
    x[51_000:] = 1
    path = tmp_path / "x.csv"
    io.write(x, path, format="csv")
    assert isinstance(io.read_any(path), np.ndarray)
    assert np.array_equal(io.read(path), x)


def test_directory_of_parts(io, fails, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    assert "has no part files" in fails(io.read, folder, format="csv")
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-00000.crc").write_text("junk")
    (folder / "part-00001").write_text("5,6\n7,8")
    (folder / "part-00000").write_text("a,b\n1,2\n3,4")
    assert io.read(folder, format="csv", header=True).tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    (folder / "part-00001").write_text("5,6\n7,x")
    assert "parts/part-00001:2: column 2" in fails(io.read, folder, format="csv", header=True)


def test_numbers_are_rounded_correctly(io, tmp_path):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 2**63, 60000, dtype=np.uint64).view(np.float64)
    x = x[np.isfinite(x)][:50000]
    forms = [repr(v) for v in x.tolist()]
    forms += [f"{v:.25e}" for v in x[:5000].tolist()] + [f"{v:.30f}" for v in rng.normal(size=5000).tolist()]
    digits = rng.integers(0, 10, (5000, 40))
    forms += ["".join(map(str, d[:k])) + "." + "".join(map(str, d[k:])) for k, d in enumerate_mod(digits)]
    forms += [
        "9007199254740993",
        "9007199254740993.00000000000000000000000001",
        "2.2250738585072011e-308",
        "1e400",
        "1e-400",
    ]
    forms += [
        "4.9406564584124654e-324",
        "2.4703282292062328e-324",
        "0" * 400 + "1",
        "0." + "0" * 400 + "1",
        "1" * 400,
    ]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(forms) + "\n")
    expected = np.array([float(f) for f in forms])
    assert np.array_equal(io.read(path).ravel(), expected)
    # What is written reads back as the same number, and no shorter text would.
    io.write(x.reshape(-1, 1), path, format="csv")
    written = path.read_text().split()
    assert [float(w) for w in written] == x.tolist()
    plain = [w.replace("-", "").replace(".", "").split("E")[0].strip("0") for w in written]
    shortest = [repr(v).replace("-", "").replace(".", "").split("e")[0].strip("0") for v in x.tolist()]
    assert plain == shortest


def enumerate_mod(digits):
    return ((i % 39 + 1, d.tolist()) for i, d in enumerate(digits))
