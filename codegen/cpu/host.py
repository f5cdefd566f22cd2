"""The processor of this machine as LLVM names it, without LLVM once it has been asked."""

from __future__ import annotations

import json

from sysmlc.codegen.cpu.cache import key_of, object_cache
from sysmlc.codegen.cpu.workers import workers

_TELLING = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")


def host_processor() -> tuple[str, dict[str, bool]]:
    """Its name, and which features it has."""
    from llvmlite import __version__

    described = _description()
    key = key_of("processor", described, __version__)
    found = object_cache().get(key) if described else None
    if found is None:
        found = json.dumps(workers().call(ask_llvm)).encode()
        object_cache().put(key, found)
    name, features = json.loads(found)
    return name, features


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
