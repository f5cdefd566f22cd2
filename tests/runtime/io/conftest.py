"""The native readers and writers, called from Python."""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from sysmlc.runtime.library import native_library

Dense = npt.NDArray[np.float64]


class Object(ctypes.Structure):
    _fields_ = [
        ("refs", ctypes.c_int32),
        ("kind", ctypes.c_uint8),
        ("mark", ctypes.c_uint8),
        ("holds", ctypes.c_uint16),
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("ctx", ctypes.c_void_p),
    ]


class MatrixStruct(ctypes.Structure):
    _fields_ = [
        ("o", Object),
        ("rows", ctypes.c_int64),
        ("cols", ctypes.c_int64),
        ("nnz", ctypes.c_int64),
        ("elem", ctypes.c_uint8),
        ("format", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("data", ctypes.c_void_p),
        ("rowptr", ctypes.c_void_p),
        ("colidx", ctypes.c_void_p),
    ]


class Metadata(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_int64),
        ("cols", ctypes.c_int64),
        ("nnz", ctypes.c_int64),
        ("data_type", ctypes.c_int32),
        ("value_type", ctypes.c_int32),
        ("format", ctypes.c_int32),
        ("sizes", ctypes.c_int32),
        ("exists", ctypes.c_int32),
        ("has_mtd", ctypes.c_int32),
    ]


class ReadError(Exception):
    """A failure reported by the runtime."""


def option_text(options: dict[str, Any]) -> bytes:
    """Named arguments as the runtime takes them."""

    def escape(value: object) -> str:
        text = str(value).upper() if isinstance(value, bool) else str(value)
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("=", "\\=")

    return "".join(
        f"{key.replace('_strings', '.strings')}={escape(v)}\n" for key, v in options.items()
    ).encode()


