"""What the lowering of one program shares: its files, its functions, its arguments, and the errors found so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.flow import Flow
from sysmlc.frontends.dml.frame import Frame, PoisonedError, Variable
from sysmlc.frontends.dml.names import Files, Unit
from sysmlc.frontends.dml.types import Literal, argument, data_type, declared, describe, is_scalar
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Call, Func, Return
from sysmlc.ir.dialects.dml_scalar import RequireDefined
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Type, box, f64, i1, i64, matrix

MAX_ERRORS = 100
"""More errors than this help nobody."""


@dataclass(slots=True, eq=False)
class Function:
    """A function of the script as its callers see it."""

    symbol: str
    unit: Unit
    definition: ast.FunctionDef
    params: tuple[Type | None, ...]
    """None: the declaration is wrong, which is reported already."""
    outputs: tuple[Type | None, ...]
    op: Op | None = None


class Session:
    """One compilation."""

    def __init__(self, args: Mapping[str, str], runtime_args: bool) -> None:
        self.runtime_args = runtime_args
        self.errors: list[Diagnostic] = []
        """A loop that is lowered again takes back those of its body."""
        self.declaration_errors: list[Diagnostic] = []
        self.poisoned: list[ast.Node] = []
        """Statements that were given up for an error reported elsewhere."""
        self.files = Files(self.report)
        self._args = {name.removeprefix("$"): argument(text) for name, text in args.items() if text != ""}
        self._functions: dict[ast.Node, Function] = {}
        self._symbols: set[str] = {"main"}
        self._pending: list[Function] = []

    # ---- errors

    def report(self, error: Diagnostic) -> None:
        """Keep an error; the script is lowered to its end to find more."""
        self.errors.append(error)

    def sorted_errors(self) -> list[Diagnostic]:
        """The errors in source order: the script first, then the files it sources; of each place the first."""
        order = {unit.program.source.name: i for i, unit in enumerate(self.files.units)}
        seen: dict[tuple[int, int, int], Diagnostic] = {}
        for error in self.errors + self.declaration_errors:
            loc = error.loc
            seen.setdefault((order.get(loc.source.name, len(order)), loc.line, loc.col), error)
        return [error for _, error in sorted(seen.items(), key=lambda item: item[0])][:MAX_ERRORS]

    # ---- arguments

    def argument(self, name: str) -> Literal | None:
        """What was passed for `$name`."""
        return self._args.get(name)

    # ---- functions

    def finds_function(self, unit: Unit, call: ast.Call) -> bool:
        """Whether `call` names a function of the script rather than a builtin."""
        return unit.find(call) is not None

    def resolve(self, unit: Unit, call: ast.Call) -> Function | None:
        """The script's function that `call` names, None for a builtin; an error when there is neither."""
        found = unit.find(call)
        if found is None:
            if call.namespace is None:
                return None
            raise PoisonedError  # an unknown name: `check` has said so
        owner, definition = found
        if isinstance(definition, ast.ExternalFunction):
            raise Diagnostic(
                f"'{call.full_name}' is an external function in Java, which this version does not run",
                call.name_loc,
            )
        return self.function(owner, definition, call.full_name)

    def function(self, unit: Unit, definition: ast.FunctionDef, name: str) -> Function:
        """The function that `definition` makes; the first time it is wanted it is queued for lowering."""
        known = self._functions.get(definition)
        if known is not None:
            return known
        symbol, number = name, 2
        while symbol in self._symbols:
            symbol, number = f"{name}.{number}", number + 1
        self._symbols.add(symbol)
        params = tuple(self._declared(param) for param in definition.params)
        outputs = tuple(self._declared(param) for param in definition.outputs)
        made = self._functions[definition] = Function(symbol, unit, definition, params, outputs)
        self._pending.append(made)
        return made

    def _declared(self, param: ast.Param) -> Type | None:
        try:
            return declared(param.type)
        except Diagnostic as error:
            self.declaration_errors.append(error)
            return None

    def lower_pending(self) -> None:
        """Lower every function that is wanted, and those that these want."""
        while self._pending:
            function = self._pending.pop(0)
            function.op = lower_function(self, function)

    def check_unused(self) -> None:
        """Lower the functions that nobody calls, for the errors in them. Files of the package are not the user's."""
        for unit in self.files.units:
            if not unit.bundled:
                for definition in unit.functions.values():
                    if isinstance(definition, ast.FunctionDef):
                        self.function(unit, definition, definition.name)
        self.lower_pending()

    def reachable(self, main: Op) -> list[Op]:
        """The functions that `main` calls, directly or not, in order of first call."""
        by_symbol = {function.symbol: function.op for function in self._functions.values()}
        found: dict[str, Op] = {}
        stack = [main]
        while stack:
            called = [str(op.attrs["callee"]) for op in stack.pop().walk() if isinstance(op, Call)]
            for symbol in called:
                op = by_symbol[symbol]
                if symbol not in found and op is not None:
                    found[symbol] = op
                    stack.append(op)
        return list(found.values())


def lower_function(session: Session, function: Function) -> Op:
    """The `core.func` of one function."""
    definition = function.definition
    region = Region()
    flow = Flow(definition.body, (output.name for output in definition.outputs))
    frame = Frame(session, function.unit, region, flow)
    for param, type in zip(definition.params, function.params, strict=True):
        arg = region.add_arg(type or matrix(), param.name)
        frame.env[param.name] = Variable(arg if type is not None else None, None, param)
    frame.block(definition.body)
    results: list[Value] = []
    for output, type in zip(definition.outputs, function.outputs, strict=True):
        with frame.reporting():
            results.append(_output(frame, output, type))
    frame.op(definition, Return, results)
    return Func.new(sym=function.symbol, regions=[region], loc=definition.loc)


def _output(frame: Frame, output: ast.Param, type: Type | None) -> Value:
    """What a function hands out, in its declared type."""
    variable = frame.env.get(output.name)
    if variable is None:
        raise Diagnostic(
            f"the output '{output.name}' is never assigned", output.loc, hint=f"assign it: {output.name} = …"
        )
    value = variable.value
    if value is None or type is None:
        raise PoisonedError
    if variable.flag is not None:
        frame.op(output, RequireDefined, variable.flag, variable=output.name)
    source = value.type
    if data_type(source) == data_type(type) != "scalar":
        return value
    if is_scalar(source) and is_scalar(type):
        widening = (source is i64 and type is f64) or (source is i1 and type in (i64, f64))
        if source is type or widening or box in (source, type):
            return frame.cast(output, value, type)
    raise Diagnostic(
        f"the output '{output.name}' is declared as {describe(type)}, but is {describe(source)} here",
        variable.at.loc,
        hint=_cast_hint(source, type),
    )


def _cast_hint(source: Type, type: Type) -> str | None:
    if not is_scalar(source) and is_scalar(type):
        return "take one cell out: as.scalar(…)"
    if is_scalar(source) and not is_scalar(type):
        return "make a matrix of it: as.matrix(…)" if type is matrix() else "make a list of it: list(…)"
    casts = {i64: "as.integer", f64: "as.double", i1: "as.logical"}
    return f"convert it: {casts[type]}(…)" if type in casts else 'join it to a string: "" + …'
