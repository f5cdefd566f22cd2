"""sysmlc compiles DML, the R-like language of declarative machine learning, to native programs.

`compile` turns a script into a `Program`, `run` compiles and runs it in one call, and `MLContext` with `dml`
is the interface SystemML users know. All of them load on first use: importing the package costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # for type checkers, without loading `typing`
    from typing import Any

    from sysmlc.api import Program, compile, run
    from sysmlc.ir.source import Diagnostic, DiagnosticGroup
    from sysmlc.mlcontext import MLContext, dml, dmlFromFile
    from sysmlc.runtime.bridge import NativeError

__version__ = "0.1.0"
__all__ = [
    "Diagnostic",
    "DiagnosticGroup",
    "MLContext",
    "NativeError",
    "Program",
    "__version__",
    "compile",
    "dml",
    "dmlFromFile",
    "run",
]

_HOMES = {
    "Diagnostic": "sysmlc.ir.source",
    "DiagnosticGroup": "sysmlc.ir.source",
    "MLContext": "sysmlc.mlcontext",
    "NativeError": "sysmlc.runtime.bridge",
    "Program": "sysmlc.api",
    "compile": "sysmlc.api",
    "dml": "sysmlc.mlcontext",
    "dmlFromFile": "sysmlc.mlcontext",
    "run": "sysmlc.api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sysmlc' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
