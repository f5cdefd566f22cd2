"""Lower `fused.outer` to launches.

What is computed for each cell is an ordinary dense cell kernel, run over short runs of non-zeros or over tiles; one kernel
serves every closing, because the run time closes the outputs.
"""

from __future__ import annotations

import hashlib
from typing import Final

from sysmlc.ir.core import Builder, clone_region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import OuterRegion
from sysmlc.ir.dialects.kernel import CellKernel
from sysmlc.ir.dialects.rt import LaunchOuter
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix
from sysmlc.passes.lower_cells import MAX_INPUTS, MAX_OUTPUTS, body_text
from sysmlc.passes.outer.zeros import common_drivers, drivers_of

STORED: Final = {"": "n", "l": "l", "r": "r", "lr": "b"}
CLOSING: Final = {"map": "m", "full:sum": "f", "row:sum": "r", "col:sum": "c", "right": "R", "left": "L"}


@register_pass
class LowerOuter(Pass):
    """Lower fused.outer regions to kernels and launches."""

    name = "lower-outer"

    def run(self, module: Module) -> None:
        known = {str(op.attrs["sym"]) for op in module.body if isinstance(op, CellKernel)}
        for func in list(module.body):
            if func.name != "core.func":
                continue
            for op in list(func.walk()):
                if isinstance(op, OuterRegion):
                    self._lower(module, op, known)

    def _lower(self, module: Module, region: OuterRegion, known: set[str]) -> None:
        if len(region.body.args) > MAX_INPUTS or len(region.results) > MAX_OUTPUTS:
            raise region.error(f"has more than {MAX_INPUTS} inputs or {MAX_OUTPUTS} results")
        kernel = describe(region)
        if kernel.sym not in known:
            known.add(kernel.sym)
            module.body.append(kernel)
            self.count("kernels made")
        plan = "|".join(
            [
                "".join(STORED[t] for t in region.products),
                "".join(CLOSING[k] for k in region.outputs),
                "".join(chr(ord("a") + i) for d in region_drivers(region) if len(d) > 1 for i in sorted(d)),
            ]
        )
        types = [r.type for r in region.results]
        launch = Builder.before(region).op(
            LaunchOuter, region.operands, kernel=kernel.sym, plan=plan, types=types
        )
        for old, new in zip(region.results, launch.results, strict=True):
            new.name = old.name
        region.replace_by(launch.results)
        self.count("launches")


def describe(region: OuterRegion) -> CellKernel:
    """The kernel of a region: products first, every matrix read cell by cell."""
    count = len(region.products)
    others = region.operands[2 * count : count + len(region.body.args)]
    matrices = [True] * count + [isinstance(v.type, Matrix) for v in others]
    outputs = tuple(kind if kind == "full:sum" else "map" for kind in region.outputs)
    safe = sum(1 << min(d) for d in region_drivers(region) if len(d) == 1)
    text = f"{matrices},{count},{outputs},{safe};{body_text(region.body)}"
    verbs = [op.fn for op in region.body if op.name.startswith("dml.") and op.fn != "cast"][:3]
    made = CellKernel.new(
        sym="_".join(["outer", *verbs, hashlib.sha256(text.encode()).hexdigest()[:10]]),
        outputs=outputs,
        variants=(sum(1 << i for i, m in enumerate(matrices) if m),),
        sparse_safe=safe,
        regions=[clone_region(region.body, {})],
        loc=region.loc,
    )
    assert isinstance(made, CellKernel)
    return made


def region_drivers(region: OuterRegion) -> list[frozenset[int]]:
    """The arguments of the region whose zeros make every output zero: alternatives, as `drivers_of` finds them."""
    count = len(region.products)
    others = region.operands[2 * count : count + len(region.body.args)]
    return [frozenset(i + count for i in d) for d in common_drivers(drivers_of(region.body, others))]
