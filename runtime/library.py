"""The native runtime: where its libraries and headers are (installed or in a checkout), and its C functions."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any


def native_library() -> Path:
    """The shared library that in-process programs run on."""
    return _find("libsysmlc_rt.so")


def static_library() -> Path:
    """The archive that executables are linked with."""
    return _find("libsysmlc_rt.a")


def include_dir() -> Path:
    """The folder of the runtime's C headers."""
    for header in (*_packaged("include", "sysmlc.h"), *_packaged("native", "sysmlc.h")):
        if header.is_file():
            return header.parent
    raise FileNotFoundError("the header sysmlc.h is not in the installed package; reinstall sysmlc")


def _find(name: str) -> Path:
    override = os.environ.get("SYSMLC_RUNTIME_DIR")
    places = (
        [Path(override) / name] if override else [*_packaged(name), *_packaged("lib", name), *_built(name)]
    )
    present = [place for place in places if place.is_file()]
    if not present:
        looked = ", ".join(str(place.parent) for place in places)
        raise FileNotFoundError(
            f"the native runtime {name} is not in {looked}; build it with 'pip install -e .'"
        )
    # In a checkout the newest wins: whoever runs cmake by hand means to use what it made.
    return max(present, key=lambda place: place.stat().st_mtime)


def _packaged(*parts: str) -> list[Path]:
    # An editable install spreads the package over the checkout and site-packages.
    from sysmlc import runtime

    return [Path(folder, *parts) for folder in runtime.__path__]


def _built(name: str) -> list[Path]:
    root = Path(__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        return []
    return [root / "build" / "lib" / name, *sorted((root / "build").glob(f"*/lib/{name}"))]


@cache
def native() -> ctypes.CDLL:
    """The runtime, loaded into this process once; its functions have their C signatures."""
    lib = ctypes.CDLL(str(native_library()))
    for name, (result, *args) in _SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, args
    blas = blas_library()
    if blas is not None:
        lib.sm_blas_path(str(blas).encode())
    return lib


def blas_library() -> Path | None:
    """The BLAS/LAPACK library of the scipy-openblas32 wheel; None when it is not installed."""
    spec = importlib.util.find_spec("scipy_openblas32")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for place in sorted(Path(folder, "lib").glob("libscipy_openblas*.so")):
            return place
    return None


_P, _S, _I32, _I64, _F64 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
_SIGNATURES: dict[str, tuple[type[ctypes._SimpleCData[Any]] | None, ...]] = {
    "sm_ctx_new": (_P,),
    "sm_ctx_free": (None, _P),
    "sm_run": (_I32, _P, _P),
    "sm_error_message": (_S, _P),
    "sm_error_loc": (_I32, _P),
    "sm_error_render": (_S, _P),
    "sm_error_clear": (None, _P),
    "sm_set_locations": (None, _P, _P, _I64),
    "sm_set_resolve": (None, _P, _P),
    "sm_set_output_sink": (None, _P, _P, _P),
    "sm_interrupt": (None, _P),
    "sm_abandon": (None,),
    "sm_flush": (None, _P),
    "sm_set_arg": (None, _P, _S, _S),
    "sm_set_seed": (None, _P, _I64),
    "sm_set_input": (None, _P, _S, _P),
    "sm_get_output": (_P, _P, _S),
    "sm_retain": (None, _P, _P),
    "sm_release": (None, _P, _P),
    "sm_hold": (None, _P, _P),
    "sm_unhold": (None, _P, _P),
    "sm_live_objects": (_I64, _P),
    "sm_leaked_objects": (_I64, _P),
    "sm_threads": (_I32,),
    "sm_set_threads": (None, _I32),
    "sm_alloc_count": (_I64,),
    "sm_bytes_live": (_I64,),
    "sm_bytes_peak": (_I64,),
    "sm_reset_peak": (None,),
    "sm_stats_enable": (None, _P, _I32),
    "sm_stats_report": (_S, _P, _I64),
    "sm_code_load": (_P, _S, _I64, _P, _I64),
    "sm_code_symbol": (_P, _P, _S),
    "sm_code_free": (None, _P),
    "sm_blas_path": (None, _S),
    "sm_matrix_from_external": (_P, _P, _I64, _I64, _P, _P, _P),
    "sm_matrix_from_external_f32": (_P, _P, _I64, _I64, _P, _P, _P),
    "sm_csr_new_f32": (_P, _P, _I64, _I64, _P, _P, _I64, _P, _I64),
    "sm_matrix_elem": (_I32, _P),
    "sm_matrix_is_borrowed": (_I32, _P),
    "sm_matrix_new": (_P, _P, _I64, _I64, _P),
    "sm_csr_new": (_P, _P, _I64, _I64, _P, _P, _I64, _P, _I64),
    "sm_csr_from_external": (_P, _P, _I64, _I64, _P, _P, _I64, _P, _P, _P),
    "sm_csr_from_external_f32": (_P, _P, _I64, _I64, _P, _P, _I64, _P, _P, _P),
    "sm_to_smaller": (_P, _P, _P),
    "sm_expected_product_nnz": (_F64, _P, _P, _P),
    "sm_object_kind": (_I32, _P),
    "sm_matrix_rows": (_I64, _P),
    "sm_matrix_cols": (_I64, _P),
    "sm_matrix_format": (_I32, _P),
    "sm_matrix_data": (_P, _P),
    "sm_matrix_rowptr": (_P, _P),
    "sm_matrix_colidx": (_P, _P),
    "sm_string_new": (_P, _P, _S, _I64),
    "sm_string_text": (_P, _P),
    "sm_string_length": (_I64, _P),
    "sm_cast_f64_box": (_P, _P, _F64),
    "sm_cast_i64_box": (_P, _P, _I64),
    "sm_cast_i1_box": (_P, _P, _I32),
    "sm_cast_str_box": (_P, _P, _P),
    "sm_cast_box_f64": (_F64, _P, _P),
    "sm_cast_box_i64": (_I64, _P, _P),
    "sm_cast_box_str": (_P, _P, _P),
    "sm_box_tag": (_I32, _P),
    "sm_list_new": (_P, _P, _I64, _P, _P),
    "sm_list_length": (_I64, _P, _P),
    "sm_list_item": (_P, _P, _I64),
    "sm_list_name": (_S, _P, _P, _I64),
}
