"""Reference counts are right on every path: programs are made at random, annotated, and interpreted count by count."""

from __future__ import annotations

import random

import pytest

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Call, Constant, Func, Module, Return, Yield
from sysmlc.ir.dialects.rt import Launch, RtCall
from sysmlc.ir.dialects.scf import For, If, While
from sysmlc.ir.parser import parse
from sysmlc.ir.types import f64, i1, i64, matrix, string
from sysmlc.ir.verify import verify
from sysmlc.passes.manage_ownership import ManageOwnership, is_handle, taken_operands
from sysmlc.passes.update_in_place import UpdateInPlace

MATRIX = matrix()


class Writer:
    """Writes random programs over matrices and strings."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = 40

    def module(self) -> Module:
        body = Region()
        for name in ("main", "f"):
            region = Region([MATRIX, MATRIX, string] if name == "f" else [])
            b = Builder(region)
            known = list(region.args)
            self.left = 40
            self.block(b, known, 0)
            b.op(Return, self.pick(b, known, [MATRIX, string] if name == "f" else []))
            body.append(Func.new(sym=name, regions=[region]))
        return Module.new(regions=[body])

    def value(self, b: Builder, known: list[Value], type: object) -> Value:
        fitting = [v for v in known if v.type is type]
        if fitting and self.random.random() < 0.85:
            return self.random.choice(fitting)
        if type is string and self.random.random() < 0.5:
            made = b(Constant, value="text")
        else:
            made = b.op(RtCall, [], callee="sm_make", types=[type]).result
        known.append(made)
        return made

    def pick(self, b: Builder, known: list[Value], types: list[object]) -> list[Value]:
        return [self.value(b, known, t) for t in types]

    def block(self, b: Builder, known: list[Value], depth: int) -> None:
        for _ in range(self.random.randint(1, 5)):
            if self.left <= 0:
                return
            self.left -= 1
            kind = self.random.random()
            if depth < 3 and kind < 0.15:
                self.branch(b, known, depth)
            elif depth < 3 and kind < 0.3:
                self.loop(b, known, depth)
            elif kind < 0.4:
                args = self.pick(b, known, [MATRIX, MATRIX, string])
                known += b.op(Call, args, callee="f", types=[MATRIX, string]).results
            else:
                types = [self.random.choice([MATRIX, string]) for _ in range(self.random.randint(0, 3))]
                args = self.pick(b, known, types)
                takes = tuple(i for i in range(len(args)) if self.random.random() < 0.3)
                results = [self.random.choice([MATRIX, string]) for _ in range(self.random.randint(0, 2))]
                known += b.op(RtCall, args, callee="sm_use", takes=takes, types=results).results

    def inner(self, args: list[object], known: list[Value], depth: int, results: list[object]) -> Region:
        region = Region(args)  # type: ignore[arg-type]
        b = Builder(region)
        inside = [*known, *region.args]
        self.block(b, inside, depth + 1)
        b.op(Yield, self.pick(b, inside, results))
        return region

    def branch(self, b: Builder, known: list[Value], depth: int) -> None:
        types = [self.random.choice([MATRIX, string]) for _ in range(self.random.randint(0, 2))]
        condition = b(Constant, value=True)
        regions = [self.inner([], known, depth, types) for _ in range(2)]
        known += b.op(If, condition, regions=regions, types=types).results

    def loop(self, b: Builder, known: list[Value], depth: int) -> None:
        types: list[object] = [self.random.choice([MATRIX, string]) for _ in range(self.random.randint(0, 2))]
        inits = self.pick(b, known, types)
        if self.random.random() < 0.5:
            one = b(Constant, value=1)
            region = self.inner([i64, *types], known, depth, types)
            known += b.op(For, one, one, one, inits, regions=[region], types=types).results
            return
        condition = Region(types)  # type: ignore[arg-type]
        c = Builder(condition)
        inside = [*known, *condition.args]
        self.block(c, inside, depth + 1)
        c.op(Yield, [c(Constant, value=True)])
        body = self.inner(types, known, depth, types)
        known += b.op(While, inits, regions=[condition, body], types=types).results


class Thing:
    """A run-time object: only its count matters."""

    def __init__(self, immortal: bool = False) -> None:
        self.refs = 1
        self.immortal = immortal


class Machine:
    """Runs a program and counts references the way the runtime does."""

    def __init__(self, module: Module, seed: int) -> None:
        self.random = random.Random(seed)
        self.functions = {str(f.attrs["sym"]): f for f in module.body}
        self.things: list[Thing] = []
        self.depth = 0
        self.steps = 0

    def new(self, immortal: bool = False) -> Thing:
        self.things.append(Thing(immortal))
        return self.things[-1]

    def run(self, name: str, args: list[Thing]) -> list[Thing]:
        region = self.functions[name].regions[0]
        env = dict(zip(region.args, args, strict=True))
        return self.region(region, env)

    def region(self, region: Region, env: dict[Value, Thing]) -> list[Thing]:
        for op in region:
            if "terminator" in op.traits:
                return [env[v] for v in op.operands if is_handle(v)]
            self.op(op, env)
        raise AssertionError("no terminator")

    def rounds(self) -> int:
        return self.random.randint(0, 3) if self.steps < 3000 else 0

    def op(self, op: Op, env: dict[Value, Thing]) -> None:
        self.steps += 1
        operands = [env[v] for v in op.operands if is_handle(v)]
        assert all(t.refs > 0 for t in operands), f"{op} uses what is freed"
        if op.name == "core.constant":
            results = [self.new(immortal=True)] if op.result.type is string else []
        elif op.name == "rt.retain":
            operands[0].refs += 1
            return
        elif op.name == "rt.release":
            operands[0].refs -= 1
            return
        elif op.name == "core.call":
            results = self.call(op, operands)
        elif op.name == "scf.if":
            results = self.region(op.regions[self.random.randint(0, 1)], env)
        elif op.name == "scf.for":
            results = operands
            for _ in range(self.rounds()):
                args = [a for a in op.regions[0].args if is_handle(a)]
                results = self.region(op.regions[0], env | dict(zip(args, results, strict=True)))
        elif op.name == "scf.while":
            results = operands
            for _ in range(self.rounds()):
                self.region(op.regions[0], env | dict(zip(op.regions[0].args, results, strict=True)))
                results = self.region(
                    op.regions[1], env | dict(zip(op.regions[1].args, results, strict=True))
                )
            self.region(op.regions[0], env | dict(zip(op.regions[0].args, results, strict=True)))
        else:
            for i in taken_operands(op):
                env[op.operands[i]].refs -= 1
            results = [self.new() for r in op.results if is_handle(r)]
        handles = [r for r in op.results if is_handle(r)]
        env.update(zip(handles, results, strict=True))

    def call(self, op: Op, operands: list[Thing]) -> list[Thing]:
        self.depth += 1
        if self.depth > 4 or self.steps > 3000:  # the callee takes its arguments over
            for thing in operands:
                thing.refs -= 1
            self.depth -= 1
            return [self.new() for _ in op.results]
        results = self.run(str(op.attrs["callee"]), operands)
        self.depth -= 1
        return results


def check_counts(module: Module, paths: int) -> None:
    """No leak, no use after free, no double release on `paths` random paths."""
    for seed in range(paths):
        machine = Machine(module, seed)
        returned = machine.run("main", [])
        for thing in machine.things:
            expected = returned.count(thing) + thing.immortal
            assert thing.refs == expected, f"{thing.refs} references where {expected} are right"


@pytest.mark.parametrize("seed", range(60))
def test_counts_are_right_on_every_path(seed: int) -> None:
    module = Writer(seed).module()
    ManageOwnership().run(module)
    verify(module)
    check_counts(module, 6)


def ownership(text: str) -> list[str]:
    module = parse(text)
    assert isinstance(module, Module)
    ManageOwnership().run(module)
    verify(module)
    return [op.name for op in module.walk() if op.name in ("rt.retain", "rt.release")]


def test_a_loop_that_updates_in_place_touches_no_count() -> None:
    text = """core.module {
      core.func {sym = "main"} {
        %one = core.constant {value = 1} : i64
        %x = core.constant {value = 0.0} : f64
        %X = rt.call %x, %one, %one {callee = "sm_fill"} : matrix<?x?xf64>
        %Y = scf.for %one, %one, %one, %X : matrix<?x?xf64> (%i: i64, %Z: matrix<?x?xf64>) {
          %W = rt.set_cell %Z, %x, %i, %i : matrix<?x?xf64>
          core.yield %W
        }
        core.return
      }
    }"""
    assert ownership(text) == ["rt.release"]


def test_the_last_use_in_a_branch_may_update_in_place() -> None:
    text = """core.module {
      core.func {sym = "main"} (%X: matrix<?x?xf64>, %c: i1, %v: f64, %i: i64) {
        %Y = scf.if %c : matrix<?x?xf64> {
          %W = rt.set_cell %X, %v, %i, %i : matrix<?x?xf64>
          core.yield %W
        } {
          core.yield %X
        }
        core.return %Y
      }
    }"""
    assert ownership(text) == []


def test_a_branch_that_does_not_need_a_value_releases_it() -> None:
    text = """core.module {
      core.func {sym = "main"} (%X: matrix<?x?xf64>, %c: i1) {
        scf.if %c {
          rt.call %X {callee = "sm_use"}
          core.yield
        } {
          core.yield
        }
        core.return
      }
    }"""
    assert ownership(text) == ["rt.release", "rt.release"]


def launches(module: Module) -> list[object]:
    UpdateInPlace().run(module)
    return [op.attrs.get("reuse", ()) for op in module.walk() if isinstance(op, Launch)]


def test_a_kernel_may_overwrite_what_dies_and_fits() -> None:
    region = Region([matrix(3, 4), matrix(3, 4), matrix(1, 4)])
    b = Builder(region)
    W, D, row = region.args
    made = b.op(Launch, [W, D, row], kernel="k", types=[matrix(3, 4)]).result
    b.op(Return, [made, D])
    module = Module.new(regions=[Region()])
    module.body.append(Func.new(sym="main", regions=[region]))
    assert launches(module) == [(0,)]


def test_what_the_next_iteration_needs_is_not_overwritten() -> None:
    region = Region([MATRIX, MATRIX])
    b = Builder(region)
    W, D = region.args
    one = b(Constant, value=1)
    body = Region([i64, MATRIX])
    inner = Builder(body)
    step = inner.op(Launch, [D], kernel="scale", types=[MATRIX]).result
    inner.op(Yield, [inner.op(Launch, [body.args[1], step], kernel="sub", types=[MATRIX]).result])
    b.op(Return, b.op(For, one, one, one, [W], regions=[body], types=[MATRIX]).results)
    module = Module.new(regions=[Region()])
    module.body.append(Func.new(sym="main", regions=[region]))
    assert launches(module) == [(), (0, 1)]


def test_scalars_are_not_counted() -> None:
    assert [is_handle(Value(t, Region(), 0)) for t in (f64, i1, string, MATRIX)] == [False, False, True, True]
