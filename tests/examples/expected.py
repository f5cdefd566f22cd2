"""What the example scripts must compute: each result is compared with scikit-learn, NumPy, or its own definition.

`EXAMPLES` names the scripts with the arguments to run them with; `check(name, data, out)` raises AssertionError
where what a run wrote into the folder `out` is not right. Neither depends on how the scripts are run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """One script: its inputs and outputs by `$` name, and the check of what it wrote."""

    inputs: dict[str, str]
    outputs: dict[str, str]
    check: Callable[[dict[str, Matrix], dict[str, Matrix]], None]
    shorter: dict[str, str] = field(default_factory=dict)
    """Arguments that make it short enough for the reference evaluator."""

    def arguments(self, data: Path, out: Path) -> list[str]:
        """The `-nvargs` list that reads from `data` and writes to `out`."""
        given = {k: data / v for k, v in self.inputs.items()} | {k: out / v for k, v in self.outputs.items()}
        return [f"{key}={path}" for key, path in given.items()]


def check(name: str, data: Path, out: Path) -> None:
    """Compare what the example `name` wrote into `out` with the reference."""
    example = EXAMPLES[name]
    inputs = {key: read(data / file) for key, file in example.inputs.items()}
    example.check(inputs, {key: read(out / file) for key, file in example.outputs.items()})


def read(path: Path) -> Matrix:
    """A matrix from CSV, or from lines `row column value`."""
    if path.suffix == ".csv":
        return np.loadtxt(path, delimiter=",", ndmin=2)
    triples = np.loadtxt(path)
    rows, cols = (triples[:, :2].astype(int) - 1).T
    cells = np.zeros((rows.max() + 1, cols.max() + 1))
    cells[rows, cols] = triples[:, 2]
    return cells


def close(name: str, actual: Matrix | float, reference: Matrix | float, tolerance: float) -> None:
    """Equal up to `tolerance` times the largest reference cell."""
    error = np.max(np.abs(np.asarray(actual) - reference)) / max(np.max(np.abs(reference)), 1e-300)
    assert error <= tolerance, f"{name} is off by {error:.2e}, allowed {tolerance:.0e}"


def standardized(X: Matrix) -> Matrix:
    deviation = X.std(axis=0, ddof=1)
    return (X - X.mean(axis=0)) / np.where(deviation == 0, 1, deviation)


def with_ones(X: Matrix) -> Matrix:
    return np.hstack([X, np.ones((len(X), 1))])


def linear_regression(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    X = with_ones(given["X"])
    penalty = np.diag([1e-6] * (X.shape[1] - 1) + [0.0])
    close("coefficients", got["B"], np.linalg.solve(X.T @ X + penalty, X.T @ given["y"]), 1e-6)


def logistic_regression(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = standardized(given["X"]), given["y"].ravel()
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X, y)
    scores = with_ones(X) @ got["B"]
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    close("coefficients", got["B"][:-1], model.coef_.T, 1e-4)
    close("probabilities", probabilities, model.predict_proba(X), 1e-4)


def l2svm(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    from sklearn.svm import LinearSVC

    X, y = standardized(given["X"]), given["y"].ravel()
    # LinearSVC weighs the losses by C instead of the weights by reg, and halves only the latter.
    model = LinearSVC(C=0.5, loss="squared_hinge", dual=False, tol=1e-9, max_iter=100_000).fit(X, y)
    close("weights", got["w"].ravel(), np.append(model.coef_.ravel(), model.intercept_), 1e-4)


def kmeans(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    from sklearn.cluster import KMeans

    X, C = given["X"], got["C"]
    distance = ((X[:, None, :] - C[None, :, :]) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    means = np.array([X[nearest == c].mean(axis=0) for c in range(len(C))])
    close("centroids", C, means, 1e-6)
    best = KMeans(n_clusters=len(C), n_init=20, random_state=0).fit(X).inertia_
    inertia = distance.min(axis=1).sum()
    assert inertia <= 1.001 * best, f"inertia {inertia} is worse than scikit-learn's {best}"


def pca(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    from sklearn.decomposition import PCA

    model = PCA(n_components=10, svd_solver="full")
    scores = model.fit_transform(given["X"])
    V = model.components_.T
    signs = np.where(V.max(axis=0) >= -V.min(axis=0), 1.0, -1.0)
    close("components", got["V"], V * signs, 1e-8)
    close("scores", got["scores"], scores * signs, 1e-8)


def als_cg(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    V, L, R, reg = given["V"], got["L"], got["R"], 0.1
    mask = V != 0
    difference = mask * (L @ R.T) - V
    rmse = np.sqrt((difference**2).sum() / mask.sum())
    assert rmse < 0.13, f"the root mean squared error is {rmse}"
    # Each side must solve its own least-squares problems; the items were the last to be solved.
    for item in range(V.shape[1]):
        users = L[mask[:, item]]
        if len(users):
            exact = np.linalg.solve(
                users.T @ users + reg * np.eye(L.shape[1]), users.T @ V[mask[:, item], item]
            )
            close(f"factors of item {item + 1}", R[item], exact, 2e-2)


def softmax_classifier(given: dict[str, Matrix], got: dict[str, Matrix]) -> None:
    X, y = given["X"] / given["X"].max(), given["y"].ravel()
    assert got["W"].shape == (64, 10)
    predicted = (X @ got["W"] + got["b"]).argmax(axis=1) + 1
    accuracy = (predicted == y).mean()
    assert accuracy > 0.96, f"accuracy {accuracy}"


DIABETES = {"X": "diabetes_X.csv", "y": "diabetes_y.csv"}

EXAMPLES = {
    "linear_regression_ds": Example(DIABETES, {"B": "B.csv"}, linear_regression),
    "linear_regression_cg": Example(DIABETES, {"B": "B.csv"}, linear_regression),
    "logistic_regression": Example(
        {"X": "wine_X.csv", "y": "wine_y.csv"}, {"B": "B.csv"}, logistic_regression
    ),
    "l2svm": Example({"X": "breast_cancer_X.csv", "y": "breast_cancer_y.csv"}, {"w": "w.csv"}, l2svm),
    "kmeans": Example({"X": "iris_X.csv"}, {"C": "C.csv"}, kmeans),
    "pca": Example({"X": "digits_X.csv"}, {"V": "V.csv", "scores": "scores.csv"}, pca),
    "als_cg": Example({"V": "ratings.ijv"}, {"L": "L.csv", "R": "R.csv"}, als_cg, {"maxi": "4"}),
    "softmax_classifier": Example(
        {"X": "digits_X.csv", "y": "digits_y.csv"},
        {"W": "W.csv", "b": "b.csv"},
        softmax_classifier,
        {"epochs": "10"},
    ),
}