class InputOutput:
    """One runtime context with reads and writes as methods."""

    def __init__(self) -> None:
        lib = ctypes.CDLL(str(native_library()))
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "sm_ctx_new": (pointer, []),
            "sm_ctx_free": (None, [pointer]),
            "sm_error_message": (text, [pointer]),
            "sm_error_clear": (None, [pointer]),
            "sm_string_new": (pointer, [pointer, text, ctypes.c_int64]),
            "sm_release": (None, [pointer, pointer]),
            "sm_live_objects": (ctypes.c_int64, [pointer]),
            "sm_interrupt": (None, [pointer]),
            "sm_read_matrix": (pointer, [pointer, pointer, pointer, ctypes.c_char_p]),
            "sm_read_f64": (ctypes.c_double, [pointer, pointer, pointer]),
            "sm_read_i64": (ctypes.c_int64, [pointer, pointer, pointer]),
            "sm_read_i1": (ctypes.c_int32, [pointer, pointer, pointer]),
            "sm_read_str": (pointer, [pointer, pointer, pointer]),
            "sm_write_matrix": (None, [pointer, pointer, pointer, pointer]),
            "sm_write_f64": (None, [pointer, ctypes.c_double, pointer, pointer]),
            "sm_write_i64": (None, [pointer, ctypes.c_int64, pointer, pointer]),
            "sm_write_i1": (None, [pointer, ctypes.c_int32, pointer, pointer]),
            "sm_write_str": (None, [pointer, pointer, pointer, pointer]),
            "sm_set_progress": (None, [pointer, ctypes.c_int32]),
            "sm_read_metadata": (
                ctypes.c_int32,
                [text, text, ctypes.POINTER(Metadata), text, ctypes.c_int64],
            ),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self.lib = lib
        self.ctx = lib.sm_ctx_new()

    def close(self) -> None:
        self.lib.sm_ctx_free(self.ctx)

    def call(self, name: str, path: object, options: dict[str, Any], *values: Any, after: Any = ()) -> Any:
        raw = path if isinstance(path, bytes) else str(path).encode()
        string = self.lib.sm_string_new(self.ctx, raw, len(raw))
        given = option_text(options)
        settings = self.lib.sm_string_new(self.ctx, given, len(given))
        try:
            result = getattr(self.lib, name)(self.ctx, *values, string, settings, *after)
            message = self.lib.sm_error_message(self.ctx)
            if message is not None:
                self.lib.sm_error_clear(self.ctx)
                raise ReadError(message.decode())
            return result
        finally:
            self.lib.sm_release(self.ctx, settings)
            self.lib.sm_release(self.ctx, string)

    def handle(self, path: object, **options: Any) -> int:
        """Reads a matrix and returns the runtime's handle."""
        result = self.call("sm_read_matrix", path, options, after=(b"f64",))
        assert isinstance(result, int)
        return result

    def contents(self, handle: int) -> tuple[MatrixStruct, Dense | sp.csr_matrix]:
        """A copy of a matrix, in its own format."""
        m = MatrixStruct.from_address(handle)

        def array(address: int, count: int, kind: type[Any]) -> Any:
            if not count:
                return np.empty(0, kind)
            return np.frombuffer(
                (ctypes.c_char * (count * np.dtype(kind).itemsize)).from_address(address), kind
            ).copy()

        if m.format == 0:
            return m, array(m.data, m.rows * m.cols, np.float64).reshape(m.rows, m.cols)
        rowptr = array(m.rowptr, m.rows + 1, np.int64)
        n = int(rowptr[-1])
        csr = sp.csr_matrix(
            (array(m.data, n, np.float64), array(m.colidx, n, np.int32), rowptr), shape=(m.rows, m.cols)
        )
        csr.check_format()
        return m, csr

    def read_any(self, path: object, **options: Any) -> Dense | sp.csr_matrix:
        """A matrix in the format the runtime chose; its count of nonzeros is checked."""
        handle = self.handle(path, **options)
        m, value = self.contents(handle)
        nnz = int(m.nnz)
        self.lib.sm_release(self.ctx, handle)
        if isinstance(value, np.ndarray):
            assert nnz in (-1, np.count_nonzero(value))
        else:
            assert nnz == value.nnz == np.count_nonzero(value.data)
            assert all(
                np.all(np.diff(value.indices[a:b]) > 0)
                for a, b in zip(value.indptr, value.indptr[1:], strict=False)
            )
        return value

    def read(self, path: object, **options: Any) -> Dense:
        value = self.read_any(path, **options)
        return value if isinstance(value, np.ndarray) else np.asarray(value.toarray())

    def complaint(self, path: object, **options: Any) -> str | None:
        """Reads a matrix; the message when that fails."""
        try:
            self.read(path, **options)
        except ReadError as error:
            return str(error)
        return None

    def write(self, value: Dense | sp.csr_matrix, path: object, **options: Any) -> None:
        """Writes a matrix, which reaches the runtime as a binary file."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "value"
            source.write_bytes(binary_file(value))
            handle = self.handle(source)
        try:
            self.call("sm_write_matrix", path, options, handle)
        finally:
            self.lib.sm_release(self.ctx, handle)

    def read_str(self, path: object, **options: Any) -> str:
        handle = self.call("sm_read_str", path, options)
        length = ctypes.c_int64.from_address(handle + ctypes.sizeof(Object)).value
        text = ctypes.string_at(handle + ctypes.sizeof(Object) + 8, length).decode()
        self.lib.sm_release(self.ctx, handle)
        return text

    def write_str(self, value: str, path: object, **options: Any) -> None:
        raw = value.encode()
        string = self.lib.sm_string_new(self.ctx, raw, len(raw))
        try:
            self.call("sm_write_str", path, options, string)
        finally:
            self.lib.sm_release(self.ctx, string)

    def metadata(self, path: object, **options: Any) -> Metadata:
        info, error = Metadata(), ctypes.create_string_buffer(1000)
        if self.lib.sm_read_metadata(
            str(path).encode(), option_text(options), ctypes.byref(info), error, 1000
        ):
            raise ReadError(error.value.decode())
        return info


def binary_file(value: Dense | sp.csr_matrix, **changes: int) -> bytes:
    """The binary format, written independently of the runtime; `changes` replace header fields."""
    sparse = not isinstance(value, np.ndarray)
    rows, cols = value.shape
    if sparse:
        body = (
            value.indptr.astype("<i8").tobytes()
            + value.data.astype("<f8").tobytes()
            + value.indices.astype("<i4").tobytes()
        )
        nnz = value.nnz
    else:
        body = np.ascontiguousarray(value, "<f8").tobytes()
        nnz = np.count_nonzero(value)
    field = {
        "version": 1,
        "format": int(sparse),
        "elem": 0,
        "rows": rows,
        "cols": cols,
        "nnz": int(nnz),
        "size": 64 + len(body),
    }
    field |= changes
    head = b"\x89SMB\r\n\x1a\n" + struct.pack("<IBBHqqqqQ", *(field[k] for k in ("version", "format", "elem")), 0,
                                             *(field[k] for k in ("rows", "cols", "nnz", "size")), 0)  # fmt: skip
    hashed = 0xCBF29CE484222325
    for byte in head:
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    return head + struct.pack("<Q", hashed) + body


@pytest.fixture
def io() -> Iterator[InputOutput]:
    """A fresh context; everything made in it must be released by the end of the test."""
    context = InputOutput()
    yield context
    assert context.lib.sm_live_objects(context.ctx) == 0
    context.close()


@pytest.fixture
def fails() -> Callable[..., str]:
    """Runs a call that must fail and returns the message."""

    def run(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
        with pytest.raises(ReadError) as caught:
            call(*arguments, **options)
        return str(caught.value)

    return run


@pytest.fixture
def binary() -> Callable[..., bytes]:
    return binary_file


@pytest.fixture
def mtd() -> Callable[[Path], dict[str, Any]]:
    """The metadata written beside a file."""

    def load(path: Path) -> dict[str, Any]:
        found = json.loads((path.parent / (path.name + ".mtd")).read_text())
        assert isinstance(found, dict)
        return found

    return load
