"""What memory a program will hold at its peak, from the sizes that are known: `core.func` gets `peak_bytes`.

Walks the owned program (after `manage-ownership`) with a count of owners for every buffer, as the runtime does: results are
new buffers, operands that are taken over and have no other owner give theirs to the result, releases free. Loops are walked
twice, so that what one round leaves for the next is seen. Buffers inside of runtime functions are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, same_dim
from sysmlc.passes.lower_cells import may_be_sparse
from sysmlc.passes.manage_ownership import taken_operands


@register_pass
class PlanMemory(Pass):
    """Compute the peak memory of each function from the known sizes."""

    name = "plan-memory"

    def run(self, module: Module) -> None:
        functions = {str(op.attrs["sym"]): op for op in module.body if op.name == "core.func"}
        for func in functions.values():
            plan = Plan(functions)
            plan.function(func, [plan.fresh(arg) for arg in func.regions[0].args])
            func.attrs["peak_bytes"] = plan.peak
            if plan.unknown:
                func.attrs["unknown_sizes"] = True


@dataclass(eq=False)
class Buffer:
    """Memory of one matrix and how many own it."""

    bytes: int
    owners: int = 1


@dataclass
class Plan:
    """One walk through a program."""

    functions: dict[str, Op]
    live: int = 0
    peak: int = 0
    unknown: bool = False
    """Whether a matrix of unknown size was met; it counts nothing."""
    calls: list[str] = field(default_factory=list)

    def fresh(self, value: Value) -> Buffer | None:
        """A new buffer for a matrix value, None for anything else."""
        if not isinstance(value.type, Matrix):
            return None
        made = Buffer(self._size(value.type))
        self.live += made.bytes
        self.peak = max(self.peak, self.live)
        return made

    def _size(self, type: Matrix) -> int:
        if not isinstance(type.rows, int) or not isinstance(type.cols, int):
            self.unknown = True
            return 0
        cell = type.cell_bytes
        dense = cell * type.rows * type.cols
        return dense if type.nnz is None else min(dense, type.entry_bytes * type.nnz + 8 * (type.rows + 1))

    def drop(self, buffer: Buffer | None) -> None:
        """One owner less."""
        if buffer is not None:
            buffer.owners -= 1
            if buffer.owners == 0:
                self.live -= buffer.bytes

    def function(self, func: Op, args: Sequence[Buffer | None]) -> list[Buffer | None]:
        """The buffers a function returns. A call inside of itself counts as nothing more."""
        name = str(func.attrs["sym"])
        if name in self.calls:
            return [None for _ in func.regions[0].terminator.operands]
        self.calls.append(name)
        try:
            return self.region(func.regions[0], args, {})
        finally:
            self.calls.pop()

    def region(
        self, region: Region, args: Sequence[Buffer | None], env: dict[Value, Buffer | None]
    ) -> list[Buffer | None]:
        """What the terminator hands on."""
        env.update(zip(region.args, args, strict=True))
        for op in region:
            if "terminator" in op.traits:
                return [env.get(v) for v in op.operands]
            self.op(op, env)
        return []

    def op(self, op: Op, env: dict[Value, Buffer | None]) -> None:
        """Account for one operation."""
        values = [env.get(v) for v in op.operands]
        results: list[Buffer | None] | None = None
        if op.name == "rt.release":
            self.drop(values[0])
        elif op.name == "rt.retain":
            if values[0] is not None:
                values[0].owners += 1
        elif op.name == "core.call":
            results = self.function(self.functions[str(op.attrs["callee"])], values)
        elif op.name == "scf.if":
            results = self._either(op, env)
        elif op.name == "scf.while":
            results = values
            for _ in range(2):
                self.region(op.regions[0], results, env)
                results = self.region(op.regions[1], results, env)
        elif op.name in ("scf.for", "scf.parfor"):
            results = values[3:]
            for _ in range(2):
                results = self.region(op.regions[0], [None, *results], env)
        if results is None:
            results = self._computed(op, values)
        env.update(zip(op.results, results, strict=True))

    def _either(self, op: Op, env: dict[Value, Buffer | None]) -> list[Buffer | None]:
        """Both branches, each from the same state; the one that leaves more is the one that counts."""
        buffers = {b for b in env.values() if b is not None}
        before, owners = self.live, {b: b.owners for b in buffers}
        outcomes = []
        for branch in op.regions:
            self.live = before
            for buffer, count in owners.items():
                buffer.owners = count
            results = self.region(branch, (), env)
            outcomes.append((self.live, results, {b: b.owners for b in buffers}))
        self.live, results, after = max(outcomes, key=lambda o: o[0])
        for buffer, count in after.items():
            buffer.owners = count
        return results

    def _computed(self, op: Op, values: Sequence[Buffer | None]) -> list[Buffer | None]:
        """Buffers of the results: those of operands that are taken over, or new ones."""
        free = []
        for i in sorted(taken_operands(op)):
            buffer = values[i]
            if buffer is not None:
                if buffer.owners == 1:
                    free.append(buffer)
                else:
                    buffer.owners -= 1
        if _is_view(op):
            return [Buffer(0)]
        made: list[Buffer | None] = []
        for result in op.results:
            size = self._size(result.type) if isinstance(result.type, Matrix) else None
            fitting = next((b for b in free if b.bytes == size), None)
            if fitting is not None:
                free.remove(fitting)
            made.append(self.fresh(result) if fitting is None else fitting)
        for buffer in free:
            self.drop(buffer)
        return made


def _is_view(op: Op) -> bool:
    """Whether a part of a matrix is looked at where it is: its cells lie side by side, and not in CSR."""
    if op.attrs.get("callee") != "sm_index" or op.attrs.get("extra") != (True,):
        return False
    source, part = op.operands[0], op.result.type
    assert isinstance(source.type, Matrix)
    assert isinstance(part, Matrix)
    return not may_be_sparse(source) and (part.rows == 1 or same_dim(part.cols, source.type.cols))
