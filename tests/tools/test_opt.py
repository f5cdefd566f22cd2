"""sysmlc-opt: options, streams, exit codes, hooks around passes, failures."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sysmlc.ir.dialects.dml_cell import Unary
from sysmlc.ir.passes import (
    Pass,
    PassError,
    PassManager,
    parse_pipeline,
    pipeline_text,
    register_pass,
    registered,
)
from sysmlc.ir.source import Diagnostic
from sysmlc.passes import all_passes
from sysmlc.passes.pipelines import PROGRAM
from sysmlc.tools.opt import main, run

IR = 'core.func {sym = "main"} (%x: f64) {\n  %r = dml.abs %x : f64\n  core.return %r\n}\n'


@dataclass(frozen=True)
class Rename(Pass):
    """Turn abs into neg."""

    name = "test-rename"
    to: str = "neg"
    times: int = 1
    fast: bool = False
    scale: float = 1.0

    def run(self, module):
        for op in list(module.walk()):
            if op.name == "dml.abs":
                op.name = f"dml.{self.to}"
                self.count("renamed", self.times)


@dataclass(frozen=True)
class Crash(Pass):
    """Crash."""

    name = "test-crash"

    def run(self, module):
        raise IndexError("oh no")


@dataclass(frozen=True)
class Break(Pass):
    """Leave an operation whose operand is defined after it."""

    name = "test-break"

    def run(self, module):
        for op in list(module.walk()):
            if op.name == "dml.abs":
                op.parent.insert_after(op, other := Unary.new("exp", op.result))
                op.set_operand(0, other.result)


@dataclass(frozen=True)
class Refuse(Pass):
    """Report an error of the user."""

    name = "test-refuse"

    def run(self, module):
        for op in module.walk():
            if op.name == "dml.abs":
                raise op.error("is not welcome")


@pytest.fixture(autouse=True)
def passes():
    for cls in (Rename, Crash, Break, Refuse):
        register_pass(cls)
    yield
    for cls in (Rename, Crash, Break, Refuse):
        del registered[cls.name]


def test_options_of_passes_are_fields():
    class Forgetful(Pass):
        name = "test-forgetful"
        eager: bool = True

    with pytest.raises(AssertionError, match="eager is no option"):
        register_pass(Forgetful)


@pytest.fixture
def opt(tmp_path):
    def call(*args: str, text: str = IR, name: str = "case.ir") -> tuple[int, str, str]:
        path = tmp_path / name
        path.write_text(text)
        out, err = io.StringIO(), io.StringIO()
        code = run([str(path), *args], io.StringIO(), out, err)
        return code, out.getvalue(), err.getvalue()

    return call


def test_reads_and_prints(opt, tmp_path):
    code, out, err = opt()
    assert (code, err) == (0, "")
    assert out.startswith("core.module {\n  core.func")
    assert opt(text=out)[1] == out
    assert 'loc("' in opt("--locations")[1]
    assert opt("-o", str(tmp_path / "out.ir"))[1] == ""
    assert (tmp_path / "out.ir").read_text() == out


def test_standard_input():
    out = io.StringIO()
    assert run([], io.StringIO(IR), out, out) == 0
    assert "dml.abs" in out.getvalue()
    err = io.StringIO()
    assert run(["-"], io.StringIO("bad"), out, err) == 1
    assert err.getvalue().startswith("<stdin>:1:1: error: expected an operation")


def test_scripts(opt):
    code, out, _ = opt("--evaluate", "--arg", "n=4", "--arg", "1=5", text="print($n * 2 + $1)", name="s.dml")
    assert (code, out) == (0, "13\n")
    code, out, err = opt(text="x = 1\nprint(y)", name="s.dml")
    assert (code, out) == (1, "")
    assert ":2:7: error: variable 'y' is not defined\n  print(y)" in err


@pytest.mark.parametrize("below", ["", PROGRAM, f"{PROGRAM},vectorize-cells"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_every_level_can_be_evaluated(opt, level, below):
    script = "X = matrix('1 2 3 4 5 6', 2, 3)\nfor (i in 1:2) { X = X * i + colSums(X) }\nprint(sum(t(X) %*% X) + ' cells')"
    code, out, err = opt(level, "--evaluate", "-p", below, text=script, name="s.dml")
    assert (code, out, err) == (0, "31914.0 cells\n", "")


def test_passes_run_with_options(opt):
    assert "dml.neg" in opt("-p", "test-rename")[1]
    assert "dml.exp" in opt("-p", "test-rename{to=exp}")[1]
    assert "dml.exp" in opt("--pass-pipeline", "test-rename{to=exp, times=3},test-rename")[1]


def test_hooks(opt):
    _, _, err = opt(
        "-p", "test-rename,test-rename", "--print-ir-before", "test-rename", "--print-ir-after=test-rename"
    )
    assert err.count("// IR before test-rename\n") == err.count("// IR after test-rename\n") == 2
    _, _, err = opt("-p", "test-rename,test-rename{to=exp}", "--print-ir-after-all")
    assert "// IR after test-rename{to=exp}\n" in err
    _, _, err = opt("-p", "test-rename,test-rename{to=exp}", "--print-ir-after-change")
    assert err.count("// IR after") == 1
    _, _, err = opt("-p", "test-rename{times=7}", "--stats", "--timing")
    assert "        7  test-rename: renamed\n" in err
    assert "test-rename\n" in err
    assert " ms         total\n" in err


def test_failures_and_reproducers(opt, tmp_path):
    code, out, err = opt("-p", "test-rename{to=abs},test-crash")
    assert (code, out) == (1, "")
    assert "error: pass 'test-crash' crashed: IndexError: oh no (test_opt.py:" in err
    assert "hint: --print-ir-after-failure prints a reproducer" in err
    saved = tmp_path / "reproducer.ir"
    code, _, err = opt("-p", "test-break", "--print-ir-after-failure", "--reproducer", str(saved))
    assert code == 1
    assert "error: pass 'test-break' left an invalid module" in err
    assert "'dml.abs' operand 0 is used before it is defined" in err
    assert "// the IR it left:" in err
    assert saved.read_text().startswith("// RUN: sysmlc-opt %s -p 'test-break'\n")
    assert "used before" in opt("-p", "test-break", text=saved.read_text())[2]
    assert opt("-p", "test-break", "--no-verify-each")[0] == 0
    code, _, err = opt("-p", "test-refuse", "--print-ir-after-failure")
    assert code == 1
    assert "// pass 'test-refuse' reported an error" in err
    assert ":2:8: error: 'dml.abs' is not welcome" in err


def test_splitting_keeps_line_numbers(opt):
    text = IR + "// -----\n" + "hello\n" + "// -----\n" + IR
    code, out, err = opt("--split-input-file", text=text)
    assert code == 1
    assert "case.ir:6:1: error: expected an operation" in err
    assert out.count("// -----") == 2
    assert out.count("dml.abs") == 2


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("// expected-error {{is not welcome}}", None),
        ("// expected-error @* {{not wel}}", None),
        ("// expected-error @above {{is not welcome}}", "unexpected error: 'dml.abs' is not welcome"),
        ("// expected-error {{is welcome}}", "expected error 'is welcome' did not occur"),
        ("// expected-warning {{is not welcome}}", "expected warning 'is not welcome' did not occur"),
        ("", "unexpected error"),
    ],
)
def test_expected_errors(opt, comment, problem):
    text = IR.replace(": f64\n", f": f64 {comment}\n")
    code, _, err = opt("-p", "test-refuse", "--verify-diagnostics", text=text)
    assert code == (0 if problem is None else 1)
    assert (problem or "") in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-p", "test-renam"], "did you mean 'test-rename'?"),
        (["-p", "test-rename{too=1}"], "has no option 'too'"),
        (["-p", "test-rename{times=x}"], "option 'times' must be a int"),
        (["-p", "test-rename{to=}"], "option 'to' has no value"),
        (["-p", "test-rename{"], "expected an option or '}'"),
        (["-p", "test-rename test-rename"], "expected ',' between passes"),
        (["-p", ",test-rename"], "a pass name is missing here"),
        (["-p", "test-rename,"], "a pass name is missing here"),
        (["--print-ir-after=test-renam"], "did you mean 'test-rename'?"),
        (["--emit=llvm", "--target-cpu=z80"], "unknown target 'z80'"),
        (["--evaluate"], "'main' has parameters"),
    ],
)
def test_bad_use(opt, args, message):
    code, out, err = opt(*args)
    assert (code, out) == (1, "")
    assert message in err


def test_bad_files(tmp_path):
    err = io.StringIO()
    assert run([str(tmp_path)], io.StringIO(), err, err) == 1
    (tmp_path / "binary.ir").write_bytes(b"\xff\xfe\x00")
    assert run([str(tmp_path / "binary.ir")], io.StringIO(), err, err) == 1
    assert "Is a directory" in err.getvalue()
    assert "is not UTF-8 text" in err.getvalue()


def test_pipelines_as_text():
    text = 'test-rename{to="a b",times=3,fast=true,scale=0.5},test-crash'
    passes = parse_pipeline(text)
    assert passes == [Rename("a b", 3, True, 0.5), Crash()]
    assert pipeline_text(passes) == text
    assert parse_pipeline("test-rename{fast}") == [Rename(fast=True)]
    assert pipeline_text(parse_pipeline(" test-rename { to = neg , times=1 } ")) == "test-rename"
    assert parse_pipeline("") == []


def test_the_pass_manager_keeps_statistics_and_errors_apart():
    from sysmlc.ir.parser import parse

    manager = PassManager([Rename(), Rename("exp")])
    manager.run(parse(IR))
    assert manager.statistics == {("test-rename", "renamed"): 1}
    with pytest.raises(PassError, match="crashed"):
        PassManager([Crash()]).run(parse(IR))
    with pytest.raises(Diagnostic, match="is not welcome"):
        PassManager([Refuse()]).run(parse(IR))
    with pytest.raises(Diagnostic, match="must be the last"):
        PassManager([]).run(
            parse(IR.replace("%r = dml.abs %x : f64", "core.return %x").replace("return %r", "return %x"))
        )


def test_every_pass_is_listed_and_documented(capsys):
    assert main(["--list-passes"]) == 0
    listed = capsys.readouterr().out
    for one in all_passes():
        assert one.summary().endswith("."), one.name
        assert one.name in listed
        assert pipeline_text(parse_pipeline(one.name, registered.get)) == one.name


def test_llvm_and_assembler(opt):
    text = "X = matrix(1, rows=3, cols=4)\nprint(sum(X * 2))"
    code, out, err = opt("--emit=llvm", text=text, name="s.dml")
    assert (code, err) == (0, "")
    assert "@sm_entry" in out
    code, out, _ = opt("--emit=asm", "--target-cpu=x86-64-v3", "-O2", text=text, name="s.dml")
    assert code == 0
    assert "sm_entry:" in out
    code, _, err = opt("--emit=llvm", "-p", "form-cells", text=text, name="s.dml")
    assert code == 1
    assert "is not lowered" in err


def test_as_a_command(tmp_path):
    path = tmp_path / "case.ir"
    path.write_text(IR)
    root = Path(__file__).parents[2]
    command = (
        f"{sys.executable} -m sysmlc.tools.opt {path} | true; {sys.executable} -m sysmlc.tools.opt --help"
    )
    env = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=env, check=False)
    assert done.stderr == ""
    assert "examples:" in done.stdout


def test_precision_is_that_of_the_compiler(opt):
    text = "X = rand(rows=4, cols=4)\nprint(sum(X * 2))\n"
    _, double, _ = opt("-O2", "--precision=double", text=text, name="s.dml")
    code, single, _ = opt("-O2", "--precision=single", text=text, name="s.dml")
    assert code == 0
    assert "matrix<4x4xf32>" in single
    assert double == opt("-O2", text=text, name="s.dml")[1]
    code, _, error = opt("--precision=single", text=text, name="s.dml")
    assert code == 1
    assert "--precision chooses a pipeline: it needs -O" in error
