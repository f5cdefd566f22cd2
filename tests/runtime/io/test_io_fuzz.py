"""Damaged files of every format: an answer or a clear message, never a crash. Longer runs by hand:

SYSMLC_FUZZ=100000 pytest tests/runtime/io/test_io_fuzz.py
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import scipy.sparse as sp

SEEDS = {
    "csv": [
        (b"1,2.5,-3e-4\n0,0,NaN\r\n\n4,,6\n", {}),
        (b'\xef\xbb\xbfa,"b, c",d\n"1"," 2 ",3\n', {"header": True}),
        (b"1;;2;;3\n;;;;\n", {"sep": ";;", "default": 2}),
        (b"1\n\n3\n\n", {}),
        (b"0,0,0,0,0,0,0,0\n" * 30 + b"1,0,0,0,0,0,0,0\n", {"rows": 31, "cols": 8}),
    ],
    "text": [
        (b"1 1 1.5\n3 2 -1\n2 2 1e5\n", {"rows": 3, "cols": 2}),
        (b"9 9 1\n9 9 2\n0 0 0\n", {"rows": 90, "cols": 90}),
    ],
    "mm": [
        (b"%%MatrixMarket matrix coordinate real general\n% c\n3 3 2\n1 2 0.5\n3 1 7\n", {}),
        (b"%%MatrixMarket matrix coordinate pattern symmetric\n40 40 2\n2 1\n3 3\n", {}),
        (b"%%MatrixMarket matrix array integer skew-symmetric\n3 3\n1\n2\n3\n", {}),
    ],
    "binary": [],
}
PIECES = [
    b"\n",
    b"\r\n",
    b",",
    b" ",
    b'"',
    b"-",
    b"e",
    b".",
    b"0",
    b"9" * 25,
    b"1e999",
    b"nan",
    b"\x00",
    b"\xff",
    b"%",
    b"\xef\xbb\xbf",
]
MTD = b'{"data_type": "matrix", "rows": 3, "cols": 2, "format": "text", "na.strings": ["x", "\\u00e9"], "a": [{}, null]}'


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        action = rng.randrange(6)
        if action == 0:
            data = data[:at] + rng.choice(PIECES) + data[at:]
        elif action == 1:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif action == 2:
            data = data[:at] + data[min(end, at + 8) :]
        elif action == 3:
            data = data[:at] + data[at:end] * 2 + data[end:]
        elif action == 4:
            data = data[:at]
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


@pytest.mark.parametrize("format", [*SEEDS, "mtd"])
def test_mutations(io, tmp_path, binary, format):
    rng = random.Random(f"seed of {format}")
    seeds = list(SEEDS.get(format, []))
    if format == "binary":
        seeds = [(binary(np.arange(6.0).reshape(2, 3)), {}), (binary(sp.csr_matrix(np.eye(30))), {})]
    if format == "mtd":
        seeds = [(MTD, {})]
        (tmp_path / "x").write_text("1 1 1.5\n3 2 -1\n")
    path = tmp_path / ("x.mtd" if format == "mtd" else "x")
    read = failed = 0
    for _ in range(int(os.environ.get("SYSMLC_FUZZ", "1500"))):
        data, options = rng.choice(seeds)
        if format == "binary" and rng.random() < 0.5:  # keep the checksum right: look behind the header
            fields = {
                rng.choice(["rows", "cols", "nnz", "size", "format"]): rng.choice(
                    [-1, 0, 1, 2, 5, 31, 2**31, 2**61]
                )
            }
            if 0 <= fields.get("format", 0) <= 255:
                value = np.ones((2, 3)) if rng.random() < 0.5 else sp.csr_matrix(np.eye(30))
                data = binary(value, **fields)
        path.unlink(missing_ok=True)  # replacing the contents is far slower on some file systems
        path.write_bytes(mutated(rng, data))
        if rng.random() < 0.3 and format != "mtd":
            options = {"header": rng.random() < 0.5, "fill": rng.random() < 0.5, **options}
        message = io.complaint(tmp_path / "x", **({} if format == "mtd" else {"format": format, **options}))
        if message is None:
            read += 1
        else:
            failed += 1
            assert message
            assert not any(c < " " for c in message), repr(message)
    assert read
    assert failed
