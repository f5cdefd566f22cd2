"""Conversions that the compiler planned happen once; those that could not be carried out are left to the operators."""

from __future__ import annotations

from typing import Any

from scipy import sparse

import sysmlc


def run(script: str, inputs: dict[str, Any]) -> tuple[Any, str]:
    contexts: list[Any] = []

    def configure(context: Any) -> None:
        context.enable_statistics()
        contexts.append(context)

    results = sysmlc.compile(script, outputs=["s"]).run(inputs, configure=configure)
    return results["s"], contexts[0].statistics(5)


def test_one_conversion_serves_all_rounds() -> None:
    x = sparse.random(2000, 500, 0.05, format="csr", random_state=1)
    found, report = run(
        "s = 0\nfor (i in 1:20) s = s + sum(replace(target=X, pattern=0, replacement=i))\n", {"X": x}
    )
    assert found > 0
    assert "Conversions: 1 to dense, 0 to sparse (1 planned)" in report


def test_operators_convert_what_nobody_planned() -> None:
    x = sparse.random(2000, 500, 0.05, format="csr", random_state=1)
    _, report = run(
        "s = 0\nfor (i in 1:3) { if (i == 2) s = s + sum(replace(target=X, pattern=0, replacement=i)) }\n",
        {"X": x},
    )
    assert "Conversions: 1 to dense, 0 to sparse (0 planned)" in report


def test_what_would_fill_the_memory_stays_sparse() -> None:
    """Half a terabyte, if it were dense, and the loop that would need it never runs."""
    x = sparse.csr_matrix(([1.0, 2.0], ([5, 7], [3, 250_000])), shape=(300_000, 300_000))
    script = "s = sum(X)\nwhile (s > 3) s = s - sum(exp(X + s))\n"
    found, report = run(script, {"X": x})
    assert found == 3
    assert "Conversions: 0 to dense, 0 to sparse" in report
