"""Linux namespaces for what a test must not do to the machine: a network that is down, files of /etc. Each
gives a command that runs a program inside. Where the system does not allow it the test is skipped."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Iterator, Mapping

import pytest

# Who is not root becomes it inside of a user namespace.
USER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def _possible(*unshare: str) -> None:
    try:
        subprocess.run(["unshare", *USER, *unshare, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"no namespaces here: unshare {' '.join(unshare)}")


class Network:
    """A network of its own: one loopback interface, which is down at first."""

    def __init__(self, holder: int) -> None:
        user = ["--user", "--preserve-credentials"] if USER else []
        self.enter = ["nsenter", "--target", str(holder), "--net", *user]

    def up(self) -> None:
        subprocess.run([*self.enter, "ip", "link", "set", "lo", "up"], check=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    _possible("--net")
    # It holds the namespace until its standard input ends; a line says that it is inside.
    with subprocess.Popen(["unshare", *USER, "--net", "sh", "-c", "echo in; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        try:
            yield Network(holder.pid)
        finally:
            holder.stdin.close()
            holder.wait()


def files(contents: Mapping[str, str], folder: Path) -> list[str]:
    """A command that runs a program which sees these files in place of the system's."""
    _possible("--mount")
    script = []
    for number, (path, text) in enumerate(contents.items()):
        copy = folder / f"file-{number}"
        copy.write_text(text)
        script.append(f"mount --bind '{copy}' '{path}' && ")
    return ["unshare", *USER, "--mount", "sh", "-c", "".join(script) + 'exec "$@"', "sh"]
