"""The rewrites of SystemML 1.2 and SystemDS, by name: an example of each, and what becomes of it here.

A row is (name, expression, expected). The expression is DML over matrices A, B (4x4 unless sized otherwise), column vectors u, v,
a row vector w, a 1x1 matrix one and scalars a, b; expected is the optimised form in the notation of `shape_of`. A row
without expression says why there is nothing to show.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rewrite:
    """One rewrite of the other systems."""

    name: str
    dml: str = ""
    becomes: str = ""
    because: str = ""


STATIC = (
    Rewrite("vectorised constant", "matrix(1, 4, 4) / A", "div(1, A)"),
    Rewrite("identity binary: times 1", "A * 1", "A"),
    Rewrite("identity binary: plus 0", "A + 0", "A"),
    Rewrite("identity binary: 0 minus", "0 - A", "neg(A)"),
    Rewrite(
        "rand with scalar",
        "rand(rows=4, cols=4, min=-1, max=1, seed=7) * 7",
        "rand(4, 4, -7, 7, 1, 'uniform', 7, 1)",
    ),
    Rewrite(
        "minus rand", because="the numbers drawn with a seed are documented; swapped bounds would draw others"
    ),
    Rewrite("nested cbind", "cbind(cbind(A, B), A)", "cbind(A, B, A)"),
    Rewrite("X * X", "A * A + 1", "add(pow(A, 2), 1)"),
    Rewrite("X + X", "A + A", "mul(A, 2)"),
    Rewrite("(X > 0) - (X < 0)", because="sign keeps NaN, the difference of comparisons gives 0 for it"),
    Rewrite("canonical s + U %*% V", because="cse and the tables take operands that commute in either order"),
    Rewrite(
        "table(X, matrix(1))", "table(u, matrix(1, 4, 1))", "table(u, fill(1, 1, 1), as_matrix(1), -1, -1)"
    ),
    Rewrite("permutation table", "table(seq(1, 4), seq(4, 1, -1)) %*% A", "rev(A)"),
    Rewrite("1 - X * Y", because="a fused cell region computes it in one pass"),
    Rewrite("X - Y * X", "A - B * A", "mul(sub(1, B), A)"),
    Rewrite("X * (Y * (Z %*% v))", "u * (v * (A %*% u))", "mul(mul(u, v), matmul(A, u))"),
    Rewrite("aggregate of reorganised", "sum(t(A))", "sum(A)"),
    Rewrite("aggregate of aggregate", "sum(rowSums(A))", "sum(A)"),
    Rewrite("as.scalar(X * s)", "as.scalar(one * a)", "mul(as_scalar(one), a)"),
    Rewrite("colSums(t(X))", "colSums(t(A))", "t(sum.row(A))"),
    Rewrite("share t(X)", "t(A ^ 2) + t(A)", "add(pow(t(A), 2), t(A))"),
    Rewrite("sum(s * X)", "sum(A * a)", "mul(sum(A), a)"),
    Rewrite("abs of comparison", "abs(A > B)", "gt(A, B)"),
    Rewrite("t(cbind(t(A), t(B)))", "t(cbind(t(A), t(B)))", "rbind(A, B)"),
    Rewrite("X * (1 - X)", because="a fused cell region computes it in one pass"),
    Rewrite("sigmoid", "1 / (1 + exp(-A))", "sigmoid(A)"),
    Rewrite("X * (X > 0)", because="-Inf * 0 is NaN, not 0; a fused cell region computes it in one pass"),
    Rewrite("trace(X %*% Y)", "trace(A %*% B)", "sum(mul(A, t(B)))"),
    Rewrite(
        "cell of a product",
        "cell_of_product",
        "as_scalar(matmul(index(A, 2, 2, 1, 4), index(B, 1, 4, 3, 3)))",
    ),
    Rewrite("row of a product", "row_of_product", "matmul(index(A, 2, 2, 1, 4), B)"),
    Rewrite("order of a constant", "order(target=matrix(7, 4, 1), by=1, index.return=TRUE)", "seq(1, 4, 1)"),
    Rewrite("order of a sorted sequence", "order(target=seq(1, 4), by=1)", "seq(1, 4, 1)"),
    Rewrite(
        "chained order",
        "order(target=order(target=A, by=2), by=1)",
        "order(A, rbind(as_matrix(1), as_matrix(2)), FALSE, FALSE)",
    ),
    Rewrite("t(t(X))", "t(t(A))", "A"),
    Rewrite("rev(rev(X))", "rev(rev(A))", "A"),
    Rewrite("t(t(A) %*% t(B) + C)", "t(t(A) %*% t(B) + A)", "add(matmul(B, A), t(A))"),
    Rewrite("X + (X == 0) * s", "A + (A == 0) * 0.5", "replace(A, 0, 0.5)"),
    Rewrite("-(-X)", "-(-A)", "A"),
    Rewrite(
        "count of groups",
        'aggregate(target=u, groups=v, fn="count")',
        "grouped_aggregate(v, v, undefined(), 'count', 2, -1)",
    ),
    Rewrite("X - m * (X != 0)", because="a fused cell region computes it in one pass over the non-zeros"),
    Rewrite("(X != 0) * log(X)", because="a fused cell region computes it in one pass over the non-zeros"),
    Rewrite("(X != 0) * log(X, b)", because="a fused cell region computes it in one pass over the non-zeros"),
    Rewrite(
        "outer(v, seq, '==')",
        because="outer is computed in one pass; the result's one non-zero a row is the planner's business",
    ),
    Rewrite("comparison chain", '(outer(u, w, "<") == 1)', "outer.lt(u, w)"),
    Rewrite("negated comparison chain", "(A > B) == 0", "not(gt(A, B))"),
)

STATIC_SYSTEMDS = (
    Rewrite(
        "table under sum",
        because="ids beyond the given sizes are dropped at run time, so the sum is not known",
    ),
    Rewrite("a & !a", "A & !A", "fill(0, 4, 4)"),
    Rewrite("rev(seq)", "rev(seq(1, 4))", "seq(4, 1, -1)"),
    Rewrite("det(t(X))", "det(t(A))", "det(A)"),
    Rewrite("det of a product", "det(A %*% B)", "mul(det(A), det(B))"),
    Rewrite("det(s * X)", because="s^n may overflow where the determinant does not"),
    Rewrite("rowSums(s * X)", "rowSums(a * A)", "mul(sum.row(A), a)"),
    Rewrite("abs(X) * abs(Y)", "abs(A) * abs(B)", "abs(mul(A, B))"),
    Rewrite("trace(A + B)", "trace(A + B)", "add(trace(A), trace(B))"),
    Rewrite("trace(t(A))", "trace(t(A))", "trace(A)"),
    Rewrite("list index clipping", because="list ranges are checked at run time"),
    Rewrite("scalar indexing", "as.scalar(A[2, 3])", "get_cell(A, 2, 3)"),
    Rewrite("unique(rbind)", because="there is no distinct union"),
    Rewrite("nrow(removeEmpty)", 'nrow(removeEmpty(target=u, margin="rows", empty.return=FALSE))', "nnz(u)"),
    Rewrite("colSums(cumsum(X))", "colSums(cumsum(A))", "matmul.l(seq(4, 1, -1), A)"),
    Rewrite("rev(cumsum(rev))", because="sums minus prefix sums cancel"),
    Rewrite("-(B - A)", "-(B - A)", "sub(A, B)"),
    Rewrite("t(A + s1) + s2", "t(t(A) + a)", "add(A, a)"),
    Rewrite("!(A > B)", because="NaN compares false with everything: the negation is not the opposite"),
    Rewrite("!(A == B)", "!(A == B)", "ne(A, B)"),
    Rewrite("a - A - b", "a - A - b", "sub(sub(a, b), A)"),
    Rewrite("t(cumsum(t(X)))", "t(cumsum(t(A)))", "rowcumsum(A)"),
)

DYNAMIC = (
    Rewrite("index of an empty matrix", "index_of_zeros", "fill(0, 2, 2)"),
    Rewrite("full range", "A[1:4, 1:4]", "A"),
    Rewrite("zeros into zeros", "zeros_in_zeros", "fill(0, 4, 4)"),
    Rewrite("full range assigned", "assigned", "B"),
    Rewrite("columns assigned one by one", "columns", "cbind(u, v)"),
    Rewrite("cumulative over one row", "cumsum(w)", "w"),
    Rewrite("reshape to the same size", "matrix(A, 4, 4)", "A"),
    Rewrite("t of 1x1", "t(one)", "one"),
    Rewrite("X * (y %*% ones)", "A * (u %*% matrix(1, 1, 4))", "mul(A, u)"),
    Rewrite("ifelse all true", "ifelse(matrix(1, 4, 4), A, B)", "A"),
    Rewrite("ifelse all false", "ifelse(matrix(0, 4, 4), A, B)", "B"),
    Rewrite(
        "t(rand vector)",
        because="the numbers drawn with a seed are documented; another shape would draw others",
    ),
    Rewrite("column aggregate of a row", "colSums(w)", "w"),
    Rewrite("column aggregate of a column", "colSums(u)", "as_matrix(sum(u))"),
    Rewrite("row aggregate of a column", "rowSums(u)", "u"),
    Rewrite("colSums(X * y)", "colSums(A * u)", "matmul.l(u, A)"),
    Rewrite("rowSums(X * t(y))", "rowSums(A * w)", "matmul.r(A, w)"),
    Rewrite("aggregate of 1x1", "sum(one)", "as_scalar(one)"),
    Rewrite("aggregate of an empty matrix", "sum(matrix(0, 4, 4))", "0"),
    Rewrite("unary of an empty matrix", "abs(matrix(0, 4, 4))", "fill(0, 4, 4)"),
    Rewrite("reorganised empty matrix", "t(matrix(0, 2, 4))", "fill(0, 4, 2)"),
    Rewrite(
        "order of an empty matrix", "order(target=matrix(0, 4, 1), by=1, index.return=TRUE)", "seq(1, 4, 1)"
    ),
    Rewrite("product with an empty matrix", because="0 * Inf is NaN; the other operand may hold one"),
    Rewrite("X %*% 1x1", "u %*% one", "mul(u, as_scalar(one))"),
    Rewrite("diag(v) %*% Y", "diag(u) %*% A", "mul(A, u)"),
    Rewrite("diag(X %*% Y)", "diag(A %*% B)", "sum.row(mul(A, t(B)))"),
    Rewrite("sum(diag(X))", "sum(diag(A))", "trace(A)"),
    Rewrite("diag(v) * s", "diag(u) * a", "diag(mul(u, a))"),
    Rewrite("sum(A + B)", because="a fused cell region reads both in one pass; two sums may cancel"),
    Rewrite("wsloss", because="fusion drives the expression by the non-zeros of its sparse operand"),
    Rewrite("wsigmoid", because="fusion drives the expression by the non-zeros of its sparse operand"),
    Rewrite("wdivmm", because="fusion drives the expression by the non-zeros of its sparse operand"),
    Rewrite("wcemm", because="fusion drives the expression by the non-zeros of its sparse operand"),
    Rewrite("wumm", because="fusion drives the expression by the non-zeros of its sparse operand"),
    Rewrite("sum(v ^ 2)", "sum(u ^ 2)", "sumsq(u)"),
    Rewrite("rowSums(X ^ 2)", "rowSums(A ^ 2)", "sumsq.row(A)"),
    Rewrite("X + s * Y", because="a fused cell region computes it in one pass"),
    Rewrite("(-t(X)) %*% y", "(-t(A)) %*% u", "neg(matmul.l(A, u))"),
    Rewrite("sum(A %*% B)", "sum(A %*% B)", "as_scalar(matmul(sum.col(A), sum.row(B)))"),
    Rewrite("binary with an empty matrix", "A + matrix(0, 4, 4)", "A"),
    Rewrite("X * 1x1", "A * one", "mul(A, as_scalar(one))"),
    Rewrite("sum(X != 0)", "sum(A != 0)", "cast.f64(nnz(A))"),
    Rewrite("nrow", "nrow(A)", "4"),
    Rewrite(
        "table(seq, v)",
        because="the run time sees the sequence; the result's one non-zero a row is the planner's business",
    ),
)

DYNAMIC_SYSTEMDS = (
    Rewrite("split tsmm of rbind", because="a matter of distributed blocks"),
    Rewrite("colSums(X) / n", "colSums(A) / 4", "mean.col(A)"),
    Rewrite(
        "colMeans(X - colMeans(X))", because="the result is rounding noise, and NaN where X has one, not 0"
    ),
    Rewrite(
        "A %*% B + A %*% C",
        because="a question of cost: sparse operands of the sum may be better apart; see sum-product",
    ),
    Rewrite("X * cumsum(diag(1))", because="0 * NaN is NaN; the upper triangle may hold one"),
    Rewrite("cumsum of a constant", "cumsum(matrix(1, 4, 1))", "seq(1, 4, 1)"),
    Rewrite("sum of a constant matrix", "sum(matrix(2, 4, 3))", "24"),
    Rewrite("cbind(X %*% Y, 0)", because="which side is cheaper to append to is a question of cost"),
    Rewrite("fused seq and table", because="the run time sees the sequence"),
)

CHAINS = (
    Rewrite("matrix product chain", "A %*% B %*% u", "matmul(A, matmul(B, u))"),
    Rewrite("product chain through transposes", "t(t(u) %*% A) + u", "add(matmul.l(A, u), u)"),
    Rewrite("elementwise product chain", "A * B * A", "mul(pow(A, 2), B)"),
    Rewrite("t(X) %*% X", "t(A) %*% A", "tsmm(A)"),
    Rewrite("t(X) %*% Y", "t(A) %*% B", "matmul.l(A, B)"),
    Rewrite("common subexpressions", "(A %*% B) + (A %*% B)", "mul(matmul(A, B), 2)"),
    Rewrite("constant folding", "A * (2 + 3 * 4)", "mul(A, 14)"),
)

ALL = STATIC + STATIC_SYSTEMDS + DYNAMIC + DYNAMIC_SYSTEMDS + CHAINS

PROGRAMS = {
    "zeros_in_zeros": "r = matrix(0, 4, 4)\nr[1:2, 1:2] = matrix(0, 2, 2)",
    "index_of_zeros": "Z = matrix(0, 4, 4)\nr = Z[2:3, 1:2]",
    "cell_of_product": "P = A %*% B\nr = as.scalar(P[2, 3])",
    "row_of_product": "P = A %*% B\nr = P[2, ]",
    "assigned": "r = A\nr[1:4, 1:4] = B",
    "columns": "r = matrix(0, 4, 2)\nr[, 1] = u\nr[, 2] = v",
}
"""Examples that need more than an expression."""
