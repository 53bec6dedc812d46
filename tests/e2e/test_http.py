"""HTTP through a reverse proxy tunnel: routing by Host, connections that live on, streaming, upgrades."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import threading
from typing import Iterator

import pytest

from harness import body, visitor, websocket
from harness.load import at_once
from harness.waiting import PATIENCE, until
from harness.world import TRANSPORTS, World, publish, tunnel_id

# A body that is "large": ADIT_TEST_BULK=1073741824 for the gigabyte.
BULK = int(os.environ.get("ADIT_TEST_BULK", 64 << 20))
OTHERS = [pytest.param(t, marks=pytest.mark.threads) for t in TRANSPORTS]


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_by_host(world: World, pair, transport):
    site = world.site("alpha")
    server = publish(world, transport, site)
    assert server.get("app.local").text == "alpha\n"
    told = server.get("app.local", "/echo?a=b%20c", method="POST", body=b"hello",
                      headers={"X-One": "1", "Content-Type": "text/x"}).json
    assert told["method"] == "POST" and told["target"] == "/echo?a=b%20c"
    assert told["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert told["headers"]["host"] == "app.local" and told["headers"]["x-one"] == "1"


@pytest.mark.parametrize("host", ["APP.local", "app.local:8080", "app.local."])
def test_host_is_compared_as_a_name(world: World, host):
    """Case, a port and the root's dot do not make another host (RFC 9110, 4.2.3; RFC 1034, 3.1)."""
    assert publish(world, "tcp", world.site("alpha")).get(host).text == "alpha\n"


@pytest.mark.peers
def test_wildcard_rules(world: World, pair):
    rules = {".example.com": tunnel_id(), "www.example.com": tunnel_id()}
    server = world.server("tcp", rules)
    for host, tunnel in rules.items():
        world.client("tcp", server.clients, tunnel, world.site(host).address)
    assert server.get("www.example.com").text == "www.example.com\n"
    for host in ("example.com", "a.example.com", "b.a.example.com"):
        assert server.get(host).text == ".example.com\n"
    assert server.get("notexample.com").status in (404, 502)


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_hosts_on_one_connection(world: World, transport):
    """Every request of a keep-alive connection is routed by its own Host."""
    rules = {"one.local": tunnel_id(), "two.local": tunnel_id()}
    server = world.server(transport, rules)
    sites = {host: world.site(host) for host in rules}
    for host, tunnel in rules.items():
        world.client(transport, server.clients, tunnel, sites[host].address)
    with visitor.Visitor(server.entry) as v:
        for host in ("one.local", "two.local", "one.local", "two.local", "two.local"):
            assert v.get(host).text == f"{host}\n"
    assert len(sites["one.local"].requests) == 2 and len(sites["two.local"].requests) == 3


def test_unknown_host_after_a_known_one_keeps_the_connection(world: World):
    server = publish(world, "tcp", world.site("alpha"))
    with visitor.Visitor(server.entry) as v:
        assert v.get("app.local").status == 200
        assert v.get("nobody.local").status == 404
        assert v.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("end", ["close", "half-close"])
def test_pipelined_requests_are_answered_in_order(world: World, end):
    """All of them, also where nothing but the end follows: its way of saying that it needs no more."""
    rules = {"one.local": tunnel_id(), "two.local": tunnel_id()}
    server = world.server("tcp", rules)
    for host, tunnel in rules.items():
        world.client("tcp", server.clients, tunnel, world.site(host).address)
    hosts = ["one.local", "two.local", "one.local"]
    with visitor.connect(server.entry) as sock:
        last = len(hosts) - 1 if end == "close" else -1
        sock.sendall("".join(
            f"GET / HTTP/1.1\r\nHost: {h}\r\n{'Connection: close' if i == last else 'X-A: b'}\r\n\r\n"
            for i, h in enumerate(hosts)).encode())
        if end == "half-close":
            sock.shutdown(socket.SHUT_WR)
        text = visitor.read_to_end(sock).decode()
    assert [line for line in text.splitlines() if line in hosts] == hosts


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_websocket(world: World, pair, transport):
    server = publish(world, transport, world.site())
    ws = websocket.Client(visitor.connect(server.entry), "app.local")
    for payload in (b"hello", b"", b"x" * 200, os.urandom(100_000)):
        ws.send(payload)
        assert ws.receive() == (websocket.BINARY, payload)
    ws.send(b"\x03\xe8", websocket.CLOSE)
    assert ws.receive() == (websocket.CLOSE, b"\x03\xe8")
    ws.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_websocket_that_idles_lives_on(world: World, transport):
    """An upgraded connection is no exchange that waits for a response: entrypoint.readTimeout is over."""
    server = publish(world, transport, world.site(), entrypoint_readTimeout="300ms")
    ws = websocket.Client(visitor.connect(server.entry), "app.local")
    silence = threading.Event()
    assert not silence.wait(1), "nobody sets it: this is the idle second under test"
    ws.send(b"still there?")
    assert ws.receive() == (websocket.BINARY, b"still there?")
    ws.close()


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_response_is_streamed(world: World, pair, transport):
    """The first bytes reach the visitor while the site has yet to make the rest."""
    site = world.site()
    server = publish(world, transport, site)
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        site.gate.set()
        assert response.read() == b"last\n"


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_request_is_streamed(world: World, pair, transport, framing):
    """The first bytes reach the site while the visitor has yet to send the rest."""
    site = world.site()
    server = publish(world, transport, site)
    parts: "queue.Queue[bytes]" = queue.Queue()
    parts.put(b"x" * 1000)

    def pieces() -> Iterator[bytes]:
        for _ in range(2):
            yield parts.get(timeout=PATIENCE)

    headers = {"Content-Length": "1500"} if framing == "length" else {}
    answers = []
    with visitor.Visitor(server.entry) as v:
        sender = threading.Thread(target=lambda: answers.append(
            v.get("app.local", "/progress", "POST", pieces(), headers)))
        sender.start()
        until(lambda: site.received == 1000, "the first 1000 bytes at the site")
        parts.put(b"y" * 500)
        sender.join(PATIENCE)
    assert [a.text for a in answers] == ["1500\n"]


