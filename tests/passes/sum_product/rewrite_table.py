"""The rewrites other systems have written down, numbered: what each turns into what. Here they are found, not listed.

1 to 84 are the sum-product rewrites of SystemML that the SPORES paper counts, by the names of SystemML's methods; the rest are
those of SystemDS, and the plans that the paper's programs are known for. Operands are those of `rule_table.SHAPES`.

A left side in `HIDES_NAN` is NaN where an operand is, and its right side zero; one in `CANCELS` is written as a sum of
differences, and its right side subtracts sums that may be far larger. Such rewrites are not made where little is gained, and the
plan has only to be as cheap as what is written.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Known(NamedTuple):
    """One rewrite."""

    number: int
    name: str
    left: str
    right: str


SPORES: Final[dict[str, list[tuple[str, str]]]] = {
    "UnnecessaryAggregate": [("sum(I)", "as.scalar(I)"), ("rowSums(I)", "I"), ("colSums(I)", "I")],
    "EmptyAggregate": [
        ("sum(Empty)", "0"), ("rowSums(Empty)", "fill(0, 120, 1)"), ("colSums(Empty)", "fill(0, 1, 80)"),
    ],
    "EmptyReorgOp": [
        ("t(Empty)", "fill(0, 80, 120)"), ("sum(t(Empty))", "0"), ("diag(EmptyM)", "fill(0, 120, 1)"),
        ("trace(EmptyM)", "0"), ("t(t(Empty) * s)", "fill(0, 120, 80)"),
    ],
    "EmptyMMult": [("Empty %*% K", "fill(0, 120, 1)"), ("t(P) %*% Empty", "fill(0, 1, 80)")],
    "IdentityRepMatrixMult": [("P %*% fill(1, 1, 1)", "P")],
    "ScalarMatrixMult": [("P %*% I", "P * as.scalar(I)"), ("I %*% R", "R * as.scalar(I)")],
    "PushdownSumOnAdd": [("sum(X + Y)", "sum(X) + sum(Y)"), ("sum(X - Y)", "sum(X) - sum(Y)")],
    "DotProductSum": [("sum(P ^ 2)", "as.scalar(t(P) %*% P)"), ("sum(P * Q)", "as.scalar(t(P) %*% Q)")],
    "ReorderMinusMatrixMult": [("(-t(X)) %*% P", "-(t(X) %*% P)"), ("t(X) %*% (-P)", "-(t(X) %*% P)")],
    "SumMatrixMult": [
        ("sum(A %*% B)", "sum(t(colSums(A)) * rowSums(B))"), ("rowSums(A %*% B)", "A %*% rowSums(B)"),
        ("colSums(A %*% B)", "colSums(A) %*% B"),
    ],
    "EmptyBinaryOperation": [("X * Empty", "fill(0, 120, 80)"), ("X + Empty", "X"), ("X - Empty", "X")],
    "ScalarMVBinaryOperation": [("X * I", "X * as.scalar(I)")],
    "UnnecessaryBinaryOperation": [
        ("X * 1", "X"), ("1 * X", "X"), ("X / 1", "X"), ("X + 0", "X"), ("X - 0", "X"), ("0 - X", "-X"),
    ],
    "BinaryToUnaryOperation": [("X + X", "2 * X"), ("X * X", "X ^ 2"), ("X * X * X", "X ^ 3")],
    "MatrixMultScalarAdd": [("s + U %*% t(V)", "U %*% t(V) + s"), ("s + A %*% B", "A %*% B + s")],
    "DistributiveBinaryOperation": [
        ("X - Y * X", "(1 - Y) * X"), ("X - X * Y", "X * (1 - Y)"), ("X + Y * X", "(1 + Y) * X"),
        ("X + X * Y", "X * (1 + Y)"),
    ],
    "BushyBinaryOperation": [
        ("P * (Q * (X %*% K))", "(P * Q) * (X %*% K)"), ("X * (Y * P)", "(X * Y) * P"),
        ("P * (s * (X %*% K))", "(P * s) * (X %*% K)"),
    ],
    "UnaryAggReorgOperation": [("sum(t(X))", "sum(X)"), ("mean(t(X))", "mean(X)"), ("trace(t(M))", "trace(M)")],
    "UnnecessaryAggregates": [
        ("sum(rowSums(X))", "sum(X)"), ("sum(colSums(X))", "sum(X)"), ("sum(rowSums(X ^ 2))", "sum(X ^ 2)"),
        ("sum(colSums(X ^ 2))", "sum(X ^ 2)"), ("rowSums(rowSums(X))", "rowSums(X)"),
        ("colSums(colSums(X))", "colSums(X)"), ("mean(rowMeans(X))", "mean(X)"), ("mean(colMeans(X))", "mean(X)"),
    ],
    "BinaryMatrixScalarOperation": [
        ("as.scalar(I * s)", "as.scalar(I) * s"), ("as.scalar(I + s)", "as.scalar(I) + s"),
        ("as.scalar(I / s)", "as.scalar(I) / s"),
    ],
    "PushdownUnaryAggTransposeOperation": [("colSums(t(X))", "t(rowSums(X))"), ("rowSums(t(X))", "t(colSums(X))")],
    "PushdownCSETransposeScalarOperation": [("t(X ^ 2) + t(X)", "t(X) ^ 2 + t(X)")],
    "PushdownSumBinaryMult": [("sum(s * X)", "s * sum(X)"), ("sum(X * s)", "sum(X) * s")],
    "UnnecessaryReorgOperation": [("t(t(X))", "X"), ("t(t(t(X)))", "t(X)")],
    "TransposeAggBinBinaryChains": [
        ("t(t(B) %*% t(A) + E)", "A %*% B + t(E)"), ("t(t(B) %*% t(A))", "A %*% B"),
    ],
    "UnnecessaryMinus": [("-(-X)", "X")],
    "ColwiseAggregate": [
        ("colSums(R)", "R"), ("colSums(P)", "as.matrix(sum(P))"), ("colSums(P * Q)", "t(P) %*% Q"),
    ],
    "RowwiseAggregate": [
        ("rowSums(P)", "P"), ("rowSums(R)", "as.matrix(sum(R))"), ("rowSums(R * R)", "R %*% t(R)"),
    ],
    "ColSumsMVMult": [("colSums(X * P)", "t(P) %*% X")],
    "RowSumsMVMult": [("rowSums(X * R)", "X %*% t(R)")],
    "UnnecessaryOuterProduct": [
        ("X * (P %*% fill(1, 1, 80))", "X * P"), ("X / (P %*% fill(1, 1, 80))", "X / P"),
        ("X + P %*% fill(1, 1, 80)", "X + P"),
    ],
    "SumDiagToTrace": [("sum(diag(M))", "trace(M)")],
    "TraceMatrixMult": [("trace(A %*% D)", "sum(A * t(D))")],
}  # fmt: skip

OTHERS: Final[dict[str, list[tuple[str, str]]]] = {
    # -- SystemML's remaining rules of the algebra, and SystemDS's
    "VectorisedConstant": [("fill(1, 120, 80) / X", "1 / X"), ("X * fill(2, 120, 80)", "X * 2")],
    "DiagMult": [("diag(P) %*% X", "X * P"), ("X %*% diag(K)", "X * t(K)"), ("diag(P) * s", "diag(P * s)")],
    "DiagOfProduct": [("diag(A %*% D)", "rowSums(A * t(D))"), ("diag(M %*% t(N))", "rowSums(M * N)")],
    "ConstantMatrixProduct": [("X %*% fill(1, 80, 1)", "rowSums(X)"), ("fill(1, 1, 120) %*% X", "colSums(X)")],
    "TraceOfSum": [("trace(M + N)", "trace(M) + trace(N)"), ("trace(s * M)", "s * trace(M)")],
    "SumOfDiag": [("sum(diag(P))", "sum(P)"), ("rowSums(diag(P))", "P")],
    "MinusReversed": [("-(X - Y)", "Y - X"), ("s - X - l", "(s - l) - X"), ("s - (X - l)", "(s + l) - X")],
    "RowColSumScalarFactor": [("rowSums(s * X)", "s * rowSums(X)"), ("colSums(X / s)", "colSums(X) / s")],
    "ColMeans": [("colSums(X) / 120", "colMeans(X)"), ("rowSums(X) / 80", "rowMeans(X)")],
    "TransposeOfShifted": [("t(t(X) + s) + l", "X + (s + l)"), ("t(t(X) + t(Y))", "X + Y")],
    "SumOfConstant": [("sum(fill(2, 120, 80))", "19200"), ("sum(X * fill(2, 120, 80))", "2 * sum(X)")],
    "DistributiveMatrixMult": [
        ("A %*% B + A %*% C", "A %*% (B + C)"), ("X %*% K - Y %*% K", "(X - Y) %*% K"),
        ("t(X) %*% P + t(X) %*% Q", "t(X) %*% (P + Q)"), ("P %*% R + Q %*% R", "(P + Q) %*% R"),
    ],
    "MatrixMultChain": [
        ("A %*% B %*% K", "A %*% (B %*% K)"), ("t(K) %*% t(X) %*% P", "t(X %*% K) %*% P"),
        ("A %*% B %*% F %*% t(F) %*% K", "A %*% (B %*% (F %*% (t(F) %*% K)))"), ("X %*% t(X) %*% P", "X %*% (t(X) %*% P)"),
        ("t(t(K) %*% t(X))", "X %*% K"),
    ],
    "MultiAggregate": [("sum(X * Y * Z) + sum(Z * X * Y)", "2 * sum(X * Y * Z)"), ("sum(X ^ 2 * X)", "sum(X ^ 3)")],
    "ElementwiseChain": [("X * Y * X", "X ^ 2 * Y"), ("X * S * Y", "S * X * Y"), ("S * X * S", "S ^ 2 * X")],
    "Folding": [("X * 2 * 3", "X * 6"), ("X * 2 + X * 3", "X * 5"), ("X + 2 + 3", "X + 5"), ("s * X + l * X", "(s + l) * X")],
    "OuterAggregate": [("sum(P %*% R)", "sum(P) * sum(R)"), ("rowSums(P %*% R)", "P * sum(R)")],
    "BroadcastAggregate": [("sum(X * P * R)", "as.scalar(t(P) %*% X %*% t(R))"), ("sum(X + s)", "sum(X) + s * 9600")],
    # -- what is driven by the non-zeros of a sparse matrix (wsloss, wdivmm, mmchain)
    "WeightedSquaredLoss": [
        ("sum((S - U %*% t(V)) ^ 2)", "sum(S ^ 2) - 2 * sum(S * (U %*% t(V))) + sum((t(U) %*% U) * (t(V) %*% V))"),
        ("sum((S + U %*% t(V)) ^ 2)", "sum(S ^ 2) + 2 * sum(S * (U %*% t(V))) + sum((t(U) %*% U) * (t(V) %*% V))"),
        ("sum((U %*% t(V)) ^ 2)", "sum((t(U) %*% U) * (t(V) %*% V))"),
        ("sum(S * (T - U %*% t(V)) ^ 2)", "sum(S * (T ^ 2 - 2 * T * (U %*% t(V)) + (U %*% t(V)) ^ 2))"),
    ],
    "WeightedDivMM": [
        ("t(t(U) %*% (S * (U %*% t(V))))", "t(S * (U %*% t(V))) %*% U"),
        ("(S * (U %*% t(V))) %*% V * 2", "(2 * S * (U %*% t(V))) %*% V"),
    ],
    "FactorGradient": [
        ("(U %*% t(V) - S) %*% V", "U %*% (t(V) %*% V) - S %*% V"), ("(U %*% t(V)) %*% V", "U %*% (t(V) %*% V)"),
        ("t(U) %*% (U %*% t(V) - S)", "(t(U) %*% U) %*% t(V) - t(U) %*% S"),
    ],
    "ProductObjective": [("sum(U %*% H) - sum(S * (U %*% H))", "as.scalar(colSums(U) %*% rowSums(H)) - sum(S * (U %*% H))")],
    "SoftmaxGradient": [("X * Y - X * rowSums(X * Y)", "X * (Y - rowSums(X * Y))")],
    "SelfProduct": [("t(X) %*% (X %*% K) + t(X) %*% P", "t(X) %*% (X %*% K + P)")],
}  # fmt: skip
HIDES_NAN: Final = frozenset({"Empty %*% K", "t(P) %*% Empty", "X * Empty", "t(t(Empty) * s)"})
CANCELS: Final = frozenset({"sum(X - Y)", "sum((S - U %*% t(V)) ^ 2)", "sum((S + U %*% t(V)) ^ 2)"})


def numbered() -> list[Known]:
    """All rewrites, with their numbers."""
    rows = [(n, *sides) for table in (SPORES, OTHERS) for n, many in table.items() for sides in many]
    return [Known(i, *row) for i, row in enumerate(rows, 1)]
