"""How rule tables write the logical operations: DML's operators and function names, `@` for the matrix product.

Other functions are operations by their own name: `t(X)` is `dml.t`. Since `min` and `max` are aggregates, the cellwise ones
are `pmin` and `pmax`.
"""

from __future__ import annotations

from typing import Final

from sysmlc.ir.rules import Vocabulary

_OPERATORS: Final = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "%%": "mod", "%/%": "intdiv", "@": "matmul",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "&": "and", "|": "or", "!": "not",
    "min": "min_of", "max": "max_of", "rowMaxs": ("max_of", "row"), "rowMins": ("min_of", "row"),
    "colMaxs": ("max_of", "col"), "colMins": ("min_of", "col"), "pmin": "min", "pmax": "max",
    "rowSums": ("sum", "row"), "colSums": ("sum", "col"), "rowMeans": ("mean", "row"), "colMeans": ("mean", "col"),
    "rowProds": ("prod", "row"), "colProds": ("prod", "col"), "rowVars": ("var", "row"), "colVars": ("var", "col"),
    "rowSds": ("sd", "row"), "colSds": ("sd", "col"), "rowSumSqs": ("sumsq", "row"), "colSumSqs": ("sumsq", "col"),
}  # fmt: skip
_SCALAR_RESULTS: Final = (
    "nrow", "ncol", "length", "nnz", "trace", "det", "as_scalar", "get_cell", "cast", "concat", "median",
)  # fmt: skip
DML: Final = Vocabulary(
    "dml",
    {
        k: (f"dml.{v}", {}) if isinstance(v, str) else (f"dml.{v[0]}", {"dir": v[1]})
        for k, v in _OPERATORS.items()
    },
    frozenset(f"dml.{n}" for n in _SCALAR_RESULTS),
)
