"""Vector mathematics for kernels: functions of SIMD vectors as LLVM text, written with `Lanes`.

The functions are part of each module that uses them (small ones are inlined), so results do not depend on a library,
and are the same in process and in executables. Bounds, in units in the last place, measured by `tests/codegen/cpu`:
exp 0.85, log 0.9, sigmoid 2.6, tanh 2.6, sinh 2.6, cosh 1.3, sin and cos 0.9, tan 2.3, asin 2.3, acos 1.2, atan 1.9, erf 1.2,
pow 0.8 (exact where the result is), log_base 2.5. `vecmath_tables` has exp, log, sigmoid and
tanh for AVX-512. sin, cos and tan of |x| > 2^19 are left to libm, lane by lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sysmlc.codegen.cpu.llvm_text import constant, suffix
from sysmlc.codegen.cpu.target import Target

LOG2_E = 1.4426950408889634
MAGIC = 1.5 * 2.0**52
"""Adding it rounds to an integer, whose bits then are the lowest of the sum."""


class MathLibrary:
    """The functions one module needs: definitions of its own, and declarations of intrinsics and of libm."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declared: dict[str, str] = {}
        self.defined: dict[str, str] = {}

    def call(self, kind: str, name: str, arguments: Sequence[str]) -> str:
        """A call as text; `arguments` are typed. The declaration is kept."""
        types = ", ".join(_type_of(a) for a in arguments)
        self.declared[name] = f"declare {kind} @{name}({types})"
        return f"call {kind} @{name}({', '.join(arguments)})"

    def need(self, fn: str, single: bool = False) -> str:
        """The symbol of `fn` for the target's vectors of f64 or f32; its definition becomes part of the module."""
        from sysmlc.codegen.cpu.vecmath_elementary import ELEMENTARY
        from sysmlc.codegen.cpu.vecmath_single import SINGLE, in_double
        from sysmlc.codegen.cpu.vecmath_trigonometric import TRIGONOMETRIC

        code = Lanes(self, single)
        symbol = f"sm_{fn}_v{code.count}{'f32' if single else ''}"
        if symbol not in self.defined:
            self.defined[symbol] = ""
            function = (ELEMENTARY | TRIGONOMETRIC)[fn]
            if single:
                function = SINGLE.get(fn) or in_double(fn, function)
            kind = code.types["f"]
            arguments = [Lane(code, f"%x{i}", "f") for i in range(function.arity)]
            made = function.write(code, *arguments)
            attributes = "alwaysinline nounwind" if function.inline else "noinline nounwind"
            self.defined[symbol] = "\n".join([
                f"define internal {kind} @{symbol}({', '.join(f'{kind} {a.text}' for a in arguments)}) {attributes} {{",
                *code.lines,
                f"  ret {kind} {made.text}",
                "}",
            ])  # fmt: skip
        return symbol

    def text(self) -> str:
        """Definitions and declarations."""
        return "\n".join([*self.defined.values(), *sorted(self.declared.values())])


def _type_of(argument: str) -> str:
    return argument[: argument.index(">") + 1] if argument.startswith("<") else argument.partition(" ")[0]


@dataclass(frozen=True)
class Lane:
    """A vector value being written: kind `f` (f64 or f32 lanes), `i` (integer lanes as wide) or `b` (i1 lanes)."""

    code: Lanes
    text: str
    kind: str

    def __add__(self, other: Lane | float) -> Lane:
        return self.code.binary("add", self, other)

    def __sub__(self, other: Lane | float) -> Lane:
        return self.code.binary("sub", self, other)

    def __mul__(self, other: Lane | float) -> Lane:
        return self.code.binary("mul", self, other)

    def __truediv__(self, other: Lane | float) -> Lane:
        return self.code.binary("div", self, other)

    def __and__(self, other: Lane | int) -> Lane:
        return self.code.logical("and", self, other)

    def __or__(self, other: Lane | int) -> Lane:
        return self.code.logical("or", self, other)

    def __xor__(self, other: Lane | int) -> Lane:
        return self.code.logical("xor", self, other)

    def __lshift__(self, by: int) -> Lane:
        return self.code.logical("shl", self, by)

    def __rshift__(self, by: int) -> Lane:
        return self.code.logical("lshr", self, by)

    def __neg__(self) -> Lane:
        return self.code.let("f", f"fneg {self.code.types['f']} {self.text}")


