"""What the machine may run out of, and stops in the middle of everything."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket

import pytest

from harness import visitor
from harness.load import Load, at_once
from harness.waiting import until
from harness.world import TRANSPORTS, World, publish, tunnel_id


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_descriptors_run_out(world: World, transport: str):
    """Accepting pauses and goes on, the log says so once a while, and who is there is served meanwhile."""
    server = publish(world, transport, world.site())
    daemon = server.daemon
    with visitor.Visitor(server.entry) as guest:
        assert guest.get("app.local").status == 200
        room = 8
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (descriptors(daemon.pid) + room,) * 2)
        with contextlib.ExitStack() as stack:
            for _ in range(4 * room):
                stack.enter_context(visitor.connect(server.entry))
            daemon.log.wait("accept: .*trying again")
            for _ in range(50):
                assert guest.get("app.local").status == 200
            assert daemon.log.count("accept: ") <= 4, "each worker may say it once in 10 s"
        until(lambda: server.get("app.local").status == 200, "new visitors are served again")


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_visitors_on_many_workers(world: World, transport: str):
    tunnel, site = tunnel_id(), world.site("alpha")
    server = world.server(transport, {"app.local": tunnel}, flags=["-workers", "4"])
    for _ in range(2):
        world.client(transport, server.clients, tunnel, site.address)

    def visit(number: int) -> None:
        with visitor.Visitor(server.entry) as v:
            for _ in range(3):
                assert v.get("app.local").text == "alpha\n"
            assert len(v.get("app.local", f"/bytes/{10000 + number}").body) == 10000 + number
    at_once(200, visit)


ROUNDS = int(os.environ.get("ADIT_STOPS", "3"))


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stop_in_the_middle_of_everything(world: World, transport: str):
    """Requests, downloads, stuck visitors, opens: nothing of them leaks, hangs or crashes."""
    for number in range(ROUNDS):
        tunnel, site = tunnel_id(), world.site("alpha")
        server = world.server(transport, {"app.local": tunnel}, flags=["-workers", "2", "-drain", "100ms"])
        client = world.client(transport, server.clients, tunnel, site.address)
        load = Load(server.entry, "app.local", visitors=8)
        with contextlib.ExitStack() as stack:
            for path in ["/bytes/100000000"] * 8 + ["/gate"] * 4 + ["/silent"] * 4:
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(server.entry)
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: app.local\r\n\r\n".encode())
            until(lambda: load.count("alpha\n") > 20, "visitors are served")
            first, second = (server.daemon, client) if number % 2 else (client, server.daemon)
            first.send(signal.SIGTERM)
            assert first.wait(limit=20) == 0
            second.send(signal.SIGTERM)
            assert second.wait(limit=20) == 0
        load.stop()
