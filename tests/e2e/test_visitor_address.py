"""The target is told who visits (handler.proxyProtocol), and it is true of each request."""

from __future__ import annotations

import socket
import threading

import pytest

from harness.load import at_once
from harness.waiting import PATIENCE
from harness.world import TRANSPORTS, Pair, Tunnel, World, at, query_of, tunnel_id

VISITORS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


class Told:
    """A target that answers each request with the source of the PROXY header its connection began with."""

    def __init__(self) -> None:
        self.connections = 0
        self._counting = threading.Lock()

    def __call__(self, conn: socket.socket) -> None:
        with self._counting:
            self.connections += 1
        stream = conn.makefile("rb")
        header = stream.readline().split()
        source = header[2] if header[0] == b"PROXY" else b"nobody"
        while stream.readline():
            for line in iter(stream.readline, b"\r\n"):
                assert line
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(source), source))


class From:
    """A visitor's keep-alive connection from an address of his own."""

    def __init__(self, entry: tuple[str, int], source: str) -> None:
        self._sock = socket.create_connection(entry, PATIENCE, (source, 0))
        self._stream = self._sock.makefile("rb")

    def ask(self) -> str:
        self._sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\n\r\n")
        assert b" 200 " in self._stream.readline()
        length = 0
        for line in iter(self._stream.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return self._stream.read(length).decode()

    def close(self) -> None:
        self._stream.close()
        self._sock.close()


def publish(world: World, transport: str, target: Told, options: str, **entry: str) -> Tunnel:
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, **entry)
    client = world.start(
        "-L", f"rtcp://:0/{at(world.serve(target).address)}{options}",
        "-F", f"tunnel+{transport}://{at(server.clients)}?{query_of({'tunnel.id': tunnel}, {})}",
        program=world.pair.client, name="client")
    world.wait_registered(client)
    return server


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_visitor_by_his_own_address(world: World, pair, transport):
    """A stream that shows one visitor is not used for another, however long it is kept."""
    if pair == Pair("adit", "gost"):
        pytest.skip("a gost client cannot say that it passes addresses on: entrypoint.keepalive=false")
    target = Told()
    server = publish(world, transport, target, "?handler.proxyProtocol=1")
    for _ in range(2):
        for source in VISITORS:
            visitor = From(server.entry, source)
            assert [visitor.ask() for _ in range(3)] == [source] * 3
            visitor.close()
    if pair.server == "adit":
        assert target.connections == 2 * len(VISITORS), "one for each visitor's connection"


@pytest.mark.peers
def test_without_kept_streams_any_client_may_pass_addresses_on(world: World, pair):
    server = publish(world, "tcp", Told(), "?handler.proxyProtocol=1", entrypoint_keepalive="false")
    for source in VISITORS:
        visitor = From(server.entry, source)
        assert visitor.ask() == source
        visitor.close()


@pytest.mark.threads
def test_visitors_at_once(world: World):
    server = publish(world, "tcp", Told(), "?handler.proxyProtocol=1")

    def visit(number: int) -> None:
        source = f"127.0.1.{number + 1}"
        visitor = From(server.entry, source)
        assert [visitor.ask() for _ in range(10)] == [source] * 10
        visitor.close()

    at_once(30, visit)


def test_streams_are_shared_where_no_address_is_passed_on(world: World):
    """What the others pay for: one connection to the target serves one visitor after another."""
    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    site = world.site("alpha")
    world.client("tcp", server.clients, tunnel, site.address, connections=1)
    for source in VISITORS:
        visitor = From(server.entry, source)
        assert visitor.ask() == "alpha\n"
        visitor.close()
    assert site.connections == 1
