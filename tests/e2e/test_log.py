"""One line for each connection that has ended: bytes both ways, how long, which side ended it and how."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import Any

import pytest

from harness import body, certs, servers, visitor, websocket
from harness.daemon import Daemon, Event
from harness.waiting import until
from harness.world import TRANSPORTS, Tunnel, World, at, publish, tunnel_id

SIDES = {"visitor", "client", "server", "peer", "target", "nobody"}
HOWS = {"end", "reset", "timeout", "stopped", "refused", "failure"}


def endings(daemon: Daemon, **fields: Any) -> list[Event]:
    """The lines of ended connections that have these fields; all have what such a line must have."""
    found = [e for e in daemon.log.events if "endedBy" in e.fields]
    for event in found:
        assert {"kind", "service", "inputBytes", "outputBytes", "duration", "how"} <= set(event.fields), event.line
        assert event.fields["endedBy"] in SIDES and event.fields["how"] in HOWS, event.line
    return [e for e in found if fields.items() <= e.fields.items()]


def ending(daemon: Daemon, **fields: Any) -> dict[str, Any]:
    """The only such line, once it is there."""
    until(lambda: endings(daemon, **fields), f"a line with {fields}")
    (event,) = endings(daemon, **fields)
    return event.fields


def first_ending(daemon: Daemon, **fields: Any) -> dict[str, Any]:
    """The first such line, of what is tried again and again."""
    until(lambda: endings(daemon, **fields), f"a line with {fields}")
    return endings(daemon, **fields)[0].fields


def ask(entry: tuple[str, int], sent: bytes) -> bytes:
    """What comes back until the other side ends."""
    got = b""
    with visitor.connect(entry) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(sent)
        while block := sock.recv(1 << 16):
            got += block
    return got


def hang_up(address: tuple[str, int], sent: bytes) -> None:
    """Ends its direction right behind what it says, and waits for the other's end."""
    with visitor.connect(address) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(sent)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:      # it was refused already
                raise
        visitor.read_to_end(sock)


# ---- visitors of an entry point ---------------------------------------------------


def test_http_visit(world: World):
    """Of a visit with several requests: bytes of the whole messages, the last one's host and status."""
    server = publish(world, "tcp", world.site("alpha"))
    first = b"POST /echo HTTP/1.1\r\nHost: app.local\r\nContent-Length: 5\r\n\r\nhello"
    last = b"GET /x HTTP/1.1\r\nHost: nobody.local\r\nConnection: close\r\n\r\n"
    answer = ask(server.entry, first + last)
    line = ending(server.daemon, kind="entrypoint")
    assert (line["inputBytes"], line["outputBytes"]) == (len(first + last), len(answer))
    assert (line["requests"], line["status"], line["host"]) == (2, 404, "nobody.local")
    assert line["remote"].startswith("127.0.0.1:") and line["duration"] > 0
    assert (line["endedBy"], line["how"]) == ("visitor", "end")


@pytest.mark.parametrize("host, path, status", [
    ("app.local", "/", 200), ("nobody.local", "/", 404), ("dead.local", "/", 502), ("none.local", "/", 503),
    ("app.local", "/status/418", 418), ("app.local", "/silent", 504),
])
def test_status_of_a_visit(world: World, host, path, status):
    rules = {"app.local": tunnel_id(), "dead.local": tunnel_id(), "none.local": tunnel_id()}
    server = world.server("tcp", rules, entrypoint_readTimeout="500ms")
    world.client("tcp", server.clients, rules["app.local"], world.site("alpha").address)
    world.client("tcp", server.clients, rules["dead.local"], world.dead_port().address)
    assert server.get(host, path).status == status
    line = ending(server.daemon, kind="entrypoint")
    assert (line["host"], line["status"], line["requests"]) == (host, status, 1)


def test_what_is_no_request(world: World):
    server = publish(world, "tcp", world.site())
    assert b" 400 " in ask(server.entry, b"GET / HTTP/1.1\r\nHost: app.local\r\nX : y\r\n\r\n")
    line = ending(server.daemon, kind="entrypoint")
    assert (line["status"], line["endedBy"], line["how"]) == (400, "nobody", "refused")


def test_response_cut_by_the_target(world: World):
    """The client's side is at fault, and the bytes are those that came."""
    server = publish(world, "tcp", world.site())
    ask(server.entry, b"GET /cut HTTP/1.1\r\nHost: app.local\r\n\r\n")
    line = ending(server.daemon, kind="entrypoint")
    assert (line["endedBy"], line["how"], line["status"]) == ("client", "failure", 200)


