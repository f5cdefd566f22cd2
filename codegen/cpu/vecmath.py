"""Vector mathematics for kernels."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.codegen.cpu.target import Target


class MathLibrary:
    """The functions one module needs: definitions of its own, and declarations of intrinsics."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declared: dict[str, str] = {}
        self.defined: dict[str, str] = {}

    def call(self, kind: str, name: str, arguments: Sequence[str]) -> str:
        """A call as text; `arguments` are typed. The declaration is kept."""
        types = ", ".join(_type_of(a) for a in arguments)
        self.declared[name] = f"declare {kind} @{name}({types})"
        return f"call {kind} @{name}({', '.join(arguments)})"

    def need(self, fn: str) -> str:
        """The symbol of `fn` for the target's vectors; its definition becomes part of the module."""
        raise AssertionError(fn)

    def text(self) -> str:
        """Definitions and declarations."""
        return "\n".join([*self.defined.values(), *sorted(self.declared.values())])


def _type_of(argument: str) -> str:
    return argument[: argument.index(">") + 1] if argument.startswith("<") else argument.partition(" ")[0]
