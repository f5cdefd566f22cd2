"""The documented random generators, in plain Python: java.util.Random, WELL1024a, and rand and sample on top."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

MASK32, MASK48, MASK64 = (1 << 32) - 1, (1 << 48) - 1, (1 << 64) - 1
BLOCK = 1000


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class JavaRandom:
    """java.util.Random: a 48-bit linear congruential generator."""

    def __init__(self, seed: int) -> None:
        self.state = (seed ^ 0x5DEECE66D) & MASK48

    def bits(self, n: int) -> int:
        self.state = (self.state * 0x5DEECE66D + 0xB) & MASK48
        return self.state >> (48 - n)

    def integer(self) -> int:
        return _signed(self.bits(32), 32)

    def below(self, bound: int) -> int:
        if bound & -bound == bound:
            return (bound * self.bits(31)) >> 31
        while True:
            bits = self.bits(31)
            value = bits % bound
            if bits - value + bound - 1 < 1 << 31:
                return value

    def long(self) -> int:
        high = self.integer() << 32
        return _signed(high + self.integer(), 64)

    def double(self) -> float:
        high = self.bits(26) << 27
        return (high + self.bits(27)) * 2.0**-53


class Well1024a:
    """WELL1024a with 32 words of state."""

    def __init__(self, words: list[int]) -> None:
        self.v = [w & MASK32 for w in words]
        self.at = 0

    @classmethod
    def of_seed(cls, seed: int) -> Well1024a:
        words = [(seed >> 32) & MASK32, seed & MASK32]
        for i in range(2, 32):
            last = _signed(words[i - 2], 32)
            words.append((1812433253 * (last ^ (last >> 30)) + i) & MASK32)
        return cls(words)

    def bits(self, n: int) -> int:
        v, i = self.v, self.at
        m1, m2, m3 = v[(i + 3) % 32], v[(i + 24) % 32], v[(i + 10) % 32]
        before = (i + 31) % 32
        z0 = v[before]
        z1 = v[i] ^ m1 ^ (m1 >> 8)
        z2 = m2 ^ (m2 << 19) & MASK32 ^ m3 ^ (m3 << 14) & MASK32
        v[i] = z1 ^ z2
        v[before] = z0 ^ (z0 << 11) & MASK32 ^ z1 ^ (z1 << 7) & MASK32 ^ z2 ^ (z2 << 13) & MASK32
        self.at = before
        return v[before] >> (32 - n)

    def long(self) -> int:
        high = self.bits(32) << 32
        return _signed(high | self.bits(32), 64)

    def double(self) -> float:
        high = self.bits(26) << 26
        return (high | self.bits(26)) * 2.0**-52


def _normal(seed: int) -> Callable[[], float]:
    random, twins = JavaRandom(seed), []

    def draw() -> float:
        if twins:
            return float(twins.pop())
        u1, u2 = random.double(), random.double()
        radius = math.sqrt(-2 * math.log(u1))
        twins.append(radius * math.sin(2 * math.pi * u2))
        return radius * math.cos(2 * math.pi * u2)

    return draw


def _poisson(seed: int, mean: float) -> Callable[[], float]:
    """Knuth's product of uniforms; Devroye's rejection (Computing 26, 1981) for large means."""
    random = Well1024a.of_seed(seed)
    twins: list[float] = []

    def small(m: float) -> int:
        limit, product, n = math.exp(-m), 1.0, 0
        while n < 1000 * m:
            product *= random.double()
            if product < limit:
                break
            n += 1
        return n

    if mean < 40:
        return lambda: float(small(mean))

    def normal() -> float:
        if twins:
            return twins.pop()
        angle = 2 * math.pi * random.double()
        radius = math.sqrt(-2 * math.log(random.double()))
        twins.append(radius * math.sin(angle))
        return radius * math.cos(angle)

    def exponential() -> float:
        """Ahrens and Dieter, algorithm SA (Communications of the ACM 15, 1972)."""
        a, u, log2 = 0.0, random.double(), math.log(2)
        while u < 0.5:
            a, u = a + log2, u * 2
        u += u - 1
        if u <= log2:
            return a + u
        least, total, k = random.double(), log2, 1
        while u > total:
            least, k = min(least, random.double()), k + 1
            total += log2**k / math.factorial(k)
        return a + least * log2

    whole = math.floor(mean)
    delta = math.sqrt(whole * math.log(32 * whole / math.pi + 1))
    width = 2 * whole + delta
    body = math.sqrt(math.pi * width) * math.exp(1 / (8 * whole))
    tail = width / delta * math.exp(-delta * (1 + delta) / width)

    def draw() -> float:
        rest = small(mean - whole) if mean > whole else 0
        while True:
            u = random.double() * (body + tail + 1)
            if u > body + tail:
                return float(whole + rest)
            if u <= body:
                n = normal()
                x = n * math.sqrt(whole + delta / 2) - 0.5
                if not -whole <= x <= delta:
                    continue
                y = math.floor(x) if x < 0 else math.ceil(x)
                v = -exponential() - n * n / 2 + 1 / (8 * whole)
            else:
                x = delta + width / delta * exponential()
                y = math.ceil(x)
                v = -exponential() - delta * (x + 1) / width
            t = y * (y + 1) / (2 * whole)
            upper = t * ((2 * y + 1) / (6 * whole) - 1)
            lower = upper - t * t / (3 * (whole + (y + 1 if x < 0 else 0)))
            exact = y * math.log(whole) - math.lgamma(y + whole + 1) + math.lgamma(whole + 1)
            if (v < -t and x >= 0) or v < lower or (v <= upper and v < exact):
                return float(whole + y + rest)

    return draw


def _stream(pdf: str, seed: int, low: float, high: float, mean: float) -> tuple[Callable[[], float], float]:
    """A value generator and its first raw draw, which seeds the generator of positions."""
    if pdf == "normal":
        draw = _normal(seed)
        return draw, draw()
    if pdf == "poisson":
        draw = _poisson(seed, mean)
        return draw, draw()
    random = JavaRandom(seed)
    first = random.double()
    return lambda: low + (high - low) * random.double(), first


def _saturated(x: float) -> int:
    return 0 if math.isnan(x) else max(-(2**63), min(2**63 - 1, int(x)))


def rand_matrix(
    rows: int, cols: int, low: float, high: float, sparsity: float, pdf: str, seed: int, mean: float
) -> Any:
    """`rand` with the documented stream (blocks of 1000 x 1000, each with its own generator)."""
    if pdf == "uniform" and low == high and sparsity >= 1:
        return np.full((rows, cols), low)
    source = JavaRandom(time.time_ns() if seed == -1 else seed)
    seeds = Well1024a([source.integer() for _ in range(32)])
    expected = int(sparsity * (rows * cols))
    bytes_ = 8 * rows + 84 * min(rows, expected) + 12 * expected - 28  # as SystemDS estimates sparse rows
    sparse = cols > 1 and sparsity < 0.4 and bytes_ < 8 * rows * cols
    out = np.zeros((rows, cols))
    for i0 in range(0, rows, BLOCK):
        for j0 in range(0, cols, BLOCK):
            block = out[i0 : i0 + BLOCK, j0 : j0 + BLOCK]
            draw, first = _stream(pdf, seeds.long(), low, high, mean)
            positions = JavaRandom(_saturated(first * float(2**63)))
            if sparse:
                at = 0
                while sparsity > 0:
                    at += math.ceil(math.log(positions.double()) / math.log(1 - sparsity))
                    if at > block.size:
                        break
                    block[divmod(at - 1, block.shape[1])] = draw()
            else:
                for i, j in np.ndindex(*block.shape):
                    if sparsity >= 1 or positions.double() <= sparsity:
                        block[i, j] = draw()
    return out


def sample_values(extent: int, size: int, replace: bool, seed: int) -> list[int]:
    """`sample` with the documented stream."""
    random = JavaRandom(time.time_ns() if seed == -1 else seed)
    if replace:
        return [1 + (random.long() & (2**63 - 1)) % extent for _ in range(size)]
    out = list(range(1, size + 1))
    for i in range(size + 1, extent + 1):
        if random.below(i) < size:
            out[random.below(size)] = i
    for i in range(size - 1):
        j = i + random.below(size - i)
        out[i], out[j] = out[j], out[i]
    return out
