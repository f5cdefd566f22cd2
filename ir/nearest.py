"""Hints that name what the user may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` with the known name closest to `name`; None when nothing is close."""
    from difflib import get_close_matches  # slow to import, and needed for errors only

    close = get_close_matches(name, list(known), 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else None
