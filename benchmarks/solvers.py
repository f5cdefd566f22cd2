"""The examples' methods in steady state, on larger made-up data: scikit-learn's solvers of the same problem, and SystemDS.

    python benchmarks/solvers.py [--rows 100000] [--rounds 5] [--only NAME ...] [--no-systemds]

scikit-learn solves the same objective; what both reach is printed beside the times, so that nobody wins by stopping early.
SystemDS runs the same script again and again in one process, and the first rounds do not count. Data lies in memory;
compilation happens before the clock starts.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

from measure import (  # noqa: E402
    clocked,
    machine,
    median,
    run,
    side_by_side,
    systemds,
    systemds_environment,
    table,
)

import sysmlc  # noqa: E402

Matrix = NDArray[np.float64]


@dataclass
class Contest:
    """One method: our script with its inputs, and where there is one, the peer's fit and the objective both are judged by."""

    script: str
    inputs: dict[str, Any]
    args: dict[str, Any]
    output: str
    peer: str = "-"
    fit: Callable[[], Any] | None = None
    objective: Callable[[Any], float] = lambda _: 0.0
    """Of our output or the peer's, as `fit` gives it: smaller is better."""

    @property
    def lines(self) -> list[str]:
        """The script without what reads, writes and prints: the variables it would read are handed over."""
        source = (ROOT / "examples" / f"{self.script}.dml").read_text().splitlines()
        left = ("print(", "write(", "  print(")
        return [line for line in source if not line.startswith(left) and "= read(" not in line]


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


def factors(rows: int) -> Contest:
    rng = np.random.default_rng(13)
    items, nnz = rows // 10, rows * 20
    places = np.unique(rng.integers(0, rows * items, size=nnz))
    users, picked = places // items, places % items
    given = np.sum(rng.random((rows, 8))[users] * rng.random((items, 8))[picked], axis=1)
    V = sparse.csr_matrix((given, (users, picked)), shape=(rows, items))
    return Contest("als_cg", {"V": V}, {"rank": 10, "maxi": 5, "tol": 0}, "L")


def network(rows: int) -> Contest:
    X = np.abs(features(rows, 200, 14))
    y = (X @ features(200, 10, 15)).argmax(axis=1)[:, None] + 1.0
    return Contest("softmax_classifier", {"X": X, "y": y}, {"epochs": 2, "batch": 64}, "W")


def compare(contest: Contest, rounds: int, peer: bool) -> list[object]:
    """One row of the table."""
    text = "\n".join(contest.lines) + "\n"
    inputs = {"labels" if contest.script == "l2svm" and k == "y" else k: v for k, v in contest.inputs.items()}
    program = sysmlc.compile(text, args=contest.args, outputs=[contest.output])

    def ours() -> Any:
        return program.run(inputs=inputs)[contest.output]

    calls: dict[str, Callable[[], Any]] = {"ours": ours}
    if contest.fit is not None:
        calls["fit"] = contest.fit
    reached = [contest.objective(call()) for call in calls.values()]
    times = {k: median(v) for k, v in side_by_side({k: clocked(c) for k, c in calls.items()}, rounds).items()}
    if peer:
        with tempfile.TemporaryDirectory() as name:
            for codegen in (False, True):
                times[f"systemds {codegen}"] = systemds_seconds(contest, inputs, rounds, Path(name), codegen)
    best = min((v for k, v in times.items() if k.startswith("systemds")), default=None)
    print(f"{contest.script}: done", file=sys.stderr, flush=True)
    mine, fit = times["ours"], times.get("fit")
    return [
        contest.script,
        contest.peer,
        f"{1000 * mine:.0f}",
        "-" if fit is None else f"{1000 * fit:.0f}",
        *(f"{1000 * times[k]:.0f}" if k in times else "-" for k in ("systemds False", "systemds True")),
        "-" if fit is None else f"{fit / mine:.1f}x",
        "-" if best is None else f"{best / mine:.1f}x",
        "-" if fit is None else f"{(reached[0] - reached[1]) / abs(reached[1]):+.1e}",
    ]


def systemds_seconds(
    contest: Contest, inputs: dict[str, Any], rounds: int, folder: Path, codegen: bool
) -> float:
    """Median of timed rounds of the script inside one process, after three to warm up."""
    shutil.copytree(ROOT / "scripts" / "nn", folder / "nn", dirs_exist_ok=True)
    top, body = functions_apart(contest.lines)
    read, force = "", ""
    for name, value in inputs.items():
        save(value, folder / f"{name}.data")
        read += f'{name}_given = read("{folder / name}.data")\n'
        force += f" + sum({name}_given)"
    given = "".join(f"  {name} = {name}_given\n" for name in inputs)
    script = folder / "rounds.dml"
    script.write_text(
        f"{top}{read}s = 0{force}\nprint(s)\nfor (round_ in 1:{rounds + 3}) {{\n  begin_ = time()\n{given}{body}"
        f'  s = s + sum({contest.output})\n  print("seconds " + ((time() - begin_) / 1e9))\n}}\nprint(s)\n'
    )
    arguments = [f"{k}={v}" for k, v in contest.args.items()]
    command = systemds(script, arguments, codegen=codegen, folder=folder)
    text = run(command, folder, systemds_environment()).output
    return median([float(t) for t in re.findall(r"seconds ([0-9.E-]+)", text)][3:])


def functions_apart(lines: list[str]) -> tuple[str, str]:
    """Sources and functions, which stand outside of loops, and the statements."""
    top, body, inside = "", "", False
    for line in lines:
        inside = inside or "= function(" in line
        if inside or line.startswith("source("):
            top += line + "\n"
        else:
            body += f"  {line}\n"
        inside = inside and line != "}"
    return top, body


def save(value: Any, path: Path) -> None:
    """Dense matrices as CSV, sparse ones as row, column and value."""
    shape = f'"rows": {value.shape[0]}, "cols": {value.shape[1]}'
    if sparse.issparse(value):
        cells = value.tocoo()
        np.savetxt(path, np.column_stack([cells.row + 1, cells.col + 1, cells.data]), "%d %d %.17g")
        kind = f'"format": "text", "nnz": {value.nnz}'
    else:
        np.savetxt(path, value, "%.17g", delimiter=",")
        kind = '"format": "csv", "header": false, "sep": ","'
    path.with_name(path.name + ".mtd").write_text(
        f'{{"data_type": "matrix", "value_type": "double", {shape}, {kind}}}'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--no-systemds", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    contests: dict[str, Callable[[int], Contest]] = {
        "linear_regression_ds": lambda n: ridge(n, "linear_regression_ds"),
        "linear_regression_cg": lambda n: ridge(n, "linear_regression_cg"),
        "logistic_regression": logistic,
        "l2svm": svm,
        "kmeans": clusters,
        "pca": components,
        "als_cg": factors,
        "softmax_classifier": network,
    }
    rows = [
        compare(make(options.rows), options.rounds, not options.no_systemds)
        for name, make in contests.items()
        if not options.only or name in options.only
    ]
    print(machine())
    print(
        table(
            ["method", "scikit-learn", "ours ms", "scikit-learn ms", "SystemDS ms", "codegen ms", "vs scikit-learn",
             "vs SystemDS", "objective, ours - scikit-learn"],
            rows,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
