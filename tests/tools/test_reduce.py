"""sysmlc-reduce finds small modules on which a command still fails."""

from __future__ import annotations

import sys

from sysmlc.ir.parser import parse
from sysmlc.ir.printer import to_text
from sysmlc.ir.verify import verify
from sysmlc.tools.reduce import main, reduce

BIG = """\
core.module {
  core.func {sym = "main"} (%X: matrix<3x4xf64>, %c: i1, %n: i64) {
    %a = dml.exp %X : matrix<3x4xf64>
    %b = dml.t %a : matrix<4x3xf64>
    %r, %unused = scf.for %n, %n, %n, %b, %n : matrix<4x3xf64>, i64 (%i: i64, %acc: matrix<4x3xf64>, %k: i64) {
      %p = dml.matmul %a, %acc : matrix<3x3xf64>
      %q = scf.if %c : matrix<4x3xf64> {
        %s = dml.sum %p {dir = "row"} : matrix<3x1xf64>
        %u = core.call %s {callee = "f"} : f64
        %v = dml.add %acc, %u : matrix<4x3xf64>
        core.yield %v
      } {
        core.yield %acc
      }
      %l = dml.add %k, %i : i64
      core.yield %q, %l
    }
    %z = dml.sum %r : f64
    core.return %z
  }
  core.func {sym = "f"} (%Y: matrix<?x?xf64>) {
    %s = dml.sum %Y : f64
    %e = dml.neg %s : f64
    core.return %e
  }
}
"""


def reduced(wanted: str) -> str:
    verify(parse(BIG))
    made = reduce(BIG, lambda text: wanted in text)
    verify(parse(made))
    assert to_text(parse(made)) == made
    return made


def test_one_operation():
    made = reduced("dml.matmul")
    assert [op.name for op in parse(made).walk()] == [
        "core.module", "core.func", "dml.undefined", "dml.undefined", "dml.matmul", "core.return",
    ]  # fmt: skip


def test_a_call_keeps_its_function():
    made = reduced("core.call")
    assert made.count("core.func") == 2
    assert len(made.splitlines()) <= 11


def test_a_loop_loses_its_body_and_what_it_carries():
    made = reduced("scf.for")
    (loop,) = [op for op in parse(made).walk() if op.name == "scf.for"]
    assert [op.name for op in loop.regions[0]] == ["core.yield"]
    assert loop.results == []
    assert len(loop.operands) == 3


def test_the_command(tmp_path, capsys):
    case, small = tmp_path / "case.ir", tmp_path / "small.ir"
    case.write_text(BIG)
    command = f"{sys.executable} -c 'import sys; sys.exit(\"dml.matmul\" in open(sys.argv[1]).read())' %s"
    assert (
        main(
            [str(case), "-c", "sysmlc-opt %s -p no-such-pass", "--contains", "no-such-pass", "-o", str(small)]
        )
        == 0
    )
    assert small.read_text() == "core.module {\n}\n"
    assert main([str(case), "-c", "sysmlc-opt %s"]) == 1
    assert "the command does not fail on this file" in capsys.readouterr().err
    case.write_text(small.read_text())
    assert main([str(case), "-c", command]) == 1
    assert main([str(tmp_path / "missing.ir"), "-c", command]) == 1
    assert "missing.ir: No such file" in capsys.readouterr().err
