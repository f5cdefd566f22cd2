"""What sysmlc-opt can print besides the IR: MLIR, LLVM text, machine code as text, and the output of a run."""

from __future__ import annotations

from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic


def emitted(module: Op, form: str, cpu: str) -> str:
    """The module as `mlir`, `llvm` or `asm` for the processor `cpu`."""
    if form == "mlir":
        from sysmlc.ir.mlir import to_mlir

        return to_mlir(module)
    from sysmlc.codegen.cpu.target import compile_assembly, make_target

    try:
        target = make_target(cpu)
    except ValueError as error:
        raise Diagnostic(str(error)) from None
    parts = _llvm_parts(module, target)
    if form == "asm":
        parts = [compile_assembly(part, target) for part in parts]
    return "\n".join(parts)


def _llvm_parts(module: Op, target: object) -> list[str]:
    """The LLVM modules of a lowered program: its functions, and each variant of its kernels."""
    from sysmlc.codegen.cpu.llvm import emit_kernel_llvm, emit_variant
    from sysmlc.codegen.cpu.program import emit_program
    from sysmlc.ir.dialects.core import Func
    from sysmlc.ir.dialects.kernel import CellKernel, KernelFunc

    parts = []
    for op in module.regions[0]:
        if isinstance(op, Func):
            for inner in op.walk():
                if inner.dialect in ("fused",) or ("dml" in inner.dialect and "cellwise" not in inner.traits):
                    raise inner.error("is not lowered yet", "run the whole pipeline first: -O1")
    if any(isinstance(op, Func) for op in module.regions[0]):
        parts.append(emit_program(module))
    for op in module.regions[0]:
        if isinstance(op, CellKernel):
            parts += [emit_variant(op, key, target) for key in op.variants]
    functions = [op for op in module.regions[0] if isinstance(op, KernelFunc)]
    if functions:
        parts.append(emit_kernel_llvm(functions, target))
    return parts


def evaluated(module: Op) -> str:
    """What the module prints when the reference evaluator runs it."""
    from sysmlc.codegen.reference import evaluate

    return str(evaluate(module))
