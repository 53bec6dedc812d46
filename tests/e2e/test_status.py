"""What a visitor is told when something is missing or wrong: the status says who is at fault."""

from __future__ import annotations

import contextlib
import queue
import socket
import time

import pytest

from harness import servers, visitor
from harness.waiting import PATIENCE
from harness.world import TRANSPORTS, World, publish, tunnel_id


@pytest.mark.short
def test_no_rule_is_404(world: World):
    server = world.server("tcp", {"app.local": tunnel_id()})
    assert server.get("nobody.local").status == 404


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_client_is_503(world: World, pair, transport):
    server = world.server(transport, {"app.local": tunnel_id()})
    answer = server.get("app.local")
    assert answer.status == 503
    if pair.server == "adit":
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_that_left_is_503(world: World, transport):
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    assert server.get("app.local").text == "alpha\n"
    client.stop()
    assert server.get("app.local").status == 503


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_target_that_refuses_is_502(world: World, transport):
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, server.clients, tunnel, world.dead_port().address)
    assert server.get("app.local").status == 502


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_target_that_hangs_up_is_502(world: World, transport):
    server = publish(world, transport, world.site())
    assert server.get("app.local", "/hangup", method="POST", body=b"x").status == 502


def test_target_that_speaks_no_http_is_502(world: World):
    def babble(conn):
        conn.recv(1 << 16)
        conn.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)

    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    world.client("tcp", server.clients, tunnel, world.serve(babble).address)
    assert server.get("app.local").status == 502


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_silent_target_is_504(world: World, transport):
    server = publish(world, transport, world.site(), entrypoint_readTimeout="500ms")
    begin = time.monotonic()
    assert server.get("app.local", "/silent").status == 504
    assert 0.4 < time.monotonic() - begin < 10


def test_the_connection_survives_a_502(world: World):
    """A bad answer ends one exchange, not the visitor's connection to other hosts."""
    rules = {"good.local": tunnel_id(), "bad.local": tunnel_id()}
    server = world.server("tcp", rules)
    world.client("tcp", server.clients, rules["good.local"], world.site("good").address)
    world.client("tcp", server.clients, rules["bad.local"], world.dead_port().address)
    with visitor.Visitor(server.entry) as v:
        assert [v.get(f"{h}.local").status for h in ("good", "bad", "good")] == [200, 502, 200]


@pytest.mark.parametrize("head", [
    "GET / HTTP/1.1\r\n\r\n",                                           # no Host (RFC 9112, 3.2)
    "GET / HTTP/1.1\r\nHost: app.local\r\nHost: b.local\r\n\r\n",       # two of them
    "GET / HTTP/1.1\r\nHost: app.local\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.local\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.local\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.local\r\nX-A : b\r\n\r\n",             # blank before the colon
    "GET / HTTP/1.1\r\nHost: app.local\r\n folded: x\r\n\r\n",          # obs-fold first (RFC 9112, 5.2)
    "GET  / HTTP/1.1\r\nHost: app.local\r\n\r\n",
    "GET / HTTP/9.9\r\nHost: app.local\r\n\r\n",
])
def test_a_bad_request_reaches_no_site(world: World, head):
    """Ambiguous framing is refused at the entry (RFC 9112, 6.3): nothing of it goes on to a tunnel."""
    site = world.site()
    server = publish(world, "tcp", site)
    with visitor.connect(server.entry) as sock:
        sock.sendall(head.encode())
        answer = visitor.read_to_end(sock)
    assert answer.split(b" ")[1] in (b"400", b"501", b"505")
    assert site.requests == []


@pytest.mark.short
@pytest.mark.parametrize("framing, sent", [
    ("Content-Length: 10", b"half"),
    ("Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
])
def test_a_body_that_ends_half_way_is_400(world: World, framing, sent):
    """And the target does not take the half for the whole."""
    got: "queue.Queue[bytes]" = queue.Queue()

    def swallow(conn):
        taken = b""
        with contextlib.suppress(ConnectionError):
            for block in iter(lambda: conn.recv(1 << 16), b""):
                taken += block
        got.put(taken)

    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    world.client("quic", server.clients, tunnel, world.serve(swallow).address)
    with visitor.connect(server.entry) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: app.local\r\n{framing}\r\n\r\n".encode() + sent)
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    taken = got.get(timeout=PATIENCE)
    assert not taken.endswith((b"0\r\n\r\n", b"half" * 2)), taken


@pytest.mark.short
def test_connect_is_405_and_the_end(world: World):
    """What follows may be meant for the tunnel that there is not: no request is looked for in it."""
    site = world.site("alpha")
    server = publish(world, "tcp", site)
    with visitor.connect(server.entry) as sock:
        sock.sendall(b"CONNECT app.local:80 HTTP/1.1\r\nHost: app.local:80\r\n\r\n"
                     b"GET / HTTP/1.1\r\nHost: app.local\r\n\r\n")
        answer = visitor.read_to_end(sock)
    assert answer.startswith(b"HTTP/1.1 405 ") and answer.count(b"HTTP/1.1") == 1
    assert site.requests == []


def test_an_endless_head_is_431(world: World):
    server = publish(world, "tcp", world.site())
    with visitor.connect(server.entry) as sock:
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\n")
            for number in range(2000):
                sock.sendall(b"X-%d: %s\r\n" % (number, b"y" * 100))
            answer = visitor.read_to_end(sock)
        except ConnectionError:
            answer = b""    # the refusal may overtake what is still being sent
    assert answer == b"" or answer.split(b" ")[1] in (b"431", b"400")
    assert server.get("app.local").status == 200


@pytest.mark.short
@pytest.mark.parametrize("sent, expected", [
    (b"\x00\x01\x02\x03 not a protocol\r\n\r\n", b"HTTP/1.1 400 "),
    (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 "),
    (b"\xff" * 100000, b"HTTP/1.1 400 "),
    (b"\r\n" * 20000, b"HTTP/1.1 400 "),
    (b"\x01\x01\x00\x00", b"\x01\x03\x00\x00"),      # the relay's status 3: forbidden
], ids=["zeros", "ssh", "a flood", "empty lines", "relay"])
def test_what_is_neither_http_nor_tls_is_told_so(world: World, sent, expected):
    """And then ended, not reset, whatever was still on its way."""
    server = publish(world, "tcp", world.site())
    with visitor.connect(server.entry) as sock:
        sock.sendall(sent)
        assert visitor.read_to_end(sock).startswith(expected)
    assert server.get("app.local").status == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_target_that_resets_is_seen_as_failure(world: World, transport):
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, server.clients, tunnel, world.serve(servers.resetting).address)
    assert server.get("app.local", method="POST", body=b"x").status == 502
