"""The network goes away without a word and comes back, at any moment, again and again."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.load import Arrivals, at_once
from harness.waiting import PATIENCE, until
from harness.world import TRANSPORTS, Tunnel, World, tunnel_id

BACK = 5 * max(1.0, PATIENCE / 20)
# Of a cut, in seconds: one in three lasts until both sides have given the session up.
SHORT, LONG = (0.05, 1.5), (3.2, 4.0)
# What 200 cuts may add to a process: the allocator's luck, less than a session of each cut would need.
GROWTH = 4 << 20


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def sanitized(daemon: Daemon) -> bool:
    """A sanitizer keeps what was freed; it also finds what leaks, when the process ends."""
    return "san.so" in Path(f"/proc/{daemon.pid}/maps").read_text()


def answered(server: Tunnel) -> bool:
    try:
        return server.get("app.local").text == "alpha\n"
    except OSError:
        return False


class Line:
    """A server, a client behind a link that can be cut, and visitors all the time."""

    def __init__(self, world: World, transport: str) -> None:
        tunnel = tunnel_id()
        self.transport = transport
        self.server = world.server(transport, {"app.local": tunnel}, entrypoint_keepalive="false")
        self.link = world.link_proxy(transport, self.server.clients)
        self.client = world.client(transport, self.link.address, tunnel, world.site("alpha").address)
        self.random = random.Random(f"{transport} {os.environ.get('ADIT_SEED', '')}")
        self.slowest = 0.0

    def cut(self, number: int) -> None:
        time.sleep(self.random.uniform(0, 0.5))
        self.link.block()
        time.sleep(self.random.uniform(*(SHORT if number % 3 else LONG)))
        self.link.unblock()
        began = time.monotonic()
        until(lambda: answered(self.server), f"{self.transport}: back after cut {number}", BACK)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def cuts(self, n: int) -> None:
        load = Arrivals(self.server.entry, "app.local", rate=10)
        for number in range(n):
            self.cut(number)
        outcomes = {v.outcome for v in load.stop()}
        assert "alpha\n" in outcomes and outcomes <= {"alpha\n", "502", "503", "504", "cut"}

    def sizes(self) -> list[tuple[int, int]]:
        """Descriptors and resident bytes of both, once the last visitor's are gone."""
        daemons = (self.server.daemon, self.client)
        last = [0] * len(daemons)

        def settled() -> bool:
            nonlocal last
            time.sleep(0.3)
            before, last = last, [descriptors(d) for d in daemons]
            return before == last

        until(settled, "the last visitors are gone")
        return [(n, 0 if sanitized(d) else d.resident()) for n, d in zip(last, daemons)]


@pytest.mark.parametrize("cuts", [10, pytest.param(200, marks=pytest.mark.long)])
def test_link_that_is_cut_again_and_again(world: World, cuts: int):
    """Back within 5 s of each cut, over every transport at once, and nothing is left of what was cut."""
    lines = [Line(world, transport) for transport in TRANSPORTS]

    def work(n: int) -> None:
        line = lines[n]
        line.cuts(3)        # what is made once is made
        before = line.sizes()
        line.cuts(cuts)
        after = line.sizes()
        for (fds, resident), (fds_before, resident_before) in zip(after, before):
            assert fds <= fds_before, f"{line.transport}: {before} {after}"
            assert resident <= resident_before + GROWTH, f"{line.transport}: {before} {after}"

    at_once(len(lines), work, limit=60 + 12 * cuts)
    print({line.transport: round(line.slowest, 2) for line in lines})
