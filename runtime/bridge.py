"""Values between Python and native programs, and the context a program runs in.

Dense arrays in C order, of the elements the program computes with (f64, or f32 in single precision), go in without a copy (the
program never writes to them) and come out as views of the program's memory; they keep it alive. So do values and
columns of SciPy's CSR matrices with 4-byte indices; other ones are converted.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sysmlc.runtime.library import native

MATRIX, STRING, LIST, BOX = 1, 2, 3, 4
TAG_F64, TAG_MATRIX, TAG_I64, TAG_I1, TAG_STRING, TAG_LIST, TAG_BOX = range(7)
CSR = 1
F32 = 1

_kept: dict[int, Any] = {}
"""Buffers that native matrices look into, by the number the runtime knows them by."""
_numbers = itertools.count(1)

Sink = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _forget(number: int) -> None:
    _kept.pop(number, None)


class NativeError(Exception):
    """A program stopped with an error. The text is complete: place, message, source line, caret.

    `message` is the bare message; `file`, `line` and `column` (1-based; 0: unknown) say where in the script it happened.
    """

    def __init__(self, message: str, rendered: str) -> None:
        super().__init__(rendered.rstrip("\n"))
        self.message = message
        place, _, _ = rendered.rpartition(f": error: {message}") if message else ("", "", "")
        file, line, column = [*place.rsplit(":", 2), "", "", ""][:3]
        self.file = file
        self.line = int(line) if line.isdecimal() else 0
        self.column = int(column) if column.isdecimal() else 0


class Arg(ctypes.Structure):
    """`sm_arg`: a tagged value."""

    _fields_ = (("tag", ctypes.c_int64), ("value", ctypes.c_uint64))


class Runnable(Protocol):
    """A program in memory: where it is entered, and its source locations."""

    entry: int
    locations: int | None
    n_locations: int


class Context:
    """What one run of a program needs and leaves behind. Arrays that came out of it keep it alive.

    `precision` is what matrices that go in are made of: `double` or `single`."""

    def __init__(self, precision: str = "double") -> None:
        self._single = precision == "single"
        self._lib = native()
        self._ctx: int | None = self._lib.sm_ctx_new()
        if not self._ctx:
            raise MemoryError("no memory for a run-time context")
        self._sink: Any = None
        self._ran: dict[int, Runnable] = {}
        """The programs that ran, by their entries. Reports read the names of operators from them, as long as there may be reports."""

    def __del__(self) -> None:
        if getattr(self, "_ctx", None):
            self._lib.sm_ctx_free(self._ctx)
            self._ctx = None

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, program: Runnable, resolver: Any) -> None:
        """Run a program; NativeError tells how it failed."""
        lib, ctx = self._lib, self._ctx
        self._ran[program.entry] = program
        lib.sm_set_locations(ctx, program.locations, program.n_locations)
        lib.sm_set_resolve(ctx, ctypes.cast(resolver, ctypes.c_void_p))
        if lib.sm_run(ctx, program.entry):
            raise self.error()

    def error(self) -> NativeError:
        lib, ctx = self._lib, self._ctx
        message = _text(lib.sm_error_message(ctx))
        return NativeError(message, _text(lib.sm_error_render(ctx)))

    def leaked(self) -> int:
        """How many objects the last program that ended well had not released; anything but 0 is a defect."""
        return int(self._lib.sm_leaked_objects(self._ctx))

    def interrupt(self) -> None:
        """Ask the running program to stop; may be called from any thread."""
        self._lib.sm_interrupt(self._ctx)

    def print_to(self, write: Callable[[str], object]) -> None:
        """Send what the program prints to a Python function."""

        def sink(_: int, text: int, size: int) -> int:
            try:
                write(ctypes.string_at(text, size).decode("utf-8", "replace"))
            except OSError as error:
                return error.errno or 5
            except Exception:
                return 5
            return 0

        self._sink = Sink(sink)
        self._lib.sm_set_output_sink(self._ctx, ctypes.cast(self._sink, ctypes.c_void_p), None)

    def statistics(self, top: int | None) -> str:
        """The report of `-stats`; collects nothing unless `enable_statistics` was called before the run."""
        return _text(self._lib.sm_stats_report(self._ctx, 10 if top is None else top))

    def enable_statistics(self) -> None:
        self._lib.sm_stats_enable(self._ctx, 1)

    def set_threads(self, count: int) -> None:
        """How many threads programs of this process use; 0: as many as it may."""
        self._lib.sm_set_threads(count)

    def stop_on_signals(self) -> None:
        """Let SIGTERM stop the program at its next check as Ctrl-C does, so that nothing half-written stays behind. A second signal
        does not wait for that, and ends the process."""
        import signal

        told = False

        def answer(number: int, frame: object) -> None:
            nonlocal told
            if told:
                self._lib.sm_abandon()
                os.write(2, b"interrupted\n")
                os._exit(128 + signal.SIGINT)
            told = True
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, answer)
        # Who ignores interrupts keeps doing so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, answer)

    def set_seed(self, seed: int) -> None:
        """The seed of generators whose script gives none."""
        self._lib.sm_set_seed(self._ctx, seed)

    def set_arg(self, name: str, text: str) -> None:
        """Pass the script's argument `$name`."""
        self._lib.sm_set_arg(self._ctx, name.encode(), text.encode("utf-8", "surrogateescape"))
        self._check()

    # -- values in -------------------------------------------------------------------------------------------------

    def set_input(self, name: str, value: Any) -> None:
        """Bind a value to the variable `name`."""
        native_value = self.to_native(value)
        self._lib.sm_set_input(self._ctx, name.encode(), native_value)
        self._lib.sm_release(self._ctx, native_value)
        self._check()

    def to_native(self, value: Any) -> int:
        """A Python value as an owned native object."""
        kind = value_kind(value)
        if kind == "matrix":
            made = self._matrix(value)
        elif kind == "list":
            made = self._list(value)
        elif kind == "str":
            text = self._string(str(value))
            made = self._lib.sm_cast_str_box(self._ctx, text)
            self._lib.sm_release(self._ctx, text)
        elif kind == "i1":
            made = self._lib.sm_cast_i1_box(self._ctx, int(value))
        elif kind == "i64":
            if not -(2**63) <= int(value) < 2**63:
                raise OverflowError(f"the integer {value} does not fit into 64 bits")
            made = self._lib.sm_cast_i64_box(self._ctx, int(value))
        else:
            made = self._lib.sm_cast_f64_box(self._ctx, float(value))
        return self._made(made)

    def _string(self, text: str) -> int:
        data = text.encode("utf-8", "surrogateescape")
        return self._made(self._lib.sm_string_new(self._ctx, data, len(data)))

    def _list(self, value: Mapping[str, Any] | Sequence[Any]) -> int:
        items = list(value.values()) if isinstance(value, Mapping) else list(value)
        objects = [self.to_native(item) for item in items]
        args = (Arg * max(1, len(items)))()
        for arg, item, made in zip(args, items, objects, strict=False):
            kind = value_kind(item)
            arg.tag = TAG_MATRIX if kind == "matrix" else TAG_LIST if kind == "list" else TAG_BOX
            arg.value = made
        names = None
        if isinstance(value, Mapping):
            names = (ctypes.c_char_p * max(1, len(items)))(*[str(key).encode() for key in value])
        made = self._lib.sm_list_new(self._ctx, len(items), args, names)
        for item in objects:
            self._lib.sm_release(self._ctx, item)
        return self._made(made)

    def _matrix(self, value: Any) -> int:
        import numpy as np

        if hasattr(value, "tocsr"):
            return self._sparse(value)
        if hasattr(value, "to_numpy"):
            value = value.to_numpy(dtype=self._element())
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"cannot make a matrix of {array.dtype} values")
        array = np.ascontiguousarray(array, dtype=self._element())
        if array.ndim < 2:
            array = array.reshape(-1, 1)
        if array.ndim != 2:
            raise TypeError(f"a matrix has two dimensions, not {array.ndim}")
        number = next(_numbers)
        _kept[number] = array
        rows, cols = array.shape
        release = ctypes.cast(_forget, ctypes.c_void_p)
        wrap = self._lib.sm_matrix_from_external_f32 if self._single else self._lib.sm_matrix_from_external
        return self._made(wrap(self._ctx, rows, cols, array.ctypes.data, release, number))

    def _element(self) -> Any:
        import numpy as np

        return np.float32 if self._single else np.float64

    def _sparse(self, value: Any) -> int:
        import numpy as np

        csr = value.tocsr()
        if csr.indices.dtype == np.int32:
            found = self._csr_view(csr)
            if not found:  # columns in any order, perhaps more than once
                csr = csr.copy()
                csr.has_canonical_format = csr.has_sorted_indices = False
                csr.sum_duplicates()
                found = self._csr_view(csr)
            return self._made(found)
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        data = np.ascontiguousarray(csr.data, dtype=self._element())
        rowptr, colidx = np.ascontiguousarray(csr.indptr), np.ascontiguousarray(csr.indices)
        make = self._lib.sm_csr_new_f32 if self._single else self._lib.sm_csr_new
        made = self._made(
            make(
                self._ctx,
                *csr.shape,
                data.ctypes.data,
                rowptr.ctypes.data,
                rowptr.itemsize,
                colidx.ctypes.data,
                colidx.itemsize,
            )
        )
        better = self._made(self._lib.sm_to_smaller(self._ctx, made))
        self._lib.sm_release(self._ctx, made)
        return better

    def _csr_view(self, csr: Any) -> int | None:
        """A native matrix over the arrays of a SciPy matrix; None when columns do not ascend within its rows."""
        import numpy as np

        data = np.ascontiguousarray(csr.data, dtype=self._element())
        rowptr, colidx = np.ascontiguousarray(csr.indptr), np.ascontiguousarray(csr.indices)
        number = next(_numbers)
        _kept[number] = data, colidx
        wrap = self._lib.sm_csr_from_external_f32 if self._single else self._lib.sm_csr_from_external
        made: int | None = wrap(
            self._ctx,
            *csr.shape,
            data.ctypes.data,
            rowptr.ctypes.data,
            rowptr.itemsize,
            colidx.ctypes.data,
            ctypes.cast(_forget, ctypes.c_void_p),
            number,
        )
        self._check()
        return made

    # -- values out ------------------------------------------------------------------------------------------------

    def output(self, name: str) -> Any:
        """The value of an output variable; KeyError when the program set none."""
        found = self._lib.sm_get_output(self._ctx, name.encode())
        if not found:
            raise KeyError(name)
        return self.to_python(found)

    def to_python(self, value: int) -> Any:
        """A native object (borrowed) as a Python value."""
        lib, ctx = self._lib, self._ctx
        kind = lib.sm_object_kind(value)
        if kind == MATRIX:
            return self._array(value)
        if kind == STRING:
            return _string_text(lib, value)
        if kind == BOX:
            tag = lib.sm_box_tag(value)
            if tag == TAG_STRING:
                text = lib.sm_cast_box_str(ctx, value)
                result = _string_text(lib, text)
                lib.sm_release(ctx, text)
                return result
            if tag == TAG_F64:
                return lib.sm_cast_box_f64(ctx, value)
            number = lib.sm_cast_box_i64(ctx, value)
            return bool(number) if tag == TAG_I1 else number
        items = [lib.sm_list_item(value, i) for i in range(1, lib.sm_list_length(ctx, value) + 1)]
        names = [lib.sm_list_name(ctx, value, i) for i in range(1, len(items) + 1)]
        if items and all(names):
            return {_text(n): self.to_python(i) for n, i in zip(names, items, strict=True)}
        return [self.to_python(item) for item in items]

    def _array(self, value: int) -> Any:
        import numpy as np

        lib = self._lib
        rows, cols = lib.sm_matrix_rows(value), lib.sm_matrix_cols(value)
        view = _View(self, value)
        kind = "<f4" if lib.sm_matrix_elem(value) == F32 else "<f8"
        if lib.sm_matrix_format(value) != CSR:
            if rows * cols == 0:
                return np.empty((rows, cols), kind)
            array = view.array(lib.sm_matrix_data(value), (rows, cols), kind)
            if lib.sm_matrix_is_borrowed(value):
                array.flags.writeable = False
            return array
        from scipy.sparse import csr_matrix

        rowptr = view.array(lib.sm_matrix_rowptr(value), (rows + 1,), "<i8")
        nnz = int(rowptr[-1])
        if nnz == 0:
            return csr_matrix((rows, cols), dtype=kind)
        data = view.array(lib.sm_matrix_data(value), (nnz,), kind)
        colidx = view.array(lib.sm_matrix_colidx(value), (nnz,), "<i4")
        if lib.sm_matrix_is_borrowed(value):
            data.flags.writeable = colidx.flags.writeable = False
        # SciPy wants one integer type: the short array of offsets is copied, values and columns are not.
        rowptr = rowptr.astype(np.int32) if nnz < 2**31 else rowptr
        return csr_matrix((data, colidx, rowptr), shape=(rows, cols))

    def _made(self, value: int | None) -> int:
        if not value:
            raise self.error()
        return value

    def _check(self) -> None:
        if self._lib.sm_error_message(self._ctx) is not None:
            error = self.error()
            self._lib.sm_error_clear(self._ctx)
            raise error


