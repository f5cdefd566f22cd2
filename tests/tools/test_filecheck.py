"""FileCheck: each directive accepts what it should and names what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.filecheck import CheckError, filecheck
from tests.golden_files import read_runs, updated

OUTPUT = """\
func f
  a = add x, y
  b = mul a,   x
  c = add b, b

func g
  a = sub x, y
  return a
"""


@pytest.mark.parametrize(
    "checks",
    [
        "// CHECK: add\n// CHECK: mul\n// CHECK: sub",
        "// CHECK: mul a, x",
        "// CHECK: func f\n// CHECK-NEXT: a = add\n// CHECK-SAME: x, y\n// CHECK-NEXT: mul",
        "// CHECK: c = add\n// CHECK-EMPTY:\n// CHECK-NEXT: func g",
        "// CHECK-DAG: mul\n// CHECK-DAG: a = add\n// CHECK: c =",
        "// CHECK-DAG: add\n// CHECK-DAG: add",
        "// CHECK-LABEL: func f\n// CHECK-NOT: sub\n// CHECK-LABEL: func g\n// CHECK: sub",
        "// CHECK-COUNT-2: add\n// CHECK-NOT: add",
        "// CHECK: [[A:[a-z]]] = add\n// CHECK: mul [[A]],\n",
        "// CHECK: [[B:[a-z]]] = mul\n// CHECK: add [[B]], [[B]]\n",
        "// CHECK: add [[X:.*]], [[Y:.*]]",
        "// CHECK: c = add [[X:[a-z]]], [[X]]",
        "// CHECK: {{[abc]}} = mul {{a|b}}",
        "# CHECK: add",
    ],
)
def test_accepts(checks):
    filecheck(checks, OUTPUT)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("", "there are no CHECK lines"),
        ("// CHECK: sub\n// CHECK: mul", "2: this is not in the output"),
        ("// CHECK: func f\n// CHECK-NEXT: mul", "2: this is not on the next line"),
        ("// CHECK: func f\n// CHECK-SAME: add", "2: this is not on the same line"),
        ("// CHECK: func f\n// CHECK-EMPTY:", "2: the next line is not empty"),
        ("// CHECK: return a\n// CHECK: a", "2: this is not in the output"),
        ("// CHECK: func f\n// CHECK-NOT: mul\n// CHECK: c =", "2: this must not be in the output"),
        ("// CHECK: c =\n// CHECK-NOT: return", "2: this must not be in the output"),
        ("// CHECK-DAG: mul\n// CHECK-DAG: mul", "2: this is not in the output"),
        ("// CHECK-LABEL: func f\n// CHECK: sub\n// CHECK-LABEL: func g", "2: this is not in the output"),
        ("// CHECK-LABEL: func h", "1: this label is not in the rest of the output"),
        ("// CHECK-COUNT-3: add", "1: this is not in the output"),
        ("// CHECK: add [[X]]", "[[X]] is not defined"),
        ("// CHECK: [[A:[a-z]]] = add\n// CHECK: mul [[A]], [[A]]", "[[A]] is 'a'"),
        ("// CHECK: {{(}}", "bad regular expression"),
    ],
)
def test_refuses(checks, message):
    with pytest.raises(CheckError) as caught:
        filecheck(checks, OUTPUT)
    assert message in str(caught.value)


def test_other_prefixes_are_other_checks():
    filecheck("// CHECK: nothing like it\n// OTHER: mul\n// OTHERS: nothing", OUTPUT, prefix="OTHER")


def test_run_lines():
    (one, two) = read_runs(
        "// RUN: sysmlc-opt %s -p 'a, b' \\\n// RUN:   --stats | filecheck %s --check-prefix=X\n# RUN: not sysmlc-opt %s 2>&1",
        "f",
    )
    assert (one.args, one.fails, one.merged, one.prefix, one.line) == (
        ["f", "-p", "a, b", "--stats"],
        False,
        False,
        "X",
        1,
    )
    assert (two.args, two.fails, two.merged, two.prefix, two.line) == (["f"], True, True, "CHECK", 3)
    with pytest.raises(CheckError):
        read_runs("// RUN: rm -rf %s", "f")


def test_update_rewrites_the_checks():
    text = "// RUN: sysmlc-opt %s\n// CHECKS ARE GENERATED\n\nhello\n\n// CHECK: old\n// CHECK-NEXT: older\n"
    output = "a {{b}}\n\n  c [[d\n"
    made = updated(text, output)
    assert made == (
        "// RUN: sysmlc-opt %s\n// CHECKS ARE GENERATED\n\nhello\n\n"
        "// CHECK: a {{\\{\\{}}b}}\n// CHECK-EMPTY:\n// CHECK-NEXT: c {{\\[\\[}}d\n"
    )
    filecheck(made, output)
    assert updated(made, output) == made


def test_by_hand():
    tool = Path(__file__).parents[1] / "filecheck.py"
    checks = Path(__file__).parents[1] / "golden" / "tools" / "round_trip.ir"
    ok = subprocess.run(
        [sys.executable, tool, checks], input="nothing", capture_output=True, text=True, check=False
    )
    assert ok.returncode == 1
    assert "this label is not in the rest of the output" in ok.stderr
