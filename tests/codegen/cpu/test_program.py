"""Programs as native code: scalar semantics, control flow, errors, cells, recursion."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sysmlc
from sysmlc.codegen.cpu import calls, program
from sysmlc.runtime.bridge import NativeError
from sysmlc.runtime.library import include_dir


def value(expression: str, before: str = "") -> object:
    """An expression of variables that nothing is known about at compile time."""
    return sysmlc.run(f"{before}\nresult = {expression}\n", outputs=["result"])["result"]


def computed(expression: str, **inputs: float | int | bool | str) -> object:
    return sysmlc.compile(f"result = {expression}\n", outputs=["result"]).run(inputs)["result"]


@pytest.mark.parametrize("a", [7, -7, 5])
@pytest.mark.parametrize("b", [2, -2, 5])
def test_integer_arithmetic_floors(a: int, b: int) -> None:
    assert computed("a %/% b", a=a, b=b) == a // b
    assert computed("a %% b", a=a, b=b) == a % b
    assert computed("a + b * a - b", a=a, b=b) == a + b * a - b


@pytest.mark.parametrize("a", [7.5, -7.5, 0.0, math.inf])
@pytest.mark.parametrize("b", [2.0, -2.0])
def test_double_arithmetic(a: float, b: float) -> None:
    assert computed("a / b", a=a, b=b) == a / b
    if math.isfinite(a):
        assert computed("a %% b", a=a, b=b) == a - math.floor(a / b) * b
        assert computed("a %/% b", a=a, b=b) == math.floor(a / b)
    assert computed("min(a, b)", a=a, b=b) == min(a, b)
    assert computed("max(a, b)", a=a, b=b) == max(a, b)


def test_nan_is_kept_by_min_and_max() -> None:
    assert math.isnan(computed("min(a, b)", a=math.nan, b=1.0))  # type: ignore[arg-type]
    assert math.isnan(computed("max(b, a)", a=math.nan, b=1.0))  # type: ignore[arg-type]
    assert computed("a == a", a=math.nan) is False
    assert computed("a != a", a=math.nan) is True


@pytest.mark.parametrize(("x", "rounded"), [(2.5, 3.0), (-2.5, -2.0), (0.4, 0.0), (-0.6, -1.0)])
def test_round_goes_up_from_the_middle(x: float, rounded: float) -> None:
    assert computed("round(x)", x=x) == rounded


@pytest.mark.parametrize(
    "fn", ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "sqrt", "log", "abs"]
)
def test_mathematics_is_that_of_the_c_library(fn: str) -> None:
    expected = abs(0.3) if fn == "abs" else getattr(math, fn)(0.3)
    assert computed(f"{fn}(x)", x=0.3) == pytest.approx(expected, rel=1e-15)


def test_signs_and_flags() -> None:
    assert [computed("sign(x)", x=x) for x in (-2.0, 0.0, 3.0)] == [-1.0, 0.0, 1.0]
    assert computed("!b", b=True) is False
    assert computed("a & b | !a", a=True, b=False) is False
    assert computed("xor(a, b)", a=True, b=False) in (True, 1.0)


def test_casts() -> None:
    assert computed("as.integer(x)", x=-2.7) == -2
    assert computed("as.integer(x)", x=math.nan) == 0
    assert computed("as.double(x)", x=3) == 3.0
    assert computed("as.logical(x)", x=0.5) is True
    assert computed('x + ""', x=2.5) == "2.5"


@pytest.mark.parametrize("text", ["a + b", "a * b", "-a - b - b", "a %/% (b - b)"])
def test_integers_never_wrap(text: str) -> None:
    with pytest.raises(NativeError, match="numerical result overflow"):
        computed(text, a=2**62, b=2**62)


def test_strings_compare_by_content() -> None:
    assert computed("a == b", a="x", b="x") is True
    assert computed("a < b", a="abc", b="abd") is True
    assert computed("a != b", a="x", b="y") is True


def test_loops_count_up_and_down() -> None:
    script = "s = 0\nfor (i in a:b) { s = s * 10 + i }\n"
    run = sysmlc.compile(script, outputs=["s"]).run
    assert run({"a": 1, "b": 4})["s"] == 1234
    assert run({"a": 3, "b": 1})["s"] == 321
    assert run({"a": 2, "b": 2})["s"] == 2
    assert value("s", "s = 0\nfor (i in seq(1, 10, 3)) { s = s + i }") == 22


def test_while_with_matrices_and_branches() -> None:
    script = """
