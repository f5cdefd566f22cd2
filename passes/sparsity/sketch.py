"""The sketch of a matrix: how many non-zeros are in each row and each column, and what that says of results.

After the MNC estimator (Sommer et al., SIGMOD 2019): the non-zeros of a product follow from the counts of the columns of
one factor and the rows of the other. That is exact where every row of the left factor (or column of the right one) has at most
one non-zero; `alone` are the counts of what is the only non-zero of its row (or column), whose products are exact too.
Values are assumed not to cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sysmlc.passes.sparsity import counts
from sysmlc.passes.sparsity.counts import Counts, total


@dataclass(frozen=True, eq=False)
class Sketch:
    """A matrix as its counts of non-zeros by row and by column."""

    rows: int
    cols: int
    by_row: Counts
    by_col: Counts
    most_in_row: float = math.inf
    """No row is known to have more; `by_row` may be averages."""
    most_in_col: float = math.inf
    alone_by_row: Counts = None
    """By row, the non-zeros that are alone in their column; None when that is not known."""
    alone_by_col: Counts = None

    # -- making ---------------------------------------------------------------------------------------------------

    @staticmethod
    def spread(rows: int, cols: int, nnz: float, most_in_row: float = math.inf) -> Sketch:
        """So many non-zeros, spread evenly."""
        return Sketch(rows, cols, nnz / max(1, rows), nnz / max(1, cols), most_in_row)

    @staticmethod
    def of(matrix: Any) -> Sketch:
        """The sketch of data: a two-dimensional array, or a SciPy sparse matrix."""
        import numpy as np

        if hasattr(matrix, "tocsr"):
            data = matrix.tocsr()
            starts, columns = data.indptr, data.indices
        else:
            filled = np.asarray(matrix) != 0
            starts = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
            columns = np.nonzero(filled)[1]
        rows, cols = matrix.shape
        by_row = np.diff(starts).astype(float)
        by_col = np.bincount(columns, minlength=cols).astype(float)
        alone = np.concatenate([[0], np.cumsum(by_col[columns] == 1)])
        alone_by_row = (alone[starts[1:]] - alone[starts[:-1]]).astype(float)
        single = np.nonzero(by_row == 1)[0]
        alone_by_col = np.bincount(columns[starts[single]], minlength=cols).astype(float)
        return Sketch(
            rows, cols, by_row, by_col, counts.most(by_row, rows), counts.most(by_col, cols), alone_by_row, alone_by_col
        )  # fmt: skip

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def nnz(self) -> float:
        """The expected number of non-zeros."""
        return min(total(self.by_row, self.rows), float(self.rows * self.cols))

    @property
    def density(self) -> float:
        """The expected share of non-zeros."""
        return self.nnz / max(1, self.rows * self.cols)

    @property
    def filled_rows(self) -> float:
        """How many rows have non-zeros."""
        return total(counts.at_most(self.by_row, 1.0), self.rows)

    @property
    def filled_cols(self) -> float:
        """How many columns have non-zeros."""
        return total(counts.at_most(self.by_col, 1.0), self.cols)

    def limited(self) -> Sketch:
        """The sketch without counts that are too long to carry through a program."""
        return Sketch(
            self.rows, self.cols, counts.limited(self.by_row), counts.limited(self.by_col),
            self.most_in_row, self.most_in_col,
            None if self.alone_by_row is None else counts.limited(self.alone_by_row),
            None if self.alone_by_col is None else counts.limited(self.alone_by_col),
        )  # fmt: skip

    def scaled_to(self, nnz: float) -> Sketch:
        """The same distribution of another number of non-zeros."""
        factor = nnz / max(self.nnz, 1e-300)
        return Sketch(
            self.rows,
            self.cols,
            counts.at_most(self.by_row * factor, float(self.cols)),
            counts.at_most(self.by_col * factor, float(self.rows)),
        )

    # -- what operations make -------------------------------------------------------------------------------------

    def t(self) -> Sketch:
        """Of the transpose."""
        return Sketch(
            self.cols, self.rows, self.by_col, self.by_row,
            self.most_in_col, self.most_in_row, self.alone_by_col, self.alone_by_row,
        )  # fmt: skip

    def products(self, other: Sketch) -> float:
        """How many products of non-zeros `self %*% other` adds up."""
        return total(self.by_col * other.by_row, self.cols)

    def matmul(self, other: Sketch) -> Sketch:
        """Of `self %*% other`."""
        nnz = self._product_nnz(other)
        left, right = nnz / max(self.nnz, 1e-300), nnz / max(other.nnz, 1e-300)
        return Sketch(
            self.rows,
            other.cols,
            counts.at_most(self.by_row * left, float(other.cols)),
            counts.at_most(other.by_col * right, float(self.rows)),
            self.most_in_row * other.most_in_row if self.most_in_row and other.most_in_row else 0.0,
            self.most_in_col * other.most_in_col if self.most_in_col and other.most_in_col else 0.0,
        )

    def _product_nnz(self, other: Sketch) -> float:
        n = self.cols
        if self.most_in_row <= 1 or other.most_in_col <= 1:
            return self.products(other)  # every product is a cell of its own
        exact, left, right = 0.0, self.by_col, other.by_row
        rows, cols = self.filled_rows, other.filled_cols
        if self.alone_by_col is not None:
            exact += total(self.alone_by_col * right, n)
            left = left - self.alone_by_col
            rows -= counts.ones(self.by_row, self.rows)
        if other.alone_by_row is not None:
            exact += total(left * other.alone_by_row, n)
            right = right - other.alone_by_row
            cols -= counts.ones(other.by_col, other.cols)
        room = rows * cols
        if room > 0:
            exact += room * (1.0 - counts.chance_of_none(left * right / room, n))
        sure = counts.above(self.by_row, n / 2, self.rows) * counts.above(other.by_col, n / 2, other.cols)
        return min(max(exact, sure), self.filled_rows * other.filled_cols)

    def _meetings(self, other: Sketch) -> tuple[Counts, Counts]:
        """By row and by column, cells that are non-zero in both."""
        among = max(self.nnz * other.nnz, 1e-300)
        rows, cols = self.by_row * other.by_row, self.by_col * other.by_col
        by_row = rows * (total(cols, self.cols) / among)
        by_col = cols * (total(rows, self.rows) / among)
        least_row = _smaller(self.by_row, other.by_row)
        least_col = _smaller(self.by_col, other.by_col)
        return _smaller(by_row, least_row), _smaller(by_col, least_col)

    def mul(self, other: Sketch) -> Sketch:
        """Of the product cell by cell."""
        by_row, by_col = self._meetings(other)
        return Sketch(
            self.rows,
            self.cols,
            by_row,
            by_col,
            min(self.most_in_row, other.most_in_row),
            min(self.most_in_col, other.most_in_col),
        )

    def add(self, other: Sketch) -> Sketch:
        """Of the sum cell by cell."""
        by_row, by_col = self._meetings(other)
        return Sketch(
            self.rows,
            self.cols,
            counts.at_most(self.by_row + other.by_row - by_row, float(self.cols)),
            counts.at_most(self.by_col + other.by_col - by_col, float(self.rows)),
            self.most_in_row + other.most_in_row,
            self.most_in_col + other.most_in_col,
        )

    def rbind(self, other: Sketch) -> Sketch:
        """Of this matrix on top of another."""
        return Sketch(
            self.rows + other.rows,
            self.cols,
            counts.joined(self.by_row, self.rows, other.by_row, other.rows),
            self.by_col + other.by_col,
            max(self.most_in_row, other.most_in_row),
            self.most_in_col + other.most_in_col,
        )

    def cbind(self, other: Sketch) -> Sketch:
        """Of this matrix with another to its right."""
        return self.t().rbind(other.t()).t()

    def diag(self) -> Sketch:
        """Of a vector on a diagonal, or of the diagonal of a matrix."""
        if self.cols == 1:
            return Sketch(self.rows, self.rows, self.by_row, self.by_row, 1.0, 1.0, self.by_row, self.by_row)
        hits = counts.at_most(self.by_row * self.by_col / max(self.nnz, 1e-300), 1.0)
        return Sketch(self.rows, 1, hits, total(hits, self.rows), 1.0)

    def part(self, rows: tuple[int, int], cols: tuple[int, int]) -> Sketch:
        """Of the rows and columns from the first up to the second number."""
        by_row, by_col = counts.part(self.by_row, *rows), counts.part(self.by_col, *cols)
        height, width = rows[1] - rows[0], cols[1] - cols[0]
        all_nnz = max(self.nnz, 1e-300)
        share_rows, share_cols = total(by_row, height) / all_nnz, total(by_col, width) / all_nnz
        return Sketch(
            height, width, by_row * share_cols, by_col * share_rows, self.most_in_row, self.most_in_col
        )

    def reshape(self, rows: int, cols: int) -> Sketch:
        """Of the same cells, row by row, in another shape."""
        if cols == self.cols:
            return self
        if self.cols and cols and cols % self.cols == 0:  # rows are put side by side
            k = cols // self.cols
            return Sketch(
                rows, cols, counts.summed(self.by_row, self.rows, k), counts.repeated(self.by_col / k, k)
            )
        if self.cols and cols and self.cols % cols == 0:  # rows are cut
            k = self.cols // cols
            pieces = counts.summed(self.by_col, self.cols, cols) / max(self.nnz, 1e-300)
            by_col = (
                self.by_col * k
                if isinstance(self.by_col, float)
                else self.by_col.reshape(k, cols).sum(axis=0)
            )
            return Sketch(
                rows, cols, counts.crossed(self.by_row, self.rows, pieces, k), by_col, self.most_in_row
            )
        return Sketch.spread(rows, cols, self.nnz)

    def row_totals(self) -> Sketch:
        """Of the sums of rows, a column."""
        by_row = counts.at_most(self.by_row, 1.0)
        return Sketch(self.rows, 1, by_row, total(by_row, self.rows), 1.0)

    def stretched(self, rows: int, cols: int) -> Sketch:
        """Of a row or a column that is repeated to this shape."""
        tall, wide = rows // max(1, self.rows), cols // max(1, self.cols)
        by_row = self.by_row * float(wide)
        if tall > 1 and not isinstance(by_row, float):
            by_row = float(by_row.mean())
        by_col = self.by_col * float(tall)
        if wide > 1 and not isinstance(by_col, float):
            by_col = float(by_col.mean())
        return Sketch(rows, cols, by_row, by_col)


def _smaller(a: Counts, b: Counts) -> Counts:
    if isinstance(a, float) and isinstance(b, float):
        return min(a, b)
    import numpy as np

    return np.minimum(a, b)
