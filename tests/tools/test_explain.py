"""`-explain plan` and `-explain rewrites`: what they say is what the compiler did."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source
from sysmlc.passes.pipelines import pipeline
from sysmlc.tools.explain.algebra import Writer
from sysmlc.tools.explain.plan import Block, Operator, Plan, make_plan
from sysmlc.tools.explain.rewrites import Rewrite, make_rewrites
from sysmlc.tools.explain.text import plan_text
from sysmlc.tools.opt import main as sysmlc_opt
from sysmlc.tools.sysmlc import main as sysmlc

GRADIENT = """\
X = rand(rows=1000, cols=50, seed=1)
y = rand(rows=1000, cols=1, seed=2)
w = matrix(0, rows=50, cols=1)
for (i in 1:10) {
  p = 1 / (1 + exp(-(X %*% w)))
  s = colSums(exp(X))
  w = w - 0.5 * (t(X) %*% (p - y)) / nrow(X) + t(s)
}
print(sum(w) + sum(t(X) %*% X))
"""


def plan_of(text: str, level: int = 2) -> Plan:
    return make_plan(compile_source(Source("a.dml", text), {}), "a.dml", level, pipeline(level))


def rewrites_of(text: str) -> list[Rewrite]:
    return make_rewrites(compile_source(Source("a.dml", text), {}), pipeline(2))


def operator_of(plan: Plan, part: str) -> Operator:
    found = [o for o in plan.operators if any(part in out.expression for out in o.outputs)]
    assert found, f"no operator has {part!r}: {[out.expression for o in plan.operators for out in o.outputs]}"
    return found[0]


def test_expressions_read_like_dml() -> None:
    text = """\
A = rand(rows=4, cols=3)
B = rand(rows=4, cols=3)
print(sum(-(A + B)^2 * 3 / (A - (B - 1))))
print(toString(A[2:3, ] %*% t(B)))
print(sum(ifelse(A > 0.5, max(A, B), !B)))
"""
    shown = " ; ".join(out.expression for o in plan_of(text, 0).operators for out in o.outputs)
    assert "sum(" in shown
    assert "A[2:3, ]" in shown
    assert "ifelse(" in shown
    assert "max(A, B)" in shown
    assert "!B" in shown


def test_parentheses_are_where_they_must_be() -> None:
    text = "a = as.double($a)\nb = as.double($b)\nprint((a - (b - 1)) * -(a / (b * 2))^2)\n"
    module = compile_source(Source("a.dml", text), {}, runtime_args=True)
    product = next(
        op for op in module.walk() if op.name == "dml.mul" and op.results[0].users()[0].name == "dml.cast"
    )
    shown = Writer(lambda v: v.name or None).text(product.result)
    assert shown == "(a - (b - 1)) * -(a / (b * 2))^2"


def test_plan_knows_loops_fusion_and_hoisting() -> None:
    plan = plan_of(GRADIENT)
    step = operator_of(plan, "sigmoid")
    assert step.runs == 10
    assert step.loc.line in (5, 7)
    sums = operator_of(plan, "colSums")
    assert sums.hoisted == 4
    assert sums.runs == 1
    assert plan.total.seconds < plan.total_unfused.seconds
    update = operator_of(plan, "w + ")
    assert update.fused >= 3
    assert "w" in update.in_place
    for op in plan.operators:
        assert all(read < op.number for read in op.reads)


def test_formats_are_given_with_their_reason() -> None:
    plan = plan_of(
        "X = rand(rows=5000, cols=400, sparsity=0.01)\nY = X * 2\nZ = X + 1\nprint(sum(abs(Y) %*% t(Z)))\n", 1
    )
    formats = {out.name: out.format for o in reversed(plan.operators) for out in o.outputs if out.format}
    assert formats["X"].name == "CSR"
    assert "about 1 %" in formats["X"].why
    drivers = [o for o in plan.operators if "sparse-safe in X" in o.how]
    assert drivers


def test_inputs_that_lead_together_are_named() -> None:
    made = "".join(f"{m} = rand(rows=5000, cols=400, sparsity=0.01, seed={k})\n" for k, m in enumerate("XYZ"))
    plan = plan_of(made + "R = X + Y * 2 + Z\nprint(sum(R[1:5, 1:5]))\nprint(sum(exp(R)))\n")
    sums = operator_of(plan, "X + ")
    assert "X and Y and Z together" in sums.how.replace("#3", "Y")
    formats = {out.name: out.format.name for out in sums.outputs if out.format}
    assert formats["R"] == "CSR where they are"


def test_unknown_sizes_are_marked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "a.dml"
    script.write_text("X = rand(rows=as.integer($n), cols=3)\nprint(sum(X * 2))\n")
    assert sysmlc(["run", str(script), "-explain", "plan", "-nvargs", "n=4"]) == 0
    assert "~" not in capsys.readouterr().out
    script.write_text('Y = removeEmpty(target=rand(rows=9, cols=3), margin="rows")\nprint(sum(Y * 2))\n')
    assert sysmlc(["run", str(script), "-explain", "plan"]) == 0
    shown = capsys.readouterr().out
    assert "~" in shown
    assert "sizes that are not known" in shown


def test_rewrites_have_place_sides_and_costs() -> None:
    found = rewrites_of(GRADIENT)
    trace = [r for r in found if "%*%" in r.before and r.before.startswith("sum(") and r.loc.line == 9]
    assert trace, found
    first = trace[0]
    assert first.seconds_before is not None
    assert first.seconds_after is not None
    assert first.seconds_after < first.seconds_before
    assert all(r.before != r.after for r in found)


def test_recording_changes_nothing() -> None:
    from sysmlc.ir.passes import PassManager
    from sysmlc.ir.printer import to_text

    watched, alone = (compile_source(Source("a.dml", GRADIENT), {}) for _ in range(2))
    make_rewrites(watched, pipeline(2))
    PassManager(pipeline(2)).run(alone)  # type: ignore[arg-type]
    assert to_text(watched) == to_text(alone)


class _Page(HTMLParser):
    """Collects what links lines to operators, and everything that would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: set[str] = set()
        self.operators: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        numbers = (given.get("data-ops") or "").split()
        kinds = (given.get("class") or "").split()
        if "l" in kinds:
            self.lines.update(numbers)
        if "op" in kinds:
            self.operators.update(numbers)
        self.loaded += [str(given[name]) for name in ("src", "href") if name in given]


