"""Print kernels as LLVM text. No optimisation happens here: an operation becomes a fixed piece of text."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.codegen.cpu.llvm_arithmetic import BINARY, RELATIONS, UNARY
from sysmlc.codegen.cpu.llvm_operations import PRINTERS
from sysmlc.codegen.cpu.llvm_text import constant, suffix, type_text, with_element
from sysmlc.codegen.cpu.target import Target
from sysmlc.codegen.cpu.vecmath import MathLibrary
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.kernel import CellKernel
from sysmlc.ir.types import Type, Vector, f32, i1, ptr
from sysmlc.passes.vectorize_cells import vectorize


def emit_kernel_llvm(kernels: Op | Sequence[Op], target: Target, suffix: str = "") -> str:
    """The LLVM module of kernel functions (`kernel.func`), with the mathematics they need; `suffix` ends their names."""
    functions = [kernels] if isinstance(kernels, Op) else kernels
    library = MathLibrary(target)
    bodies = [KernelPrinter(target, library).function(f, suffix) for f in functions]
    return "\n".join([*bodies, library.text(), "!0 = !{}", "!1 = !{i32 1}", ""])


def emit_variant(kernel: CellKernel, key: int, target: Target) -> str:
    """The LLVM module of one variant of a kernel; its function is `variant_name(kernel, key)`."""
    return emit_kernel_llvm(vectorize(kernel, key, target.lanes), target)


_READING = ("phi", "load", "call")
"""Instructions that may give something else the next time."""


class KernelPrinter:
    """Prints one `kernel.func`."""

    def __init__(self, target: Target, library: MathLibrary) -> None:
        self.target = target
        self.library = library
        self.lines: list[str] = []
        self.text: dict[Value, str] = {}
        self.truth: dict[Value, str] = {}
        """The i1 form of values that are 0/1 lanes."""
        self.known: dict[str, str] = {}
        """Names of what has been computed on the way here."""
        self.next = 0
        self.block = "entry"

    def function(self, func: Op, suffix: str = "") -> str:
        region = func.regions[0]
        params = []
        for arg in region.args:
            self.text[arg] = f"%{arg.name}"
            attributes = " noalias nocapture readonly" if arg.type is ptr else ""
            params.append(f"{type_text(arg.type)}{attributes} %{arg.name}")
        self.region(region)
        self.emit("ret void")
        body = "\n".join(self.lines)
        return (
            f"define void @{func.attrs['sym']}{suffix}({', '.join(params)}) nounwind {{\nentry:\n{body}\n}}\n"
        )

    # -- text ------------------------------------------------------------------------------------------------------

    def emit(self, line: str) -> None:
        self.lines.append("  " + line)

    def fresh(self) -> str:
        self.next += 1
        return f"%v{self.next}"

    def let(self, expression: str) -> str:
        """A name for what an instruction computes: a new one, or that of the same instruction before it."""
        name = self.known.get(expression)
        if name is None:
            name = self.fresh()
            self.lines.append(f"  {name} = {expression}")
            if not expression.startswith(_READING):
                self.known[expression] = name
        return name

    def label(self) -> str:
        self.next += 1
        return f"b{self.next}"

    def open(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def typed(self, value: Value) -> str:
        return f"{type_text(value.type)} {self.text[value]}"

    def region(self, region: Region) -> list[str]:
        """Print a region; what it yields, as text."""
        # What is found out or computed in here does not hold after the region.
        outer = dict(self.truth), dict(self.known)
        for op in region:
            if op.name in ("core.yield", "core.return"):
                self.truth, self.known = outer
                return [self.text[v] for v in op.operands]
            self.op(op)
        raise AssertionError("a region without a terminator")

    def op(self, op: Op) -> None:
        if op.dialect == "dml":
            self.text[op.results[0]] = self.arithmetic(op)
            return
        PRINTERS[op.name](self, op)

    # -- arithmetic ------------------------------------------------------------------------------------------------

    def as_truth(self, value: Value) -> str:
        """`value != 0` as i1 lanes."""
        if value.type is i1 or (isinstance(value.type, Vector) and value.type.elem is i1):
            return self.text[value]
        if value not in self.truth:
            kind = type_text(value.type)
            zero = "zeroinitializer" if kind.startswith("<") else "0.0"
            self.truth[value] = self.let(f"fcmp une {kind} {self.text[value]}, {zero}")
        return self.truth[value]

    def from_truth(self, op: Op, flag: str) -> str:
        """The 0/1 lanes of an i1 result (an i1 scalar stays what it is)."""
        result = op.results[0]
        if result.type is i1:
            return flag
        self.truth[result] = flag
        kind = type_text(result.type)
        if not isinstance(result.type, Vector):
            return self.let(f"uitofp i1 {flag} to {kind}")
        one = constant(kind, 1.0)  # kept or not, which takes one instruction
        return self.let(f"select {with_element(kind, 'i1')} {flag}, {kind} {one}, {kind} zeroinitializer")

    def arithmetic(self, op: Op) -> str:
        fn = op.fn
        result = op.results[0]
        if fn == "cast":
            source = op.operands[0]
            if source.type is result.type:
                return self.text[source]
            self.truth[result] = self.text[source]
            return self.let(f"uitofp i1 {self.text[source]} to {type_text(result.type)}")
        if fn == "ifelse":
            condition = self.as_truth(op.operands[0])
            flags = "i1" if not isinstance(result.type, Vector) else f"<{result.type.lanes} x i1>"
            return self.let(
                f"select {flags} {condition}, {self.typed(op.operands[1])}, {self.typed(op.operands[2])}"
            )
        if fn in ("and", "or", "xor", "not"):
            truths = [self.as_truth(v) for v in op.operands]
            lanes = (
                "i1" if not isinstance(op.operands[0].type, Vector) else f"<{op.operands[0].type.lanes} x i1>"
            )
            if fn == "not":
                ones = "true" if lanes == "i1" else "splat (i1 true)"
                return self.from_truth(op, self.let(f"xor {lanes} {truths[0]}, {ones}"))
            return self.from_truth(op, self.let(f"{fn} {lanes} {truths[0]}, {truths[1]}"))
        arguments = [self.text[v] for v in op.operands]
        kind = type_text(op.operands[0].type)
        if fn in RELATIONS:
            second = arguments[-1] if len(arguments) == 2 else arguments[0]
            return self.from_truth(op, self.let(f"fcmp {RELATIONS[fn]} {kind} {arguments[0]}, {second}"))
        if fn == "isinf":
            size = self.intrinsic(kind, "fabs", arguments[0])
            infinity = constant(kind, float("inf"))
            return self.from_truth(op, self.let(f"fcmp oeq {kind} {size}, {infinity}"))
        inline = UNARY.get(fn) if len(arguments) == 1 else BINARY.get(fn)
        if inline is not None:
            return inline(self, kind, *arguments)
        return self.call(fn, op.operands[0].type, arguments)

    def intrinsic(self, kind: str, name: str, *arguments: str) -> str:
        """A floating-point intrinsic, all of one type."""
        return self.invoke(kind, f"llvm.{name}.{suffix(kind)}", *[f"{kind} {a}" for a in arguments])

    def invoke(self, kind: str, name: str, *arguments: str) -> str:
        """A call of an external function or intrinsic, with typed arguments; its declaration is kept."""
        text = self.library.call(kind, name, arguments)
        if kind == "void":
            self.emit(text)
            return ""
        return self.let(text)

    def call(self, fn: str, type: Type, arguments: list[str]) -> str:
        """A function of the math library. It has vectors of one length only: shorter ones, and scalars, are its first lanes."""
        elem = type.elem if isinstance(type, Vector) else type
        lanes = self.target.lanes * (2 if elem is f32 else 1)
        symbol = self.library.need(fn, elem is f32)
        kind = f"<{lanes} x {type_text(elem)}>"
        if isinstance(type, Vector):
            short = type_text(type)
            assert type.lanes <= lanes, f"{fn} of {type}"
            if type.lanes < lanes:
                every = _lanes(lanes, type.lanes)
                arguments = [
                    self.let(f"shufflevector {short} {a}, {short} zeroinitializer, {every}")
                    for a in arguments
                ]
            made = self.let(f"call {kind} @{symbol}({', '.join(f'{kind} {a}' for a in arguments)})")
            if type.lanes == lanes:
                return made
            return self.let(f"shufflevector {kind} {made}, {kind} poison, {_lanes(type.lanes, type.lanes)}")
        wide = [
            self.let(f"insertelement {kind} zeroinitializer, {type_text(elem)} {a}, i32 0") for a in arguments
        ]
        made = self.let(f"call {kind} @{symbol}({', '.join(f'{kind} {a}' for a in wide)})")
        return self.let(f"extractelement {kind} {made}, i32 0")


def _lanes(count: int, source: int) -> str:
    """Which lanes a shuffle takes: those of the first vector, which has `source`, then the first lane of the second one."""
    return f"<{count} x i32> <{', '.join(f'i32 {min(i, source)}' for i in range(count))}>"
