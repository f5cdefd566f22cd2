"""The text form: what is printed is read back exactly, and bad text gives a diagnostic that points at it."""

from __future__ import annotations

import contextlib
import math
import random

import pytest

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Builder, Region
from sysmlc.ir.dialects.core import Constant, Func, Module, Return, Yield
from sysmlc.ir.dialects.dml_cell import BINARY, Aggregate, Binary, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.parser import parse, parse_type
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic, Location, Source
from sysmlc.ir.types import i64, matrix, vector


def module(*arg_types, names=()):
    body = Region(arg_types, names)
    holder = Region()
    holder.append(Func.new(sym="main", regions=[body]))
    return Module.new(regions=[holder]), Builder(body), body.args


def round_trip(module):
    for locations in (False, True):
        text = to_text(module, locations=locations)
        assert to_text(parse(text), locations=locations) == text
    return to_text(module)


def test_everything_in_one_module():
    m, b, (x, a) = module(matrix(3, "n"), i64, names=("X", "X"))
    condition = b(Binary, "gt", a, b(Constant, value=3))
    then, other = Region(), Region()
    inner = Builder(then, loc=Location(Source('a "b".dml', ""), 3, 4, 9))
    inner.op(Yield, [inner(MatMul, x, inner(Transpose, x))])
    Builder(other).op(Yield, [Builder(other)(MatMul, x, x, transpose="r")])
    result = b.op(If, condition, types=[matrix(3, 3)], regions=[then, other])
    result.result.name = "odd name!"
    b.op(Return, [result.result])
    assert (
        round_trip(m)
        == """\
core.module {
  core.func {sym = "main"} (%X: matrix<3xnxf64>, %X_1: i64) {
    %0 = core.constant {value = 3} : i64
    %1 = dml.gt %X_1, %0 : i1
    %odd_name_ = scf.if %1 : matrix<3x3xf64> {
      %2 = dml.t %X : matrix<nx3xf64>
      %3 = dml.matmul %X, %2 : matrix<3x3xf64>
      core.yield %3
    } {
      %4 = dml.matmul %X, %X {transpose = "r"} : matrix<3x3xf64>
      core.yield %4
    }
    core.return %odd_name_
  }
}
"""
    )


@pytest.mark.parametrize(
    "value",
    [0, -1, 2 ** 63 - 1, 0.0, -0.0, 1e+300, 5e-324, 0.1, 1e+20, math.inf, -math.inf, True, False, "", 'a"\\\n\t\x00é☃\x85\u2028', "𝔸", (), (1, 2.0, "x", (True, ()))],
)  # fmt: skip
def test_attribute_values(value):
    m, b, _ = module()
    b.op(Constant, value=value, types=[i64])
    text = round_trip(m)
    (constant,) = [op for op in parse(text).walk() if op.name == "core.constant"]
    found = constant.attrs["value"]
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_nan():
    m, b, _ = module()
    b.op(Constant, value=math.nan)
    assert "{value = nan} : f64" in round_trip(m)


@pytest.mark.parametrize(
    "type",
    [matrix(), matrix(0, 1), matrix("n", "row_2"), matrix(4, 5, nnz=3, format="csr"), matrix(None, 7, format="dense"), vector(8, i64)],
)  # fmt: skip
def test_types(type):
    assert parse_type(str(type)) is type


def test_random_modules():
    rng = random.Random(7)
    for _ in range(20):
        m, b, args = module(matrix(4, 4), matrix("n", "n"), names=("a", "a_1"))
        values = {0: [args[0]], 1: [args[1]]}
        for _ in range(rng.randrange(60)):
            of = values[rng.randrange(2)]
            kind = rng.randrange(4)
            made = (
                b(Binary, rng.choice(BINARY), rng.choice(of), rng.choice(of)) if kind == 0
                else b(Unary, "exp", rng.choice(of)) if kind == 1
                else b(Binary, "mul", rng.choice(of), b(Aggregate, "mean", rng.choice(of))) if kind == 2
                else b(MatMul, rng.choice(of), rng.choice(of))
            )  # fmt: skip
            made.name = rng.choice(["", "", "a", "a_1", "b.c", "7", "7x"])
            of.append(made)
        b.op(Return, [rng.choice(values[0])])
        round_trip(m)