class _View:
    """Holds a native matrix for the arrays that look into it."""

    def __init__(self, context: Context, value: int) -> None:
        self._context = context
        self._value = value
        context._lib.sm_hold(context._ctx, value)

    def array(self, address: int, shape: tuple[int, ...], kind: str) -> Any:
        import numpy as np

        part = _Part(self, {"data": (address, False), "shape": shape, "typestr": kind, "version": 3})
        return np.asarray(part)

    def __del__(self) -> None:
        context = self._context
        context._lib.sm_unhold(context._ctx, self._value)


class _Part:
    """One buffer of a held matrix, in NumPy's array interface."""

    def __init__(self, view: _View, interface: dict[str, Any]) -> None:
        self._view = view
        self.__array_interface__ = interface


def value_kind(value: Any) -> str:
    """What a Python value is to a program: matrix, list, str, i1, i64 or f64. TypeError when it is nothing."""
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i64"
    if isinstance(value, float):
        return "f64"
    if isinstance(value, str):
        return "str"
    if hasattr(value, "tocsr") or hasattr(value, "to_numpy"):
        return "matrix"
    if hasattr(value, "dtype"):
        if getattr(value, "ndim", 0):
            return "matrix"
        kinds = {"b": "i1", "i": "i64", "u": "i64", "f": "f64", "U": "str"}
        if value.dtype.kind in kinds:
            return kinds[value.dtype.kind]
    if isinstance(value, Mapping):
        return "list"
    if isinstance(value, (list, tuple)):
        return "list"
    raise TypeError(f"a program cannot take a value of type {type(value).__name__}")


def _string_text(lib: ctypes.CDLL, value: int) -> str:
    return ctypes.string_at(lib.sm_string_text(value), lib.sm_string_length(value)).decode("utf-8", "replace")


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
