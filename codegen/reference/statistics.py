"""Scans, quantiles, grouped aggregates, linear algebra and distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import linalg, stats

from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.ir.core import Op


@evaluates("cumsum", "cumprod", "cummin", "cummax", "rowcumsum")
def cumulative(op: Op, a: Any) -> Any:
    f = {"cumprod": np.multiply, "cummin": np.minimum, "cummax": np.maximum}.get(op.fn, np.add)
    with np.errstate(all="ignore"):
        return f.accumulate(a, axis=1 if op.fn == "rowcumsum" else 0)


@evaluates("cumsumprod")
def cumsumprod(op: Op, a: Any) -> Any:
    out, last = [], 0.0
    for x, y in a:
        last = x + y * last if out else x
        out.append(last)
    return np.array(out, float).reshape(-1, 1)


@evaluates("row_index_max", "row_index_min")
def row_index(op: Op, a: Any) -> Any:
    out = []
    for row in a:
        best = 0
        for j, x in enumerate(row):
            current = row[best]
            if x == x and (
                current != current or (x >= current if op.fn == "row_index_max" else x <= current)
            ):
                best = j
        out.append(best + 1.0)
    return np.array(out).reshape(-1, 1)


def _weights(op: Op, a: Any, w: Any) -> Any:
    if a.shape[1] != 1:
        raise fail(op, f"needs a column vector, got {a.shape}")
    if w.size and w.shape != a.shape:
        raise fail(op, f"the weights are {w.shape}, the data {a.shape}")
    return w[:, 0] if w.size else np.ones(a.shape[0])


def _mean(x: Any, weights: Any) -> Any:
    """A weight of 0 leaves the value out, whatever it is."""
    kept = weights != 0
    total = weights.sum()
    return (x[kept] * weights[kept]).sum() / total if total else math.nan


@evaluates("weighted_mean")
def weighted_mean(op: Op, a: Any, w: Any) -> float:
    kept = w != 0
    return float((a[kept] * w[kept]).sum() / w.sum())


@evaluates("moment")
def moment(op: Op, a: Any, w: Any, k: int) -> float:
    weights = _weights(op, a, w)
    total = weights.sum()
    mean = _mean(a[:, 0], weights)
    return float(total if k == 0 else mean if k == 1 else _mean((a[:, 0] - mean) ** k, weights))


@evaluates("cov")
def cov(op: Op, x: Any, y: Any, w: Any) -> float:
    weights = _weights(op, x, w)
    total = weights.sum()
    dx, dy = (v[:, 0] - _mean(v[:, 0], weights) for v in (x, y))
    return float(_mean(dx * dy, weights) * total / max(total - 1, 1)) if total >= 1 else math.nan


def _expanded(op: Op, a: Any, w: Any) -> Any:
    cells = np.sort(np.repeat(a[:, 0], _weights(op, a, w).astype(int)))
    if not cells.size:
        raise fail(op, f"{op.fn} of an empty vector")
    return cells


@evaluates("median")
def median(op: Op, a: Any, w: Any) -> float:
    cells = _expanded(op, a, w)
    n = len(cells)
    return float(cells[n // 2] if n % 2 else (cells[n // 2 - 1] + cells[n // 2]) / 2)


@evaluates("quantile")
def quantile(op: Op, a: Any, w: Any, p: Any) -> Any:
    cells = _expanded(op, a, w)
    return np.array([cells[max(math.ceil(q * len(cells)), 1) - 1] for q in p[:, 0]]).reshape(-1, 1)


@evaluates("inter_quantile")
def inter_quantile(op: Op, a: Any, w: Any, p: float) -> Any:
    cells = _expanded(op, a, w)
    low, high = math.ceil(min(p, 1 - p) * len(cells)), math.ceil(max(p, 1 - p) * len(cells))
    return cells[low:high].reshape(-1, 1)


@evaluates("inter_quartile_mean")
def inter_quartile_mean(op: Op, a: Any, w: Any) -> float:
    cells = _expanded(op, a, w)
    n = len(cells)
    parts = [max(0.0, min(i + 1, 0.75 * n) - max(i, 0.25 * n)) for i in range(n)]
    return float(sum(part * x for part, x in zip(parts, cells, strict=True) if part) / (0.5 * n))


@evaluates("count_distinct")
def count_distinct(op: Op, a: Any) -> Any:
    def count(cells: Any) -> float:
        return float(len(np.unique(cells)))

    dir = op.attrs.get("dir", "full")
    if dir == "row":
        return np.array([count(r) for r in a]).reshape(-1, 1)
    if dir == "col":
        return np.array([count(c) for c in a.T]).reshape(1, -1)
    return np.full((1, 1), count(a))


@evaluates("grouped_aggregate")
def grouped_aggregate(
    op: Op, target: Any, groups: Any, w: Any, function: str, order: int, ngroups: int
) -> Any:
    ids = groups.ravel().astype(int)
    columns = target.reshape(-1, 1) if target.shape[0] == 1 and len(ids) > 1 else target
    weights = w.ravel() if w.size else np.ones(len(ids))
    if (ids < 1).any():
        raise fail(op, "aggregate: ids must be at least 1")
    count = ngroups if ngroups >= 0 else int(ids.max(initial=0))
    out = np.zeros((count, columns.shape[1]))
    for g in range(count):
        for c in range(columns.shape[1]):
            x, v = columns[ids == g + 1, c], weights[ids == g + 1]
            n = v.sum()
            mean = _mean(x, v)
            power = {"variance": 2, "centralmoment": order}.get(function, 0)
            spread = _mean((x - mean) ** power, v)
            out[g, c] = {
                "sum": (x[v != 0] * v[v != 0]).sum(),
                "count": n,
                "mean": mean,
                "variance": spread * n / max(n - 1, 1) if n >= 1 else math.nan,
                "centralmoment": spread,
                "min": x.min(initial=math.inf),
                "max": x.max(initial=-math.inf),
            }[function]
    return out


def _square(op: Op, a: Any) -> None:
    if a.shape[0] != a.shape[1]:
        raise fail(op, f"{op.fn} needs a square matrix, got {a.shape}")
    if op.fn != "det":
        _finite(op, a)


def _finite(op: Op, a: Any) -> None:
    if not np.isfinite(a).all():
        raise fail(op, f"{op.fn}: the matrix has cells that are NaN or infinite")


def _symmetric(op: Op, a: Any) -> None:
    _square(op, a)
    if not np.allclose(a, a.T, rtol=1e-12, atol=0):
        raise fail(op, f"{op.fn}: the matrix is not symmetric")


@evaluates("solve")
def solve(op: Op, a: Any, b: Any) -> Any:
    _square(op, a)
    if a.shape[0] and (np.linalg.matrix_rank(a) < a.shape[0]):
        raise fail(op, "solve: the matrix is singular")
    return np.linalg.solve(a, b)


@evaluates("inv")
def inv(op: Op, a: Any) -> Any:
    _square(op, a)
    if a.shape[0] and np.linalg.matrix_rank(a) < a.shape[0]:
        raise fail(op, "inv: the matrix is singular")
    return np.linalg.inv(a)


@evaluates("det")
def det(op: Op, a: Any) -> float:
    _square(op, a)
    return float(np.linalg.det(a))


@evaluates("cholesky")
def cholesky(op: Op, a: Any) -> Any:
    _symmetric(op, a)
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError as error:
        raise fail(op, "cholesky: the matrix is not positive definite") from error


@evaluates("qr")
def qr(op: Op, a: Any) -> Any:
    _finite(op, a)
    (raw, tau), r = linalg.qr(a, mode="raw")
    vectors = np.tril(raw, -1) + np.eye(*a.shape)
    full = np.zeros_like(a)
    full[: r.shape[0]] = r[: a.shape[0]]
    full[: len(tau)][tau == 0] *= -1  # no reflector for the library, one that changes a sign for H
    return vectors, full


@evaluates("lu")
def lu(op: Op, a: Any) -> Any:
    _square(op, a)
    p, lower, upper = linalg.lu(a)
    return p.T, lower, upper


@evaluates("eigen")
def eigen(op: Op, a: Any) -> Any:
    _symmetric(op, a)
    values, vectors = np.linalg.eigh(a)
    return values.reshape(-1, 1), vectors


@evaluates("svd")
def svd(op: Op, a: Any) -> Any:
    _finite(op, a)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return u, np.diag(s), vt.T


def _distribution(op: Op, dist: str, a: float, b: float) -> Any:
    parameters = {"normal": [b], "f": [a, b]}.get(dist, [a])
    if not all(v > 0 for v in parameters):
        raise fail(op, f"the parameters of a distribution must be positive, got {parameters}")
    made = {
        "normal": lambda: stats.norm(a, b),
        "exp": lambda: stats.expon(scale=1 / a),
        "chisq": lambda: stats.chi2(a),
        "f": lambda: stats.f(a, b),
        "t": lambda: stats.t(a),
    }.get(dist)
    if made is None:
        raise fail(op, f"unknown distribution '{dist}'")
    return made()


@evaluates("cdf")
def cdf(op: Op, x: float, dist: str, a: float, b: float, lower: bool) -> float:
    d = _distribution(op, dist, a, b)
    return float(d.cdf(x) if lower else d.sf(x))


@evaluates("icdf")
def icdf(op: Op, p: float, dist: str, a: float, b: float, lower: bool) -> float:
    if not 0 <= p <= 1:
        raise fail(op, f"icdf: a probability must be between 0 and 1, got {p}")
    d = _distribution(op, dist, a, b)
    return float(d.ppf(p) if lower else d.isf(p))
