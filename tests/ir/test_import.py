"""Importing the IR is cheap: commands start with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MEASURE = """
import sys, time, typing, dataclasses, re
start = time.process_time()
import sysmlc.ir.dialects
spent = time.process_time() - start
heavy = {"numpy", "scipy", "networkx", "llvmlite", "argparse", "difflib"} & set(sys.modules)
assert not heavy, heavy
print(spent)
"""


def test_importing_the_dialects_is_cheap():
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    times = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE], capture_output=True, text=True, env=env, check=False
        )
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 5 * 0.025
