"""The runtime's C ABI through ctypes, with NumPy and SciPy values. For tests."""

from __future__ import annotations

import ctypes as c
from typing import Any

import numpy as np
import scipy.sparse as sp

from sysmlc.runtime.library import native_library

P, I64, I32, F64, TEXT = c.c_void_p, c.c_int64, c.c_int32, c.c_double, c.c_char_p
MAX_IN, MAX_OUT = 16, 8
TAG_F64, TAG_MATRIX, TAG_I64, TAG_I1, TAG_STRING, TAG_LIST, TAG_BOX = range(7)
LETTERS = {"p": P, "i": I64, "b": I32, "d": F64, "s": TEXT, "v": None}


class Arg(c.Structure):
    """sm_arg."""

    class Value(c.Union):
        _fields_ = [("f64", F64), ("i64", I64), ("object", P)]

    _fields_ = [("tag", I64), ("v", Value)]


class Kernel(c.Structure):
    """sm_cell_kernel."""

    _fields_ = [
        ("n_in", I32), ("n_out", I32), ("out_kind", c.c_uint8 * MAX_OUT), ("out_fn", c.c_uint8 * MAX_OUT),
        ("sparse_safe", c.c_uint32), ("traits", c.c_uint32), ("n_variants", I32), ("sparse_probe", c.c_uint32),
        ("variant_keys", c.POINTER(c.c_uint32)), ("variants", c.POINTER(P)), ("name", TEXT), ("cookie", P),
        ("probe_needs", c.POINTER(c.c_uint32)), ("joint", c.POINTER(c.c_uint32)), ("n_joint", I64),
    ]  # fmt: skip


class RuntimeFailure(Exception):
    """An error the runtime reported."""


class Runtime:
    """One context. `rt.call("index:pippiiii", …)`: name, result letter, argument letters without the context."""

    def __init__(self) -> None:
        self.lib = c.CDLL(str(native_library()))
        self.lib.sm_ctx_new.restype = P
        self.ctx = P(self.lib.sm_ctx_new())
        self.lib.sm_error_message.restype = TEXT
        self.printed: list[str] = []
        sink_type = c.CFUNCTYPE(I32, P, P, I64)
        self._sink = sink_type(lambda _, text, n: self.printed.append(c.string_at(text, n).decode()) or 0)
        self.lib.sm_set_output_sink(self.ctx, self._sink, None)

    def close(self) -> None:
        self.lib.sm_ctx_free(self.ctx)

    def call(self, signature: str, *args: Any) -> Any:
        name, _, letters = signature.partition(":")
        fn = getattr(self.lib, "sm_" + name)
        fn.restype = LETTERS[letters[0]]
        fn.argtypes = [P, *(LETTERS[x] for x in letters[1:])]
        result = fn(self.ctx, *args)
        message = self.lib.sm_error_message(self.ctx)
        if message is not None:
            self.lib.sm_error_clear(self.ctx)
            raise RuntimeFailure(message.decode())
        return result

    def release(self, *objects: int | None) -> None:
        for o in objects:
            self.call("release:vp", o)

    # ---- values

    def dense(self, array: Any) -> int:
        a = np.ascontiguousarray(array, dtype=np.float64)
        a = a.reshape(1, -1) if a.ndim == 1 else a
        return int(self.call("matrix_new:piip", *a.shape, a.ctypes.data))

    def csr(self, array: Any) -> int:
        m = sp.csr_matrix(array, dtype=np.float64)
        m.sum_duplicates()
        m.eliminate_zeros()
        ptr, idx = m.indptr.astype(np.int64), m.indices.astype(np.int32)
        return int(
            self.call(
                "csr_new:piippipi", *m.shape, m.data.ctypes.data, ptr.ctypes.data, 8, idx.ctypes.data, 4
            )
        )

    def view(self, name: str, m: int, restype: Any = I64) -> Any:
        fn = getattr(self.lib, "sm_matrix_" + name)
        fn.restype, fn.argtypes = restype, [P]
        return fn(m)

    def format(self, m: int) -> str:
        return ("dense", "csr")[self.view("format", m, I32)]

    def numpy(self, m: int, release: bool = True) -> Any:
        self.call("settle:vp", m)
        rows, cols = self.view("rows", m), self.view("cols", m)
        if self.format(m) == "dense":
            data = self.view("data", m, c.POINTER(F64))
            result = (
                np.ctypeslib.as_array(data, (rows, cols)).copy() if rows * cols else np.zeros((rows, cols))
            )
        else:
            ptr = np.ctypeslib.as_array(self.view("rowptr", m, c.POINTER(I64)), (rows + 1,)).copy()
            n = int(ptr[-1])
            assert n == self.call("nnz:ip", m)
            idx = (
                np.ctypeslib.as_array(self.view("colidx", m, c.POINTER(I32)), (n,)).copy()
                if n
                else np.zeros(0, np.int32)
            )
            val = (
                np.ctypeslib.as_array(self.view("data", m, c.POINTER(F64)), (n,)).copy() if n else np.zeros(0)
            )
            assert ptr[0] == 0
            assert (val != 0).all(), "CSR must hold no explicit zeros"
            for i in range(rows):
                assert (np.diff(idx[ptr[i] : ptr[i + 1]]) > 0).all()
            result = sp.csr_matrix((val, idx, ptr), (rows, cols)).toarray()
        if release:
            self.release(m)
        return result

    def string(self, text: str) -> int:
        raw = text.encode()
        return int(self.call("string_new:psi", raw, len(raw)))

    def text(self, s: int, release: bool = True) -> str:
        fn, length = self.lib.sm_string_text, self.lib.sm_string_length
        fn.restype, fn.argtypes, length.restype, length.argtypes = P, [P], I64, [P]
        result = c.string_at(fn(s), length(s)).decode()
        if release:
            self.release(s)
        return result

    def args(self, *values: Any) -> Any:
        array = (Arg * max(1, len(values)))()
        for slot, value in zip(array, values, strict=False):
            if isinstance(value, bool):
                slot.tag, slot.v.i64 = TAG_I1, value
            elif isinstance(value, int):
                slot.tag, slot.v.i64 = TAG_I64, value
            elif isinstance(value, float):
                slot.tag, slot.v.f64 = TAG_F64, value
            elif isinstance(value, str):
                slot.tag, slot.v.object = TAG_STRING, self.string(value)
            else:
                slot.tag, slot.v.object = value
        return array

    def live(self) -> int:
        return int(self.call("live_objects:i"))
