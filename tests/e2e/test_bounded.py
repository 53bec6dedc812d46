"""Memory and speed under visitors, clients and targets that do not read, and on long and narrow ways."""

from __future__ import annotations

import threading
import time

import pytest

from harness import visitor
from harness.world import TRANSPORTS, Tunnel, World, tunnel_id

MIB = 1 << 20


RATE = 25e6     # bytes a second: 200 Mbit/s
DELAY = 0.05    # seconds, each way


def behind_slow_link(world: World, transport: str, **options: object):
    """A server, and a client that reaches it by a slow link; and the client's site."""
    tunnel, site = tunnel_id(), world.site()
    server = world.server(transport, {"app.local": tunnel}, **options)
    link = world.slow_link(transport, server.clients, DELAY, RATE)
    world.client(transport, link.address, tunnel, site.address)
    return server, site


class Meter:
    """How fast a counter moves: the best second of those that end within limit."""

    def __init__(self) -> None:
        self.count = 0
        self._began = time.monotonic()
        self._marks = [(0.0, 0)]

    def add(self, n: int) -> None:
        self.count += n
        self._marks.append((time.monotonic() - self._began, self.count))

    @property
    def elapsed(self) -> float:
        return self._marks[-1][0]

    def best_second(self, limit: float) -> float:
        best, first = 0.0, 0
        for at, count in self._marks:
            while at - self._marks[first][0] > 1:
                first += 1
            if first and at <= limit:
                since, before = self._marks[first - 1]
                best = max(best, (count - before) / (at - since))
        return best

def download(server: Tunnel, seconds: float) -> Meter:
    with visitor.Visitor(server.entry) as v:
        meter = Meter()
        response = v.start("app.local", f"/bytes/{1 << 30}")
        while meter.elapsed < seconds:
            meter.add(len(response.read1(1 << 18)))
    return meter


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_download_fills_a_long_way(world: World, transport: str):
    server, _ = behind_slow_link(world, transport)
    best = download(server, 6).best_second(6)
    assert best > 0.8 * RATE, f"{best / 1e6:.1f} MB/s"


def test_window_that_was_made_smaller_stays(world: World):
    """Which also shows that the ones that fill the way had to grow."""
    server, _ = behind_slow_link(world, "tcp", mux_maxStreamBuffer=MIB - 1)
    best = download(server, 4).best_second(4)
    assert best < 0.6 * RATE, f"{best / 1e6:.1f} MB/s"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_upload_fills_a_long_way(world: World, transport: str):
    server, site = behind_slow_link(world, transport)
    stop = threading.Event()

    def send() -> None:
        def pieces():
            while not stop.is_set():
                yield bytes(1 << 16)
        with visitor.Visitor(server.entry) as v:
            v.get("app.local", "/progress", method="POST", body=pieces())

    sender = threading.Thread(target=send)
    meter = Meter()
    sender.start()
    while meter.elapsed < 6:
        meter.add(site.received - meter.count)
        time.sleep(0.02)
    stop.set()
    sender.join()
    best = meter.best_second(6)
    assert best > 0.8 * RATE, f"{best / 1e6:.1f} MB/s"
