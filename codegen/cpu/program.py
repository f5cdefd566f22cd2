"""Prints a lowered program as LLVM: functions, structured control flow, runtime calls, ownership.

Every function takes the context first. Structured regions become blocks and φs; errors never return here, because the
runtime unwinds to the start of the program, so generated code has no error paths of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sysmlc.codegen.cpu.calls import PRINTERS as CALL_PRINTERS
from sysmlc.codegen.cpu.calls import llvm_type
from sysmlc.codegen.cpu.scalars import double_text, emit_scalar
from sysmlc.codegen.cpu.tables import TYPES, Parameter, Tables
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.kernel import CellKernel
from sysmlc.ir.source import Location
from sysmlc.ir.types import f64, i1

INTERRUPT: Final = 4  # offset in sm_ctx; a test compares it with the header
STACK_LIMIT: Final = 6 << 20
RARE: Final = "!prof !0"


def function_symbol(name: str) -> str:
    return '@"f.' + name.replace("\\", "\\5C").replace('"', "\\22") + '"'


def emit_program(
    module: Module,
    *,
    name: str = "script",
    parameters: Sequence[Parameter] = (),
    version: str = "",
) -> str:
    """The LLVM text of a whole program. Its kernels are found by the host (see `link_variants` for executables)."""
    tables = Tables()
    declarations: dict[str, None] = {}
    functions = {str(f.attrs["sym"]): f for f in module.body if f.name == "core.func"}
    recursive = _recursive(functions)
    text: list[str] = []
    for func in functions.values():
        text += _Function(func, functions, recursive, tables, declarations).print()
    for kernel in module.body:
        if isinstance(kernel, CellKernel):
            tables.kernel(kernel)
    tables.program(name, parameters, version)
    entry = f"define void @sm_entry(ptr %ctx) {{\n  call fastcc void {function_symbol('main')}(ptr %ctx)\n  ret void\n}}"
    tail = '!0 = !{!"branch_weights", i32 1, i32 2000}\n!1 = !{!"branch_weights", i32 2000, i32 1}'
    return "\n".join([TYPES, *tables.lines, *declarations, *text, entry, tail, ""])


def _recursive(functions: Mapping[str, Op]) -> set[str]:
    calls = {
        name: {str(op.attrs["callee"]) for op in f.walk() if op.name == "core.call"}
        for name, f in functions.items()
    }
    found = set()
    for name, direct in calls.items():
        reached: set[str] = set()
        pending = list(direct)
        while pending:
            callee = pending.pop()
            if callee not in reached:
                reached.add(callee)
                pending.extend(calls.get(callee, ()))
        if name in reached:
            found.add(name)
    return found


def _struct(types: Sequence[str]) -> str:
    return "void" if not types else types[0] if len(types) == 1 else "{ " + ", ".join(types) + " }"


class _Function:
    """Prints one function."""

    def __init__(
        self,
        op: Op,
        functions: Mapping[str, Op],
        recursive: set[str],
        tables: Tables,
        declarations: dict[str, None],
    ) -> None:
        self.op = op
        self.functions = functions
        self.recursive = recursive
        self.tables = tables
        self.declarations = declarations
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.cold: list[str] = []
        self.failures: dict[tuple[int, str], str] = {}
        self.names: dict[Value, str] = {}
        self.counter = 0
        self.block = "entry"
        self.stored: int | None = None

    # -- building blocks -------------------------------------------------------------------------------------------

    def fresh(self, stem: str = "v") -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    def emit(self, instruction: str) -> str:
        name = f"%{self.fresh()}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        self.lines.append(f"  {instruction}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name
        self.stored = None

    def declare(self, declaration: str) -> None:
        self.declarations[declaration] = None

    def stack(self, type: str) -> str:
        """A stack slot, made once at the start of the function."""
        name = f"%{self.fresh('slot')}"
        self.allocas.append(f"  {name} = alloca {type}, align 8")
        return name

    def value(self, value: Value) -> str:
        """A value as an operand."""
        return self.names[value]

    def typed(self, value: Value) -> str:
        return f"{llvm_type(value.type)} {self.names[value]}"

    def place(self, loc: Location) -> None:
        """Tell the run time where we are, for errors."""
        index = self.tables.location(loc)
        if index != self.stored:
            self.do(f"store i32 {index}, ptr %ctx")
            self.stored = index

    def fail_if(self, condition: str, message: str, op: Op) -> None:
        """Stop the program with a message when the i1 `condition` holds."""
        index = self.tables.location(op.loc)
        label = self.failures.get((index, message))
        if label is None:
            label = self.failures[index, message] = self.fresh("fail")
            self.declare("declare void @sm_fail(ptr, ptr) cold noreturn")
            self.cold += [
                f"{label}:",
                f"  store i32 {index}, ptr %ctx",
                f"  call void @sm_fail(ptr %ctx, ptr {self.tables.text(message)})",
                "  unreachable",
            ]
        ok, stored = self.fresh("ok"), self.stored
        self.do(f"br i1 {condition}, label %{label}, label %{ok}, {RARE}")
        self.label(ok)
        self.stored = stored

    def check_interrupt(self) -> None:
        stop, go_on = self.fresh("stop"), self.fresh("go")
        self.declare("declare void @sm_interrupted(ptr) cold")
        self.do(f"br i1 {self.emit(f'icmp ne i32 {self._flag()}, 0')}, label %{stop}, label %{go_on}, {RARE}")
        self.cold += [f"{stop}:", "  call void @sm_interrupted(ptr %ctx)", f"  br label %{go_on}"]
        self.label(go_on)

    def _flag(self) -> str:
        return self.emit("load volatile i32, ptr %interrupt, align 4")

    # -- functions -------------------------------------------------------------------------------------------------

    def signature(self, func: Op) -> tuple[str, list[str]]:
        """Return type and parameter types (after the context) of a program function."""
        region = func.regions[0]
        results = [llvm_type(v.type) for v in region.terminator.operands]
        params = [llvm_type(a.type) for a in region.args]
        if func.attrs["sym"] in self.recursive:
            params.append("ptr")
        return _struct(results), params

    def print(self) -> list[str]:
        region = self.op.regions[0]
        result, params = self.signature(self.op)
        for arg in region.args:
            self.names[arg] = f"%{self.fresh('a')}"
        shown = ["ptr %ctx", *(self.typed(a) for a in region.args)]
        if len(params) > len(region.args):
            shown.append("ptr %base")
            self._check_stack()
        self._region(region)
        self._return(region.terminator, result)
        symbol = function_symbol(str(self.op.attrs["sym"]))
        head = f"define internal fastcc {result} {symbol}({', '.join(shown)}) nounwind {{"
        flag = [f"  %interrupt = getelementptr inbounds i8, ptr %ctx, i64 {INTERRUPT}"]
        return [head, "entry:", *self.allocas, *flag, *self.lines, *self.cold, "}", ""]

    def _check_stack(self) -> None:
        self.declare("declare ptr @llvm.frameaddress.p0(i32 immarg)")
        here = self.emit(f"ptrtoint ptr {self.emit('call ptr @llvm.frameaddress.p0(i32 0)')} to i64")
        used = self.emit(f"sub i64 {self.emit('ptrtoint ptr %base to i64')}, {here}")
        message = f"function '{self.op.attrs['sym']}' calls itself too deeply"
        self.fail_if(self.emit(f"icmp sgt i64 {used}, {STACK_LIMIT}"), message, self.op)
        self.check_interrupt()

    def _return(self, op: Op, result: str) -> None:
        if len(op.operands) < 2:
            self.do("ret " + (self.typed(op.operands[0]) if op.operands else "void"))
            return
        pair = "undef"
        for i, value in enumerate(op.operands):
            pair = self.emit(f"insertvalue {result} {pair}, {self.typed(value)}, {i}")
        self.do(f"ret {result} {pair}")

    def _region(self, region: Region) -> None:
        """Everything in a region but its terminator."""
        for op in region:
            if "terminator" in op.traits:
                continue
            printer = PRINTERS.get(op.name)
            if printer is not None:
                printer(self, op)
            else:
                self.names[op.result] = emit_scalar(self, op)

    def _phis(self, values: Sequence[Value], incoming: Sequence[tuple[Sequence[str], str]]) -> None:
        for i, value in enumerate(values):
            sides = ", ".join(f"[ {names[i]}, %{block} ]" for names, block in incoming)
            self.names[value] = self.emit(f"phi {llvm_type(value.type)} {sides}")

    def _yielded(self, region: Region) -> list[str]:
        return [self.names[v] for v in region.terminator.operands]

    def if_(self, op: Op) -> None:
        then, orelse, join = self.fresh("then"), self.fresh("else"), self.fresh("join")
        self.do(f"br i1 {self.value(op.operands[0])}, label %{then}, label %{orelse}")
        incoming: list[tuple[Sequence[str], str]] = []
        for label, region in ((then, op.regions[0]), (orelse, op.regions[1])):
            self.label(label)
            self._region(region)
            incoming.append((self._yielded(region), self.block))
            self.do(f"br label %{join}")
        self.label(join)
        self._phis(op.results, incoming)

    def while_(self, op: Op) -> None:
        cond, body, done = self.fresh("cond"), self.fresh("body"), self.fresh("done")
        before, inits = self.block, [self.value(v) for v in op.operands]
        self.do(f"br label %{cond}")
        self.label(cond)
        header = self._open_phis(op.regions[0].args)
        self._region(op.regions[0])
        self.do(f"br i1 {self._yielded(op.regions[0])[0]}, label %{body}, label %{done}")
        carried = [self.names[a] for a in op.regions[0].args]
        for arg, result, name in zip(op.regions[1].args, op.results, carried, strict=True):
            self.names[arg] = self.names[result] = name
        self.label(body)
        self._region(op.regions[1])
        self.check_interrupt()
        self._close_phis(
            header, op.regions[0].args, [(inits, before), (self._yielded(op.regions[1]), self.block)]
        )
        self.do(f"br label %{cond}")
        self.label(done)

    def for_(self, op: Op) -> None:
        body, done = self.fresh("body"), self.fresh("done")
        start, stop, step = (self.value(v) for v in op.operands[:3])
        inits = [self.value(v) for v in op.operands[3:]]
        args = op.regions[0].args
        trips = self._trips(start, stop, step)
        before = self.block
        self.do(f"br i1 {self.emit(f'icmp eq i64 {trips}, 0')}, label %{done}, label %{body}")
        self.label(body)
        left = f"%{self.fresh('left')}"
        header = self._open_phis(args)
        self.lines.append("")
        self._region(op.regions[0])
        self.check_interrupt()
        fewer = self.emit(f"sub i64 {left}, 1")
        following = self.emit(f"add i64 {self.names[args[0]]}, {step}")
        last = self._yielded(op.regions[0])
        self.lines[header + len(args)] = (
            f"  {left} = phi i64 [ {trips}, %{before} ], [ {fewer}, %{self.block} ]"
        )
        self._close_phis(header, args, [([start, *inits], before), ([following, *last], self.block)])
        self.do(f"br i1 {self.emit(f'icmp eq i64 {fewer}, 0')}, label %{done}, label %{body}")
        latch = self.block
        self.label(done)
        self._phis(op.results, [(inits, before), (last, latch)])

    def _trips(self, start: str, stop: str, step: str) -> str:
        """How often a counted loop runs, in unsigned arithmetic that cannot overflow."""
        up = self.emit(f"icmp sgt i64 {step}, 0")
        low = self.emit(f"select i1 {up}, i64 {start}, i64 {stop}")
        high = self.emit(f"select i1 {up}, i64 {stop}, i64 {start}")
        size = self.emit(f"select i1 {up}, i64 {step}, i64 {self.emit(f'sub i64 0, {step}')}")
        some = self.emit(f"udiv i64 {self.emit(f'sub i64 {high}, {low}')}, {size}")
        runs = self.emit(f"icmp sle i64 {low}, {high}")
        return self.emit(f"select i1 {runs}, i64 {self.emit(f'add i64 {some}, 1')}, i64 0")

    def _open_phis(self, args: Sequence[Value]) -> int:
        """Keep lines for the φs of a loop, whose second sides are not known yet."""
        first = len(self.lines)
        for arg in args:
            self.names[arg] = f"%{self.fresh('c')}"
            self.lines.append("")
        return first

    def _close_phis(
        self, first: int, args: Sequence[Value], incoming: Sequence[tuple[Sequence[str], str]]
    ) -> None:
        for i, arg in enumerate(args):
            sides = ", ".join(f"[ {names[i]}, %{block} ]" for names, block in incoming)
            self.lines[first + i] = f"  {self.names[arg]} = phi {llvm_type(arg.type)} {sides}"

    def call(self, op: Op) -> None:
        callee = str(op.attrs["callee"])
        result, params = self.signature(self.functions[callee])
        args = ["ptr %ctx", *(self.typed(v) for v in op.operands)]
        if len(params) > len(op.operands):
            self.declare("declare ptr @llvm.frameaddress.p0(i32 immarg)")
            own = str(self.op.attrs["sym"]) in self.recursive
            args.append("ptr " + ("%base" if own else self.emit("call ptr @llvm.frameaddress.p0(i32 0)")))
        text = f"call fastcc {result} {function_symbol(callee)}({', '.join(args)})"
        self.stored = None
        if not op.results:
            self.do(text)
        elif len(op.results) == 1:
            self.names[op.result] = self.emit(text)
        else:
            pair = self.emit(text)
            for i, value in enumerate(op.results):
                self.names[value] = self.emit(f"extractvalue {result} {pair}, {i}")

    def constant(self, op: Op) -> None:
        value = op.attrs["value"]
        type = op.result.type
        if isinstance(value, str):
            text = self.tables.string(value)
        elif isinstance(value, bool) and type is i1:
            text = "true" if value else "false"
        else:
            assert isinstance(value, (bool, int, float))
            text = double_text(float(value)) if type is f64 else str(int(value))
        self.names[op.result] = text


Printer = Callable[[_Function, Op], None]
PRINTERS: Final[dict[str, Printer]] = {
    "core.constant": _Function.constant,
    "core.call": _Function.call,
    "scf.if": _Function.if_,
    "scf.while": _Function.while_,
    "scf.for": _Function.for_,
    "scf.parfor": _Function.for_,
    **CALL_PRINTERS,
}
