"""The Python interface: values in and out, errors, MLContext."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import sysmlc
from sysmlc.api import dmlFromFile
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