class Lanes:
    """Writes straight-line code on vectors. Nothing is contracted or reassociated: what is written is what happens."""

    def __init__(self, library: MathLibrary, single: bool = False) -> None:
        self.library = library
        self.target = library.target
        self.lines: list[str] = []
        self.single = single
        self.packed = "ps" if single else "pd"
        self.count = n = self.target.lanes * (2 if single else 1)
        self.integer = "i32" if single else "i64"
        self.types = {
            "f": f"<{n} x {'float' if single else 'double'}>",
            "i": f"<{n} x {self.integer}>",
            "b": f"<{n} x i1>",
        }

    def let(self, kind: str, expression: str) -> Lane:
        name = f"%t{len(self.lines)}"
        self.lines.append(f"  {name} = {expression}")
        return Lane(self, name, kind)

    def of(self, value: Lane | float, kind: str = "f") -> Lane:
        """A constant in every lane."""
        if isinstance(value, Lane):
            return value
        if kind == "f":
            return Lane(self, constant(self.types["f"], float(value)), kind)
        return Lane(self, f"splat ({self.integer} {int(value)})", kind)

    def binary(self, name: str, a: Lane | float, b: Lane | float) -> Lane:
        kind = a.kind if isinstance(a, Lane) else b.kind if isinstance(b, Lane) else "f"
        prefix = "f" if kind == "f" else ""
        left, right = self.of(a, kind), self.of(b, kind)
        return self.let(kind, f"{prefix}{name} {self.types[kind]} {left.text}, {right.text}")

    def logical(self, name: str, a: Lane, b: Lane | int) -> Lane:
        return self.let(a.kind, f"{name} {self.types[a.kind]} {a.text}, {self.of(b, a.kind).text}")

    def intrinsic(self, name: str, *arguments: Lane) -> Lane:
        kind = self.types["f"]
        typed = [f"{kind} {a.text}" for a in arguments]
        return self.let("f", self.library.call(kind, f"llvm.{name}.{suffix(kind)}", typed))

    def fma(self, a: Lane | float, b: Lane | float, c: Lane | float) -> Lane:
        """a*b + c; one rounding where the target can."""
        if self.target.fma:
            return self.intrinsic("fma", self.of(a), self.of(b), self.of(c))
        return self.binary("add", self.binary("mul", a, b), c)

    def horner(self, coefficients: Sequence[float], z: Lane) -> Lane:
        """The polynomial at z."""
        value = self.of(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = self.fma(value, z, c)
        return value

    def polynomial(self, coefficients: Sequence[float], z: Lane) -> Lane:
        """The polynomial at z, in two halves of powers of z^2 that run side by side."""
        square = z * z
        even, odd = self.horner(coefficients[::2], square), self.horner(coefficients[1::2], square)
        return self.fma(odd, z, even)

    def compare(self, relation: str, a: Lane, b: Lane | float) -> Lane:
        return self.let("b", f"fcmp {relation} {self.types['f']} {a.text}, {self.of(b).text}")

    def choose(self, flag: Lane, a: Lane | float, b: Lane | float) -> Lane:
        """`a` where the flag holds, else `b`."""
        left, right = self.of(a), self.of(b)
        kind = self.types["f"]
        return self.let("f", f"select {self.types['b']} {flag.text}, {kind} {left.text}, {kind} {right.text}")

    def at_most(self, x: Lane, limit: float) -> Lane:
        """min(x, limit); NaN stays."""
        return self.choose(self.compare("ogt", x, limit), limit, x)

    def at_least(self, x: Lane, limit: float) -> Lane:
        return self.choose(self.compare("olt", x, limit), limit, x)

    def abs(self, x: Lane) -> Lane:
        return self.intrinsic("fabs", x)

    def with_sign(self, x: Lane, sign: Lane) -> Lane:
        return self.intrinsic("copysign", x, sign)

    def bits(self, x: Lane) -> Lane:
        return self.let("i", f"bitcast {self.types['f']} {x.text} to {self.types['i']}")

    def floats(self, i: Lane) -> Lane:
        return self.let("f", f"bitcast {self.types['i']} {i.text} to {self.types['f']}")

    def nonzero(self, i: Lane) -> Lane:
        return self.let("b", f"icmp ne {self.types['i']} {i.text}, zeroinitializer")

    def power_of_two(self, n: Lane) -> Lane:
        """2^n for integers -1022 <= n <= 1023."""
        return self.floats((self.bits(n + MAGIC) << 52) + (1023 << 52))

    def scale(self, x: Lane, n: Lane) -> Lane:
        """x * 2^n, rounded once, for x near 1 and any integer |n| < 2000."""
        if self.target.avx512:
            return self.scalef(x, n)
        half = self.intrinsic("floor", n * 0.5)
        return x * self.power_of_two(half) * self.power_of_two(n - half)

    # -- what only AVX-512 has -----------------------------------------------------------------------------------------

    def avx512(self, name: str, *arguments: Lane | str) -> Lane:
        """An intrinsic of a whole register that gives as much; arguments that are text are typed."""
        typed = [a if isinstance(a, str) else f"{self.types[a.kind]} {a.text}" for a in arguments]
        return self.let("f", self.library.call(self.types["f"], f"llvm.x86.avx512.{name}.512", typed))

    def masked(self, name: str, *arguments: Lane | str, flag: Lane | None = None) -> Lane:
        """One that takes a mask and a way of rounding; for all lanes, or those where the flag holds."""
        kind, mask = f"i{self.count}", "-1"
        if flag is not None:
            mask = self.let("i", f"bitcast {self.types['b']} {flag.text} to {kind}").text
        return self.avx512(f"mask.{name}.{self.packed}", *arguments, f"{kind} {mask}", "i32 4")

    def scalef(self, x: Lane, n: Lane, flag: Lane | None = None) -> Lane:
        """x * 2^floor(n), rounded once, where the flag holds; else 0, which takes no time and disturbs nobody."""
        return self.masked("scalef", x, n, x if flag is None else self.of(0.0), flag=flag)

    def entry(self, table: Sequence[float], index: Lane) -> Lane:
        """The entry of a table of two registers at `index`, whose higher bits do not count."""
        kind = "float" if self.single else "double"
        first, second = (
            f"{self.types['f']} <" + ", ".join(f"{kind} {constant(kind, v)}" for v in half) + ">"
            for half in (table[: self.count], table[self.count :])
        )
        return self.avx512(f"vpermi2var.{self.packed}", first, index, second)

    def exponent(self, x: Lane) -> Lane:
        """The k of x = ±2^k m with 1 <= m < 2; -Infinity of 0."""
        return self.masked("getexp", x, x)

    def mantissa(self, x: Lane) -> Lane:
        """The m of x = 2^k m with 3/4 <= m < 3/2; 1 of 0 and of Infinity, NaN of less than 0."""
        return self.masked("getmant", x, "i32 15", x)

    def repaired(self, value: Lane, x: Lane, table: int) -> Lane:
        """`value`, but where x is special what the table says (of VFIXUPIMMPD: four bits for each kind of number)."""
        return self.masked("fixupimm", value, x, self.of(table, "i"), "i32 0")

    # -- sums and products without error ------------------------------------------------------------------------------

    def two_sum(self, a: Lane, b: Lane) -> tuple[Lane, Lane]:
        total = a + b
        virtual = total - a
        return total, (a - (total - virtual)) + (b - virtual)

    def quick_two_sum(self, a: Lane, b: Lane) -> tuple[Lane, Lane]:
        """For |a| >= |b|."""
        total = a + b
        return total, b - (total - a)

    def two_product(self, a: Lane, b: Lane) -> tuple[Lane, Lane]:
        product = a * b
        if self.target.fma:
            return product, self.fma(a, b, -product)
        a_high, a_low = self._halves(a)
        b_high, b_low = self._halves(b)
        return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low

    def _halves(self, a: Lane) -> tuple[Lane, Lane]:
        big = a * 134217729.0
        high = big - (big - a)
        return high, a - high