def test_visitor_that_leaves_in_the_middle(world: World):
    server = publish(world, "tcp", world.site())
    sock = visitor.connect(server.entry)
    sock.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: app.local\r\n\r\n")
    assert sock.recv(1)
    servers.reset(sock)
    line = ending(server.daemon, kind="entrypoint")
    assert (line["endedBy"], line["how"]) == ("visitor", "reset")
    assert 0 < line["outputBytes"] < 100000000


def test_upgraded_connection(world: World):
    server = publish(world, "tcp", world.site())
    ws = websocket.Client(visitor.connect(server.entry), "app.local")
    ws.send(b"x" * 5000)
    assert ws.receive()[1] == b"x" * 5000
    ws.close()
    line = ending(server.daemon, kind="entrypoint")
    assert (line["status"], line["endedBy"], line["how"]) == (101, "visitor", "end")
    assert line["worker"] >= 0
    assert line["inputBytes"] > 5000 and line["outputBytes"] > 5000


@pytest.mark.parametrize("sent, told", [(b"", None), (b"\r\n", None), (b"\x16\x03\x01", None),
                                        (b"\0\1\2\3 no protocol", 400), (b"GET", 400)])
def test_who_says_nothing_that_counts(world: World, sent, told):
    server = publish(world, "tcp", world.site())
    hang_up(server.entry, sent)
    line = ending(server.daemon, kind="entrypoint")
    assert (line["inputBytes"], line.get("status"), line["outputBytes"] > 0) == (len(sent), told, told is not None)
    assert (line["endedBy"], line["how"]) == (("nobody", "refused") if told else ("visitor", "end"))


def test_tls_visit(world: World):
    certificate = certs.make(world.folder, "a.example.com")
    tunnel = tunnel_id()
    server = world.server("tcp", {".example.com": tunnel})
    world.client("tcp", server.clients, tunnel, world.site("secure", certificate).address)
    with visitor.Visitor(server.entry, "a.example.com", certificate.cert) as v:
        assert body.consume(v.start("a.example.com", "/bytes/100000"))[0] == 100000
    line = ending(server.daemon, kind="entrypoint")
    assert (line["host"], line["tunnel"], line["endedBy"]) == ("a.example.com", tunnel, "visitor")
    assert line["outputBytes"] > 100000 and line["inputBytes"] > 200


@pytest.mark.parametrize("name", ["nobody.local", "a.example.com"])
def test_tls_visit_that_is_refused(world: World, name):
    """Without a rule, and with a rule but no client: what was sent back is the alert."""
    server = world.server("tcp", {"a.example.com": tunnel_id()})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        visitor.connect(server.entry, name)
    line = ending(server.daemon, kind="entrypoint")
    assert (line["host"], line["outputBytes"], line["endedBy"], line["how"]) == (name, 7, "nobody", "refused")


# ---- clients and what they forward ------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_session_of_a_client(world: World, transport):
    """At the server, ended by the client; at the client, the session that it ended itself."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address, connections=1)
    with visitor.Visitor(server.entry) as v:
        assert body.consume(v.start("app.local", "/bytes/100000"))[0] == 100000
    client.stop()
    line = ending(server.daemon, kind="handler", tunnel=tunnel)
    assert line["inputBytes"] > 100000 and line["outputBytes"] > 100
    assert (line["endedBy"], line["how"]) == ("client", "end")
    assert line["remote"].startswith("127.0.0.1:") and line["connector"] and line["duration"] > 0
    line = ending(client, kind="listener")
    assert line["outputBytes"] > 100000 and line["inputBytes"] > 100
    assert (line["endedBy"], line["how"]) == ("nobody", "stopped")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_session_whose_server_stops(world: World, transport):
    server = world.server(transport, {"app.local": tunnel_id()})
    client = world.client(transport, server.clients, tunnel_id(), world.site("alpha").address, connections=1)
    server.daemon.stop()
    line = ending(server.daemon, kind="handler")
    assert (line["endedBy"], line["how"]) == ("nobody", "stopped")
    line = first_ending(client, kind="listener")
    assert (line["endedBy"], line["how"]) == ("server", "stopped" if transport == "quic" else "end")


def test_forwarded_connection(world: World):
    """Those of the client's side: what the target said, and who of the two ended it."""
    tunnel, site = tunnel_id(), world.site("alpha")
    server = world.server("tcp", {"app.local": tunnel}, entrypoint_keepalive="false")
    client = world.client("tcp", server.clients, tunnel, site.address)
    answer = server.get("app.local")
    line = ending(client, kind="handler")
    assert line["host"] == "app.local" and line["outputBytes"] > len(answer.body)
    assert line["inputBytes"] > 0 and line["how"] == "end"