def test_expect_100_continue(world: World):
    """The interim answer is the site's and comes before the body is sent (RFC 9110, 10.1.1)."""
    server = publish(world, "tcp", world.site())
    with visitor.connect(server.entry) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: app.local\r\nExpect: 100-continue\r\n"
                     b"Content-Length: 3\r\nConnection: close\r\n\r\n")
        stream = sock.makefile("rb")
        assert b" 100 " in stream.readline()
        assert stream.readline() == b"\r\n"
        sock.sendall(b"abc")
        assert b" 200 " in stream.readline()
        assert hashlib.sha256(b"abc").hexdigest().encode() in stream.read()


def test_early_end_of_a_response_is_not_hidden(world: World):
    """A body that the site cut short must not look complete."""
    server = publish(world, "tcp", world.site())
    with visitor.Visitor(server.entry) as v, \
            pytest.raises((visitor.http.client.IncompleteRead, ConnectionError)):
        v.get("app.local", "/cut")


@pytest.mark.peers
@pytest.mark.parametrize("transport", OTHERS)
def test_large_download(world: World, pair, transport):
    server = publish(world, transport, world.site())
    with visitor.Visitor(server.entry) as v:
        assert body.consume(v.start("app.local", f"/bytes/{BULK}")) == (BULK, body.digest(BULK))


@pytest.mark.peers
@pytest.mark.parametrize("transport", OTHERS)
def test_large_upload(world: World, pair, transport):
    server = publish(world, transport, world.site())
    with visitor.Visitor(server.entry) as v:
        told = v.get("app.local", "/echo", "PUT", body.blocks(BULK), {"Content-Length": str(BULK)}).json
    assert (told["length"], told["sha256"]) == (BULK, body.digest(BULK))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_both_directions_at_once(world: World, transport):
    """Uploads and downloads of several visitors through one session do not hold each other up."""
    server = publish(world, transport, world.site())
    size, found, lock = 4 << 20, [], threading.Lock()

    def visit(number: int) -> None:
        with visitor.Visitor(server.entry) as v:
            if number % 2:
                told = v.get("app.local", "/echo", "PUT", body.blocks(size), {"Content-Length": str(size)}).json
                result = (told["length"], told["sha256"])
            else:
                result = body.consume(v.start("app.local", f"/chunked/{size}"))
        with lock:
            found.append(result)

    at_once(8, visit)
    assert found == [(size, body.digest(size))] * 8


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("transport", OTHERS)
def test_200_downloads_at_once(world: World, pair, transport):
    server = publish(world, transport, world.site())
    size, found, lock = 128 << 10, [], threading.Lock()

    def visit(_: int) -> None:
        with visitor.Visitor(server.entry) as v:
            result = body.consume(v.start("app.local", f"/bytes/{size}"))
        with lock:
            found.append(result)

    at_once(200, visit)
    assert found == [(size, body.digest(size))] * 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_visitor_that_does_not_read_stops_nobody_else(world: World, transport):
    server = publish(world, transport, world.site())
    stuck = [visitor.connect(server.entry) for _ in range(3)]
    for sock in stuck:
        sock.sendall(b"GET /bytes/1073741824 HTTP/1.1\r\nHost: app.local\r\n\r\n")
        assert sock.recv(1)
    size = 8 << 20
    with visitor.Visitor(server.entry) as v:
        assert body.consume(v.start("app.local", f"/bytes/{size}")) == (size, body.digest(size))
    for sock in stuck:
        sock.close()
