"""Where the native runtime is: its libraries and headers, in an installed package and in a checkout alike."""

from __future__ import annotations

import os
import sysconfig
from importlib.resources import files
from pathlib import Path

_SHARED = "libsysmlc_rt.so"
_STATIC = "libsysmlc_rt.a"


def native_library() -> Path:
    """The shared library that in-process programs run on."""
    return _find(_SHARED)


def static_library() -> Path:
    """The archive that executables are linked with."""
    return _find(_STATIC)


def include_dir() -> Path:
    """The folder of the C headers."""
    package = _package()
    for folder in (package / "include", package / "native", _site() / "include"):
        if any(folder.glob("*.h")):
            return folder
    raise FileNotFoundError(f"the runtime's headers are not in {package}; reinstall sysmlc")


def _package() -> Path:
    return Path(str(files("sysmlc.runtime"))).resolve()


def _site() -> Path:
    """Where an editable install keeps what CMake built, apart from the sources."""
    return Path(sysconfig.get_path("platlib")) / "sysmlc" / "runtime"


def _find(name: str) -> Path:
    override = os.environ.get("SYSMLC_RUNTIME_LIB")
    package = _package()
    if override:
        places = [Path(override)]
    else:
        # A checkout's own builds come first: whoever runs cmake by hand means to use what it made.
        built = sorted((package.parent / "build").glob("*/lib"), key=_newest, reverse=True)
        places = [package / "lib", package.parent / "build" / "lib", *built, _site() / "lib"]
    for place in places:
        if (place / name).is_file():
            return place / name
    looked = ", ".join(str(p) for p in places)
    raise FileNotFoundError(
        f"the native runtime {name} is not built (looked in {looked}); run 'pip install -e .'"
    )


def _newest(folder: Path) -> float:
    return max((f.stat().st_mtime for f in folder.iterdir()), default=0.0)