def test_page_is_complete_and_on_its_own(tmp_path: Path) -> None:
    script, page = tmp_path / "a.dml", tmp_path / "a.html"
    script.write_text(GRADIENT.replace("sum(w)", "sum(w < 3) + sum(w > 2)"))
    assert sysmlc(["run", str(script), "-explain", f"plan={page}"]) == 0
    text = page.read_text()
    read = _Page()
    read.feed(text)
    assert read.operators
    assert read.operators <= read.lines
    assert not read.loaded
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert "<svg" in text
    assert "w &lt; 3" in text


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert sysmlc(["run", "a.dml", "-explain", "rewrites=x.html"]) == 2
    assert "plan=FILE.html" in capsys.readouterr().err


def test_opt_explains_ir_and_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "a.dml"
    script.write_text(GRADIENT)
    assert sysmlc_opt([str(script), "-O2", "--explain", "plan"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("plan of ")
    assert sysmlc_opt([str(script), "-O1"]) == 0
    ir = tmp_path / "a.ir"
    ir.write_text(capsys.readouterr().out)
    assert sysmlc_opt([str(ir), "--explain", "plan"]) == 0
    assert "colSums" in capsys.readouterr().out
    assert sysmlc_opt([str(script), "-O2", "--explain", "rewrites"]) == 0
    assert "before" in capsys.readouterr().out


def test_row_regions_read_like_whole_matrices() -> None:
    text = """\
X = rand(rows=100000, cols=100, seed=1)
v = rand(rows=100, cols=3, seed=2)
P = rand(rows=100000, cols=3, seed=3)
Q = P * (X %*% v)
print(toString(t(X) %*% (Q - P * rowSums(Q))))
"""
    row = operator_of(plan_of(text), "t(X) %*%")
    assert row.template == "row"
    assert "rowSums(" in row.outputs[0].expression
    assert row.unfused is not None
    assert row.cost.bytes < row.unfused.bytes
    assert "one scan" in row.how


def test_unknown_levels_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert sysmlc(["run", "a.dml", "-explain", "plann"]) == 2
    assert "plan, rewrites" in capsys.readouterr().err
    assert sysmlc(["runn", "a.dml"]) == 2
    assert "`sysmlc run a.dml`" in capsys.readouterr().err


def test_calls_and_lists_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "a.dml"
    script.write_text("""\
f = function(matrix[double] A, int n) return (matrix[double] B) {
  if (n > 0) { B = f(A * 2, n - 1) } else { B = A + 1 }
}
X = rand(rows=30, cols=40, sparsity=0.1)
l = list(X, X)
Y = f(as.matrix(l[1]), 3)
print(sum(Y))
""")
    assert sysmlc(["run", str(script), "-explain", "plan"]) == 0
    shown = capsys.readouterr().out
    assert "function f" in shown
    assert "Y = f(" in shown
    assert "materialised:" in shown
    assert sysmlc(["run", "-s", 'print("hi")', "-explain", "plan"]) == 0
    assert "no operators on matrices" in capsys.readouterr().out


def test_costs_follow_expected_non_zeros() -> None:
    text = "X = rand(rows=20000, cols=10000, sparsity=0.001, seed=1)\nZ = rand(rows=20000, cols=10000, sparsity=0.001, seed=2)\n"
    text += "U = rand(rows=20000, cols=20, seed=3)\nV = rand(rows=10000, cols=20, seed=4)\nR = (X - Z * (U %*% t(V))) %*% V\nprint(sum(R * R))\n"
    plan = plan_of(text)
    (outer,) = (o for o in plan.operators if o.template == "outer")
    assert outer.how.startswith(
        "the product is never formed: computed only at the non-zeros of Z and X together"
    )
    # 4 * 10^5 non-zeros of both together, 20 multiplications each: not 2 * 10^8 cells
    assert outer.cost.flops < 5e7
    made = next(o for o in plan.operators if o.template == "create")
    assert made.cost.bytes == pytest.approx(12 * 200_000, rel=0.01)


def test_branches_of_the_compiler_say_what_they_depend_on() -> None:
    """A loop that may fail is kept beside what it becomes, a product beside what it is for sparse data."""
    text = """\
X = read("not-there.csv")
U = rand(rows=nrow(X), cols=5, seed=1)
V = rand(rows=ncol(X), cols=5, seed=2)
acc = matrix(0, rows=1, cols=ncol(X))
for (j in 1:ncol(X)) {
  acc[1, j] = sum(X[, j]) / nrow(X)
}
print(sum(acc) + sum((X - U %*% t(V))^2))
if (sum(X) > 0) { print(sum(X * 3)) } else { print(max(X)) }
"""
    shown = plan_text(plan_of(text))
    blocks = [i.text for i in plan_of(text).items if isinstance(i, Block)]
    assert any(re.fullmatch(r"if, decided at run time: .*1 <= ncol\(X\).*", b) for b in blocks), blocks
    assert "for (j in 1:ncol(X))   (rounds not known)" in shown
    (why,) = (b for b in blocks if "X may have fewer than" in b)
    assert why.endswith(" s")  # in full
    assert why in shown
    assert "if (sum(X) > 0)" in blocks
    assert "   9  if (sum(X) > 0) { print(sum(X * 3)) } else { print(max(X)) }\n" in shown


def test_rewrites_of_plans_read_like_dml() -> None:
    found = rewrites_of("""\
X = rand(rows=3000, cols=2000, seed=1)
U = rand(rows=3000, cols=5, seed=2)
V = rand(rows=2000, cols=5, seed=3)
w = as.integer(sum(X > 2)) + 2
G = (sigmoid(U) %*% t(V > 0.5) - X) %*% V / w
print(sum(abs(G)))
print(sum((X %*% V) %*% t(V)))
""")
    plans = [one for one in found if one.pass_name == "sum-product"]
    assert plans
    for one in plans:
        assert "cast(" not in one.before + one.after
        assert "matmul(" not in one.before + one.after
        assert one.seconds_after < one.seconds_before  # type: ignore[operator]
    assert not any(" @ " in one.rule for one in found)
