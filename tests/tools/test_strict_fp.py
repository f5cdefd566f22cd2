"""`--strict-fp` reaches the passes from every tool."""

from __future__ import annotations

from pathlib import Path

import pytest

import sysmlc
from sysmlc.passes.pipelines import pipeline
from sysmlc.tools.opt import main as opt
from sysmlc.tools.sysmlc import main as compiler

SCRIPT = """\
X = rand(rows=400, cols=300, min=-1, seed=1)
Y = rand(rows=400, cols=300, min=-1, seed=2)
U = rand(rows=400, cols=5, min=-1, seed=3)
V = rand(rows=300, cols=5, min=-1, seed=4)
G = (U %*% t(V) + X) %*% V
print(sum(abs(G)))
print(trace(t(X) %*% (Y + X)))
print(sum(X * Y - X * X))
"""
MULTIPLIED_OUT = "U %*% (t(V) %*% V)"


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "s.dml"
    path.write_text(SCRIPT)
    return str(path)


def test_run(script, capfd):
    assert compiler(["run", script, "-explain", "rewrites"]) == 0
    assert MULTIPLIED_OUT in capfd.readouterr().out
    assert compiler(["run", script, "--strict-fp", "-explain", "rewrites"]) == 0
    assert MULTIPLIED_OUT not in capfd.readouterr().out
    assert compiler(["run", script, "--strict-fp"]) == 0
    strict = capfd.readouterr().out
    assert compiler(["run", script, "-O0"]) == 0
    plain = capfd.readouterr().out
    for a, b in zip(strict.split(), plain.split(), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-12)


def test_compile(script, tmp_path, capfd):
    made = []
    for options in ([], ["--strict-fp"]):
        path = tmp_path / f"{len(options)}.ll"
        assert compiler([script, "--emit=llvm", "-o", str(path), *options]) == 0
        made.append(path.read_text())
    assert made[0] != made[1]


def test_opt(script, capfd):
    assert opt([script, "-O2", "--explain", "rewrites"]) == 0
    assert MULTIPLIED_OUT in capfd.readouterr().out
    assert opt([script, "-O2", "--strict-fp", "--explain", "rewrites"]) == 0
    assert MULTIPLIED_OUT not in capfd.readouterr().out


def test_python():
    strict = sysmlc.compile(SCRIPT, outputs=(), strict_fp=True)
    free = sysmlc.compile(SCRIPT, outputs=())
    assert strict.options.key != free.options.key
    assert [p for p in strict.options.passes() if getattr(p, "strict_fp", False)]


def test_only_passes_that_know_it_are_told():
    names = {p.name for p in pipeline(2, strict_fp=True) if getattr(p, "strict_fp", False)}
    assert names >= {"simplify", "sum-product"}
