"""The sum-product rules of SystemML and SystemDS and of the SPORES paper, each as an expression with the sizes it is about.

Upper-case names are matrices: X, Y, Z, W m×n; S sparse m×n; A m×k, B k×n, C k×n; M square; U m×r, V n×r; H r×n; P, Q vectors
of m rows, R a row of n columns, K a vector of n rows; I a 1x1 matrix. Lower-case names are scalars.
"""

from __future__ import annotations

from typing import Any, Final

SHAPES: Final[dict[str, Any]] = {
    "X": (120, 80), "Y": (120, 80), "Z": (120, 80), "W": (120, 80), "S": (120, 80, 350), "T": (120, 80, 350),
    "A": (120, 100), "B": (100, 80), "C": (100, 80), "D": (100, 120), "M": (120, 120), "N": (120, 120),
    "U": (120, 6), "V": (80, 6), "H": (6, 80), "G": (6, 80), "P": (120, 1), "Q": (120, 1), "R": (1, 80),
    "Empty": (120, 80, 0), "EmptyM": (120, 120, 0), "K": (80, 1), "L": (80, 1), "I": (1, 1), "E": (80, 120), "F": (80, 60), "s": None, "l": None,
}  # fmt: skip

RULES: Final[dict[str, list[str]]] = {
    # -- unnecessary operations (SystemML static 2, 27, 30; dynamic 7, 11, 12, 15, 21)
    "UnnecessaryBinary": ["(X * 1) + Y", "(X / 1) + Y", "(X + 0) * Y", "(X - 0) * Y", "(1 * X) * Y", "(0 + X) * Y"],
    "MinusFromZero": ["0 - (X - Y)", "(0 - X) + Y"],
    "UnnecessaryMinus": ["-(-X)", "-(-(X + Y))", "sum(-(-X))"],
    "UnnecessaryTranspose": ["t(t(X))", "sum(t(t(X)) * Y)"],
    "UnnecessaryAggregate": ["sum(rowSums(X))", "sum(colSums(X))", "sum(sum(X) * Y)"],
    "UnnecessaryAggregates(sumsq)": ["sum(rowSums(X ^ 2))", "sum(colSums(X ^ 2))"],
    "RowwiseAggOnVector": ["rowSums(P * Q)", "rowSums(P) * Q"],
    "ColwiseAggOnVector": ["colSums(P * Q)", "colSums(R) * R", "colSums(P)"],
    "UnaryAggOuterVector": ["sum(P %*% R)", "rowSums(P %*% R)", "colSums(P %*% R)"],
    "Aggregate1x1": ["sum(I) * X", "sum(t(P) %*% Q)"],
    "MatrixMult1x1": ["P %*% I + Q", "I %*% R + R"],
    "ScalarMatrixMult": ["X * as.scalar(I)", "(P %*% I) * 2"],
    # -- distributivity and scaling (static 6, 11, 15, 18; DS λX, −(B−A), a−A−b)
    "BinaryToUnary": ["X + X", "X * X", "X * X * X", "X * X - X"],
    "DistributiveBinary": ["X - Y * X", "X + Y * X", "X - X * Y", "X + X * Y", "X * Y + X * Z", "X * Y - Z * X"],
    "DistributiveVector": ["X - X * P", "X * P + X * Q", "X * P - Y * P", "X * R + Y * R"],
    "SumScalarFactor": ["sum(s * X)", "sum(X * s)", "sum(s * X * l)", "sum(X / s)", "sum(-X)"],
    "RowColSumScalarFactor": ["rowSums(s * X)", "colSums(X * s)", "rowSums(X / s)", "rowSums(-X)"],
    "AsScalarFactor": ["as.scalar(I * s)", "as.scalar(I + s)", "as.scalar(t(P) %*% Q * s)"],
    "MinusReversed": ["-(X - Y)", "-(X - Y) * Z", "s - X - l", "s - (X - l)"],
    "ConstantFolding": ["X * 2 * 3", "2 * X * 3", "X + 2 + 3", "X * 2 + X * 3", "5 * X - X * 5 + Y"],
    "NestedScalars": ["s * (l * X)", "(s * X) * (l * Y)", "X * s / l", "s * X + l * X"],
    # -- aggregates (static 13, 14, 16; dynamic 25, 27, 33, 34, 37; DS trace, cumulated)
    "SumOverTranspose": ["sum(t(X))", "sum(t(X) + t(Y))", "sum(t(X * Y))"],
    "ColSumsOfTranspose": ["colSums(t(X))", "rowSums(t(X))", "colSums(t(X * Y))"],
    "PushdownSumOnAdd": ["sum(X + Y)", "sum(X - Y)", "rowSums(X + Y)", "colSums(X + Y)", "sum(X + Y + Z)", "sum(X + s)"],
    "SumOfProduct": ["sum(A %*% B)", "sum(U %*% t(V))", "sum(A %*% B %*% F)", "sum(X * (P %*% R))"],
    "RowSumsOfProduct": ["rowSums(A %*% B)", "colSums(A %*% B)", "rowSums(A %*% B %*% F)", "rowSums(U %*% t(V))"],
    "SumSquares": ["sum(P ^ 2)", "sum(P * P)", "t(P) %*% P", "sum(X ^ 2)", "sum(X * X)", "rowSums(X ^ 2)", "colSums(X * X)"],
    "DotProductSum": ["sum(P * Q)", "as.scalar(t(P) %*% Q)", "t(P) %*% Q", "sum(X * Y * Z)", "sum(X ^ 2 * Y)", "sum(X ^ 3)"],
    "ColSumsMVMult": ["colSums(X * P)", "colSums(X * P * 2)", "colSums(X * P * Q)"],
    "RowSumsMVMult": ["rowSums(X * R)", "rowSums(X * t(K))", "rowSums(X * R * s)"],
    "SumOfBroadcast": ["sum(X * P)", "sum(X * R)", "sum(X + P)", "sum(X - R)", "sum(X * P * R)"],
    "SumDiagToTrace": ["sum(diag(M))", "trace(M + N)", "trace(t(M))", "trace(s * M)", "trace(diag(P))"],
    "TraceMatrixMult": ["trace(A %*% D)", "trace(t(A) %*% A)", "trace(M %*% N)", "trace(X %*% t(Y))"],
    "DiagMult": ["diag(P) %*% X", "X %*% diag(K)", "diag(P) %*% X %*% diag(K)", "t(X) %*% diag(P)"],
    "DiagOfProduct": ["diag(A %*% D)", "diag(M %*% t(N))", "diag(t(X) %*% Y)"],
    "DiagScalar": ["diag(P) * 7", "diag(P) * s", "diag(P) + diag(Q)", "diag(P * s) %*% X"],
    "SumOverDiag": ["sum(diag(P))", "sum(diag(P) %*% X)", "rowSums(diag(P))"],
    "Means": ["mean(X * s)", "rowMeans(X * R)", "colMeans(X * P)", "mean(t(X))", "colSums(X) / nrow(X)", "mean(X + Y)"],
    # -- products (static 8-12, 22, 28; dynamic 8, 20-24, 36; chains)
    "ReorderMinusMatrixMult": ["(-t(X)) %*% P", "-t(X) %*% P + K", "(-A) %*% B", "A %*% (-B)", "(-A) %*% (-B)"],
    "ScalarMatrixMultOut": ["(s * A) %*% B", "A %*% (B * s)", "(s * X) %*% K", "(X * s) %*% (K * l)"],
    "TransposeOfProduct": ["t(t(B) %*% t(A))", "t(A %*% B)", "t(t(A) %*% X)", "t(t(B) %*% t(A) + E)"],
    "TransposeOfSum": ["t(t(X) + t(Y))", "t(t(X) * s)", "t(t(X) + s) + s"],
    "BushyBinary": ["X * (Y * (Z %*% K))", "X * (Y * P)", "(X * (Y * s)) * l"],
    "UnnecessaryOuterProduct": ["X * (P %*% fill(1, 1, 80))", "X * (fill(1, 120, 1) %*% R)", "X + P %*% fill(1, 1, 80)"],
    "ConstantMatrixProduct": ["X %*% fill(1, 80, 1)", "fill(1, 1, 120) %*% X", "fill(2, 1, 120) %*% X %*% fill(3, 80, 1)"],
    "ConstantMatrixCellwise": ["X * fill(1, 120, 80)", "X + fill(0, 120, 80)", "sum(X * fill(2, 120, 80))"],
    "DistributiveMatrixMult": ["A %*% B + A %*% C", "A %*% B - A %*% C", "t(X) %*% P + t(X) %*% Q", "X %*% K + Y %*% K"],
    "DistributiveMatrixMult3": ["A %*% B + A %*% C + A %*% (2 * B)", "P %*% R + Q %*% R", "X %*% K - Y %*% K"],
    "MatrixMultChain": ["A %*% B %*% F", "A %*% B %*% K", "t(K) %*% t(X) %*% P", "X %*% t(X) %*% P", "A %*% B %*% F %*% t(F) %*% K"],
    "MatrixMultChainTransposed": ["t(t(K) %*% t(X))", "t(X) %*% (X %*% K)", "t(X) %*% (P * (X %*% K))", "t(X) %*% (X %*% K - P)"],
    "EmptyBinary": ["X * fill(0, 120, 80) + Y", "sum(X * 0)", "X - X + Y", "sum(X * Y) - sum(Y * X)"],
    "ElementwiseChain": ["X * Y * X", "X * Y * X * Y", "S * X * S", "X * S * Y"],
    "CommonSubexpression": ["sum(X * Y) + sum(X * Y)", "(X + Y) * (X + Y)", "sum((X * Y) ^ 2) + sum(X * Y)"],
    # -- sparse drivers (wsloss, wdivmm, wumm as far as they are sum-product)
    "WeightedSquaredLossNone": ["sum((S - U %*% t(V)) ^ 2)", "sum((U %*% t(V) - S) ^ 2)", "sum((S + U %*% t(V)) ^ 2)"],
    "WeightedSquaredLossPost": ["sum(S * (X - U %*% t(V)) ^ 2)", "sum((S - U %*% t(V)) ^ 2 * T)"],
    "WeightedSquaredLossPre": ["sum((X - S * (U %*% t(V))) ^ 2)", "sum((T - S * (U %*% t(V))) ^ 2)"],
    "WeightedSquaredLossSumSq": ["sum(S ^ 2) + sum((U %*% t(V)) ^ 2)", "sum((U %*% t(V)) ^ 2)", "sum((U %*% H) ^ 2)"],
    "WeightedDivMMLeft": ["t(U) %*% (S * (U %*% t(V)))", "t(U) %*% (S * (U %*% t(V)) - S)", "t(t(U) %*% (S * (U %*% t(V))))"],
    "WeightedDivMMRight": ["(S * (U %*% t(V))) %*% V", "(S * (U %*% t(V) - X)) %*% V", "(S / s * (U %*% t(V))) %*% V"],
    "WeightedDivMMBasic": ["S * (U %*% t(V))", "S * (U %*% t(V) - X)", "S * (U %*% t(V)) * S"],
    "FactorGradient": ["(U %*% t(V) - S) %*% V", "t(U) %*% (U %*% t(V) - S)", "(S - U %*% t(V)) %*% V", "(U %*% t(V)) %*% V"],
    "ProductObjective": ["sum(U %*% H) - sum(S * (U %*% H))", "sum(S * (U %*% t(V)))", "sum((U %*% H) * (U %*% G))"],
    # -- the categories of SPORES that combine several of these
    "AxpyAndSelfProducts": ["X + s * Y", "X - s * Y", "X * (1 - X)", "X * s - X * X * s"],
    "SoftmaxGradient": ["X * Y - X * rowSums(X * Y)", "X * (Y - rowSums(X * Y))", "t(M) %*% (X * Y - X * rowSums(X * Y))"],
    "Centering": ["(X - rowMeans(X)) %*% K", "(S - colMeans(S)) %*% K", "t(S - colMeans(S)) %*% P", "X - colMeans(X) + Y"],
    "Distances": ["rowSums(U ^ 2) - U %*% t(U) %*% P", "rowSums((U * 2) ^ 2)", "sum((P - Q) ^ 2)", "sum((X - P %*% R) ^ 2)"],
    "Regularised": ["sum((P - X %*% K) ^ 2) + s * sum(K ^ 2)", "t(X) %*% (X %*% K) + s * K", "t(X) %*% X %*% K + s * K"],
    "Variances": ["sum(X ^ 2) / 9600 - mean(X) ^ 2", "sum((X - mean(X)) ^ 2)", "colSums(X ^ 2) - colSums(X) ^ 2 / 120"],
}  # fmt: skip
