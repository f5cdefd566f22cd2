"""Arguments known when a script is compiled, and the same given to an executable: it prints the same, whatever their kind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import sysmlc
from sysmlc.codegen.cpu.compile import compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.runtime.bridge import Context, NativeError
from sysmlc.tools.sysmlc import main

NUMBERS = """
twice = function(double v) return (double w) { w = 2 * v }
whole = function(int v) return (int w) { w = v }
x = $x
y = ifdef($y, 2)
print(1 + $x)
print(x * 2 + " " + (x - y) + " " + (y - 1.5) + " " + (x / 2) + " " + (-x) + " " + (+x) + " " + x^2)
print(x %% 3 + " " + x %/% 3 + " " + (x %% y) + " " + (-7 %/% y) + " " + (x %% 2.5))
print(abs(x) + " " + abs(-x) + " " + max(x, 3) + " " + min(y, 2.5) + " " + max(x, y, 0) + " " + round(x) + " " + sqrt(abs(x)))
print((x < 3) + " " + (x == y) + " " + (y >= 0.5) + " " + (x != "4") + " " + (x > "10") + " " + (x & TRUE) + " " + !x)
print(bitwAnd(x, 6) + " " + ifelse(x > y, x, -x) + " " + ifelse(x > y, "a", y))
s = 0 * x * y
for (i in 1:as.integer(abs(x))) { s = s + i * y }
print(s)
while (s > 10) { s = s - abs(x) - 1 }
print("%s %b|%5s|", s, y, x)
for (i in seq(1, max(x, 1))) { s += y }
print(s + " " + twice(x) + " " + whole(y) + " " + as.integer(x) + " " + as.double(x) + " " + as.logical(y))
M = matrix(x, rows=2, cols=2) * y + x
M[1, 2] = y
print(toString(M) + sum(M %*% M) + " " + nrow(rand(rows=max(1, x), cols=2)))
L = list(a=x, b=y)
print(as.scalar(L["a"]) + as.scalar(L[2]))
if (y) { z = x } else { z = -x }
print(z + 1)
z = x
z = z + "!" + y
print(z)
"""
TEXTS = """
x = $x
y = ifdef($y, "b")
print(x)
print(x + 1 + y)
print(1 + $x)
print((x == y) + " " + (x < y) + " " + (x != "b") + " " + ("b" >= x) + " " + (x == 1))
print("%s|%7s|%b", x, y, x)
print(toString(x) + toString(y))
"""
CELLS = """
y = ifdef($y, 3)
print(toString(matrix($x, 2, 2)) + sum(matrix(y, 1, 1)))
L = list($x)
print(sum(matrix(as.scalar(L[1]), rows=length(L) + 1, cols=2)))
"""
ONE = 'print("" + $1 + $2 + ($1 == $2))\nprint($1 + $2)\n'


def executable(text: str, folder: Path) -> Path:
    script = folder / "script.dml"
    script.write_text(text)
    assert main([str(script), "-o", str(folder / "program")]) == 0
    return folder / "program"


def in_process(text: str, args: dict[str, str], capfd: pytest.CaptureFixture[str]) -> str:
    """What the script prints when its arguments are known while it is compiled."""
    sysmlc.compile(text, args=args, outputs=[]).run()
    return capfd.readouterr().out


def referenced(text: str, args: dict[str, str]) -> str:
    """What it prints by the reference evaluator, which looks the arguments up when it runs."""
    lines: list[str] = []
    evaluate(compile_source(Source("a.dml", text), runtime_args=True), args=args, output=lines.append)
    return "".join(f"{line}\n" for line in lines)


def given(args: dict[str, str]) -> list[str]:
    if args and all(name.isdecimal() for name in args):
        return ["-args", *args.values()]
    return ["-nvargs", *(f"{name}={value}" for name, value in args.items())]


CASES = [
    (NUMBERS, ["x=4", "x=4 y=2", "x=4.5 y=2.5", "x=7 y=1e-3", "x=-3 y=2.0", "x=1.5e3 y=3", "x=-2.5 y=-1", "x=0 y=1.5", "x=3 y=NaN"]),
    (TEXTS, ["x=a", "x=b y=c", "x=b y=5", "x=1.5 y=z", "x='12' y=b", "x=Ünïcode y=b"]),
    (CELLS, ["x=5", "x=-0.0", "x=TRUE y=2.5", "x=1\t-2.5\n3e2\t.5d", "x=NaN\t1\tInfinity\t-7."]),
    (ONE, ["1=1 2=2", "1=1 2=2.0", "1=TRUE 2=FALSE", "1=x 2=y", "1=x 2=1", "1=1e3 2=0.5"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "runs"), CASES, ids=["numbers", "texts", "cells", "positions"])
def test_the_same_when_given_at_run_time(
    text: str, runs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = executable(text, tmp_path)
    for run in runs:
        args = dict(word.split("=", 1) for word in run.split(" "))
        expected = in_process(text, args, capfd)
        done = subprocess.run([program, *given(args)], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == (expected, ""), run

        assert referenced(text, args) == expected, run


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("print($x - 1)", "abc", "'-' cannot be applied to a string and an integer"),
        ("print($x * 2)", "TRUE", "'*' cannot mix a boolean and an integer"),
        ("print(-$x)", "FALSE", "'*' cannot mix a boolean and an integer"),
        ("print($x + 1)", "9223372036854775807", "numerical result overflow"),
        ("print($x %/% 0)", "5", "numerical result overflow"),
        ("print(sum(matrix($x, 2, 2)))", "abc", "'abc' is not a number"),
        ("print(sum(matrix($x, 2, 2)))", "1 0x2 3 4", "'0x2' is not a number"),
        ("print(sum(matrix($x, 2, 2)))", "1 2 3", "a 2x2 matrix has 4 cells, but the string holds 3 values"),
        ('print("%d", $x)', "1.5", "needs an integer"),
        ("print(nrow(matrix(1, as.integer($x), 2)))", "-3", "a matrix cannot have -3 rows"),
        ("print(sum(matrix(1, as.integer($x), 2)))", "-3", "a matrix cannot have -3 rows"),
        ("n = as.integer($x); print(sum(matrix(2, 4, n) %*% matrix(3, n, 3)))", "-3", "-3 col"),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_value(text: str, value: str, message: str) -> None:
    """A program that looks its arguments up fails where one that knows them is refused."""
    module = compile_source(Source("a.dml", text), runtime_args=True)
    loaded = engine().load(compile_program(module, "a.dml"))  # type: ignore[arg-type]
    context = Context()
    context.set_arg("x", value)
    with pytest.raises(NativeError, match=message.replace("*", r"\*")) as error:
        context.run(loaded, engine().resolver)
    assert "a.dml:1:" in str(error.value)
    # A text of cells is looked at where it is known, in the same words.
    known = message if "matrix(" in text else None
    with pytest.raises((Diagnostic, DiagnosticGroup, NativeError), match=known):
        sysmlc.compile(text + "\n", args={"x": value}, outputs=[]).run()


def test_an_executable_for_given_arguments_takes_no_others(tmp_path: Path) -> None:
    script = tmp_path / "a.dml"
    script.write_text("y = ifdef($y, 2)\nprint($x + y)\n")
    assert main([str(script), "-o", str(tmp_path / "a"), "-nvargs", "x=3"]) == 0

    def run(*args: str) -> tuple[int, str]:
        done = subprocess.run([str(tmp_path / "a"), *args], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    assert run() == run("-nvargs", "x=3") == (0, "5\n")
    assert "fixed: 3" in run("--help")[1]
    code, text = run("-nvargs", "x=4")
    assert code == 2
    assert "the argument $x is '3' since the program was compiled with it" in text
    code, text = run("-nvargs", "y=4")
    assert code == 2
    assert "$y is not one of them" in text
