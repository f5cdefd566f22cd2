"""SystemML's interface: scripts with their inputs and outputs, and the context that executes them.

script = dml("Y = X * 2").input(X=X).output("Y")
Y = MLContext().execute(script).get("Y")
"""

from __future__ import annotations

import os
import sys
from typing import Any

from sysmlc.api import PathLike, Program, Results, read_source
from sysmlc.ir.source import Source


class Script:
    """A script with its inputs, arguments and outputs, for `MLContext.execute`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.inputs: dict[str, Any] = {}
        self.args: dict[str, Any] = {}
        self.outputs: list[str] = []

    def input(self, *pairs: Any, **values: Any) -> Script:
        """Bind variables, `input("X", X)` or `input(X=X)`; names with `$` are arguments of the script."""
        if len(pairs) % 2:
            raise TypeError("input takes name, value pairs")
        for name, value in [*zip(pairs[::2], pairs[1::2], strict=True), *values.items()]:
            if name.startswith("$"):
                self.args[name[1:]] = value
            else:
                self.inputs[name] = value
        return self

    def output(self, *names: str) -> Script:
        """Name variables to hand back."""
        self.outputs += names
        return self


class MLContext:
    """SystemML's entry point: `MLContext().execute(dml(text).input(X=X).output("w"))`."""

    def __init__(self, *_: Any) -> None:
        self._statistics: int | None = None

    def setStatistics(self, on: bool, top: int = 10) -> MLContext:
        """Print statistics after each script."""
        self._statistics = top if on else None
        return self

    def execute(self, script: Script) -> Results:
        """Compile and run a script."""
        program = Program(script.source, args=script.args, outputs=script.outputs)
        top = self._statistics
        configure = None if top is None else (lambda context: context.enable_statistics())
        results = program.run(script.inputs, configure=configure)
        if top is not None:
            print(results.context.statistics(top), file=sys.stderr)
        return results


def dml(text: str) -> Script:
    """A script given as text."""
    return Script(Source("<script>", text))


def dmlFromFile(path: PathLike) -> Script:
    """A script in a file."""
    return Script(read_source(os.fspath(path)))
