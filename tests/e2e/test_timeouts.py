"""Peers that are slow or silent at each step: they are let go after the time for that step, and
nobody else notices them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time

import pytest

from harness import servers, visitor
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, World, publish, tunnel_id

# The limit of the specification is 5 s for sniffing; tests that wait for a default allow it this long.
DEFAULT = 9

# What leaves a handshake no longer than a test wants to wait.
SHORT = {"tls": {"handshakeTimeout": "500ms"}}


def ended(sock: socket.socket, within: float) -> float:
    """Waits for the other side to end the connection; returns after how long."""
    sock.settimeout(within)
    begin = time.monotonic()
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        raise AssertionError(f"still open after {within:g} s") from None
    return time.monotonic() - begin


# What a visitor begins with; what he is told when no more comes in time, and when his end comes instead.
TOO_SLOW, TOO_SHORT = b"HTTP/1.1 408 Request Timeout\r\n", b"HTTP/1.1 400 Bad Request\r\n"
CANCELED = b"\x15\x03\x03\x00\x02\x01\x5a" b"\x15\x03\x03\x00\x02\x01\x00"     # user_canceled, close_notify
BEGINNINGS = {
    "nothing": (b"", b"", b""),
    "empty lines": (b"\r\n\r\n", b"", b""),
    "a letter": (b"G", TOO_SLOW, TOO_SHORT),
    "half a head": (b"GET / HTTP/1.1\r\nHost: app", TOO_SLOW, TOO_SHORT),
    "a head without its end": (b"GET / HTTP/1.1\r\nHost: app.local\r\nA:", TOO_SLOW, TOO_SHORT),
    "half a ClientHello": (b"\x16\x03\x01\x02\x00\x01", CANCELED, b""),
}


def told(sock: socket.socket) -> bytes:
    """All that comes, up to an end that is no reset: a reset may take what was said from who has not read it."""
    sock.settimeout(3 * DEFAULT)
    return visitor.read_to_end(sock)


def test_visitors_that_do_not_go_on(world: World):
    server = publish(world, "tcp", world.site("alpha"))
    with contextlib.ExitStack() as stack:
        slow = {name: stack.enter_context(visitor.connect(server.entry)) for name in BEGINNINGS}
        begin = time.monotonic()
        for name, sock in slow.items():
            sock.sendall(BEGINNINGS[name][0])
        for name, sock in slow.items():
            answer, expected = told(sock), BEGINNINGS[name][1]
            assert answer.startswith(expected) and bool(answer) == bool(expected), f"{name}: {answer!r}"
        assert time.monotonic() - begin > 4, "each had his time"
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.short
def test_visitors_that_end_before_they_said_what_they_want(world: World):
    server = publish(world, "tcp", world.site("alpha"))
    for name, (sent, _, expected) in BEGINNINGS.items():
        with visitor.connect(server.entry) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            answer = told(sock)
            assert answer.startswith(expected) and bool(answer) == bool(expected), f"{name}: {answer!r}"
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.short
def test_empty_lines_before_a_request_do_not_count(world: World):
    """RFC 9112, 2.2. Also between two requests."""
    server = publish(world, "tcp", world.site("alpha"))
    with visitor.connect(server.entry) as sock:
        for lines in (1, 20):
            sock.sendall(b"\r\n" * lines + b"GET / HTTP/1.1\r\nHost: app.local\r\n\r\n")
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b"alpha\n")


def test_upload_that_stops_is_the_visitors_fault(world: World):
    """408, not 504: the target waits for him (RFC 9110, 15.5.9)."""
    server = publish(world, "tcp", world.site("alpha"), entrypoint_readTimeout="2s")
    with visitor.connect(server.entry) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: app.local\r\nContent-Length: 5\r\n\r\nab")
        sock.settimeout(DEFAULT)
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        ended(sock, DEFAULT)
    assert server.get("app.local").text == "alpha\n"


def test_visitor_that_dribbles(world: World):
    """A byte now and then is no progress: the limit is on the whole head."""
    server = publish(world, "tcp", world.site("alpha"))
    with visitor.connect(server.entry) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\n")
        sock.settimeout(0.2)
        begin, over = time.monotonic(), False
        while not over:
            assert time.monotonic() - begin < 2 * DEFAULT, "still open"
            try:
                sock.sendall(b"X")
                sock.recv(1 << 10)      # an answer (408) or the end: either way it is over
                over = True
            except TimeoutError:
                pass
            except ConnectionError:
                over = True


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_client_that_connects_and_says_nothing(world: World, transport):
    server = world.server(transport, {"app.local": tunnel_id()}, readTimeout="500ms", **SHORT.get(transport, {}))
    with visitor.connect(server.clients) as sock:
        ended(sock, DEFAULT)


def test_client_that_needs_long_for_its_handshake(world: World):
    """As long as the option says: no other limit ends it before."""
    server = world.server("tls", {"app.local": tunnel_id()}, handshakeTimeout="1m")
    with visitor.connect(server.clients) as sock:
        sock.settimeout(DEFAULT)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_client_that_stops_within_its_client_hello(world: World):
    server = world.server("tls", {"app.local": tunnel_id()}, handshakeTimeout="500ms")
    with visitor.connect(server.clients) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        ended(sock, DEFAULT)


def test_client_that_stops_after_its_handshake(world: World):
    server = world.server("tls", {"app.local": tunnel_id()}, readTimeout="500ms")
    with visitor.connect(server.clients, "tunnel.example") as sock:
        ended(sock, DEFAULT)


@pytest.mark.parametrize("sent", [b"\x01", b"\x01\x02\x00", b"\x01\x02\x00\x20\x04"],
                         ids=["version", "command", "half a feature"])
def test_client_that_stops_within_its_request(world: World, sent):
    """The relay request: version 1, command BIND (2), a length of features that never come whole."""
    server = world.server("tcp", {"app.local": tunnel_id()}, readTimeout="500ms")
    with visitor.connect(server.clients) as sock:
        sock.sendall(sent)
        ended(sock, DEFAULT)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\xff" * 64, b"\x01\x7f\xff\xff" + b"\0" * 64],
                         ids=["http", "zeros", "ones", "unknown command"])
def test_client_that_speaks_something_else(world: World, sent):
    server = world.server("tcp", {"app.local": tunnel_id()}, readTimeout="500ms")
    with visitor.connect(server.clients) as sock:
        sock.sendall(sent)
        ended(sock, DEFAULT)
    assert server.get("app.local").status == 503


def test_datagrams_that_are_no_quic(world: World):
    """Noise on the UDP port costs nothing and stops nobody."""
    server = publish(world, "quic", world.site("alpha"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for datagram in (b"", b"\0", b"\xff" * 1200, b"\xc0\0\0\0\x01\x14" + b"\0" * 1194, b"\x40" + b"\1" * 30):
            noise.sendto(datagram, server.clients)
    assert server.get("app.local").text == "alpha\n"


def test_quic_handshakes_that_are_left_alone(world: World):
    """The server's answers never arrive: its half-open connections go, others come in meanwhile."""
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    deaf = world.udp_proxy(server.clients)
    deaf.passes = lambda datagram, outbound: outbound
    lost = world.client("quic", deaf.address, tunnel, world.site("never").address, registered=False)
    until(lambda: deaf.carried >= 3, "several Initial packets arrived at the server")
    world.client("quic", server.clients, tunnel, world.site("alpha").address)
    assert server.get("app.local").text == "alpha\n"
    assert lost.log.count(REGISTERED) == 0 and lost.running


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_server_that_says_nothing(world: World, transport):
    """A client gives each attempt up and makes another."""
    if transport == "quic":
        sink = world.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.bind(("127.0.0.1", 0))
        place = sink.getsockname()
    else:
        silent = world.serve(servers.silent)
        place = silent.address
    client = world.client(transport, place, tunnel_id(), ("127.0.0.1", 9), registered=False)
    first = client.log.wait(lambda e: e.level in ("warn", "error"), limit=40)
    mark = client.log.events.index(first) + 1
    if transport != "quic":
        until(lambda: silent.connections >= 2, "a second attempt", limit=40)
    else:
        client.log.wait(lambda e: e.level in ("warn", "error"), since=mark, limit=40)
    assert client.running and client.log.count(REGISTERED) == 0


def test_server_that_ends_within_its_answer(world: World):
    """Half a relay response, then the end: refused as truncated, and tried again."""
    def half(conn: socket.socket) -> None:
        conn.recv(1 << 16)
        conn.sendall(b"\x01\x00\x00")

    server = world.serve(half)
    client = world.client("tcp", server.address, tunnel_id(), ("127.0.0.1", 9), registered=False)
    until(lambda: server.connections >= 3, "further attempts")
    assert client.running and client.log.count(REGISTERED) == 0


def test_site_that_never_finishes_its_handshake(world: World):
    """TLS by server name to a target that accepts and stays silent: entrypoint.readTimeout ends it."""
    tunnel = tunnel_id()
    server = world.server("tcp", {"a.example.com": tunnel}, entrypoint_readTimeout="500ms")
    world.client("tcp", server.clients, tunnel, world.serve(servers.silent).address)
    begin = time.monotonic()
    with pytest.raises((OSError, EOFError)) as fault:
        visitor.connect(server.entry, "a.example.com")
    assert not isinstance(fault.value, TimeoutError) and time.monotonic() - begin < DEFAULT
