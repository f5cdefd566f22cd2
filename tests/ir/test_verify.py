"""The verifier finds what a pass or a person can get wrong."""

from __future__ import annotations

import pytest

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Builder, Op, Region
from sysmlc.ir.dialects.core import Func, Module, Return
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.parser import parse
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import matrix
from sysmlc.ir.verify import verify


def in_function(ops: str, args: str = "%X: matrix<3x4xf64>, %a: f64, %i: i64, %c: i1") -> str:
    return f'core.func {{sym = "f"}} ({args}) {{\n{ops}\ncore.return\n}}'


GOOD = [
    '%r = dml.matmul %X, %X {transpose = "r"} : matrix<3x3xf64>',
    "%r = dml.add %X, %a : matrix<3x4xf64, nnz=5>",
    "%r = dml.add %X, %a : matrix<?xnxf64>",
    "%r = scf.if %c : f64 {\n core.yield %a\n} {\n core.yield %a\n}\n%s = dml.abs %r : f64",
    "%r = scf.for %i, %i, %i, %a : f64 (%k: i64, %s: f64) {\n %t = dml.add %s, %a : f64\n core.yield %t\n}",
    "%r = dml.cbind %X, %X, %X : matrix<3x12xf64>",
    "scf.if %c {\n %y = dml.time : i64\n core.yield\n} {\n %y = dml.time : i64\n core.yield\n}",
]

BAD = [
    ("%r = dml.matmul %X, %X : matrix<3x4xf64>", "inner dimensions differ"),
    ("%r = dml.matmul %X : matrix<3x4xf64>", "takes 2 operands (lhs, rhs), but has 1"),
    ("%r = dml.matmul %X, %a : matrix<3x4xf64>", "operand 'rhs' must be a matrix, but is f64"),
    ("%r = dml.t %X : matrix<3x4xf64>", "has a result of type matrix<4x3xf64>, but matrix<3x4xf64> is given"),
    ("%r = dml.t %X : f64", "has a result of type matrix<4x3xf64>, but f64 is given"),
    ("%r, %s = dml.t %X : f64, f64", "has 1 results, but 2 are given"),
    ("dml.t %X", "has 1 results, but 0 are given"),
    ("%r = dml.sum %X {dir = 1} : f64", "attribute 'dir' must be str, but is int"),
    ("%r = dml.sum %X {dirr = \"row\"} : f64", "has no attribute 'dirr'"),
    ("%r = rt.call {callee = \"f\", takes = [\"x\"]} : f64", "attribute 'takes' must be a tuple of int"),
    ("%r = core.constant : f64", "needs the attribute 'value'"),
    ("%r = scf.if %c : f64 {\n core.yield %a\n}", "must have 2 regions (then, orelse), has 1"),
    ("%r = scf.if %a : f64 {\n core.yield %a\n} {\n core.yield %a\n}", "the condition must be i1, but is f64"),
    ("%r = scf.if %c : f64 {\n core.yield %X\n} {\n core.yield %a\n}", "yields matrix<3x4xf64> where the result is f64"),
    ("scf.if %c {\n} {\n core.yield\n}", "a region is empty"),
    ("scf.if %c {\n %t = dml.time : i64\n} {\n core.yield\n}", "is last in its region"),
    ("core.yield", "must be the last operation of a region"),
    ("%r = scf.for %i, %i : i64 (%k: i64) {\n core.yield\n}", "takes at least 3 operands (start, stop, step, inits…), but has 2"),
    ("%r = dml.cbind %X, %a : matrix<3x5xf64>", "operand 'values' must be a matrix, but is f64"),
    ("core.call %a {callee = \"g\"}", "there is no function 'g'"),
    ("core.call %a {callee = \"f\"}", "arguments (f64) do not fit 'f'"),
    ("%r = core.call %X, %a, %i, %c {callee = \"f\"} : f64", "results (f64) do not fit 'f'"),
    ("%r = dml.list_length %a : i64", "operand 'operand' must be a list, frame or box, but is f64"),
]  # fmt: skip


@pytest.mark.parametrize("ops", GOOD)
def test_good(ops):
    verify(parse(in_function(ops)))


@pytest.mark.parametrize(("ops", "message"), BAD)
def test_bad(ops, message):
    with pytest.raises(Diagnostic) as caught:
        verify(parse(in_function(ops), "f.ir"))
    assert message in caught.value.message
    assert str(caught.value).startswith("f.ir:")


