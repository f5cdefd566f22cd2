"""Where the native runtime is: its libraries and headers, in an installed package and in a checkout alike."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path


def native_library() -> Path:
    """The shared library that in-process programs run on."""
    return _find("libsysmlc_rt.so")


def static_library() -> Path:
    """The archive that executables are linked with."""
    return _find("libsysmlc_rt.a")


def include_dir() -> Path:
    """The folder of the runtime's C headers."""
    for folder in ("include", "native"):
        header = _packaged(folder, "sysmlc.h")
        if header.is_file():
            return header.parent
    raise FileNotFoundError("the header sysmlc.h is not in the installed package; reinstall sysmlc")


def _find(name: str) -> Path:
    override = os.environ.get("SYSMLC_RUNTIME_DIR")
    places = [Path(override) / name] if override else [_packaged(name), _packaged("lib", name), *_built(name)]
    present = [place for place in places if place.is_file()]
    if not present:
        looked = ", ".join(str(place.parent) for place in places)
        raise FileNotFoundError(
            f"the native runtime {name} is not in {looked}; build it with 'pip install -e .'"
        )
    # In a checkout the newest wins: whoever runs cmake by hand means to use what it made.
    return max(present, key=lambda place: place.stat().st_mtime)


def _packaged(*parts: str) -> Path:
    # An editable install spreads the package over the checkout and site-packages; importlib.resources knows both.
    return Path(str(files("sysmlc.runtime").joinpath(*parts)))


def _built(name: str) -> list[Path]:
    root = _packaged("library.py").resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        return []
    return [root / "build" / "lib" / name, *sorted((root / "build").glob(f"*/lib/{name}"))]
