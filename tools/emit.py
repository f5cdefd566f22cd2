"""What sysmlc-opt can print besides the IR: MLIR, LLVM text, machine code as text, and the output of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix


def emitted(module: Op, form: str, cpu: str, level: int) -> str:
    """A lowered module as `llvm` or `asm` for the processor `cpu`, or any as `mlir`."""
    if form == "mlir":
        from sysmlc.ir.mlir import to_mlir

        return to_mlir(module)
    from sysmlc.codegen.cpu.compile import Options
    from sysmlc.codegen.cpu.target import make_target

    try:
        make_target(cpu)
    except ValueError as error:
        raise Diagnostic(str(error)) from None
    options = Options(level, cpu)
    if any(op.attrs.get("sym") == "main" for op in module.regions[0]):
        return _program(module, form, options)
    return _kernels(module, form, options)


def _program(module: Any, form: str, options: Any) -> str:
    from sysmlc.codegen.cpu.compile import emit_compiled
    from sysmlc.codegen.cpu.link import linked_assembly, linked_module

    for function in module.body:
        if function.name == "core.func":
            _check_lowered(function)
    compiled = emit_compiled(module, "script", [], options)
    return str(linked_module(compiled)) if form == "llvm" else linked_assembly(compiled)


def _check_lowered(function: Op) -> None:
    for op in function.walk():
        matrices = any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results))
        if op.dialect == "fused" or (op.dialect == "dml" and matrices):
            raise op.error("is not lowered", "without passes of your own, --emit=llvm lowers what it prints")


def _kernels(module: Any, form: str, options: Any) -> str:
    """Kernels on their own: functions as they are, and each variant of a `kernel.cell`."""
    from sysmlc.codegen.cpu.llvm import emit_kernel_llvm
    from sysmlc.codegen.cpu.target import compile_assembly, make_target
    from sysmlc.passes.vectorize_cells import vectorize

    target = make_target(options.target)
    functions = [op for op in module.body if op.name == "kernel.func"]
    for op in module.body:
        if op.name in ("kernel.cell", "kernel.row"):
            functions += [vectorize(op, key, target.lanes) for key in op.variants]
    if not functions:
        raise Diagnostic("there is no function 'main' and no kernel to print")
    text = emit_kernel_llvm(functions, target)
    return text if form == "llvm" else compile_assembly(text, target)


def evaluated(module: Op, args: Mapping[str, str]) -> str:
    """What the module prints when the reference evaluator runs it, then its outputs by name."""
    from sysmlc.codegen.reference import evaluate

    main = next((op for op in module.regions[0] if op.attrs.get("sym") == "main"), None)
    if main is None:
        raise Diagnostic("there is no function 'main' to run")
    if main.regions[0].args:
        raise Diagnostic(
            "'main' has parameters, so it cannot be run", main.loc, hint="use dml.input and dml.output"
        )
    lines: list[str] = []
    outputs = evaluate(module, args=args, output=lambda text: lines.append(str(text)))
    lines += [f"{name} = {value}" for name, value in outputs.items()]
    return "".join(f"{line}\n" for line in lines)
