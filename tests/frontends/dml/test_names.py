"""Functions in other files: where they are looked up, and what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def lowered(text: str) -> Op:
    return compile_source(Source("main.dml", text))


def functions(text: str) -> list[str]:
    return [str(op.attrs["sym"]) for op in lowered(text).walk() if op.name == "core.func"]


def message(text: str) -> str:
    with pytest.raises((Diagnostic, DiagnosticGroup)) as caught:
        lowered(text)
    return str(caught.value)


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


TWICE = "f = function(double x) return (double y) { y = 2 * x }\n"


def test_bundled_files_are_found_from_any_directory() -> None:
    text = 'source("nn/layers/relu.dml") as relu\nprint(sum(relu::forward(matrix(1, 2, 2))))\n'
    assert functions(text) == ["main", "relu::forward"]


def test_files_are_looked_up_here_then_in_scripts_then_in_the_package() -> None:
    write("scripts/nn/layers/relu.dml", TWICE)
    assert functions('source("nn/layers/relu.dml") as relu\nprint(relu::f(1))\n') == ["main", "relu::f"]
    write("nn/layers/relu.dml", TWICE.replace("f =", "g ="))
    assert functions('source("nn/layers/relu.dml") as relu\nprint(relu::g(1))\n') == ["main", "relu::g"]


def test_setwd_moves_where_files_are_looked_up() -> None:
    write("lib/a.dml", TWICE)
    write("lib/deep/b.dml", TWICE)
    text = (
        'setwd("lib")\nsource("a.dml") as a\nsetwd("deep")\nsource("b.dml") as b\nprint(a::f(1) + b::f(2))\n'
    )
    assert functions(text) == ["main", "a::f", "b::f"]


def test_a_file_imported_twice_is_one_file() -> None:
    write("base.dml", TWICE)
    write("left.dml", 'source("base.dml") as b\nl = function(double x) return (double y) { y = b::f(x) }\n')
    write(
        "right.dml", 'source("./base.dml") as c\nr = function(double x) return (double y) { y = c::f(x) }\n'
    )
    text = 'source("left.dml") as l\nsource("right.dml") as r\nprint(l::l(1) + r::r(2))\n'
    assert functions(text) == ["main", "l::l", "r::r", "c::f"] or functions(text) == [
        "main",
        "l::l",
        "r::r",
        "b::f",
    ]


def test_files_may_import_each_other() -> None:
    write(
        "a.dml",
        'source("b.dml") as b\nf = function(int n) return (int r) { if (n > 0) { r = b::g(n - 1) } else { r = 0 } }\n',
    )
    write("b.dml", 'source("a.dml") as a\ng = function(int n) return (int r) { r = a::f(n) }\n')
    assert functions('source("a.dml") as a\nprint(a::f(3))\n') == ["main", "a::f", "b::g"]


def test_namespaces_are_seen_in_their_own_file_only() -> None:
    write("base.dml", TWICE)
    write("left.dml", 'source("base.dml") as b\nl = function(double x) return (double y) { y = b::f(x) }\n')
    assert message('source("left.dml") as l\nprint(b::f(1))\n') == (
        "main.dml:2:7: error: there is no namespace 'b'\n"
        "  print(b::f(1))\n"
        "        ^~~~\n"
        '  hint: source("file.dml") as b'
    )


def test_functions_of_two_files_with_one_name_stay_apart() -> None:
    write("f.dml", TWICE)
    text = 'source("f.dml") as x\nf = function(double x) return (double y) { y = x }\nprint(f(1) + x::f(2))\n'
    assert functions(text) == ["main", "f", "x::f"]


def test_statements_of_a_sourced_file_are_ignored() -> None:
    write("lib.dml", TWICE + 'print("not run" + nothing)\n')
    names = [op.name for op in lowered('source("lib.dml") as l\nx = l::f(1)\n').walk()]
    assert "dml.print" not in names


def test_a_missing_file_is_one_error() -> None:
    text = message('source("nn/layers/afine.dml") as affine\nx = affine::forward(1)\ny = affine::init(2)\n')
    assert text.startswith("main.dml:1:1: error: there is no file 'nn/layers/afine.dml'")
    assert text.count("error:") == 1


def test_errors_in_a_sourced_file_name_it() -> None:
    write("lib.dml", "f = function(double x) return (double y) { y = z }\n")
    text = message('source("lib.dml") as l\nx = l::f(1)\nw = sqrt("a")\n')
    assert text.startswith("main.dml:3:5: error: 'sqrt' cannot be applied to a string")
    assert "lib.dml:1:48: error: variable 'z' is not defined" in text
    write("lib.dml", "f = function(double x) return (double y) { y = }\n")
    assert "lib.dml:1:48: error:" in message('source("lib.dml") as l\nx = l::f(1)\n')


def test_an_unknown_function_of_a_namespace() -> None:
    write("lib.dml", TWICE.replace("f =", "forward ="))
    text = message('source("lib.dml") as l\nx = l::foward(1)\n')
    assert "main.dml:2:5: error: 'l' has no function 'foward'" in text
    assert "hint: did you mean 'forward'?" in text


def test_external_functions_are_refused_when_they_are_called() -> None:
    text = 'f = externalFunction(double x) return (double y) implemented in (classname="C", exectype="mem")\n'
    lowered(text)
    assert "'f' is an external function in Java, which this version does not run" in message(
        text + "x = f(1)\n"
    )
