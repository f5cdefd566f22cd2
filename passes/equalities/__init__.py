"""Equalities of functions: `exp(a) * b / exp(c)`, `1 / (1 + exp(-x))`, `max(exp(X))`, found by saturation of an e-graph.

Cellwise operations of a region (`program`) become classes of equal terms (`graph`), laws (`laws`) add terms until nothing new is
found, and the cheapest terms for all results together (`extract`) become operations again. Products and sums of matrices are
the business of `sum-product`, which comes after.
"""

from sysmlc.passes.equalities.program import Equalities

__all__ = ["Equalities"]