def test_target_that_cannot_be_reached(world: World):
    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    client = world.client("tcp", server.clients, tunnel, world.dead_port().address)
    assert server.get("app.local").status == 502
    line = ending(client, kind="handler")
    assert (line["host"], line["endedBy"], line["how"]) == ("app.local", "target", "failure")


def test_plain_forwarding(world: World):
    echo = world.serve(servers.echo)
    daemon = world.start("-L", f"tcp://127.0.0.1:0/{at(echo.address)}")
    with visitor.connect(daemon.listening()) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock) == b"hello"
    line = ending(daemon, kind="handler")
    assert (line["inputBytes"], line["outputBytes"], line["endedBy"], line["how"]) == (5, 5, "peer", "end")


def test_visitor_through_the_tunnel_port(world: World):
    """gost's way of visiting: a CONNECT to the port of the clients."""
    tunnel, echo = tunnel_id(), world.serve(servers.echo)
    server = world.server("tcp", {"srv.local": tunnel})
    world.client("tcp", server.clients, tunnel, echo.address)
    way = world.start("-L", "tcp://127.0.0.1:0/srv.local", "-F",
                      f"tunnel+tcp://{at(server.clients)}?tunnel.id={tunnel}")
    with visitor.connect(way.listening()) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    line = ending(server.daemon, kind="handler", tunnel=tunnel)
    assert (line["inputBytes"], line["outputBytes"], line["host"]) == (5, 5, "srv.local")
    assert line["endedBy"] == "visitor"


# ---- who did not come that far ----------------------------------------------------


def refused_bind(server: Tunnel, world: World, transport: str, **options: Any) -> dict[str, Any]:
    client = world.client(transport, server.clients, tunnel_id(), ("127.0.0.1", 9), registered=False, **options)
    return first_ending(client, kind="listener")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_password(world: World, transport):
    server = world.server(transport, {"app.local": tunnel_id()}, user="a:right")
    line = refused_bind(server, world, transport, user="a:wrong")
    assert (line["endedBy"], line["how"]) == ("server", "refused")
    line = first_ending(server.daemon, kind="handler")
    assert (line["endedBy"], line["how"]) == ("nobody", "refused")
    assert line["outputBytes"] >= 4
    assert line["inputBytes"] > 20 and line["remote"].startswith("127.0.0.1:")


@pytest.mark.parametrize("sent, read, how", [
    (b"", 0, "end"), (b"\x01\x02", 2, "failure"), (b"GET / HTTP/1.1\r\n\r\n", 4, "failure"),
], ids=["nothing", "half a header", "http"])
def test_client_that_is_none(world: World, sent, read, how):
    """No more is read than tells that it is no relay request: its header has 4 bytes."""
    server = world.server("tcp", {"app.local": tunnel_id()})
    hang_up(server.clients, sent)
    line = ending(server.daemon, kind="handler")
    assert (line["inputBytes"], line["outputBytes"], line["how"]) == (read, 0, how)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_handshake_that_fails(world: World, sent):
    server = world.server("tls", {"app.local": tunnel_id()})
    hang_up(server.clients, sent)
    line = ending(server.daemon, kind="listener")
    assert line["endedBy"] == "peer" and line["remote"].startswith("127.0.0.1:")


@pytest.mark.parametrize("transport", ["tls", "quic"])
def test_client_without_the_certificate(world: World, transport):
    ca = certs.make(world.folder, "Root", ca=True)
    cert = certs.make(world.folder, "tunnel.example", issuer=ca)
    server = world.server(transport, {"app.local": tunnel_id()}, certFile=cert.cert, keyFile=cert.key,
                          caFile=ca.cert)
    line = refused_bind(server, world, transport)
    assert line["how"] in ("failure", "end", "reset")
    assert first_ending(server.daemon, kind="listener")["remote"].startswith("127.0.0.1:")
