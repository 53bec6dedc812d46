"""A site, or a visitor, in a process of its own, to be run inside of another network:

    python3 -m harness.inside site
        the site; prints its port, and serves until its standard input ends
    python3 -m harness.inside visit HOST PORT PATH EARLY
        prints "begun" after EARLY bytes of the answer and reads on slowly, until its standard input has a line;
        then reads the rest, and prints the length and the SHA-256
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Sequence

from .body import BLOCK
from .daemon import Address
from .site import Site
from .visitor import Visitor


class Inside:
    """Such a process, from the outside."""

    def __init__(self, within: Sequence[str], *args: object) -> None:
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "harness.inside", *map(str, args)],
            cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def visit(entry: Address, path: str, early: int) -> None:
    sha, length = hashlib.sha256(), 0
    go_on = threading.Event()
    waits = threading.Thread(target=lambda: (sys.stdin.readline(), go_on.set()), daemon=True)
    response = Visitor(entry).start("app.local", path)
    while block := response.read(BLOCK):
        sha.update(block)
        length += len(block)
        if length >= early and not waits.ident:
            waits.start()
            print("begun", flush=True)
        if length >= early:
            go_on.wait(0.02)
    print(length, sha.hexdigest(), flush=True)


def main() -> None:
    if sys.argv[1] == "site":
        print(Site("inside").address[1], flush=True)
        sys.stdin.read()
    else:
        host, port, path, early = sys.argv[2:]
        visit((host, int(port)), path, int(early))


if __name__ == "__main__":
    main()
