"""Errors that the tree of a script shows without any types: all of them, also in functions nobody calls.

`check` looks at definitions (names, parameters, outputs), calls of the script's own functions (arguments against
the signature), variables that nothing assigns, and the parameters of `parfor`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.absent import ABSENT
from sysmlc.frontends.dml.unparse import to_source
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic, Note

Definition: TypeAlias = ast.FunctionDef | ast.ExternalFunction

MAX_HINTS: Final = 20
CONSTANTS: Final = ("Inf", "NaN", "pi")
_FOREIGN_NAMES: Final = {
    **dict.fromkeys(("T", "true", "True"), "write TRUE"),
    **dict.fromkeys(("F", "false", "False"), "write FALSE"),
    **dict.fromkeys(("NULL", "None", "null"), "DML has no empty value"),
    **dict.fromkeys(("NA", "nan", "NAN"), "write NaN"),
    **dict.fromkeys(("INF", "inf", "Infinity"), "write Inf"),
    **dict.fromkeys(("PI", "Pi"), "write pi"),
}
PARFOR_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "check": ("0", "1"),
    "par": (),
    "mode": ("LOCAL", "REMOTE_MR", "REMOTE_MR_DP", "REMOTE_SPARK", "REMOTE_SPARK_DP"),
    "taskpartitioner": ("FIXED", "NAIVE", "STATIC", "FACTORING", "FACTORING_CMIN", "FACTORING_CMAX"),
    "tasksize": (),
    "datapartitioner": ("NONE", "LOCAL", "REMOTE_MR", "REMOTE_SPARK"),
    "resultmerge": ("LOCAL_AUTOMATIC", "LOCAL_MEM", "LOCAL_FILE", "REMOTE_MR", "REMOTE_SPARK"),
    "opt": ("RULEBASED", "NONE", "CONSTRAINED", "HEURISTIC"),
    "log": ("ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"),
    "profile": ("0", "1"),
}
"""The parameters of `parfor` with their legal values; none are listed where any number above 0 will do."""


def check(
    program: ast.Program,
    *,
    builtins: Collection[str] | None = None,
    namespaces: Mapping[str, Mapping[str, Definition]] | None = None,
    variables: Collection[str] = (),
) -> list[Diagnostic]:
    """The errors of a script, in source order.

    Unknown functions are errors only where `builtins`, the names of all others, is given; functions of other
    files are checked where `namespaces` has them (without it, only that the namespace is imported). `variables` are
    defined from outside before the script starts.
    """
    checker = _Checker(program, builtins, namespaces)
    checker.definitions()
    checker.scope(program.body, (), variables)
    for function in program.functions:
        if isinstance(function, ast.FunctionDef):
            checker.scope(function.body, function.params)
            checker.outputs(function)
    return sorted(checker.errors, key=lambda error: (error.loc.line, error.loc.col))


def signature(function: Definition) -> str:
    """`f(matrix[double] X, int k = 3) return (double s)`, for messages."""
    params, outputs = (", ".join(map(to_source, group)) for group in (function.params, function.outputs))
    return f"{function.name}({params})" + (f" return ({outputs})" if function.outputs else "")


@dataclass(slots=True)
class _Checker:
    program: ast.Program
    builtins: Collection[str] | None
    namespaces: Mapping[str, Mapping[str, Definition]] | None
    functions: dict[str, Definition] = field(default_factory=dict)
    imported: dict[str, ast.Import] = field(default_factory=dict)
    errors: list[Diagnostic] = field(default_factory=list)

    def error(
        self, message: str, node: ast.Node, hint: str | None = None, *, first: ast.Node | None = None
    ) -> None:
        notes = (Note("the first one is here", first.loc),) if first is not None else ()
        self.errors.append(Diagnostic(message, node.loc, hint=hint, notes=notes))

    def near(self, name: str, known: Iterable[str]) -> str | None:
        """A hint for an unknown name; the search is slow, and nobody reads a hundred hints."""
        return nearest(name, known) if len(self.errors) < MAX_HINTS else None

    # ---- definitions

    def definitions(self) -> None:
        for function in self.program.functions:
            first = self.functions.setdefault(function.name, function)
            if first is not function:
                self.error(f"the function '{function.name}' is defined twice", function, first=first)
            for kind, params in (("parameter", function.params), ("output", function.outputs)):
                seen: dict[str, ast.Param] = {}
                for param in params:
                    if seen.setdefault(param.name, param) is not param:
                        message = f"'{function.name}' has two {kind}s named '{param.name}'"
                        self.error(message, param, first=seen[param.name])
                    if param.type.data == "matrix" and param.type.value not in ("double", "unknown"):
                        self.error("the cells of a matrix are doubles", param.type, "write 'matrix[double]'")
        for statement in _statements(self.program.body):
            if isinstance(statement, ast.Import):
                first_import = self.imported.setdefault(statement.namespace, statement)
                if first_import is not statement and first_import.path != statement.path:
                    message = f"two files are imported as '{statement.namespace}'"
                    self.error(message, statement, first=first_import)

    def outputs(self, function: ast.FunctionDef) -> None:
        """Every output is a parameter or assigned somewhere in the body."""
        assigned = {param.name for param in function.params}
        assigned.update(name.name for name in _targets(function.body))
        for output in function.outputs:
            if output.name not in assigned:
                hint = self.near(output.name, assigned)
                self.error(f"'{function.name}' never assigns its output '{output.name}'", output, hint)

    # ---- variables

    def scope(
        self, body: tuple[ast.Statement, ...], params: Iterable[ast.Param], variables: Collection[str] = ()
    ) -> None:
        """Names and calls of one function body, or of the script."""
        targets = _targets(body)
        known = {param.name for param in params} | {name.name for name in targets} | {*CONSTANTS, *variables}
        skipped = {id(name) for name in targets}
        defaults = [param.default for param in params if param.default is not None]
        skipped.update(id(inner) for default in defaults for inner in ast.walk(default))
        wanted: dict[int, int | None] = {}
        for node in (node for root in (*defaults, *body) for node in ast.walk(root)):
            if isinstance(node, ast.Name):
                if node.name not in known and id(node) not in skipped:
                    self.undefined(node, known)
                    known.add(node.name)
            elif isinstance(node, ast.Call):
                if node.name == "exists":
                    skipped.update(id(arg.value) for arg in node.args)
                function = self.resolve(node)
                if function is not None:
                    self.arguments(node, function)
                    self.results(node, function, wanted.get(id(node), 0))
            elif isinstance(node, ast.CallStatement):
                wanted[id(node.call)] = None
            elif isinstance(node, ast.MultiAssign):
                wanted[id(node.call)] = len(node.targets)
            elif isinstance(node, ast.For):
                skipped.update(id(inner) for param in node.params for inner in ast.walk(param))
                if isinstance(node, ast.ParFor):
                    self.parfor(node)
            elif isinstance(node, ast.Assign) and node.accumulate and node.target.name not in known:
                known.add(node.target.name)
                message = f"'+=' adds to the variable '{node.target.name}', which is not defined"
                self.error(message, node.target, f"write '{node.target.name} = 0' before")

    def undefined(self, node: ast.Name, known: Iterable[str]) -> None:
        hint = _FOREIGN_NAMES.get(node.name)
        if hint is None and (node.name in self.functions or node.name in (self.builtins or ())):
            hint = f"'{node.name}' is a function: call it with parentheses"
        self.error(f"variable '{node.name}' is not defined", node, hint or self.near(node.name, known))

    def parfor(self, loop: ast.ParFor) -> None:
        """Parameters of `parfor` have known names and values; an argument `$x` may be any."""
        seen: set[str] = set()
        for param in loop.params:
            name = param.name or ""
            if name not in PARFOR_PARAMETERS:
                hint = self.near(name, PARFOR_PARAMETERS) or "it has " + ", ".join(PARFOR_PARAMETERS)
                self.error(f"parfor has no parameter '{name}'", param, hint)
                continue
            if name in seen:
                self.error(f"the parameter '{name}' is given twice", param)
            seen.add(name)
            legal, given = PARFOR_PARAMETERS[name], _constant(param.value)
            if legal and given is not None and given.upper() not in legal:
                self.error(
                    f"'{given}' is no value of '{name}'", param.value, f"it is one of {', '.join(legal)}"
                )
            elif not legal and not isinstance(param.value, ast.Name) and not _is_count(given):
                self.error(f"'{name}' is a whole number above 0, not '{given}'", param.value)

    # ---- calls

    def resolve(self, call: ast.Call) -> Definition | None:
        """The script's function that is called; reports names that nothing defines."""
        space, name = call.namespace, call.name
        if space is None:
            if name not in self.functions and self.builtins is not None and name not in self.builtins:
                hint = self.near(name, [*self.functions, *(b for b in self.builtins if b not in ABSENT)])
                self.errors.append(Diagnostic(f"there is no function '{name}'", call.name_loc, hint=hint))
            return self.functions.get(name)
        if space not in self.imported:
            hint = self.near(space, self.imported) or f'source("file.dml") as {space}'
            self.errors.append(Diagnostic(f"there is no namespace '{space}'", call.name_loc, hint=hint))
            return None
        if self.namespaces is None or space not in self.namespaces:
            return None
        functions = self.namespaces[space]
        if name not in functions:
            hint = self.near(name, functions) or f"{space} has {', '.join(sorted(functions)[:8])}"
            self.errors.append(Diagnostic(f"'{space}' has no function '{name}'", call.name_loc, hint=hint))
        return functions.get(name)

    def arguments(self, call: ast.Call, function: Definition) -> None:
        """All by position, or all by name; parameters without a default have to be given.

        SystemML and SystemDS want positional calls complete; here what is missing at their end has its default, so
        that the library's functions can take more parameters than older scripts give.
        """
        shown = signature(function)
        params = {param.name: param for param in function.params}
        given: dict[str, ast.Arg] = {}
        named = [arg for arg in call.args if arg.name is not None]
        if named and len(named) < len(call.args):
            stray = next(arg for arg in call.args if (arg.name is None) != (call.args[0].name is None))
            message = f"the arguments of '{call.full_name}' are partly named: name all of them, or none"
            self.error(message, stray, shown)
            return
        if not named:
            if len(call.args) > len(params):
                message = f"'{call.full_name}' takes {_count(len(params), 'argument')}, not {len(call.args)}"
                self.error(message, call.args[len(params)], shown)
            left = [param for param in function.params[len(call.args) :] if param.default is None]
            if left:
                message = f"'{call.full_name}' lacks {_listed(left)}"
                self.errors.append(Diagnostic(message, call.name_loc, hint=shown))
            return
        for arg in named:
            assert arg.name is not None
            if arg.name not in params:
                close = self.near(arg.name, params)
                message = f"'{call.full_name}' has no parameter '{arg.name}'"
                self.error(message, arg, f"{close} {shown}" if close else shown)
            elif given.setdefault(arg.name, arg) is not arg:
                self.error(f"the argument '{arg.name}' is given twice", arg, first=given[arg.name])
        left = [param for param in params.values() if param.name not in given and param.default is None]
        if left and all(arg.name in params for arg in named):
            self.errors.append(
                Diagnostic(f"'{call.full_name}' lacks {_listed(left)}", call.name_loc, hint=shown)
            )

    def results(self, call: ast.Call, function: Definition, wanted: int | None) -> None:
        """An expression (`wanted` is 0) uses one result, several variables at most all, a statement (None) none."""
        there = len(function.outputs)
        if wanted is None or (there == 1 if wanted == 0 else wanted <= there):
            return
        message = f"'{call.full_name}' returns {_count(there, 'value') if there else 'nothing'}"
        hint = signature(function)
        if there > 1 and wanted == 0:
            names = ", ".join(output.name for output in function.outputs)
            hint = f"write '[{names}] = {call.full_name}(…)'"
        elif wanted > 0 and there:
            message += f", not {wanted}"
        self.errors.append(Diagnostic(message, call.name_loc, hint=hint))


