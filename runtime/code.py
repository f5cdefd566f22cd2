"""Machine code in this process: relocatable objects put into memory and linked with the runtime and the C library."""

from __future__ import annotations

import ctypes

from sysmlc.runtime.library import native


class DamagedCodeError(Exception):
    """An object that cannot be loaded: it is damaged, or not one for in-process programs."""


class Code:
    """The code of an object; it stays in memory as long as this lives."""

    def __init__(self, image: bytes) -> None:
        self._lib = native()
        message = ctypes.create_string_buffer(256)
        self._code = self._lib.sm_code_load(image, len(image), message, len(message))
        if not self._code:
            raise DamagedCodeError(message.value.decode("utf-8", "replace"))

    def address(self, symbol: str) -> int:
        """Where the function or variable `symbol` is."""
        found: int | None = self._lib.sm_code_symbol(self._code, symbol.encode())
        if not found:
            raise DamagedCodeError(f"object code without the symbol '{symbol}'")
        return found

    def __del__(self) -> None:
        if getattr(self, "_code", None):
            self._lib.sm_code_free(self._code)
            self._code = None
