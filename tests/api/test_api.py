"""The Python interface: values in and out, errors, MLContext."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import sysmlc
from sysmlc.mlcontext import dmlFromFile
from sysmlc.runtime.bridge import NativeError


def test_scalars_go_in_and_out() -> None:
    program = sysmlc.compile("a2 = a * 2\nb2 = b / 4\nc2 = !c\nd2 = d + '!'\n")
    found = program.run({"a": 3, "b": 1.0, "c": True, "d": "x"})
    assert dict(found) == {"a2": 6, "b2": 0.25, "c2": False, "d2": "x!"}
    assert found.get("a2", "d2") == (6, "x!")
    found = program.run({"a": np.float64(3), "b": np.int64(1), "c": np.bool_(False), "d": "y"})
    assert found["a2"] == 6.0


def test_dense_arrays_are_not_copied() -> None:
    X = np.arange(12.0).reshape(3, 4)
    found = sysmlc.run("Y = X\nZ = X + 1\n", inputs={"X": X})
    assert np.shares_memory(found["Y"], X)
    assert not found["Y"].flags.writeable
    np.testing.assert_array_equal(found["Z"], X + 1)
    assert found["Z"].flags.writeable
    Z = found["Z"]
    del found
    np.testing.assert_array_equal(Z, X + 1)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(4, 3)[::2],
        np.arange(6, dtype=np.float32).reshape(2, 3),
        pd.DataFrame({"a": [0, 3], "b": [1.0, 4.0], "c": [2, 5]}),
        np.arange(3) > 1,
    ],
)
def test_other_layouts_are_converted(value: object) -> None:
    expected = np.asarray(value, dtype=float)
    found = sysmlc.run("Y = X * 2\n", inputs={"X": value})["Y"]
    np.testing.assert_array_equal(found, (expected if expected.ndim == 2 else expected[:, None]) * 2)


def test_sparse_matrices() -> None:
    X = sp.random(200, 100, density=0.05, format="csr", random_state=1)
    found = sysmlc.run("Y = X * 3\ns = sum(X)\n", inputs={"X": X})
    assert sp.issparse(found["Y"])
    assert abs(found["Y"] - 3 * X).max() == 0
    assert found["s"] == pytest.approx(X.sum())
    coo = sp.coo_matrix(([1.0, 2.0], ([0, 0], [1, 1])), shape=(50, 40))
    assert sysmlc.run("s = as.scalar(X[1, 2])\n", inputs={"X": coo})["s"] == 3.0


def test_empty_matrices() -> None:
    found = sysmlc.run("r = nrow(X)\nc = ncol(X)\nY = X\n", inputs={"X": np.empty((0, 3))})
    assert (found["r"], found["c"], found["Y"].shape) == (0, 3, (0, 3))


def test_lists() -> None:
    found = sysmlc.run(
        "n = length(L)\nK = list(a=1, b=matrix(2, 1, 1))\nM = list(1.5, 'x', TRUE)\n",
        inputs={"L": [1, "a", np.eye(2)]},
    )
    assert found["n"] == 3
    assert found["K"]["a"] == 1
    assert found["K"]["b"] == np.array([[2.0]])
    assert found["M"] == [1.5, "x", True]


def test_arguments(tmp_path: Path) -> None:
    program = sysmlc.compile("y = $a * 2\nz = ifdef($b, 7)\n")
    assert dict(program.run(args={"a": 2})) == {"y": 4, "z": 7}
    assert dict(program.run(args={"a": 2.5, "b": 1})) == {"y": 5.0, "z": 1}
    path = tmp_path / "a.dml"
    path.write_text("y = $a\n")
    assert sysmlc.run(path, args={"a": True})["y"] is True


def test_errors() -> None:
    with pytest.raises(sysmlc.Diagnostic, match="expected"):
        sysmlc.compile("x = (1\n")
    with pytest.raises(sysmlc.Diagnostic):
        sysmlc.run("x = y + 1\n")
    with pytest.raises(sysmlc.Diagnostic, match="cannot read"):
        sysmlc.compile("nowhere.dml")
    with pytest.raises(NativeError, match="enough") as caught:
        sysmlc.run("if (n > 0) stop('enough')\nx = 1\n", inputs={"n": 1})
    assert str(caught.value).startswith("<script>:1:")
    with pytest.raises(TypeError, match="complex"):
        sysmlc.run("y = X\n", inputs={"X": np.zeros((2, 2), complex)})
    with pytest.raises(TypeError, match="two dimensions"):
        sysmlc.run("y = X\n", inputs={"X": np.zeros((2, 2, 2))})
    with pytest.raises(KeyError, match="not an output"):
        sysmlc.run("x = 1\n")["y"]


def test_prints_go_to_sys_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    sysmlc.run("print('größe ' + 1.5)\n")
    assert capsys.readouterr().out == "größe 1.5\n"


def test_mlcontext(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ml = sysmlc.MLContext()
    X = np.ones((3, 2))
    script = sysmlc.dml("s = sum(X) * $factor\nY = X + s\n").input("X", X, "$factor", 2).output("s", "Y")
    s, Y = ml.execute(script).get("s", "Y")
    assert s == 12.0
    assert Y[0, 0] == 13.0
    path = tmp_path / "a.dml"
    path.write_text("y = x * 2\n")
    ml.setStatistics(True)
    assert ml.execute(dmlFromFile(path).input(x=4).output("y")).get("y") == 8
    assert "Memory" in capsys.readouterr().err


def test_one_program_many_inputs() -> None:
    program = sysmlc.compile("s = sum(X)\n")
    assert program.run({"X": np.ones((2, 2))})["s"] == 4.0
    assert program.run({"X": sp.eye(5, format="csr")})["s"] == 5.0
    assert math.isnan(program.run({"X": np.full((1, 1), np.nan)})["s"])


def test_a_program_can_be_prepared() -> None:
    program = sysmlc.compile("s = sum(X) + n\n", inputs={"X": "matrix", "n": 1})
    assert program.run({"X": np.ones((2, 2)), "n": 3})["s"] == 7.0
    assert len(program._loaded) == 1
    with pytest.raises(sysmlc.Diagnostic, match="X"):
        sysmlc.compile("s = sum(X)\n", inputs={})


def test_nothing_is_copied_in_or_out() -> None:
    X = np.arange(4000.0).reshape(40, 100)
    found = sysmlc.run("Y = X\nZ = X * 2\n", inputs={"X": X})
    assert np.shares_memory(found["Y"], X)
    Z = found["Z"]
    assert Z is found["Z"]
    assert np.shares_memory(Z, found["Z"])
    assert Z.base is not None  # a view of what the program made
    changed = sysmlc.run("X[1, 1] = 7\nY = X\n", inputs={"X": X})
    assert changed["Y"][0, 0] == 7.0
    assert X[0, 0] == 0.0
    S = sysmlc.run("S = X * 3\n", inputs={"X": sp.random(300, 200, 0.02, format="csr", random_state=0)})["S"]
    assert S.data.base is not None
    assert S.indices.base is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int32, np.int64, np.uint16, np.bool_])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_and_layout(dtype: type, order: str) -> None:
    X = np.array([[0, 1, 2], [3, 4, 5]], dtype=dtype, order=order)  # type: ignore[call-overload]
    found = sysmlc.run("Y = X + 0.5\nr = nrow(X)\n", inputs={"X": X})
    assert found["Y"].dtype == np.float64
    assert found["r"] == 2
    np.testing.assert_array_equal(found["Y"], X + 0.5)


@pytest.mark.parametrize(
    "value", [[1.0, 2.0], np.array([1.0, 2.0]), pd.Series([1, 2]), pd.Series([1.0, 2.0])]
)
def test_one_dimension_is_a_column(value: object) -> None:
    array = np.array(value) if isinstance(value, list) else value
    found = sysmlc.run("r = nrow(X)\nc = ncol(X)\ns = sum(X)\n", inputs={"X": array})
    assert dict(found) == {"r": 2, "c": 1, "s": 3.0}


@pytest.mark.parametrize(
    "kind", [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.lil_matrix, sp.csr_array, sp.bsr_matrix]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_every_sparse_format(kind: type, dtype: type) -> None:
    cells = np.zeros((30, 20), dtype)
    cells[3, 4], cells[29, 0], cells[0, 19] = 1, 2, 3
    found = sysmlc.run("Y = X * 2\nZ = t(X) %*% X\n", inputs={"X": kind(cells)})
    np.testing.assert_array_equal(found["Y"].toarray(), cells * 2)
    Z = found["Z"]
    np.testing.assert_array_equal(Z.toarray() if sp.issparse(Z) else Z, cells.T @ cells)


def test_frames_of_pandas() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    np.testing.assert_array_equal(sysmlc.run("Y = X\n", inputs={"X": frame})["Y"], [[1, 0.5, 1], [2, 1.5, 0]])
    with pytest.raises((TypeError, ValueError), match="x"):
        sysmlc.run("Y = X\n", inputs={"X": pd.DataFrame({"a": ["x", "y"]})})


def test_lists_and_strings_both_ways() -> None:
    script = "K = L\nK['n'] = as.scalar(L['n']) + 1\nt = w + 'ß'\nm = length(L)\n"
    found = sysmlc.run(script, inputs={"L": {"n": 1, "X": np.eye(2), "s": "é"}, "w": "größe"})
    assert list(found["K"]) == ["n", "X", "s"]
    assert found["K"]["n"] == 2
    assert found["K"]["s"] == "é"
    np.testing.assert_array_equal(found["K"]["X"], np.eye(2))
    assert (found["t"], found["m"]) == ("größeß", 3)
    nested = sysmlc.run("K = list(L, 2)\n", inputs={"L": [1, [2.5, "x"]]})["K"]
    assert nested == [[1, [2.5, "x"]], 2]


def test_wrong_inputs_say_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="object"):
        sysmlc.run("y = x\n", inputs={"x": object()})
    with pytest.raises(TypeError):
        sysmlc.run("y = x\n", inputs={"x": None})
    with pytest.raises(TypeError):
        sysmlc.run("y = x\n", inputs={"x": np.array([["a"]])})
    with pytest.raises(sysmlc.Diagnostic, match="'x' is not defined"):
        sysmlc.run("y = x\n")
    with pytest.raises(sysmlc.DiagnosticGroup):
        sysmlc.run("y = a + 1\nz = b + 1\n")
    with pytest.raises(sysmlc.Diagnostic, match="never assigned"):
        sysmlc.run("y = 1\n", outputs=["z"])
    with pytest.raises(OverflowError):
        sysmlc.run("y = x\n", inputs={"x": 2**70})


def sparse_of(
    data: list[float], columns: list[int], offsets: list[int], cols: int, wide: bool = False
) -> Any:
    """A CSR matrix of exactly these arrays; SciPy believes that they are in order."""
    rows = len(offsets) - 1
    made = sp.csr_matrix((rows, cols))
    kind = np.int64 if wide else np.int32
    made.data, made.indices = np.array(data, float), np.array(columns, kind)
    made.indptr = np.array(offsets, kind)
    made.has_sorted_indices = made.has_canonical_format = True
    return made


SPARSE_ARRAYS = {
    "in order": ([1, 2, 3], [0, 2, 1], [0, 0, 2, 2, 3, 3]),
    "out of order": ([1, 2, 3], [2, 0, 1], [0, 0, 2, 2, 3, 3]),
    "twice the same": ([1, 2, 3], [1, 1, 1], [0, 0, 2, 2, 3, 3]),
    "cells that are 0": ([1, 0, 3], [0, 2, 1], [0, 0, 2, 2, 3, 3]),
    "one row": ([1, 2, 3], [0, 5, 49], [0, 3]),
    "nothing": ([], [], [0, 0, 0]),
}


@pytest.mark.parametrize("arrays", SPARSE_ARRAYS.values(), ids=list(SPARSE_ARRAYS))
def test_sparse_arrays_of_the_host(arrays: tuple[list[float], list[int], list[int]]) -> None:
    program = sysmlc.compile("r = rowSums(X)\nS = X\nn = sum(X != 0)\n", outputs=["r", "S", "n"])
    X = sparse_of(*arrays, 50)
    before = [a.copy() for a in (X.data, X.indices, X.indptr)]
    expected = np.zeros(X.shape)
    for row in range(X.shape[0]):
        for p in range(X.indptr[row], X.indptr[row + 1]):
            expected[row, X.indices[p]] += X.data[p]
    out = program.run({"X": X})
    np.testing.assert_allclose(out["r"], expected.sum(1, keepdims=True))
    result = out["S"].toarray() if sp.issparse(out["S"]) else out["S"]
    np.testing.assert_array_equal(result, expected)
    assert out["n"] == np.count_nonzero(expected)
    for array, old in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("column", [50, -1, 2**31 - 1])
@pytest.mark.parametrize("wide", [False, True])
def test_columns_of_the_host_are_checked(column: int, wide: bool) -> None:
    with pytest.raises(NativeError, match="sparse input: columns must"):
        sysmlc.run("r = sum(X)\n", inputs={"X": sparse_of([1.0], [column], [0, 1], 50, wide)})


def test_results_cannot_change_the_sparse_arrays_they_look_into() -> None:
    X = sp.random(100, 80, 0.05, format="csr", random_state=3)
    S = sysmlc.run("S = X\n", inputs={"X": X})["S"]
    with pytest.raises(ValueError, match="read-only"):
        S.data[0] = 7.0


@pytest.mark.parametrize("offsets", [[0, 2, 1, 3], [0, 4, 2, 3], [0, -1, 2, 3], [1, 1, 2, 3]])
def test_offsets_of_the_host_are_checked(offsets: list[int]) -> None:
    with pytest.raises(NativeError, match="sparse input: row offsets must"):
        sysmlc.run("r = sum(X)\n", inputs={"X": sparse_of([1.0, 2.0, 3.0], [0, 1, 2], offsets, 50)})


@pytest.mark.parametrize("lengths", [[100_000], [0] * 70_000 + [90_000] + [0] * 70_000, [3] * 40_000])
def test_sparse_arrays_are_checked_wherever_they_are_wrong(lengths: list[int]) -> None:
    """One row of very many entries, very many empty rows: stretches end within the one and among the others."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
    program = sysmlc.compile("r = sum(X)\nn = ncol(X)\n", outputs=["r", "n"])

    def total(columns: np.ndarray, offsets: np.ndarray) -> float:
        X = sp.csr_matrix((len(lengths), 100_000))
        X.data, X.indices, X.indptr = np.ones(len(columns)), columns, offsets
        return float(program.run({"X": X})["r"])

    assert total(columns, offsets) == len(columns)
    for at in [0, 32767, 32768, 65535, 65536, len(columns) - 2]:
        wrong = columns.copy()
        wrong[at] = 100_000
        with pytest.raises(NativeError, match="columns must stay below 100000"):
            total(wrong, offsets)
        wrong[at] = wrong[at + 1]  # twice the same, or a descent: added up by the host's library
        assert total(wrong, offsets) == len(columns)
    for row in [1, len(lengths) // 2] if len(lengths) > 1 else []:
        wrong = offsets.copy()
        wrong[row] = -1
        with pytest.raises(NativeError, match="row offsets must"):
            total(columns, wrong)


def test_large_sparse_arrays_of_the_host() -> None:
    """Some stretches of rows, looked at in parallel; two columns out of order are found wherever they are."""
    rng = np.random.default_rng(4)
    X = sp.random(5000, 300, 0.2, format="csr", random_state=3)
    program = sysmlc.compile("r = rowSums(X)\n", outputs=["r"])
    expected = X.sum(axis=1)
    np.testing.assert_allclose(program.run({"X": X})["r"], expected, rtol=1e-12)
    rows = [0, 511, 512, 513, 4999, *rng.integers(0, 5000, 10)]
    for row in rows:
        Y = X.copy()
        ends = Y.indptr[row : row + 2]
        for a in (Y.data, Y.indices):
            a[ends[0] : ends[1]] = a[ends[0] : ends[1]][::-1].copy()
        np.testing.assert_allclose(program.run({"X": Y})["r"], expected, rtol=1e-12)
    Y = X.copy()
    Y.indices[Y.indptr[2500]] = 300
    with pytest.raises(NativeError, match="columns must stay below 300"):
        program.run({"X": Y})


def test_reports_outlive_their_program() -> None:
    def report() -> sysmlc.api.Context:
        program = sysmlc.compile("X = rand(rows=9, cols=9, seed=1)\nprint(sum(solve(X, X)))")
        return program.run(configure=lambda context: context.enable_statistics()).context

    context = report()
    gc.collect()
    assert "solve" in context.statistics(5)
