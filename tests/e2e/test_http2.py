"""HTTP/2 at an entry point, by prior knowledge (RFC 9113, 3.3): many requests of a connection at a time, each by
its own :authority."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from typing import Any

import pytest

from harness import body, websocket
from harness.http2 import Http2, Stream
from harness.waiting import PATIENCE, until
from harness.world import Tunnel, World, at, publish, tunnel_id

INTERNAL_ERROR, NO_ERROR = 2, 0


def visits(server: Tunnel) -> list[dict[str, Any]]:
    return [e.fields for e in server.daemon.log.events
            if "endedBy" in e.fields and e.fields.get("kind") == "entrypoint"]


def only_visit(server: Tunnel) -> dict[str, Any]:
    until(lambda: visits(server), "the visit has ended")
    (visit,) = visits(server)
    return visit


@pytest.mark.short
@pytest.mark.threads
def test_two_hosts_share_a_connection(world: World):
    rules = {"a.local": tunnel_id(), "b.local": tunnel_id()}
    server = world.server("tcp", rules)
    for host, tunnel in rules.items():
        world.client("tcp", server.clients, tunnel, world.site(host).address)
    with Http2(server.entry) as v:
        asked = [v.ask(host) for host in ("a.local", "b.local", "a.local", "nobody.local")]
        for stream in asked:
            v.finish(stream)
    assert [s.status for s in asked] == [200, 200, 200, 404]
    assert [bytes(s.body) for s in asked[:3]] == [b"a.local\n", b"b.local\n", b"a.local\n"]
    visit = only_visit(server)
    assert visit["requests"] == 4 and visit["host"] in ("a.local", "b.local", "nobody.local")
    assert (visit["endedBy"], visit["how"]) == ("visitor", "end")


def test_what_the_target_sees(world: World):
    """HTTP/1.1, with what concerns the visitor's connection left out and what is told of him added."""
    server = publish(world, "tcp", world.site())
    with Http2(server.entry) as v:
        told = v.finish(v.ask("app.local", "/echo?a=b", "POST", b"hello", te="trailers", cookie="a=1",
                              **{"x-one": "1"}))
        wrong = v.finish(v.ask("app.local", connection="close"))
        split = v.finish(v.ask("app.local", host="other.local"))
        after = v.finish(v.ask("app.local", "/status/418"))
    text = bytes(told.body).decode()
    assert told.status == 200 and '"/echo?a=b"' in text and hashlib.sha256(b"hello").hexdigest() in text
    assert '"x-one": "1"' in text and '"cookie": "a=1"' in text and '"te"' not in text
    assert (wrong.reset, split.reset, after.status) == (1, 1, 418)     # PROTOCOL_ERROR, and no more than that


@pytest.mark.threads
@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_bodies_both_ways(world: World, transport):
    size = 2 << 20
    server = publish(world, transport, world.site())
    with Http2(server.entry) as v:
        down = [v.ask("app.local", f"/{kind}/{size}") for kind in ("bytes", "chunked")]
        up = v.finish(v.ask("app.local", "/echo", "PUT", b"".join(body.blocks(size))))
        for stream in down:
            v.finish(stream)
    assert body.digest(size).encode() in bytes(up.body)
    for stream in down:
        assert hashlib.sha256(stream.body).hexdigest() == body.digest(size)


@pytest.mark.threads
def test_many_at_once(world: World):
    size, many = 64 << 10, 60
    server = publish(world, "tcp", world.site())
    with Http2(server.entry) as v:
        for stream in [v.ask("app.local", f"/bytes/{size}") for _ in range(many)]:
            v.finish(stream)
            assert hashlib.sha256(stream.body).hexdigest() == body.digest(size)
    assert only_visit(server)["requests"] == many


def test_one_that_waits_or_breaks_holds_up_no_other(world: World):
    site = world.site("alpha")
    server = publish(world, "tcp", site)
    with Http2(server.entry) as v:
        waits = v.ask("app.local", "/gate")
        v.until(waits, b"first\n")
        cut = v.finish(v.ask("app.local", "/cut"))
        gone = v.ask("app.local", "/gate")
        v.until(gone, b"first\n")
        v.cancel(gone)
        assert bytes(v.finish(v.ask("app.local")).body) == b"alpha\n"
        site.gate.set()
        assert bytes(v.finish(waits).body) == b"first\nlast\n"
    assert (cut.reset, waits.reset) == (INTERNAL_ERROR, None)
    visit = only_visit(server)
    assert (visit["requests"], visit["how"]) == (4, "end")


class Reader:
    """A stream's body, for what reads a file."""

    def __init__(self, v: Http2, stream: Stream) -> None:
        self._v, self._stream = v, stream

    def read(self, size: int, /) -> bytes:
        return self._v.read(self._stream, size)


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_websocket(world: World, transport):
    """By an extended CONNECT (RFC 8441), beside other requests; the target sees an upgrade of HTTP/1.1."""
    server = publish(world, transport, world.site("alpha"))
    with Http2(server.entry) as v:
        asked = {":protocol": "websocket", "sec-websocket-version": "13"}
        ws = v.ask("app.local", "/ws", "CONNECT", more=True, **asked)
        refused = v.finish(v.ask("app.local", "/status/403", "CONNECT", more=True, **asked))
        none = v.finish(v.ask("app.local", "/", "CONNECT", more=True, **asked))
        while not ws.heads:
            v.take()
        assert (ws.status, refused.status, none.status) == (200, 403, 502)
        assert "sec-websocket-accept" not in ws.heads[0]
        for payload in (b"hello", b"", b"x" * 200, b"y" * 100_000):
            v.put(ws, websocket.encode(websocket.BINARY, payload, masked=True))
            assert websocket.decode(Reader(v, ws)) == (websocket.BINARY, payload)
            assert bytes(v.finish(v.ask("app.local")).body) == b"alpha\n"
        v.put(ws, websocket.encode(websocket.CLOSE, b"\x03\xe8", masked=True))
        assert websocket.decode(Reader(v, ws)) == (websocket.CLOSE, b"\x03\xe8")
        assert v.finish(ws).reset is None


def test_a_stop_lets_a_response_end(world: World):
    site = world.site()
    server = publish(world, "tcp", site)
    with Http2(server.entry) as v:
        response = v.ask("app.local", "/gate")
        v.until(response, b"first\n")
        server.daemon.send(signal.SIGTERM)
        while v.goaway is None:
            v.take()
        assert v.goaway == NO_ERROR and server.daemon.running
        site.gate.set()
        assert bytes(v.finish(response).body) == b"first\nlast\n"
    assert server.daemon.wait(limit=PATIENCE) == 0


def test_curl(world: World):
    """A client that is not ours."""
    server = publish(world, "tcp", world.site("alpha"))
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(PATIENCE), "--http2-prior-knowledge",
                           "-H", "Host: app.local", "-w", "%{http_version}", f"http://{at(server.entry)}/"],
                          capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("alpha\n2", "")
