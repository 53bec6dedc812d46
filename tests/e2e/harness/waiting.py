"""Waiting for a condition, never for a time."""

from __future__ import annotations

import os
import time
from typing import Callable, TypeVar

T = TypeVar("T")

# How long anything may take that has no reason to take long. Sanitizers and two shared cores make it
# generous; a test that passes never waits it out.
PATIENCE = float(os.environ.get("ADIT_TEST_PATIENCE", "20"))


def until(condition: Callable[[], T], what: str, limit: float = PATIENCE) -> T:
    """Returns the first true value of condition; fails with what was waited for after limit seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.01)
