"""The generated references are up to date."""

from __future__ import annotations

from pathlib import Path

from sysmlc.tools.docgen import dialects_page, main, pages

DOCS = Path(__file__).parents[2] / "docs"


def test_the_references_are_not_stale(capsys):
    assert main([str(DOCS), "--check"]) == 0, capsys.readouterr().err


def test_stale_pages_are_written_and_then_are_not_stale(tmp_path, capsys):
    assert main([str(tmp_path), "--check"]) == 1
    assert "dialects.md" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == pages()


def test_an_entry():
    assert """\
### dml.left_index

```
%results = dml.left_index %operand: matrix, %rhs: matrix, %rl: scalar, %ru: scalar, %cl: scalar, %cu: scalar : types
```

`X` with `X[rl:ru, cl:cu] = rhs`; sizes must agree. Takes `X` over: no copy when nobody else holds it.

- takes over: operand
- traits: f32, pure
""" in dialects_page()
