"""The processor of this machine as LLVM names it, without LLVM once it has been asked."""

from __future__ import annotations

import json

from sysmlc.codegen.cpu.cache import key_of, object_cache
from sysmlc.codegen.cpu.workers import workers

_TELLING = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")


def host_processor() -> tuple[str, dict[str, bool]]:
    """Its name, and which features it has."""
    found = _remembered()
    if found is None:
        found = _remember(workers().call(ask_llvm))
    name, features = json.loads(found)
    return name, features


def _remembered() -> bytes | None:
    return object_cache().get(_key()) if _description() else None


def _remember(answer: tuple[str, dict[str, bool]]) -> bytes:
    data = json.dumps(answer).encode()
    object_cache().put(_key(), data)
    return data


def _key() -> str:
    from llvmlite import __version__

    return key_of("processor", _description(), __version__)


def ask_llvm() -> tuple[str, dict[str, bool]]:
    """What LLVM finds out."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())


def _description() -> str:
    """What the system says of the first processor; empty where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = []
            for line in file:  # others of many processors take long to read, and are the same
                if not line.strip():
                    break
                if line.partition("\t")[0] in _TELLING:
                    lines.append(line)
            return "".join(lines)
    except OSError:
        return ""