def test_functions_without_a_module_are_put_into_one():
    text = 'core.func {sym = "f"} {\n  core.return\n}'
    assert to_text(parse(text)).startswith("core.module {\n  core.func")
    assert to_text(parse("")) == "core.module {\n}\n"
    assert to_text(parse(to_text(parse("")))) == "core.module {\n}\n"


def test_operations_are_located_in_the_text():
    parsed = parse(
        '// a comment\ncore.func {sym = "f"} {\n  %0 = core.constant {value = 1} : i64\n  core.return\n}',
        "f.ir",
    )
    assert [str(op.loc) for op in parsed.walk()] == ["f.ir:1:1", "f.ir:2:1", "f.ir:3:8", "f.ir:4:3"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("dml.matmull", "there is no operation 'dml.matmull'", "1:1"),
        ("%a = dml.exp %b : f64", "%b is not defined here", "1:14"),
        ("%a = dml.exp %a : f64", "%a is not defined here", "1:14"),
        ("%a = dml.time : i64\n%a = dml.time : i64", "%a is already defined", "2:1"),
        ("%a, %b = dml.time : i64", "2 results are named, but 1 types are given", "1:1"),
        ("%a = dml.time", "1 results are named, but 0 types are given", "1:1"),
        ("%a = dml.time : i65", "'i65' is not a type", "1:17"),
        ("%a = dml.time : matrix<3xf64>", "'matrix<3xf64>' is not a type", "1:17"),
        ("%a = dml.time : vec<?xf64>", "'vec<?xf64>' is not a type", "1:17"),
        ("%a = dml.time :", "expected a type", "1:16"),
        ("core.func {", "this region is not closed", "1:11"),
        ("core.func {} {} ]", "expected an operation", "1:17"),
        ("core.func { ] }", "expected an operation or '}'", "1:13"),
        ("core.func (%a) {}", "expected an argument", "1:12"),
        ("core.func (%a: f64, %a: f64) {}", "%a is already defined", "1:21"),
        ("core.func (%a: f64 {}", "expected ',' or ')'", "1:20"),
        ("core.func (%a: f64)", "expected '{' and a region", "1:20"),
        ("core.func {a = }", "expected a value", "1:16"),
        ("core.func {a = 1.2.3}", "'1.2.3' is not a number", "1:16"),
        ("core.func {a = 1, a = 2}", "attribute 'a' is given twice", "1:19"),
        ("core.func {a = 1 b = 2}", "expected ',' or '}'", "1:18"),
        ("core.func {a = 1, }", "expected an attribute", "1:19"),
        ("core.func {a = [1 2]}", "expected ',' or ']'", "1:19"),
        ('core.func {a = "b}', "this string is not closed", "1:16"),
        ("dml.time loc(3)", "expected a location", "1:10"),
        ("hello", "expected an operation", "1:1"),
        ("core.func {" * 2000, "nested too deeply", ""),
    ],
)
def test_errors_point_at_the_text(text, message, place):
    with pytest.raises(Diagnostic) as caught:
        parse(text, "f.ir")
    assert message in caught.value.message
    assert str(caught.value).startswith(f"f.ir:{place}")


def test_hints_name_what_was_meant():
    with pytest.raises(Diagnostic) as caught:
        parse("dml.matmull")
    assert caught.value.hint == "did you mean 'dml.matmul'?"
    with pytest.raises(Diagnostic) as caught:
        parse("%xyz = dml.time : i64\n%b = dml.abs %xyy : i64")
    assert caught.value.hint == "did you mean '%xyz'?"


def test_values_of_a_region_are_not_seen_outside():
    text = "core.func {\n  %c = core.constant {value = true} : i1\n  scf.if %c {\n    %x = dml.time : i64\n  } {\n    %y = dml.abs %x : i64\n  }\n}"
    with pytest.raises(Diagnostic, match="%x is not defined here"):
        parse(text)


def test_mutated_text_never_gives_anything_but_diagnostics():
    m, b, (x,) = module(matrix(3, "n"), names=("X",))
    b.op(Return, [b(Aggregate, "sum", b(Unary, "exp", x), dir="row")])
    text, rng = to_text(m, locations=True), random.Random(3)
    for _ in range(2000):
        at, n = rng.randrange(len(text)), rng.randrange(4)
        bad = (
            text[:at]
            + rng.choice(["", "%", "{", "}", '"', "(", ",", "=", ":", "<", "-", "1"])
            + text[at + n :]
        )
        with contextlib.suppress(Diagnostic):
            parse(bad)
