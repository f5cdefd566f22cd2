"""A runtime context for each test; a test that leaves objects behind fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from capi import Runtime


@pytest.fixture
def rt() -> Iterator[Runtime]:
    runtime = Runtime()
    yield runtime
    live = runtime.live()
    runtime.close()
    assert live == 0, f"{live} objects were not released"
