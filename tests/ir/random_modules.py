"""Random valid modules with loops, branches, calls, and sizes known, named and unknown, to try passes on."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.dialects.core import Call, Constant, Func, Module, Return, Yield
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, Unary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import (
    CBind,
    Diag,
    GetCell,
    Index,
    MatMul,
    NCol,
    NRow,
    RBind,
    Rev,
    Transpose,
)
from sysmlc.ir.dialects.dml_scalar import Input, Output
from sysmlc.ir.dialects.scf import For, If, While
from sysmlc.ir.types import Type, f64, i64, matrix

Shape = tuple[int, int]
CELLS = (0.0, 0.0, 1.0, -1.0, 2.0, 0.5, -3.0)
UNARY = ("abs", "neg", "sign", "round", "floor", "not", "isnan", "tanh", "cos")
BINARY = ("add", "sub", "mul", "min", "max", "eq", "lt", "ge", "div")


class RandomModule:
    """A module, the values of its inputs, and a generator that knows the shape of every value."""

    def __init__(self, seed: int, size: int = 25) -> None:
        self.rng = random.Random(seed)
        self.inputs: dict[str, Any] = {}
        self.module = Module.new(regions=[Region()])
        self._function()
        body = Region()
        self.module.body.append(Func.new(sym="main", regions=[body]))
        b = Builder(body)
        matrices = [self._input(b, i) for i in range(3)]
        scalars = [self._scalar_input(b, i) for i in range(2)] + [
            b(Constant, value=v) for v in (0.0, 1.0, 2.0)
        ]
        self.fill(b, matrices, scalars, size, 0)
        for i, value in enumerate(self.rng.sample([v for v, _ in matrices], 4) + self.rng.sample(scalars, 2)):
            b.op(Output, value, name_=f"out{i}")
        b.op(Return, [])

    def type_of(self, shape: Shape) -> Type:
        """A type for a matrix of this shape that knows all, some or nothing."""
        kind = self.rng.randrange(3)
        if kind == 2:
            return matrix()
        return matrix(*shape) if kind == 1 else matrix(*(d if d < 2 else f"n{d}" for d in shape))

    def _function(self) -> None:
        body = Region([matrix(), f64], ["M", "s"])
        self.module.body.append(Func.new(sym="scaled", regions=[body]))
        b = Builder(body)
        total = b(Aggregate, "sum", b(Binary, "mul", body.args[0], body.args[1]))
        b.op(Return, [total])
        loop, body = Region([i64, matrix()]), Region([matrix(), f64], ["M", "s"])
        self.module.body.append(Func.new(sym="damped", regions=[body]))
        b = Builder(loop)
        b.op(Yield, [b(Binary, "mul", loop.args[1], b(Constant, value=0.5))])
        b = Builder(body)
        bounds = [b(Constant, value=v) for v in (1, 2, 1)]
        b.op(Return, [b.op(For, *bounds, [body.args[0]], types=[matrix()], regions=[loop]).result])

    def _input(self, b: Builder, i: int) -> tuple[Value, Shape]:
        shape = self.rng.choice([(3, 3), (3, 3), (3, 2), (2, 3), (1, 3), (3, 1), (1, 1)])
        cells = [self.rng.choice(CELLS) for _ in range(shape[0] * shape[1])]
        self.inputs[f"X{i}"] = np.array(cells, float).reshape(shape)
        return b(Input, name_=f"X{i}", types=[self.type_of(shape)]), shape

    def _scalar_input(self, b: Builder, i: int) -> Value:
        self.inputs[f"s{i}"] = self.rng.choice(CELLS)
        return b(Input, name_=f"s{i}", types=[f64])

    def fill(
        self, b: Builder, matrices: list[tuple[Value, Shape]], scalars: list[Value], size: int, depth: int
    ) -> None:
        """Add operations that use and extend these values."""
        for _ in range(size):
            kind = self.rng.random()
            if kind < 0.15 and depth < 2:
                self.control(b, matrices, scalars, depth)
            elif kind < 0.35:
                scalars.append(self.scalar(b, matrices, scalars))
            else:
                matrices.append(self.matrix(b, matrices, scalars))

    def scalar(self, b: Builder, matrices: list[tuple[Value, Shape]], scalars: list[Value]) -> Value:
        """One more scalar."""
        rng = self.rng
        x, (rows, cols) = rng.choice(matrices)
        kind = rng.randrange(5)
        if kind == 0:
            return b(Aggregate, rng.choice(("sum", "min_of", "max_of", "mean")), x)
        if kind == 1:
            return b.op(Call, [x, rng.choice(scalars)], callee="scaled", types=[f64]).result
        if kind == 2:
            return b(
                GetCell, x, b(Constant, value=rng.randint(1, rows)), b(Constant, value=rng.randint(1, cols))
            )
        if kind == 3:
            return b(Binary, "mul", rng.choice(scalars), b(rng.choice((NRow, NCol)), x))
        return b(Binary, rng.choice(("add", "sub", "mul", "max")), rng.choice(scalars), rng.choice(scalars))

    def matrix(
        self, b: Builder, matrices: list[tuple[Value, Shape]], scalars: list[Value]
    ) -> tuple[Value, Shape]:
        """One more matrix."""
        rng = self.rng
        x, shape = rng.choice(matrices)
        rows, cols = shape
        kind = rng.randrange(12)
        if kind == 11:
            return b.op(Call, [x, rng.choice(scalars)], callee="damped", types=[matrix()]).result, shape
        if kind <= 2:
            fits = [m for m, s in matrices if s in (shape, (1, cols), (rows, 1), (1, 1))]
            return b(Binary, rng.choice(BINARY), x, rng.choice(fits)), shape
        if kind == 3:
            return b(Binary, rng.choice(BINARY), *rng.sample([x, rng.choice(scalars)], 2)), shape
        if kind == 4:
            return b(Unary, rng.choice(UNARY), x), shape
        if kind == 5:
            return b(Transpose, x), (cols, rows)
        if kind == 6:
            y, (_, other) = rng.choice(
                [(m, s) for m, s in matrices if s[0] == cols] or [(b(Transpose, x), (cols, rows))]
            )
            return b(MatMul, x, y), (rows, other)
        if kind == 7:
            direction = rng.choice(("row", "col"))
            return b(Aggregate, "sum", x, dir=direction), (rows, 1) if direction == "row" else (1, cols)
        if kind == 8 and rows * cols < 40:
            if rng.random() < 0.5:
                return b(RBind, [x, x]), (2 * rows, cols)
            return b(CBind, [x, x]), (rows, 2 * cols)
        if kind == 9:
            low, high = sorted((rng.randint(1, rows), rng.randint(1, rows)))
            bounds = [b(Constant, value=v) for v in (low, high, 1)]
            return b(Index, x, *bounds, b(NCol, x)), (high - low + 1, cols)
        if rows == cols > 1:
            return b(Diag, x), (rows, 1)
        sizes = [b(Constant, value=v) for v in shape]
        return rng.choice([b(Rev, x), b(Fill, rng.choice(scalars), *sizes)]), shape

    def control(
        self, b: Builder, matrices: list[tuple[Value, Shape]], scalars: list[Value], depth: int
    ) -> None:
        """A branch or a loop that gives one matrix and one scalar."""
        rng = self.rng
        x, shape = rng.choice(matrices)
        s = rng.choice(scalars)
        declared = matrix()  # what a branch or round gives may be known less well than what comes in
        if rng.random() < 0.5:
            condition = b(Binary, "gt", s, rng.choice(scalars))
            regions = [self.region(b, Region(), x, shape, s, matrices, scalars, depth) for _ in range(2)]
            made = b.op(If, condition, types=[declared, f64], regions=regions)
        elif rng.random() < 0.7:
            region = Region([i64, declared, f64], ["i", "", ""])
            self.region(b, region, region.args[1], shape, region.args[2], matrices, scalars, depth)
            bounds = [b(Constant, value=v) for v in (1, rng.randint(0, 3), 1)]
            made = b.op(For, *bounds, [x, s], types=[declared, f64], regions=[region])
        else:
            cond, body = Region([i64, declared, f64]), Region([i64, declared, f64])
            c = Builder(cond)
            c.op(Yield, [c(Binary, "lt", cond.args[0], c(Constant, value=rng.randint(0, 3)))])
            inner = self.region(b, body, body.args[1], shape, body.args[2], matrices, scalars, depth)
            following = Builder(inner, inner.terminator)
            step = following(Binary, "add", body.args[0], following(Constant, value=1))
            inner.terminator.set_operands([step, *inner.terminator.operands])
            zero = b(Constant, value=0)
            made = b.op(While, [zero, x, s], types=[i64, declared, f64], regions=[cond, body])
        matrices.append((made.results[-2], shape))
        scalars.append(made.results[-1])

    def region(
        self, b: Builder, region: Region, x: Value, shape: Shape, s: Value, matrices: list[Any], scalars: list[Any], depth: int
    ) -> Region:  # fmt: skip
        """Fill a region that yields a matrix of this shape and a scalar."""
        inner = Builder(region, loc=b.loc)
        here, numbers = [*matrices, (x, shape)], [*scalars, s]
        self.fill(inner, here, numbers, self.rng.randint(1, 4), depth + 1)
        fits = [m for m, known in here if known == shape]
        total = inner(Binary, "add", self.rng.choice(numbers), inner(Constant, value=0.5))
        inner.op(Yield, [inner(Binary, "min", self.rng.choice(fits), inner(Constant, value=9.0)), total])
        return region
