"""Loop-invariant code moves out of loops.

What cannot fail moves always; what may fail only where it would have been the first thing to happen anyway: in the condition of
a `while`, or in a loop that is certain to run, before anything else that has an effect or can fail. Branches and loops that
only compute move as a whole, and so does what both sides of a branch compute. What one side computes stays: it may never be
needed. Memory is not held longer for results that are filled anew to be overwritten (`R = matrix(0, …)` before
`R[i,] = …`). Products of which few cells are needed are never formed beside the sparse matrix that tells which, so they stay
with it, or move to it, in loops and branches (`outer/place.py`). A product of matrices is only formed where a loop, with none
around it, is known to have a round.
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Op, Region, Value, clone_region
from sysmlc.ir.dialects.core import Module, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_fit import RequireFit
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix
from sysmlc.passes.effects import cannot_fail
from sysmlc.passes.loops.parts import counts_towards_its_end
from sysmlc.passes.outer.place import into_branches, put_back
from sysmlc.passes.splice import keep_in, splice

_LOOPS = frozenset({"scf.for", "scf.parfor", "scf.while"})
_ENDING = frozenset({"scf.if", "scf.for", "scf.parfor"})
_CHEAP_TO_MAKE = frozenset({"dml.fill", "dml.undefined", "dml.seq"})


@register_pass
class Hoist(Pass):
    """Compute once, before a loop, what is the same in every iteration."""

    name = "hoist"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                self._region(region, inside=False)

    def _region(self, region: Region, inside: bool) -> None:
        """`inside`: of a loop."""
        for op in region:
            for nested in op.regions:
                self._region(nested, inside or op.name in _LOOPS)
            if op.name in _LOOPS:
                moved: list[Op] = []
                for i, nested in enumerate(op.regions):
                    first = i == 0 and (op.name == "scf.while" or _runs(op))
                    moved += self._hoist(op, nested, first)
                if not inside and not _runs(op):
                    self._ask_first(op, [one for one in moved if one.parent is region])
        self.count("products moved into branches", into_branches(region))

    def _ask_first(self, loop: Op, moved: list[Op]) -> None:
        """Do what is costly only where the loop has a round."""
        late: dict[Op, None] = {}
        for op in moved:
            if _is_costly(op) or any(v.op in late for v in op.operands):
                late[op] = None
        test = _has_a_round(loop) if late else None
        if test is None:
            return
        then, orelse = Region(), Region()
        choice = Builder.before(loop).op(
            If, test, types=[r.type for r in loop.results], regions=[then, orelse]
        )
        for op in late:
            then.append(op.detach())
        Builder(orelse, loc=loop.loc).op(Yield, loop.operands[len(loop.operands) - len(loop.results) :])
        keep_in(loop, choice, then)
        self.count("loops asked for a round")

    def _hoist(self, loop: Op, region: Region, first: bool) -> list[Op]:
        """Gives what has moved. `first`: what stands at the beginning of the region happens for certain."""
        guarded = False
        moved: list[Op] = []
        for op in region:
            if "terminator" in op.traits:
                break
            if op.name == "dml.require_defined":
                guarded = True
            if "pure" in op.traits or isinstance(op, RequireFit) or _only_computes(op):
                # Behind a check that a variable is defined, facts hold for defined values only.
                safe = all(map(cannot_fail, _computing(op))) and not (
                    guarded and any(isinstance(v.type, Matrix) for o in op.walk() for v in o.operands)
                )
                if (safe or first) and _is_invariant(op, loop) and _worth_it(op):
                    _move(op, loop)
                    moved.append(op)
                    self.count("operations hoisted")
                    continue
                if not safe:
                    first = False
                if op.name == "scf.if":
                    self._branch(loop, op)
                continue
            first = False
            if op.name == "scf.if":
                self._branch(loop, op)
        put_back(region, moved)
        return moved

    def _branch(self, loop: Op, branch: Op) -> None:
        """What cannot fail leaves branches as well: scalars, next to free, that let more move; what both sides compute."""
        other = {_key(op): op for op in branch.regions[1] if not op.regions}
        for region in branch.regions:
            for op in region:
                if op.name == "scf.if":
                    self._branch(loop, op)
                if "pure" not in op.traits or not cannot_fail(op) or not _is_invariant(op, loop):
                    continue
                scalar = not any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results))
                twin = other.get(_key(op)) if region is branch.regions[0] else None
                if scalar and op.results:
                    _move(op, loop)
                elif twin is not None and _worth_it(op) and _worth_it(twin):
                    twin.replace_by(op.results)
                    _move(op, loop)
                    users = {
                        user for r in op.results for user in r.users() if user.parent is branch.regions[1]
                    }
                    other.update((_key(user), user) for user in users)
                else:
                    continue
                self.count("operations hoisted")


def _runs(loop: Op) -> bool:
    """Whether a counting loop is certain to run at least once."""
    if loop.name == "scf.while":
        return False
    if counts_towards_its_end(loop):
        return True
    start, stop, step = (constant(v) for v in loop.operands[:3])
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return start <= stop if step > 0 else start >= stop
    return False


def _has_a_round(loop: Op) -> Value | None:
    """Whether a loop runs at least once, asked in front of it; None where that is not simple."""
    if loop.name == "scf.while":
        cond = loop.regions[0]
        if not all("pure" in op.traits or op is cond.last for op in cond):
            return None
        copy = clone_region(cond, {})
        (test,) = splice(loop, copy, loop.operands)
        copy.terminator.drop_uses()
        return test
    start, stop, step = loop.operands[:3]
    known = constant(step)
    return (
        Builder.before(loop)(Binary, "le" if known > 0 else "ge", start, stop)
        if isinstance(known, int)
        else None
    )


def _is_costly(op: Op) -> bool:
    """Whether an operation is a product of two matrices of which none is known to be a vector."""
    types = [v.type for v in op.operands]
    return op.name == "dml.matmul" and not any(isinstance(t, Matrix) and 1 in (t.rows, t.cols) for t in types)


def _only_computes(op: Op) -> bool:
    """Whether a branch or a counting loop has no effect but its results and, perhaps, that it fails."""
    return op.name in _ENDING and all("pure" in o.traits or isinstance(o, RequireFit) for o in _computing(op))


def _computing(op: Op) -> list[Op]:
    """The operations that compute something: `op` itself, or what is in it."""
    return [o for o in op.walk() if o.name not in _ENDING and "terminator" not in o.traits]


def _is_invariant(op: Op, loop: Op) -> bool:
    return all(
        _is_outside(v, loop) or (op.regions and _is_inside(v, op)) for o in op.walk() for v in o.operands
    )


def _is_inside(value: Value, op: Op) -> bool:
    at = value.region
    while at is not None and at.parent is not op:
        at = None if at.parent is None else at.parent.parent
    return at is not None


def _key(op: Op) -> object:
    return op.name, tuple(op.operands), tuple(op.attrs.items()), tuple(r.type for r in op.results)


def _is_outside(value: Value, loop: Op) -> bool:
    at = value.region
    while at is not None:
        if at is loop.parent:
            return True
        if at.parent is loop:
            return False
        at = None if at.parent is None else at.parent.parent
    return True


def _worth_it(op: Op) -> bool:
    if op.name in _CHEAP_TO_MAKE:
        return False
    return not any(i in user.consumes for r in op.results for user, i in r.uses)


def _move(op: Op, loop: Op) -> None:
    assert loop.parent is not None
    loop.parent.insert_before(loop, op.detach())
