"""The rewrite driver and rule tables: matching, guards, folding, clean-up, convergence, errors in tables."""

from __future__ import annotations

import pytest

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.dialects.dml_matrix import Transpose
from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.parser import parse
from sysmlc.ir.printer import to_text
from sysmlc.ir.rewrite import CHANGED, Replacement, rewrite, rule
from sysmlc.ir.rules import Table
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import matrix
from sysmlc.ir.verify import verify

ARGS = "%X: matrix<3x4xf64>, %Y: matrix<3x4xf64>, %U: matrix<?x?xf64>, %V: matrix<nx1xf64>, %x: f64, %y: f64, %i: i64"


def table(text: str) -> Table:
    return Table(Source("t.rules", text), DML)


def rewritten(rules: str, ops: str, result: str = "%r") -> list[str]:
    """The lines of a function's body after rewriting."""
    module = parse(f'core.func {{sym = "f"}} ({ARGS}) {{\n{ops}\ncore.return {result}\n}}')
    verify(module)
    rewrite(module, table(rules).rules)
    verify(module)
    return [line.strip() for line in to_text(module).splitlines()[2:-2]]


def test_what_a_rule_builds_stands_where_its_part_of_the_left_side_stood():
    module = parse(
        f"""core.func {{sym = "f"}} ({ARGS}) {{
        %p = dml.matmul %U, %V : matrix<?x1xf64>
        %r = dml.sum %p : f64
        core.return %r }}"""
    )
    (func,) = module.regions[0]
    product, total, _ = func.regions[0]
    rewrite(module, table("sum(X @ Y) -> as_scalar(colSums(X) @ rowSums(Y))").rules)
    assert {op.fn: op.loc for op in func.regions[0] if op.fn in ("matmul", "as_scalar")} == {
        "matmul": product.loc, "as_scalar": total.loc
    }  # fmt: skip
    assert product.loc != total.loc


@pytest.mark.parametrize(
    ("rules", "ops", "expected"),
    [
        ("t(t(X)) -> X", "%t = dml.t %X : matrix<4x3xf64>\n%r = dml.t %t : matrix<3x4xf64>", "%X"),
        # numbers match by value, whatever their type, but not a negative zero
        ("X + 0 -> X", "%0 = core.constant {value = 0} : i64\n%r = dml.add %X, %0 : matrix<3x4xf64>", "%X"),
        ("X + 0 -> X", "%0 = core.constant {value = 0.0} : f64\n%r = dml.add %0, %X : matrix<3x4xf64>", "%X"),
        ("X + 0 -> X", "%0 = core.constant {value = -0.0} : f64\n%r = dml.add %X, %0 : matrix<3x4xf64>", "%r"),
        ("X + 0 -> X", "%0 = core.constant {value = false} : i1\n%r = dml.add %X, %0 : matrix<3x4xf64>", "%r"),
        # scalars commute with anything, matrices do not (the right one is broadcast)
        ("x * X -> X", "%r = dml.mul %X, %x : matrix<3x4xf64>", "%X"),
        ("X - x -> X", "%r = dml.sub %x, %X : matrix<3x4xf64>", "%r"),
        ("X * t(Y) -> X", "%t = dml.t %V : matrix<1xnxf64>\n%r = dml.mul %t, %V : matrix<1xnxf64>", "%r"),
        # a comparison mirrors when its sides swap
        ("X > x -> X", "%r = dml.lt %x, %X : matrix<3x4xf64>", "%X"),
        ("X > x -> X", "%r = dml.lt %X, %x : matrix<3x4xf64>", "%r"),
        # a variable that occurs twice is one value
        ("X - X -> X", "%r = dml.sub %X, %X : matrix<3x4xf64>", "%X"),
        ("X - X -> X", "%r = dml.sub %X, %Y : matrix<3x4xf64>", "%r"),
        # attributes belong to the operation
        ("t(rowSums(X)) -> colSums(X)", "%s = dml.sum %V {dir = \"row\"} : matrix<nx1xf64>\n%r = dml.t %s : matrix<1xnxf64>", "%r"),
        ("sum(rowSums(X)) -> sum(X)", "%s = dml.sum %V {dir = \"row\"} : matrix<nx1xf64>\n%r = dml.sum %s : f64", "%r"),
        # types of scalars stay what they are
        ("x * 1 -> x", "%1 = core.constant {value = 1.0} : f64\n%r = dml.mul %i, %1 : f64", "%r"),
        ("x * 1 -> x", "%1 = core.constant {value = 1} : i64\n%r = dml.mul %i, %1 : i64", "%i"),
        # what a rule needs, it must know
        ("rev(X) -> X if rows(X) == 1", "%r = dml.rev %X : matrix<3x4xf64>", "%r"),
        ("rev(X) -> X if rows(X) != 1", "%r = dml.rev %X : matrix<3x4xf64>", "%X"),
        ("rev(X) -> X if rows(X) != 1", "%r = dml.rev %U : matrix<?x?xf64>", "%r"),
        ("rev(X) -> X if not rows(X) == 1", "%r = dml.rev %U : matrix<?x?xf64>", "%r"),
        ("rev(X) -> X if rows(X) == 1 or cols(X) == 1", "%r = dml.rev %V : matrix<nx1xf64>", "%V"),
        ("rev(X) -> X if rows(X) * 2 - 1 == 5 and cols(X) > rows(X)", "%r = dml.rev %X : matrix<3x4xf64>", "%X"),
        ("X + Y -> X if rows(X) == rows(Y) and cols(X) == cols(Y)", "%r = dml.add %V, %V : matrix<nx1xf64>", "%V"),
        ("X ^ x -> X if x > 1", "%2 = core.constant {value = 2} : i64\n%r = dml.pow %X, %2 : matrix<3x4xf64>", "%X"),
        ("X ^ x -> X if x > 1", "%r = dml.pow %X, %x : matrix<3x4xf64>", "%r"),
        ("X ^ x -> X if is_f64(x) and not is_const(x)", "%r = dml.pow %X, %x : matrix<3x4xf64>", "%X"),
        ("exp(rev(X)) -> X if uses(rev(X)) == 1", "%v = dml.rev %X : matrix<3x4xf64>\n%r = dml.exp %v : matrix<3x4xf64>", "%X"),
        ("exp(rev(X)) -> X if uses(rev(X)) == 1", "%v = dml.rev %X : matrix<3x4xf64>\n%w = dml.abs %v : matrix<3x4xf64>\ndml.output %w {name_ = \"w\"}\n%r = dml.exp %v : matrix<3x4xf64>", "%r"),
        # a value from elsewhere must already have the facts of what it replaces
        ("X + Y -> X", "%r = dml.add %U, %Y : matrix<3x4xf64>", "%r"),
        ("X + Y -> X", "%r = dml.add %V, %U : matrix<nx1xf64>", "%V"),
    ],
)  # fmt: skip
def test_matching(rules, ops, expected):
    assert rewritten(rules, ops)[-1] == f"core.return {expected}"


