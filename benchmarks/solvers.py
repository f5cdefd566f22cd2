"""The examples' methods in steady state against scikit-learn's solvers of the same problem, on larger made-up data.

    python benchmarks/solvers.py [--rows 100000] [--rounds 5]

Both sides solve the same objective; what they reach is printed beside the times, so that nobody wins by stopping early.
Data lies in memory; compilation happens before the clock starts.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

from measure import clocked, machine, median, side_by_side, table  # noqa: E402

import sysmlc  # noqa: E402

Matrix = NDArray[np.float64]


@dataclass
class Contest:
    """One method: our script with its inputs, the peer's fit, and the objective both are judged by."""

    script: str
    inputs: dict[str, Matrix]
    args: dict[str, Any]
    output: str
    peer: str
    fit: Callable[[], Any]
    objective: Callable[[Any], float]
    """Of our output or the peer's, as `fit` gives it: smaller is better."""


def features(rows: int, cols: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, cols))


def with_ones(X: Matrix) -> Matrix:
    return np.hstack([X, np.ones((len(X), 1))])


def ridge(rows: int, script: str) -> Contest:
    from sklearn.linear_model import Ridge

    X = features(rows, 100, 1)
    y = X @ features(100, 1, 2) + 0.1 * features(rows, 1, 3)
    A = with_ones(X)

    def fit() -> Matrix:
        solver = "cholesky" if script.endswith("ds") else "sparse_cg"
        model = Ridge(alpha=1e-6, solver=solver, tol=1e-9).fit(X, y.ravel())
        return np.append(model.coef_, model.intercept_)[:, None]

    name = "Ridge(cholesky)" if script.endswith("ds") else "Ridge(sparse_cg)"
    return Contest(
        script, {"X": X, "y": y}, {"reg": 1e-6}, "B", name, fit,
        lambda B: float(np.sum((y - A @ B) ** 2) + 1e-6 * np.sum(B[:-1] ** 2)),
    )  # fmt: skip


def logistic(rows: int) -> Contest:
    from sklearn.linear_model import LogisticRegression

    X = features(rows, 50, 4)
    scores = X @ features(50, 5, 5) + np.random.default_rng(6).gumbel(size=(rows, 5))
    y = scores.argmax(axis=1)[:, None] + 1.0
    A = with_ones(X)

    def fit() -> Matrix:
        model = LogisticRegression(C=1.0, tol=1e-6, max_iter=1000).fit(X, y.ravel())
        return np.vstack([model.coef_.T, model.intercept_])

    def objective(B: Matrix) -> float:
        S = A @ B
        log_sum = np.log(np.exp(S - S.max(axis=1, keepdims=True)).sum(axis=1)) + S.max(axis=1)
        picked = S[np.arange(rows), y.ravel().astype(int) - 1]
        return float(np.sum(log_sum - picked) + 0.5 * np.sum(B[:-1] ** 2))

    return Contest(
        "logistic_regression", {"X": X, "y": y}, {"scale": 0, "tol": 1e-6}, "B",
        "LogisticRegression(lbfgs)", fit, objective,
    )  # fmt: skip


def svm(rows: int) -> Contest:
    from sklearn.svm import LinearSVC

    X = features(rows, 100, 7)
    y = np.sign(X @ features(100, 1, 8) + 3 * features(rows, 1, 9))
    A = with_ones(X)

    def fit() -> Matrix:
        model = LinearSVC(C=0.5, loss="squared_hinge", dual=False, tol=1e-6).fit(X, y.ravel())
        return np.append(model.coef_, model.intercept_)[:, None]

    return Contest(
        "l2svm", {"X": X, "y": y}, {"scale": 0, "tol": 1e-6}, "w", "LinearSVC(primal)", fit,
        lambda w: float(0.5 * np.sum(w**2) + 0.5 * np.sum(np.maximum(1 - y * (A @ w), 0) ** 2)),
    )  # fmt: skip


def clusters(rows: int) -> Contest:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(10)
    centers = 4 * rng.standard_normal((10, 20))
    X = centers[rng.integers(10, size=rows)] + rng.standard_normal((rows, 20))

    def fit() -> Matrix:
        return KMeans(10, n_init=5, tol=1e-6, algorithm="lloyd", random_state=0).fit(X).cluster_centers_

    def objective(C: Matrix) -> float:
        return float(((X**2).sum(1) + (-2 * X @ C.T + (C**2).sum(1)).min(axis=1)).sum())

    return Contest("kmeans", {"X": X}, {"k": 10}, "C_best", "KMeans(lloyd)", fit, objective)


def components(rows: int) -> Contest:
    from sklearn.decomposition import PCA

    X = features(rows, 100, 11) @ features(100, 100, 12)
    centered = X - X.mean(axis=0)

    def fit() -> Matrix:
        model = PCA(10, svd_solver="covariance_eigh").fit(X)
        model.transform(X)
        return model.components_.T

    return Contest(
        "pca", {"X": X}, {}, "V", "PCA(covariance_eigh)", fit,
        lambda V: float(-np.sum((centered @ V) ** 2)),
    )  # fmt: skip


def compare(contest: Contest, rounds: int) -> list[object]:
    """One row of the table."""
    source = (ROOT / "examples" / f"{contest.script}.dml").read_text()
    # The data is handed over: the variables the script would read are its inputs. Nothing is written or printed.
    lines = [
        line for line in source.splitlines()
        if not line.startswith(("print(", "write(", "  print(")) and "= read(" not in line
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    if contest.script == "l2svm":
        text = "labels = y\n" + text
    program = sysmlc.compile(text, args=contest.args, outputs=[contest.output])

    def ours() -> Any:
        return program.run(inputs=contest.inputs)[contest.output]

    reached = contest.objective(ours()), contest.objective(contest.fit())
    times = side_by_side({"ours": clocked(ours), "peer": clocked(contest.fit)}, rounds)
    mine, theirs = median(times["ours"]), median(times["peer"])
    print(f"{contest.script}: done", file=sys.stderr, flush=True)
    return [
        contest.script,
        contest.peer,
        f"{1000 * mine:.0f}",
        f"{1000 * theirs:.0f}",
        f"{theirs / mine:.1f}x",
        f"{(reached[0] - reached[1]) / abs(reached[1]):+.1e}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    contests = [
        lambda n: ridge(n, "linear_regression_ds"),
        lambda n: ridge(n, "linear_regression_cg"),
        logistic,
        svm,
        clusters,
        components,
    ]
    rows = [compare(make(options.rows), options.rounds) for make in contests]
    print(machine())
    print(
        table(["method", "scikit-learn", "ours ms", "theirs ms", "ratio", "objective, ours - theirs"], rows)
    )


if __name__ == "__main__":
    main()
