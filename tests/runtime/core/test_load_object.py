"""Objects put into memory: what is good runs, and what is damaged is refused and breaks nothing."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from sysmlc.runtime.code import Code, DamagedCodeError
from sysmlc.runtime.library import native

SOURCE = """
#include <math.h>
#include <string.h>
extern long sm_bytes_live(void);
static const double table[3] = {1.5, 2.5, 3.5};
static long counter = 40;
static char zeros[5000];
static long (*const indirect)(void) = sm_bytes_live;
long next(void) { return ++counter; }
double from_table(long i) { return table[i] + cbrt(27.0) + zeros[i]; }
long from_runtime(void) { return indirect() - sm_bytes_live(); }
void fill(void* to, long n) { memset(to, 7, n); }
long (*const callback)(void) = next;
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("object")
    (folder / "a.c").write_text(SOURCE)
    subprocess.run(["cc", "-O1", "-fPIC", "-fno-builtin", "-c", "a.c", "-o", "a.o"], cwd=folder, check=True)
    return (folder / "a.o").read_bytes()


def function(code: Code, name: str, result: object, *arguments: object) -> object:
    return ctypes.CFUNCTYPE(result, *arguments)(code.address(name))  # type: ignore[arg-type]


def test_code_runs_with_the_runtime_and_the_c_library(image: bytes) -> None:
    code, other = Code(image), Code(image)
    after = function(code, "next", ctypes.c_long)
    assert (after(), after(), function(other, "next", ctypes.c_long)()) == (41, 42, 41)  # type: ignore[operator]
    assert function(code, "from_table", ctypes.c_double, ctypes.c_long)(1) == 5.5  # type: ignore[operator]
    assert function(code, "from_runtime", ctypes.c_long)() == 0  # type: ignore[operator]
    buffer = ctypes.create_string_buffer(8)
    function(code, "fill", None, ctypes.c_void_p, ctypes.c_long)(ctypes.addressof(buffer), 4)  # type: ignore[operator]
    assert buffer.raw == b"\7\7\7\7\0\0\0\0"
    pointer = ctypes.c_void_p.from_address(code.address("callback")).value
    assert pointer == code.address("next")


def test_memory_is_never_writable_and_executable(image: bytes) -> None:
    code = Code(image)
    places = {code.address("next"): "r-x", code.address("callback"): "rw-"}
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, rights = line.split()[:2]
        start, end = (int(part, 16) for part in bounds.split("-"))
        for place, expected in places.items():
            if start <= place < end:
                assert rights[:3] == expected


def test_what_cannot_be_loaded_says_why(image: bytes, tmp_path: Path) -> None:
    with pytest.raises(DamagedCodeError, match="not a relocatable object"):
        Code(b"\0" * 200)
    with pytest.raises(DamagedCodeError, match="outside of the file"):
        Code(image[:100])
    with pytest.raises(DamagedCodeError, match="without the symbol 'nonsense'"):
        Code(image).address("nonsense")
    (tmp_path / "b.c").write_text("extern int nowhere(void); int f(void) { return nowhere(); }")
    subprocess.run(["cc", "-fPIC", "-c", "b.c"], cwd=tmp_path, check=True)
    with pytest.raises(DamagedCodeError, match="the symbol 'nowhere', which is not there"):
        Code((tmp_path / "b.o").read_bytes())


FUZZ = """
import random, sys
from pathlib import Path
from sysmlc.runtime.code import Code, DamagedCodeError

image = Path(sys.argv[1]).read_bytes()
tables = [tuple(map(int, part.split(":"))) for part in sys.argv[2:]]
chance = random.Random(7)
values = [0, 1, 8, 0x7f, 0xff, 0xffff, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 8, (1 << 64) - 1, len(image)]
refused = 0
for turn in range(6000):
    damaged = bytearray(image)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        start, size = chance.choice(tables)
        width = chance.choice([1, 2, 4, 8])
        at = start + chance.randrange(max(1, size - width + 1))
        value = chance.choice([*values, chance.getrandbits(64)])
        damaged[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    if chance.random() < 0.1:
        damaged = damaged[: chance.randrange(len(damaged))]
    try:
        Code(bytes(damaged))
    except DamagedCodeError as error:
        refused += 1
        assert str(error), turn
print(refused)
"""


def test_damaged_objects_are_refused_and_nothing_breaks(image: bytes, tmp_path: Path) -> None:
    (at,) = struct.unpack_from("<Q", image, 0x28)
    (count,) = struct.unpack_from("<H", image, 0x3C)
    tables = [(0, 64), (at, 64 * count)]
    for i in range(count):  # symbols, names, relocations: everything but the code
        (kind,) = struct.unpack_from("<I", image, at + 64 * i + 4)
        offset, size = struct.unpack_from("<QQ", image, at + 64 * i + 24)
        if kind in (2, 3, 4) and size:
            tables.append((offset, size))
    (tmp_path / "a.o").write_bytes(image)
    places = [f"{start}:{size}" for start, size in tables]
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, tmp_path / "a.o", *places], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2000


def test_code_is_freed_with_its_owner(image: bytes) -> None:
    lib = native()
    assert lib.sm_code_load(b"", 0, ctypes.create_string_buffer(64), 64) is None
    before = len(Path("/proc/self/maps").read_text().splitlines())
    for _ in range(200):
        Code(image)
    assert len(Path("/proc/self/maps").read_text().splitlines()) < before + 50