def test_building():
    lines = rewritten(
        "sum(x * Y) -> x * sum(Y)", "%m = dml.mul %X, %x : matrix<3x4xf64>\n%r = dml.sum %m : f64"
    )
    assert lines == ["%0 = dml.sum %X : f64", "%r = dml.mul %x, %0 : f64", "core.return %r"]


def test_parts_of_the_left_side_are_reused():
    ops = "%e = dml.exp %X : matrix<3x4xf64>\n%r = dml.abs %e : matrix<3x4xf64>"
    assert rewritten("abs(exp(X)) -> exp(X)", ops) == ["%e = dml.exp %X : matrix<3x4xf64>", "core.return %e"]


def test_replacing_improves_types():
    ops = "%u = dml.abs %U : matrix<?x?xf64>\n%r = dml.add %u, %Y : matrix<3x4xf64>"
    assert rewritten("X + Y -> X", ops) == ["%u = dml.abs %U : matrix<3x4xf64>", "core.return %u"]


def test_variadic_operations():
    ops = "%c = dml.cbind %X, %Y : matrix<3x8xf64>\n%r = dml.t %c : matrix<8x3xf64>"
    lines = rewritten("t(cbind(X, Y)) -> rbind(t(X), t(Y))", ops)
    assert [line.split(" = ")[-1].split()[0] for line in lines[:3]] == ["dml.t", "dml.t", "dml.rbind"]


def test_unused_operations_go_and_effects_stay():
    ops = "%a = dml.exp %X : matrix<3x4xf64>\n%b = dml.abs %a : matrix<3x4xf64>\n%t = dml.time : i64\n%r = dml.neg %x : f64"
    assert rewritten("", ops) == ["%t = dml.time : i64", "%r = dml.neg %x : f64", "core.return %r"]


def test_rules_as_functions():
    @rule(Transpose)
    def double_transpose(op: Op, b: Builder) -> Replacement:
        inner = op.operands[0].op
        return inner.operands[0] if isinstance(inner, Transpose) else None

    @rule(Binary, "add")
    def doubled(op: Op, b: Builder) -> Replacement:
        if op.operands[0] is not op.operands[1]:
            return None
        op.name = "dml.mul"
        op.set_operand(1, b(Constant, value=2.0))
        return CHANGED

    counts: list[str] = []
    body, holder = Region([matrix(3, 4)], ["X"]), Region()
    holder.append(Func.new(sym="f", regions=[body]))
    module = Module.new(regions=[holder])
    b = Builder(body)
    x = b(Transpose, b(Transpose, body.args[0]))
    b.op(Return, [b(Binary, "add", x, x)])
    assert rewrite(module, [double_transpose, doubled], count=counts.append)
    verify(module)
    assert sorted(counts) == ["double transpose", "doubled"]
    assert [op.name for op in body] == ["core.constant", "dml.mul", "core.return"]
    assert not rewrite(module, [double_transpose, doubled])


