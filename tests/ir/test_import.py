"""Importing the IR is cheap: commands start with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MEASURE = """
import sys
import sysmlc.ir.dialects
heavy = {"numpy", "scipy", "networkx", "llvmlite", "argparse", "difflib"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_the_dialects_is_cheap():
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