ROW = """%n = core.constant {{value = 1}} : i64
%two = core.constant {{value = 2}} : i64
%r = fused.row %X {{roles = ["row"], outputs = ["map"]}} : matrix<3x?xf64> (%x: matrix<1x4xf64>) {{
%one = core.constant {{value = 1}} : i64
%three = core.constant {{value = 3}} : i64
{}
core.yield %y
}}"""


def test_rows_put_columns_together() -> None:
    body = """%z = core.constant {value = 0.5} : f64
        %f = dml.fill %z, %one, %one : matrix<1x1xf64>
        %w = dml.cbind %x, %f : matrix<1x5xf64>
        %p = dml.row_index_max %w : matrix<1x1xf64>
        %j = dml.index %w, %one, %one, %one, %three : matrix<1x3xf64>
        %y = dml.add %j, %p : matrix<1x3xf64>"""
    module = parse(in_function(ROW.format(body)))
    verify(module)
    assert to_text(parse(to_text(module))) == to_text(module)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("%y = dml.rev %x : matrix<1x4xf64>", "cannot stand in a region over rows"),
        ("%y = dml.index %x, %one, %one, %i, %i : matrix<1x1xf64>", "takes columns between constant bounds"),
        ("%y = dml.fill %a, %one, %three : matrix<1x3xf64>", "is one number in a region over rows"),
    ],
)
def test_what_rows_do_not_compute(op: str, message: str) -> None:
    with pytest.raises(Diagnostic, match=message):
        verify(parse(in_function(ROW.format(op))))


def test_symbols_are_unique():
    with pytest.raises(Diagnostic, match="symbol 'f' is defined twice") as caught:
        verify(parse(in_function("") + in_function("")))
    assert "note: the other one is here" in str(caught.value)


def small() -> tuple[Module, Region, list[Op]]:
    body, holder = Region([matrix(3, 4)]), Region()
    holder.append(Func.new(sym="f", regions=[body]))
    module = Module.new(regions=[holder])
    b = Builder(body)
    x = b(Unary, "exp", body.args[0])
    y = b(Binary, "add", x, x)
    b.op(Return, [y])
    verify(module)
    return module, body, list(body)


def broken(module: Op, message: str) -> None:
    with pytest.raises(Diagnostic) as caught:
        verify(module)
    assert message in caught.value.message


def test_use_before_definition():
    module, body, (x, y, _) = small()
    x.detach()
    body.insert_after(y, x)
    broken(module, "is used before it is defined")


def test_use_of_a_value_in_another_region():
    module, _, (x, _, end) = small()
    other = Region()
    b = Builder(other)
    b.op(Return, [b(Unary, "exp", x.result)])
    module.body.append(Func.new(sym="g", regions=[other]))
    broken(module, "is defined in a region that cannot be seen from here")
    assert end.parent is not None


def test_use_of_a_removed_operation():
    module, _, (x, _, _) = small()
    x.detach()
    broken(module, "comes from an operation that is in no region")


def test_use_of_its_own_result():
    module, _, (x, y, _) = small()
    y.set_operand(0, y.result)
    broken(module, "is its own result")
    assert x.result.has_one_use()


def test_missing_use():
    module, _, (x, y, _) = small()
    del x.result.uses[y, 0]
    broken(module, "operand 0 does not know about this use")


def test_stale_use():
    module, _, (x, _, end) = small()
    x.result.uses[end, 1] = None
    broken(module, "lists a use by 'core.return' that is not there")


def test_use_by_a_forgotten_operation():
    module, body, _ = small()
    forgotten = Unary.new("exp", body.args[0])
    broken(module, "lists a use by 'dml.exp' that is not there")
    assert forgotten.parent is None


def test_broken_links():
    module, _, (x, y, _) = small()
    y.prev = None
    broken(module, "is not linked into its region properly")
    module, _, (x, y, _) = small()
    x.next = y.next
    broken(module, "is not linked into its region properly")
    module, body, (x, y, _) = small()
    body.last = y
    broken(module, "is last in its region")


def test_wrong_name():
    module, _, (x, _, _) = small()
    x.name = "dml.add"
    broken(module, "is not a name of Unary")


def test_wrong_owner():
    module, _, (x, _y, _) = small()
    x.results[0].index = 1
    broken(module, "result 0 does not belong to it")
    module, body, _ = small()
    body.args[0].index = 1
    broken(module, "region argument 0 does not belong to its region")
