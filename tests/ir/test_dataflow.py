"""Forward analyses reach the fixpoint through loops, branches and calls; liveness knows where values die."""

from __future__ import annotations

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Op, Value
from sysmlc.ir.dataflow import Forward, Liveness
from sysmlc.ir.parser import parse
from sysmlc.ir.verify import verify


class Interval(Forward[tuple[float, float]]):
    """Ranges of scalars, widened to infinity."""

    def join(self, a, b):
        return min(a[0], b[0]), max(a[1], b[1])

    def widen(self, old, new):
        return old[0] if new[0] >= old[0] else -float("inf"), old[1] if new[1] <= old[1] else float("inf")

    def entry(self, value):
        return -float("inf"), float("inf")

    def transfer(self, op, operands):
        if op.name == "core.constant":
            return [(op.attrs["value"],) * 2]
        if op.name == "dml.add":
            (a, b), (c, d) = operands
            return [(a + c, b + d)]
        return [self.entry(r) for r in op.results]


def named(module: Op) -> dict[str, Value]:
    values = {r.name: r for op in module.walk() for r in op.results}
    return values | {a.name: a for op in module.walk() for region in op.regions for a in region.args}


def solved(text: str) -> dict[str, tuple[float, float]]:
    module = parse(text)
    verify(module)
    facts = Interval(module).solve()
    return {name: facts[value] for name, value in named(module).items() if value in facts}


def test_branches_join():
    facts = solved("""
core.func {sym = "main"} (%c: i1) {
  %a = core.constant {value = 1} : i64
  %b = core.constant {value = 5} : i64
  %r = scf.if %c : i64 { core.yield %a } { core.yield %b }
  %s = dml.add %r, %a : i64
  core.return %s
}""")
    assert facts["r"] == (1, 5)
    assert facts["s"] == (2, 6)


def test_loops_reach_a_fixpoint():
    facts = solved("""
core.func {sym = "main"} {
  %one = core.constant {value = 1} : i64
  %r, %k = scf.for %one, %one, %one, %one, %one : i64, i64 (%i: i64, %acc: i64, %same: i64) {
    %next = dml.add %acc, %one : i64
    core.yield %next, %same
  }
  %w = scf.while %one : i64 (%v: i64) { %c = dml.lt %v, %one : i1
    core.yield %c } (%u: i64) { %d = dml.add %u, %u : i64
    core.yield %d }
  core.return %r
}""")
    assert facts["r"] == facts["acc"] == (1, float("inf"))
    assert facts["k"] == (1, 1)
    assert facts["i"] == (-float("inf"), float("inf"))
    assert facts["w"] == facts["u"] == facts["v"] == (1, float("inf"))


def test_calls_join_their_arguments_and_recursion_ends():
    facts = solved("""
core.func {sym = "main"} {
  %a = core.constant {value = 1} : i64
  %b = core.constant {value = 9} : i64
  %r = core.call %a {callee = "f"} : i64
  %s = core.call %b {callee = "f"} : i64
  core.return
}
core.func {sym = "f"} (%x: i64) {
  %y = core.call %x {callee = "f"} : i64
  %c = core.constant {value = true} : i1
  %z = scf.if %c : i64 { core.yield %x } { core.yield %y }
  core.return %z
}""")
    assert facts["x"] == facts["z"] == facts["r"] == facts["s"] == (1, 9)


def test_what_nothing_reaches_has_no_fact():
    facts = solved("""
core.func {sym = "main"} { core.return }
core.func {sym = "f"} (%x: i64) { %y = core.call %x {callee = "f"} : i64
  core.return %y }""")
    assert "y" not in facts


def test_liveness():
    module = parse("""
core.func {sym = "main"} (%X: matrix<3x3xf64>, %c: i1, %n: i64, %unused: i64) {
  %a = dml.exp %X : matrix<3x3xf64>
  %b = dml.abs %a : matrix<3x3xf64>
  %never = dml.sum %b : f64
  %r = scf.if %c : f64 {
    %p = dml.sum %a : f64
    core.yield %p
  } {
    %q = dml.sum %b : f64
    core.yield %q
  }
  %l = scf.for %n, %n, %n, %r : f64 (%i: i64, %acc: f64) {
    %s = dml.sum %X : f64
    %t = dml.add %s, %acc : f64
    core.yield %t
  }
  core.return %l
}""")
    verify(module)
    live = Liveness(module)
    dying = {
        op.results[0].name if op.results else op.name: [v.name for v in live.dying(op)]
        for op in module.walk()
    }
    (func,) = [op for op in module.walk() if op.name == "core.func"]
    (branch,) = [op for op in module.walk() if op.name == "scf.if"]
    (loop,) = [op for op in module.walk() if op.name == "scf.for"]
    assert dying["a"] == dying["b"] == []
    assert dying["never"] == ["never"]
    assert dying["p"] == ["a"]
    assert dying["q"] == ["b"]
    assert dying["r"] == ["c"]
    assert [v.name for v in live.dead_on_entry(branch.regions[0])] == ["b"]
    assert [v.name for v in live.dead_on_entry(branch.regions[1])] == ["a"]
    assert dying["s"] == []
    assert dying["t"] == ["s", "acc"]
    assert dying["l"] == ["n", "r", "X"]
    assert dying["core.return"] == ["l"]
    assert [v.name for v in live.dead_on_entry(func.regions[0])] == ["unused"]
    assert [v.name for v in live.dead_on_entry(loop.regions[0])] == ["i"]
    assert [v.name for v in live.free(loop)] == ["n", "r", "X"]