x = matrix(0, 2, 2)
i = 0
while (i < n) {
  i = i + 1
  if (i %% 2 == 0) { x = x + i } else { x[1, 1] = as.scalar(x[1, 1]) - i }
}
"""
    found = sysmlc.compile(script, outputs=["x", "i"]).run({"n": 7})
    np.testing.assert_array_equal(found["x"], [[12 - 16, 12], [12, 12]])
    assert found["i"] == 7


def test_functions_with_several_results_and_recursion() -> None:
    script = """
both = function(double a, matrix[double] M) return (double s, matrix[double] N) { s = a + sum(M)
  M[1, 1] = a
  N = M }
fib = function(integer n) return (integer r) { if (n < 2) { r = n } else { r = fib(n - 1) + fib(n - 2) } }
[s, N] = both(2.5, X)
r = fib(15)
"""
    X = np.ones((2, 3))
    found = sysmlc.compile(script, outputs=["s", "N", "r"]).run({"X": X})
    assert found["s"] == 8.5
    assert found["r"] == 610
    assert found["N"][0, 0] == 2.5
    assert X[0, 0] == 1.0, "what the caller passed is never written"


def test_endless_recursion_is_an_error() -> None:
    script = "f = function(integer n) return (integer r) { r = f(n + 1) + 1 }\nresult = f(1)\n"
    with pytest.raises(NativeError, match="calls itself too deeply"):
        sysmlc.run(script, outputs=["result"])


def test_errors_say_where() -> None:
    with pytest.raises(NativeError) as caught:
        sysmlc.compile("y = 1\nz = as.scalar(X[n, 1])\n", outputs=["z"]).run({"X": np.ones((2, 2)), "n": 5})
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("<script>:2:")
    assert "5" in lines[0]
    assert lines[1].strip() == "z = as.scalar(X[n, 1])"
    assert lines[2].strip() == "^"


def test_a_failed_program_frees_everything_and_the_next_run_works() -> None:
    program = sysmlc.compile("Y = X + 1\nif (n > 1) { stop('enough') }\nz = sum(Y)\n", outputs=["z"])
    for _ in range(3):
        with pytest.raises(NativeError, match="enough"):
            program.run({"X": np.ones((3, 3)), "n": 2})
    assert program.run({"X": np.ones((3, 3)), "n": 1})["z"] == 18.0


def test_ten_million_iterations_are_quick() -> None:
    script = """
X = matrix(0, rows=100, cols=100)
s = 0.0
for (i in 1:n) {
  k = i %% 100 + 1
  v = as.scalar(X[k, 1]) + i * 0.5
  X[k, 1] = v
  s = s + v
}
"""
    program = sysmlc.compile(script, outputs=["s"])
    found = program.run({"n": 10_000_000})["s"]
    assert found == pytest.approx(8.333459583761508e17)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_offsets_are_those_of_the_header(tmp_path: Path) -> None:
    members = {
        "sm_ctx, interrupt": program.INTERRUPT,
        "sm_object, refs": 0,
        "sm_object, holds": calls.HOLDS,
        "sm_string, text": 40,
        "sm_matrix, rows": calls.ROWS,
        "sm_matrix, cols": calls.COLS,
        "sm_matrix, nnz": calls.NNZ,
        "sm_matrix, elem": calls.LAYOUT,
        "sm_matrix, format": calls.LAYOUT + 1,
        "sm_matrix, flags": calls.LAYOUT + 2,
        "sm_matrix, data": calls.DATA,
        "sm_cell_kernel, variant_keys": 40,
        "sm_cell_kernel, name": 56,
    }
    checks = "\n".join(f'_Static_assert(offsetof({m}) == {n}, "{m}");' for m, n in members.items())
    source = tmp_path / "offsets.c"
    source.write_text(f'#include "sysmlc.h"\n{checks}\n_Static_assert(SM_READONLY == 1, "");\n')
    done = subprocess.run(
        ["cc", "-fsyntax-only", f"-I{include_dir()}", str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
