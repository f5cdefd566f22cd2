"""Writes the references of operations, passes and builtins (docs/dialects.md, passes.md, builtins.md) from their definitions.

python -m sysmlc.tools.docgen [--check] [FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.frontends.dml.arguments import Builtin
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.ir.core import Op
from sysmlc.ir.define import AttrField, Definition, definitions
from sysmlc.ir.passes import Pass, pipeline_text
from sysmlc.ir.printer import attr_text
from sysmlc.passes import all_passes

DIALECTS = {
    "core": "Structure",
    "scf": "Structured control flow",
    "dml": "Logical operations",
    "fused": "Fused regions and physical choices",
    "kernel": "Kernels: loops over memory",
    "rt": "The program: runtime calls and ownership",
}
_TYPE_NAMES = {"Matrix": "matrix", "Scalar": "scalar", "Handle": "handle", "Vector": "vec"}
_GENERATED = (
    "Generated from the definitions by `python -m sysmlc.tools.docgen`; a test says when it is stale.\n"
)


def dialects_page() -> str:
    """docs/dialects.md."""
    by_dialect: dict[str, list[Definition]] = {}
    for cls, definition in definitions.items():
        by_dialect.setdefault(cls.dialect, []).append(definition)
    order = [*DIALECTS, *sorted(set(by_dialect) - set(DIALECTS))]
    lines = ["# Operations", "", _GENERATED]
    lines += [f"- [`{d}`](#{d}): {DIALECTS.get(d, '')}" for d in order if d in by_dialect]
    for dialect in order:
        if dialect in by_dialect:
            lines += ["", f"## {dialect}", ""]
            for module, chapter in _chapters(by_dialect[dialect]):
                lines += [_paragraph(module), ""]
                for definition in sorted(chapter, key=lambda d: d.cls.names[0]):
                    lines += _operation(definition)
    return "\n".join(lines).rstrip() + "\n"


def _chapters(operations: list[Definition]) -> list[tuple[str, list[Definition]]]:
    """The operations by the file that defines them, with its description."""
    files: dict[str, list[Definition]] = {}
    for definition in operations:
        files.setdefault(definition.cls.__module__, []).append(definition)
    return [(sys.modules[name].__doc__ or "", found) for name, found in sorted(files.items())]


def _paragraph(doc: str) -> str:
    return inspect.cleandoc(doc)


def _operation(d: Definition) -> list[str]:
    names = [n.partition(".")[2] for n in d.cls.names]
    title = f"{d.cls.dialect}.{names[0]}" if len(names) == 1 else f"{d.cls.dialect}: {', '.join(names)}"
    lines = [f"### {title}", "", "```", _syntax(d), "```", "", _paragraph(d.cls.__doc__ or ""), ""]
    facts = [_attr(a) for a in d.attrs]
    if d.cls.consumes:
        facts.append(f"takes over: {', '.join(d.operands[i].name for i in d.cls.consumes)}")
    if d.cls.traits:
        facts.append(f"traits: {', '.join(sorted(d.cls.traits))}")
    return lines + ([f"- {f}" for f in facts] + [""] if facts else [])


def _syntax(d: Definition) -> str:
    name = d.cls.names[0] if len(d.cls.names) == 1 else f"{d.cls.dialect}.<name>"
    operands = ", ".join(f"%{f.name}{'…' if f.variadic else ''}{_types(f.types)}" for f in d.operands)
    required = [f"{a.name} = …" for a in d.attrs if a.required]
    optional = [f"[{a.name} = …]" for a in d.attrs if not a.required]
    attrs = f" {{{', '.join(required + optional)}}}" if d.attrs else ""
    regions = "".join(f" {{ {r} }}" for r in d.regions)
    results = "" if _no_results(d.cls) else "%results = "
    return (
        f"{results}{name}{' ' if operands else ''}{operands}{attrs}{' : types' if results else ''}{regions}"
    )


def _no_results(cls: type[Op]) -> bool:
    """Whether inference gives nothing whatever the operands are (its body is `return ()`)."""
    return cls.infer is not Op.infer and inspect.getsource(cls.infer).rstrip().endswith(
        ":\n        return ()"
    )


def _types(types: tuple[Any, ...]) -> str:
    return f": {'|'.join(_TYPE_NAMES.get(t.__name__, t.__name__) for t in types)}" if types else ""


def _attr(a: AttrField) -> str:
    kinds = " or ".join(t.__name__ for t in a.types)
    return f"`{a.name}`: {kinds}" + ("" if a.required else f", {attr_text(a.default)} by default")


def passes_page() -> str:
    """docs/passes.md."""
    from sysmlc.passes.pipelines import pipeline

    lines = ["# Passes", "", _GENERATED, "What the levels run:", ""]
    for level in (0, 1, 2):
        lines += [f"- `-O{level}`: {_pipeline(pipeline(level))}"]
    for one in all_passes():
        lines += ["", f"## {one.name}", "", _paragraph(one.__doc__ or "")]
        fields = dataclasses.fields(one)
        if fields:
            lines += ["", "Options:", ""]
            lines += [f"- `{f.name.replace('_', '-')}` = {_default(f.default)}" for f in fields]
    return "\n".join(lines).rstrip() + "\n"


def _pipeline(passes: list[Pass]) -> str:
    return f"`{pipeline_text(passes)}`" if passes else "nothing"


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def builtins_page() -> str:
    """docs/builtins.md."""
    lines = ["# Builtin functions of DML", "", _GENERATED]
    lines += [
        "Arguments can be named or given in order; those in brackets, and those with a default, can be left out.",
        "",
    ]
    lines += [f"- `{_call(name, builtin)}`" for name, builtin in TABLE.items()]
    return "\n".join(lines) + "\n"


def _call(name: str, builtin: Builtin) -> str:
    shown = []
    for part in builtin.signature.removeprefix("…").split(", "):
        declaration, _, default = part.partition(" = ")
        argument = declaration.partition(": ")[0]
        if not default or ": " not in declaration:
            shown.append(part if default else argument)
        elif default in ("?", "none"):
            shown.append(f"[{argument}]")
        else:
            shown.append(f"{argument} = {default}".replace("\n", "\\n"))
    results = f"[{', '.join('abc'[: builtin.results])}] = " if builtin.results > 1 else ""
    return f"{results}{name}({', '.join(shown)})"


def pages() -> dict[str, str]:
    """The generated files by name."""
    return {"dialects.md": dialects_page(), "passes.md": passes_page(), "builtins.md": builtins_page()}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, or with --check say which are stale."""
    parser = argparse.ArgumentParser(
        prog="docgen", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="docs", help="where the pages are (docs)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    given = parser.parse_args(argv)
    folder = Path(given.folder)
    stale = []
    for name, text in pages().items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path))
        if not given.check:
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if given.check and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python -m sysmlc.tools.docgen\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
