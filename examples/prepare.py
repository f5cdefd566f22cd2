"""Writes the examples' data into examples/data: scikit-learn's bundled sets as CSV, and made-up sparse ratings.

Nothing is downloaded. Every file NAME comes with NAME.mtd, the description that DML's read() looks for.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sklearn import datasets

FOLDER = Path(__file__).resolve().parent


def describe(path: Path, rows: int, cols: int, nonzeros: int, file_format: str) -> None:
    """Write the .mtd file beside `path`."""
    facts: dict[str, object] = {
        "data_type": "matrix",
        "value_type": "double",
        "rows": rows,
        "cols": cols,
        "nnz": nonzeros,
        "format": file_format,
    }
    if file_format == "csv":
        facts |= {"header": False, "sep": ","}
    path.with_name(path.name + ".mtd").write_text(json.dumps(facts, indent=4) + "\n")


def write_csv(path: Path, cells: np.ndarray) -> None:
    """Write a matrix with as many digits as give every cell back exactly."""
    lines = (",".join(f"{v:.0f}" if v == int(v) else repr(float(v)) for v in row) for row in cells)
    path.write_text("\n".join(lines) + "\n")
    describe(path, *cells.shape, int(np.count_nonzero(cells)), "csv")


def write_text(path: Path, rows: int, cols: int, triples: list[tuple[int, int, float]]) -> None:
    """Write a sparse matrix as lines `row column value`, counted from 1."""
    path.write_text("".join(f"{i + 1} {j + 1} {v!r}\n" for i, j, v in triples))
    describe(path, rows, cols, len(triples), "text")


def ratings(users: int, items: int, rank: int, per_user: int) -> list[tuple[int, int, float]]:
    """Ratings of a low-rank taste plus noise, in tenths from 0.1 to 5, `per_user` of them for every user."""
    random = np.random.default_rng(2018)
    taste = random.normal(size=(users, rank)) @ random.normal(size=(rank, items)) / np.sqrt(rank)
    noisy = np.clip(3 + taste + 0.1 * random.normal(size=taste.shape), 0.1, 5).round(1)
    seen = [sorted(random.choice(items, per_user, replace=False)) for _ in range(users)]
    return [(user, int(item), float(noisy[user, item])) for user in range(users) for item in seen[user]]


def write_all(data: Path) -> None:
    """Write every matrix into the folder `data`."""
    data.mkdir(exist_ok=True)
    for name in ("diabetes", "breast_cancer", "digits", "iris", "wine"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        # Classes count from 1 in DML, where they are often used as column numbers.
        target = y if name == "diabetes" else y + 1
        write_csv(data / f"{name}_X.csv", np.asarray(X, dtype=float))
        write_csv(data / f"{name}_y.csv", np.asarray(target, dtype=float).reshape(-1, 1))
    write_text(data / "ratings.ijv", 600, 400, ratings(600, 400, rank=4, per_user=40))


def main() -> None:
    """Make the folders that the examples read and write by default."""
    data = FOLDER / "data"
    write_all(data)
    (FOLDER / "out").mkdir(exist_ok=True)
    print(f"wrote {len(list(data.glob('*.mtd')))} matrices to {data}")


if __name__ == "__main__":
    main()
