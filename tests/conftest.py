"""What all tests share: golden files are collected like Python tests, and `--update` rewrites their expectations."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
if str(ROOT.parent) not in sys.path:
    sys.path.insert(0, str(ROOT.parent))

os.environ["SYSMLC_VERIFY"] = "1"
# Shells start jobs in the background with interrupts ignored, and tests of interrupts would hand that down.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update", action="store_true", help="rewrite the CHECK lines of golden files marked for it"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix in (".ir", ".dml") and ROOT / "golden" in file_path.parents:
        from tests.golden_files import GoldenFile

        return GoldenFile.from_parent(parent, path=file_path)
    return None
