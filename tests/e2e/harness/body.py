"""Large bodies that are the same on both sides without being kept anywhere."""

from __future__ import annotations

import hashlib
import random
from typing import Iterator, Protocol

BLOCK = 1 << 16


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def blocks(length: int) -> Iterator[bytes]:
    """length bytes in blocks that all differ, so that a lost, doubled or moved block shows."""
    for number in range(0, length, BLOCK):
        yield random.Random(number).randbytes(min(BLOCK, length - number))


def digest(length: int) -> str:
    """The SHA-256 of blocks(length)."""
    sha = hashlib.sha256()
    for block in blocks(length):
        sha.update(block)
    return sha.hexdigest()


def consume(stream: Readable) -> tuple[int, str]:
    """Reads to the end: how many bytes, and their SHA-256."""
    sha, length = hashlib.sha256(), 0
    while True:
        block = stream.read(BLOCK)
        if not block:
            return length, sha.hexdigest()
        sha.update(block)
        length += len(block)
