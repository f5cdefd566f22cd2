"""Numbers, strings, the printf form, toString and lists as text."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
from capi import TAG_BOX, TAG_LIST, TAG_MATRIX, Runtime, RuntimeFailure

DOUBLES = {
    1.0: "1.0", 1e6: "1000000.0", 1e7: "1.0E7", 12345678.9: "1.23456789E7", 0.1: "0.1",
    0.001: "0.001", 0.00012345: "1.2345E-4", 1e10: "1.0E10", 1e16: "1.0E16", 1e20: "1.0E20", 1e22: "1.0E22",
    1e308: "1.0E308", 1e-10: "1.0E-10", 1e-320: "1.0E-320", 5e-324: "4.9E-324", math.pi: "3.141592653589793",
    2 / 3: "0.6666666666666666", 1e7 / 3: "3333333.3333333335", 0.1 + 0.2: "0.30000000000000004",
    2.0**31: "2.147483648E9", 2.0**63: "9.223372036854776E18", 110.00000000000001: "110.00000000000001",
    1.2246467991473532e-16: "1.2246467991473532E-16", math.inf: "Infinity", -math.inf: "-Infinity", 0.002: "0.002",
    9999999.999: "9999999.999", 0.0009999: "9.999E-4", -1234567.0: "-1234567.0", 123456.5: "123456.5",
}  # fmt: skip


@pytest.mark.parametrize("value", list(DOUBLES))
def test_double_text(rt: Runtime, value: float) -> None:
    assert rt.text(rt.call("cast_f64_str:pd", value)) == DOUBLES[value]


def test_nan_and_other_scalars(rt: Runtime) -> None:
    assert rt.text(rt.call("cast_f64_str:pd", math.nan)) == "NaN"
    assert rt.text(rt.call("cast_f64_str:pd", -0.0)) == "-0.0"
    assert rt.text(rt.call("cast_f64_str:pd", 0.0)) == "0.0"
    assert rt.text(rt.call("cast_i64_str:pi", -(2**63))) == "-9223372036854775808"
    assert rt.text(rt.call("cast_i1_str:pb", 1)) == "TRUE"


def test_random_doubles_read_back(rt: Runtime) -> None:
    bits = np.random.default_rng(1).integers(0, 2**63, 500).view(np.float64)
    for value in bits[np.isfinite(bits)]:
        text = rt.call("cast_f64_str:pd", value)
        assert rt.call("cast_str_f64:dp", text) == value
        rt.release(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5.0), ("1e3", 1000.0), (" 1.5 ", 1.5), ("Infinity", math.inf), ("-Infinity", -math.inf), ("+2.", 2.0),
     (".5", 0.5), ("1d", 1.0), ("1e400", math.inf), ("1e-400", 0.0), ("-3.25E+2", -325.0)],
)  # fmt: skip
def test_string_to_double(rt: Runtime, text: str, value: float) -> None:
    s = rt.string(text)
    assert rt.call("cast_str_f64:dp", s) == value
    rt.release(s)


@pytest.mark.parametrize("text", ["x", "", "Inf", "1,5", "0x", "1e", "--1", "nan", "1 2"])
def test_bad_numbers(rt: Runtime, text: str) -> None:
    s = rt.string(text)
    with pytest.raises(RuntimeFailure, match="as a number"):
        rt.call("cast_str_f64:dp", s)
    rt.release(s)


def test_string_to_others(rt: Runtime) -> None:
    for text, i, b in [
        ("5", 5, 0),
        ("3.7", 3, 0),
        ("-3.7", -3, 0),
        ("1e30", 2**63 - 1, 0),
        ("9007199254740993", 9007199254740993, 0),
    ]:
        s = rt.string(text)
        assert (rt.call("cast_str_i64:ip", s), rt.call("cast_str_i1:bp", s)) == (i, b)
        rt.release(s)
    for text, b in [("TRUE", 1), ("true", 1), ("x", 0), ("FALSE", 0)]:
        s = rt.string(text)
        assert rt.call("cast_str_i1:bp", s) == b
        rt.release(s)


def test_concat_and_compare(rt: Runtime) -> None:
    a, b = rt.string("unicode é ü"), rt.string("漢")
    assert rt.text(rt.call("concat:ppp", a, b)) == "unicode é ü漢"
    assert rt.call("string_compare:bpp", a, b) == -1
    assert rt.call("string_compare:bpp", a, a) == 0
    rt.release(a, b)


FORMATS = [
    ("%s", ["x"], "x"), ("%5.3f", [3.14159], "3.142"), ("%d %d", [1, 2], "1 2"), ("%-10d|", [42], "42        |"),
    ("%s %d %f", ["a", 1, 2.5], "a 1 2.500000"), ("%s", [1.0], "1.0"), ("%s", [True], "true"), ("no args", [1], "no args"),
    ("%x", [255], "ff"), ("%X", [255], "FF"), ("%x", [-1], "f" * 16), ("%,d", [1234567], "1,234,567"), ("%,d", [-999], "-999"),
    ("%,.2f", [1234567.891], "1,234,567.89"), ("%e", [12345.678], "1.234568e+04"), ("%.1f", [0.25], "0.3"), ("%.2f", [1.005], "1.01"),
    ("%.0f", [2.5], "3"), ("%.0f", [0.4], "0"), ("%g", [0.0001], "0.000100000"), ("%g", [123456.0], "123456."[:-1]),
    ("%g", [1234567.0], "1.23457e+06"), ("%g", [0.0], "0.00000"), ("%08.2f", [-3.14159], "-0003.14"), ("%+d", [5], "+5"),
    ("%(d", [-5], "(5)"), ("%f", [math.nan], "NaN"), ("%08f", [math.inf], "Infinity"), ("%b", [True], "true"), ("%b", ["x"], "true"),
    ("%S", ["abc"], "ABC"), ("%.2s", ["éab"], "éa"), ("%5s|", ["é"], "    é|"), ("100%%", [1], "100%"), ("%n", [1], "\n"),
    ("%2$s %1$s", ["a", "b"], "b a"), ("%s %<s", ["a"], "a a"), ("%o", [8], "10"), ("%.3e", [9999.9], "1.000e+04"),
    ("%.1f", [9.96], "10.0"), ("%f", [1e15], "1000000000000000.000000"), ("%.10f", [0.1], "0.1000000000"), ("%f", [1e-10], "0.000000"),
    ("%E", [0.0], "0.000000E+00"), ("%05d", [-42], "-0042"), ("% d", [42], " 42"), ("%.1f", [0.05], "0.1"), ("%.2f", [0.005], "0.01"),
]  # fmt: skip


@pytest.mark.parametrize(("fmt", "values", "expected"), FORMATS)
def test_printf(rt: Runtime, fmt: str, values: list[object], expected: str) -> None:
    text, args = rt.string(fmt), rt.args(*values)
    assert rt.text(rt.call("format:ppip", text, len(values), args)) == expected
    rt.release(text, *(a.v.object for a in args if a.tag == 4))


@pytest.mark.parametrize(
    ("fmt", "value", "message"),
    [("%f", 3, "needs a double, but value 1 is an integer"), ("%d", 3.0, "needs an integer, but value 1 is a double"),
     ("%d", True, "is a boolean"), ("%q", 1, "unknown conversion '%q'"), ("%d %d", 1, "no value for '%d': 1 given"),
     ("%", 1, "ends within"), ("%-d", 1, "needs a width"), ("%.d", 1, "digits must follow"), ("%.2d", 1, "precision")],
)  # fmt: skip
def test_printf_errors(rt: Runtime, fmt: str, value: object, message: str) -> None:
    text = rt.string(fmt)
    with pytest.raises(RuntimeFailure, match=message):
        rt.call("format:ppip", text, 1, rt.args(value))
    rt.release(text)


def to_string(
    rt: Runtime,
    m: int,
    rows: int = 100,
    cols: int = 100,
    decimal: int = 3,
    sparse: int = 0,
    sep: str = " ",
    linesep: str = "\n",
) -> str:
    a, b = rt.string(sep), rt.string(linesep)
    try:
        return rt.text(rt.call("matrix_to_string:ppiiibpp", m, rows, cols, decimal, sparse, a, b))
    finally:
        rt.release(a, b, m)


@pytest.mark.parametrize("make", ["dense", "csr"])
def test_to_string(rt: Runtime, make: str) -> None:
    new = getattr(rt, make)
    assert to_string(rt, new([[1.5, -2.25], [0, 1e10]])) == "1.500 -2.250\n0.000 10000000000.000\n"
    assert to_string(rt, new([[1, 0], [0, 2]]), sparse=1) == "1 1 1.000\n2 2 2.000\n"
    assert to_string(rt, new(np.ones((2, 2))), linesep="|") == "1.000 1.000|1.000 1.000|"
    assert to_string(rt, new(np.ones((2, 5))), cols=3, sep=",") == "1.000,1.000,1.000\n" * 2
    assert to_string(rt, new(np.ones((150, 1)))).count("\n") == 100
    assert to_string(rt, new(np.ones((0, 2)))) == ""


CELLS = [
    (1 / 3, 6, "0.333333"), (1 / 3, 10, "0.3333333333"), (0.125, 2, "0.12"), (0.375, 2, "0.38"), (2.5, 0, "2"), (3.5, 0, "4"),
    (-0.0, 3, "0.000"), (-0.0001, 3, "-0.000"), (math.nan, 3, "NaN"), (math.inf, 3, "Infinity"), (-math.inf, 1, "-Infinity"),
    (1e20, 3, "100000000000000000000.000"), (1e23, 0, "100000000000000000000000"), (2.466966646535577, 16, "2.4669666465355770"),
    (0.1, 20, "0.10000000000000000000"), (1e17, 4, "100000000000000000.0000"), (0.15, 1, "0.1"), (0.25, 1, "0.2"), (0.35, 1, "0.3"),
    (-1.5, 0, "-2"), (123456789.987654321, 2, "123456789.99"), (5e-324, 3, "0.000"), (2**53 + 2.0, 1, "9007199254740994.0"), (1e15 + 0.5, 0, "1000000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "decimal", "expected"), CELLS)
def test_cell_text(rt: Runtime, value: float, decimal: int, expected: str) -> None:
    assert to_string(rt, rt.dense([[value]]), decimal=decimal) == expected + "\n"


def test_list_text_and_entries(rt: Runtime) -> None:
    one = rt.dense([[1.0]])
    text = rt.args("s")[0].v.object
    args = rt.args(1, 2.5, (4, text), True, (TAG_MATRIX, one))
    names = (ctypes.c_char_p * 5)(b"a", b"b", None, b"d", b"m")
    entries = rt.call("list_new:pipp", 5, args, names)
    assert (
        rt.text(rt.call("list_to_string:pp", entries))
        == "List containing:\n[1, 2.5, s, TRUE, \nMatrix:\n1.000\n]"
    )
    key = rt.string("b")
    named = rt.call("list_named:ppp", entries, key)
    box = rt.call("list_scalar:pp", named)
    assert rt.call("cast_box_f64:dp", box) == 2.5
    part = rt.call("list_range:ppii", entries, 4, 5)
    longer = rt.call("list_append:ppp", part, named)
    assert rt.call("list_length:ip", longer) == 3
    changed = rt.call("list_set:ppip", longer, 1, named)
    assert (
        rt.text(rt.call("list_to_string:pp", changed)) == "List containing:\n[2.5, \nMatrix:\n1.000\n, 2.5]"
    )
    nested = rt.call("list_new:pipp", 1, rt.args((TAG_LIST, part)), None)
    inner = rt.call("list_list:pp", nested)
    assert inner == part
    as_matrix = rt.call("list_matrix:pps", named, b"f64")
    assert rt.numpy(as_matrix) == [[2.5]]
    rest, removed = ctypes.c_void_p(), ctypes.c_void_p()
    ref = ctypes.addressof
    rt.call("list_remove:vpipp", longer, 2, ref(rest), ref(removed))
    assert (rt.call("list_length:ip", rest.value), rt.call("list_length:ip", removed.value)) == (2, 1)
    boxed = rt.call("list_new:pipp", 1, rt.args((TAG_BOX, box)), None)
    for index, message in [(0, "out of range"), (3, "the list has 2 entries")]:
        with pytest.raises(RuntimeFailure, match=message):
            rt.call("list_range:ppii", part, index, index)
    missing = rt.string("zz")
    with pytest.raises(RuntimeFailure, match="no entry named 'zz'"):
        rt.call("list_named:ppp", entries, missing)
    with pytest.raises(RuntimeFailure, match="list of one entry, got 2"):
        rt.call("list_scalar:pp", part)
    rt.release(
        one,
        text,
        entries,
        key,
        named,
        box,
        part,
        longer,
        changed,
        nested,
        inner,
        rest.value,
        removed.value,
        boxed,
        missing,
    )


def test_print_goes_to_the_sink(rt: Runtime) -> None:
    s = rt.string("hello")
    rt.call("print:vp", s)
    assert "".join(rt.printed) == "hello\n"
    with pytest.raises(RuntimeFailure, match=r"^hello$"):
        rt.call("stop:vp", s)
    with pytest.raises(RuntimeFailure, match="assertion failed"):
        rt.call("assert:vb", 0)
    with pytest.raises(RuntimeFailure, match="variable 'x' is not defined"):
        rt.call("require_defined:vbs", 0, b"x")
    rt.release(s)


def test_arguments(rt: Runtime) -> None:
    for name, text in {"i": "5", "d": "2.5", "b": "TRUE", "s": "'hi'", "e": ""}.items():
        rt.call("set_arg:vss", name.encode(), text.encode())
    assert [rt.call("has_arg:bs", n) for n in (b"i", b"e", b"zz")] == [1, 0, 0]
    assert rt.call("arg_i64:is", b"i") == 5
    assert rt.call("arg_f64:ds", b"i") == 5.0
    assert rt.call("arg_i1:bs", b"b") == 1
    assert rt.text(rt.call("arg_str:ps", b"s")) == "hi"
    box = rt.call("arg_box:ps", b"d")
    assert rt.text(rt.call("cast_box_str:pp", box)) == "2.5"
    rt.release(box)
    with pytest.raises(RuntimeFailure, match=r"needs the argument \$zz"):
        rt.call("arg_f64:ds", b"zz")
    with pytest.raises(RuntimeFailure, match=r"\$s must be a number, got ''hi''"):
        rt.call("arg_f64:ds", b"s")