def _statements(body: Iterable[ast.Statement]) -> Iterator[ast.Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements((*statement.body, *statement.orelse))
        elif isinstance(statement, ast.While | ast.For):
            yield from _statements(statement.body)


def _targets(body: Iterable[ast.Statement]) -> list[ast.Name]:
    """The names that get a value somewhere; those of `+=` and of indexed assignments need one before."""
    found: list[ast.Name] = []
    for statement in _statements(body):
        if isinstance(statement, ast.Assign) and not statement.accumulate:
            found.append(statement.target)
        elif isinstance(statement, ast.MultiAssign):
            found.extend(target for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.For):
            found.append(statement.var)
    return found


def _constant(value: ast.Expr) -> str | None:
    """The value of a parameter where it is written out, as `4`, `LOCAL` or `"LOCAL"`."""
    if isinstance(value, ast.Name):
        return value.name
    if isinstance(value, ast.IntLit | ast.DoubleLit | ast.StringLit):
        return str(value.value)
    return None


def _is_count(given: str | None) -> bool:
    return given is None or given == "auto" or (given.isdecimal() and given.strip("0") != "")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _listed(params: list[ast.Param]) -> str:
    names = ", ".join(f"'{param.name}'" for param in params)
    return f"the argument{'' if len(params) == 1 else 's'} {names}"
