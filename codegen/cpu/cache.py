"""A cache on disk for compiled code, shared by all processes of a user.

An entry is a file named after its key, with a checksum in front: a truncated or damaged entry counts as missing. Files are
written under another name and renamed, so readers never see half of one. The least recently used entries go when the
cache outgrows its limit. A cache that cannot be written is no error: everything is compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

DEFAULT_LIMIT = 512 << 20
_CHECKSUM = 32
_SWEEP_EVERY = 64


def cache_dir() -> Path:
    """$SYSMLC_CACHE_DIR, or sysmlc in the user's cache folder."""
    own = os.environ.get("SYSMLC_CACHE_DIR")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "sysmlc"


def key_of(*parts: str | bytes) -> str:
    """The key of what is determined by `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class Cache:
    """Bytes by key, in a folder."""

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = cache_dir() if folder is None else folder
        self.limit = limit
        self._writes = 0

    def get(self, key: str) -> bytes | None:
        """The entry, or None when there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[_CHECKSUM:]
        if hashlib.sha256(body).digest() != data[:_CHECKSUM]:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return body

    def put(self, key: str, body: bytes) -> None:
        """Store an entry; nothing happens when that is not possible."""
        import tempfile

        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(body).digest())
                    file.write(body)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError:
            return
        self._writes += 1
        if self._writes % _SWEEP_EVERY == 1:
            self.sweep()

    def sweep(self) -> None:
        """Remove the least recently used entries until three quarters of the limit remain, if it is exceeded."""
        found = sorted(self._files(), key=lambda item: item[1].st_mtime)
        total = sum(stat.st_size for _, stat in found)
        if total <= self.limit:
            return
        for path, stat in found:
            if total <= self.limit * 3 // 4:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= stat.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                yield path, path.stat()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]


@cache
def object_cache() -> Cache:
    """The cache every compilation of this process uses."""
    return Cache()


@cache
def compiler_version() -> str:
    """Changes whenever this compiler might make other code: the release, and what is installed or checked out of it."""
    from sysmlc import __version__

    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "pyproject.toml").is_file():
        with contextlib.suppress(OSError):  # the installer's list of files, with their hashes
            return key_of(
                __version__, (root.parent / f"sysmlc-{__version__}.dist-info" / "RECORD").read_text()
            )
    stamps = []
    for folder in ("ir", "passes", "codegen", "frontends"):
        for at, _, names in os.walk(root / folder):
            for name in names:
                if name.endswith((".py", ".rules")):
                    stat = os.stat(os.path.join(at, name))
                    stamps.append(f"{at}/{name}:{stat.st_mtime_ns}:{stat.st_size}")
    return key_of(__version__, *sorted(stamps))
