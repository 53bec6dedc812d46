"""Linux namespaces for what a test must not do to the machine: a network that is down, files of /etc. Each
gives a command that runs a program inside. Where the system does not allow it the test is skipped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Iterator, Mapping, Sequence

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
        self.holder = holder
        self.enter = ["nsenter", "--target", str(holder), "--net", *user]

    def run(self, *command: str) -> str:
        """What a command prints that runs inside and has to succeed."""
        return subprocess.run([*self.enter, *command], check=True, stdout=subprocess.PIPE, text=True).stdout

    def up(self) -> None:
        self.run("ip", "link", "set", "lo", "up")

    def join(self, other: Network, here: str, there: str) -> None:
        """A cable between two networks: an interface at each end, down and without an address."""
        self.run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(other.holder))

    def received(self, interface: str) -> int:
        """Bytes that have come in by an interface."""
        shown = json.loads(self.run("ip", "-json", "-stats", "link", "show", "dev", interface))
        return shown[0]["stats64"]["rx"]["bytes"]


@contextlib.contextmanager
def network(within: Sequence[str] = ()) -> Iterator[Network]:
    """within: enter of another one, so that both belong to the same who may join them."""
    if not within:
        _possible("--net")
    # It holds the namespace until its standard input ends; a line says that it is inside.
    with subprocess.Popen([*within, "unshare", *([] if within else USER), "--net", "sh", "-c", "echo $$; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin and holder.stdout
        try:
            yield Network(int(holder.stdout.readline()))
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
