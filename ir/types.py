"""Types of the IR. Types carry facts (dimensions, non-zeros, format) and are interned: compare with `is`.

Text forms: `f64 f32 i64 i32 i1 str list frame box ptr`, `matrix<RxCxELEM>` with optional facts `, nnz=N` and `, csr|dense`,
`vec<LxELEM>`. A dimension is a number, a *named* unknown (equal names are equal sizes) or `?`.
Names of dimensions are lower-case letters other than `x`, digits and `_`, starting with a letter.
"""

from __future__ import annotations

from typing import Final

Dim = int | str | None
"""A matrix dimension: a number, a named unknown, or None (unknown)."""


class Type:
    """Base of all types. Instances are interned: `is` compares them."""

    __slots__ = ("text",)
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


class Scalar(Type):
    """A scalar: f64, f32, i64, i32, i1 or str."""

    __slots__ = ()


class Handle(Type):
    """A reference-counted run-time object that is not a matrix: list, frame or box (a scalar of unknown type)."""

    __slots__ = ()


class Matrix(Type):
    """A two-dimensional matrix. `nnz` is an upper bound of the number of non-zeros; `format` is None until it is chosen."""

    __slots__ = ("cols", "elem", "format", "nnz", "rows")
    rows: Dim
    cols: Dim
    elem: Scalar
    nnz: int | None
    format: str | None

    @property
    def cell_bytes(self) -> int:
        return bytes_of(self.elem)

    @property
    def entry_bytes(self) -> int:
        """Bytes of a non-zero in CSR: its value and its column."""
        return self.cell_bytes + bytes_of(i32)


class Vector(Type):
    """A SIMD vector of `lanes` scalars (kernel level only)."""

    __slots__ = ("elem", "lanes")
    lanes: int
    elem: Scalar


_interned: dict[object, Type] = {}


def _scalar(name: str, cls: type[Type]) -> Type:
    made = cls()
    made.text = name
    _interned[name] = made
    return made


def _make_scalar(name: str) -> Scalar:
    made = _scalar(name, Scalar)
    assert isinstance(made, Scalar)
    return made


def _make_handle(name: str) -> Handle:
    made = _scalar(name, Handle)
    assert isinstance(made, Handle)
    return made


f64: Final = _make_scalar("f64")
f32: Final = _make_scalar("f32")
i64: Final = _make_scalar("i64")
i32: Final = _make_scalar("i32")
i1: Final = _make_scalar("i1")
string: Final = _make_scalar("str")
list_: Final = _make_handle("list")
frame: Final = _make_handle("frame")
box: Final = _make_handle("box")
ptr: Final = _make_handle("ptr")

SIMPLE_TYPES: Final = (f64, f32, i64, i32, i1, string, list_, frame, box, ptr)
NUMBERS: Final = (f64, f32, i64, i1)
ELEMENTS: Final = (f64, f32)
"""What matrices may hold."""
PRECISIONS: Final = {"double": f64, "single": f32}
"""What matrices hold, by the words for it."""


def bytes_of(elem: Type) -> int:
    """Bytes of a number in memory."""
    return 4 if elem is f32 or elem is i32 else 8


def matrix(
    rows: Dim = None, cols: Dim = None, elem: Scalar = f64, nnz: int | None = None, format: str | None = None
) -> Matrix:
    """The matrix type with these facts. `nnz` is dropped when it says nothing (≥ all cells)."""
    if nnz is not None and isinstance(rows, int) and isinstance(cols, int) and nnz >= rows * cols:
        nnz = None
    key = (rows, cols, elem, nnz, format)
    found = _interned.get(key)
    if found is None:
        found = Matrix()
        found.rows, found.cols, found.elem, found.nnz, found.format = rows, cols, elem, nnz, format
        facts = "" if nnz is None else f", nnz={nnz}"
        facts += "" if format is None else f", {format}"
        found.text = f"matrix<{_dim(rows)}x{_dim(cols)}x{elem}{facts}>"
        _interned[key] = found
    assert isinstance(found, Matrix)
    return found


def vector(lanes: int, elem: Scalar) -> Vector:
    """The SIMD vector type of `lanes` elements."""
    key = (lanes, elem)
    found = _interned.get(key)
    if found is None:
        found = Vector()
        found.lanes, found.elem = lanes, elem
        found.text = f"vec<{lanes}x{elem}>"
        _interned[key] = found
    assert isinstance(found, Vector)
    return found


def _dim(dim: Dim) -> str:
    return "?" if dim is None else str(dim)


def simple_type(name: str) -> Type | None:
    """The scalar or handle type called `name`, or None."""
    found = _interned.get(name)
    return found if isinstance(found, (Scalar, Handle)) else None


def with_facts(
    type: Matrix, *, rows: Dim = None, cols: Dim = None, nnz: int | None = None, format: str | None = None
) -> Matrix:
    """`type` with the facts given here replacing its own."""
    return matrix(
        type.rows if rows is None else rows,
        type.cols if cols is None else cols,
        type.elem,
        type.nnz if nnz is None else nnz,
        type.format if format is None else format,
    )


def same_dim(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are known to be equal."""
    return a is not None and a == b


def differ_dim(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are known to differ."""
    return isinstance(a, int) and isinstance(b, int) and a != b


def meet_dim(a: Dim, b: Dim) -> Dim:
    """The better known of two dimensions that must be equal (number over name over unknown)."""
    if isinstance(a, int) or b is None:
        return a
    return b if isinstance(b, int) or a is None else a


def join(a: Type, b: Type) -> Type | None:
    """The least type that both values have at a control-flow merge; None when there is none."""
    if a is b:
        return a
    if isinstance(a, Matrix) and isinstance(b, Matrix) and a.elem is b.elem:
        return matrix(
            a.rows if a.rows == b.rows else None,
            a.cols if a.cols == b.cols else None,
            a.elem,
            None if a.nnz is None or b.nnz is None else max(a.nnz, b.nnz),
            a.format if a.format == b.format else None,
        )
    if {a, b} == {f64, i64}:
        return f64
    return None


def refines(a: Type, b: Type) -> bool:
    """Whether every value of type `a` also is a value of type `b` (facts of `b` hold or are unknown)."""
    if a is b:
        return True
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return (
            a.elem is b.elem
            and (b.rows is None or a.rows == b.rows or not isinstance(b.rows, int))
            and (b.cols is None or a.cols == b.cols or not isinstance(b.cols, int))
        )
    return False


def compatible(a: Type, b: Type) -> bool:
    """Whether one value can have both types: the facts may differ in what is known, but do not contradict each other."""
    if a is b:
        return True
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return (
            a.elem is b.elem
            and not differ_dim(a.rows, b.rows)
            and not differ_dim(a.cols, b.cols)
            and (a.format is None or b.format is None or a.format == b.format)
        )
    return False


def meet(a: Type, b: Type) -> Type:
    """The type of a value that has both of two compatible types: it knows what either of them knows."""
    if a is b or not (isinstance(a, Matrix) and isinstance(b, Matrix)):
        return a
    known = [n for n in (a.nnz, b.nnz) if n is not None]
    return matrix(
        meet_dim(a.rows, b.rows),
        meet_dim(a.cols, b.cols),
        a.elem,
        min(known, default=None),
        a.format or b.format,
    )
