"""Processes and what /proc says of them."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Callable, Optional, Sequence

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
STOP_SECONDS = 5


class Void(Exception):
    """A measurement that could not be taken; the reason is its text."""


def program(name: str) -> Optional[str]:
    """Where a program is; those of the system administrator count too."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port() -> int:
    """A port that nobody has now, neither for TCP nor for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def wait(condition: Callable[[], bool], seconds: float, every: float = 0.01) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One program with its children (nginx has workers), its output in a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with open(log, "ab") as out:
            self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=out, cwd=log.parent)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def runs(self) -> bool:
        return self._popen.poll() is None

    def _family(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [self.pid, *map(int, children.read_text().split())]

    def cpu(self) -> float:
        """Seconds of user and system time until now."""
        ticks = 0
        for pid in self._family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def resident(self) -> int:
        """Bytes in memory."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
                   for pid in self._family())

    def send(self, sig: signal.Signals) -> None:
        if self.runs():
            self._popen.send_signal(sig)

    def stop(self) -> None:
        self.send(signal.SIGTERM)
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()


class Counter:
    """What a load program has counted: a number in a file that it maps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def __int__(self) -> int:
        return struct.unpack("=Q", self._map[:8])[0]