def test_a_rule_may_move_operations():
    @rule(If)
    def decided(op: Op, b: Builder) -> Replacement:
        # if (TRUE) A else B = A
        condition = op.operands[0].op
        if condition is None or condition.name != "core.constant":
            return None
        region = op.regions[0 if condition.attrs["value"] else 1]
        end = region.terminator
        for inner in region:
            if inner is not end:
                b.insert(inner.detach())
        return list(end.operands)

    text = """
core.func {sym = "f"} (%x: f64) {
  %t = core.constant {value = true} : i1
  %r = scf.if %t : f64 {
    %s = scf.if %t : f64 { %a = dml.neg %x : f64
      core.yield %a } { core.yield %x }
    core.yield %s
  } { core.yield %x }
  scf.if %t { dml.output %r {name_ = "r"}
    core.yield } { core.yield }
  core.return %r
}"""
    module = parse(text)
    verify(module)
    rewrite(module, [decided])
    verify(module)
    assert [op.name for op in module.walk()] == [
        "core.module",
        "core.func",
        "dml.neg",
        "dml.output",
        "core.return",
    ]


def test_what_is_in_an_erased_region_is_not_looked_at_again():
    @rule(If)
    def first(op: Op, b: Builder) -> Replacement:
        # if (c) A else B = c, say
        assert op.operands, "the operation is gone"
        return [op.operands[0]] if op.results else None

    text = """
core.func {sym = "f"} (%c: i1) {
  %r = scf.if %c : i1 {
    %s = scf.if %c : i1 { core.yield %c } { core.yield %c }
    scf.if %s { core.yield } { core.yield }
    core.yield %s
  } { core.yield %c }
  core.return %r
}"""
    module = parse(text)
    rewrite(module, [first])
    verify(module)
    assert [op.name for op in module.walk()] == ["core.module", "core.func", "core.return"]


def test_a_rule_that_gives_up_leaves_no_trace():
    @rule(Unary)
    def hesitant(op: Op, b: Builder) -> Replacement:
        b(Unary, "exp", op.operands[0])
        return None

    module = parse(
        f'core.func {{sym = "f"}} ({ARGS}) {{\n%r = dml.abs %X : matrix<3x4xf64>\ncore.return %r\n}}'
    )
    before = to_text(module)
    assert not rewrite(module, [hesitant])
    assert to_text(module) == before


def test_folding(monkeypatch):
    def fold(op: Op) -> list[Value | float] | None:
        a = op.operands[0].op
        return (
            [abs(a.attrs["value"])]
            if op.name == "dml.abs" and a is not None and a.name == "core.constant"
            else None
        )

    monkeypatch.setattr(Unary, "fold", fold, raising=False)
    lines = rewritten("", "%c = core.constant {value = -2.0} : f64\n%r = dml.abs %c : f64")
    assert lines == ["%r = core.constant {value = 2.0} : f64", "core.return %r"]


def test_rules_that_go_round_in_circles_are_named():
    ops = "%r = dml.add %X, %Y : matrix<3x4xf64>"
    with pytest.raises(AssertionError, match=r"the rules do not converge: .*X \+ Y -> Y \+ X"):
        rewritten("X + Y -> Y + X", ops)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t(X)", "expected '->'"),
        ("X -> X", "the left side of a rule must be an operation"),
        ("t(X) -> Y", "'Y' does not occur on the left side"),
        ("t(X) -> rev(t(X))", "this rule never ends"),
        ("tt(X) -> X", "there is no operation 'tt'"),
        ("t(X, Y) -> X", "'dml.t' takes 1 operands, not 2"),
        ("t{a=1}(X) -> X", "'dml.t' has no attribute 'a'"),
        ("t(X) -> X if rows(Y) == 1", "'Y' does not occur on the left side"),
        ("t(X) -> X if rowz(X) == 1", "there is no condition 'rowz'"),
        ("t(X) -> X when", "expected the end of the rule or 'if'"),
        ("t(X -> X", "expected ','"),
        ("t(X) -> $", "not part of an expression"),
        ("t() -> 1 +", "expected an expression"),
    ],
)
def test_errors_in_tables(text, message):
    with pytest.raises(Diagnostic) as caught:
        table("# heading\n" + text)
    assert message in caught.value.message
    assert str(caught.value).startswith("t.rules:2:")


def test_groups_and_places():
    made = table("[one]\n# About t.\nt(t(X)) -> X\n[two]\nrev(rev(X))   ->   X  # twice\n")
    assert {g: [r.name for r in rules] for g, rules in made.groups.items()} == {
        "one": ["t(t(X)) -> X"],
        "two": ["rev(rev(X)) -> X"],
    }
    assert [(r.group, str(r.loc)) for r in made.rules] == [("one", "t.rules:3:1"), ("two", "t.rules:5:1")]
