"""tunnel+auto: a server that is told by the first bytes what a client speaks, and a client that finds out
what gets through."""

from __future__ import annotations

import signal
import socket
import ssl
import time

import pytest

from harness import visitor, websocket
from harness.world import REGISTERED, Tunnel, World, at, tunnel_id

# What may come to the one port.
SPOKEN = ("tcp", "tls", "ws", "wss", "quic")
# Within which an end must come that half a second is the limit for.
DEFAULT = 20


def ended(sock: socket.socket, within: float = DEFAULT) -> bytes:
    """Waits for the other side to end the connection; returns what it said before."""
    sock.settimeout(within)
    try:
        return visitor.read_to_end(sock)
    except (ConnectionError, ssl.SSLError):
        return b""
    except TimeoutError:
        raise AssertionError(f"still open after {within:g} s") from None


# ---- the server ------------------------------------------------------------------------------------------


@pytest.mark.peers
def test_server_takes_what_comes(world: World, pair):
    """Clients of each transport at one port, all at once; a gost's too."""
    if pair.server != "adit":
        pytest.skip("a gost has no such listener")
    rules = {f"{transport}.local": tunnel_id() for transport in SPOKEN}
    server = world.server("auto", rules, path="/tunnel")
    assert server.daemon.log.count(rf"^listening on {at(server.clients)}/(tcp|udp)") == 2, "one port for both"
    for transport in SPOKEN:
        site = world.site(transport)
        more = {"path": "/tunnel"} if transport in ("ws", "wss") else {}
        world.client(transport, server.clients, rules[f"{transport}.local"], site.address, **more)
    for transport in SPOKEN:
        assert server.get(f"{transport}.local").text == f"{transport}\n"
        told = server.get(f"{transport}.local", "/echo", method="POST", body=b"x" * 300_000).json
        assert told["length"] == 300_000


def beginning(server: Tunnel, said: bytes, tls: bool = False) -> socket.socket:
    sock = visitor.connect(server.clients, "tunnel.example" if tls else None)
    sock.sendall(said)
    return sock


def test_server_ends_what_is_nothing(world: World):
    """Silence, a beginning without an end, and garbage end within the limits; clients are served meanwhile."""
    rules = {"app.local": tunnel_id()}
    server = world.server("auto", rules, handshakeTimeout="500ms", readTimeout="500ms")
    begin = time.monotonic()
    begun = [beginning(server, said, tls) for tls in (False, True)
             for said in (b"", b"G", b"GET /", b"GET /ws HTTP/1.1\r\nHost: a\r\n", b"\x01", b"\x01\x02\x00\xff",
                          b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 64, b"\xff" * 300, b"SSH-2.0-x\r\n",
                          b"GEX", b"POST / HTTP/1.1\r\n\r\n", b"GET http://a/ HTTP/1.1\r\n\r\n")]
    world.client("tls", server.clients, rules["app.local"], world.site("alpha").address)
    for sock in begun:
        ended(sock)
        sock.close()
    assert time.monotonic() - begin < DEFAULT
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("tls", (False, True), ids=("clear", "tls"))
def test_server_speaks_http_to_http(world: World, tls):
    """A browser that comes to the port is answered; the path of the WebSocket is the configured one."""
    server = world.server("auto", {"app.local": tunnel_id()}, path="/tunnel")
    assert b" 404 " in ended(beginning(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls))
    # In pieces: what it is shows only with the fifth byte.
    sock = visitor.connect(server.clients, "tunnel.example" if tls else None)
    for piece in (b"G", b"ET ", b"/", b"tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"):
        sock.sendall(piece)
    stream = sock.makefile("rb")
    assert b" 101 " in stream.readline()
    while stream.readline().strip():
        pass
    sock.sendall(websocket.encode(9, b"there?", masked=True))
    assert websocket.decode(stream) == (10, b"there?")
    sock.close()


def server_config(server: str, entry: str, rules: str, more: str = "") -> str:
    return f"""
services:
- name: main
  addr: {server}
  handler: {{type: tunnel, metadata: {{entrypoint: "{entry}", tunnel: "{rules}"{more}}}}}
  listener: {{type: auto}}
"""


def test_server_reload_keeps_what_is_there(world: World):
    """The port that the kernel chose is kept, for both protocols; so are clients and the requests under way."""
    tunnels = {name: tunnel_id() for name in ("tls", "quic")}
    rules = ",".join(f"{name}.local:{tunnel}" for name, tunnel in tunnels.items())
    daemon = world.start(config=server_config("127.0.0.1:0", "127.0.0.1:0", rules), name="server")
    server = Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))
    sites = {name: world.site(name) for name in tunnels}
    for name, tunnel in tunnels.items():
        world.client(name, server.clients, tunnel, sites[name].address)
    visitors = {name: visitor.Visitor(server.entry) for name in tunnels}
    under_way = {name: v.start(f"{name}.local", "/gate") for name, v in visitors.items()}
    for response in under_way.values():
        assert response.read(6) == b"first\n"
    mark = daemon.log.mark()
    world.write("server.yaml", server_config("127.0.0.1:0", "127.0.0.1:0", rules, ", readTimeout: 9s"))
    daemon.send(signal.SIGHUP)
    daemon.log.wait("^config reloaded", since=mark)
    for name, response in under_way.items():
        sites[name].gate.set()
        assert response.read() == b"last\n"
    again = [e.msg for e in daemon.log.events[mark:] if e.msg.startswith("listening on")]
    assert sorted(again) == [f"listening on {at(server.clients)}/{net}" for net in ("tcp", "udp")]
    world.client("quic", server.clients, tunnels["quic"], sites["quic"].address)
    for name in tunnels:
        assert server.get(f"{name}.local").text == f"{name}\n"
    for v in visitors.values():
        v.close()


# ---- the words -------------------------------------------------------------------------------------------


def printed(world: World, *args: str) -> str:
    daemon = world.run(*args, "-O", "yaml")
    assert daemon.status == 0, daemon.log.text()
    return daemon.output()


def test_auto_alone_is_the_proxy(world: World):
    """As in gost: the handler that is told by the first byte, over TCP; for a node, HTTP over TCP."""
    for url in ("auto://:8080", ":8080"):
        text = printed(world, "-L", url)
        assert "type: auto" in text and text.count("type: tcp") == 1
    text = printed(world, "-L", "tcp://:8080", "-F", "auto://127.0.0.1:1")
    assert "type: http" in text and "type: auto" not in text


def test_auto_round_trip(world: World):
    text = printed(world, "-L", "tunnel+auto://:8443?entrypoint=:8080&path=/a")
    assert text.count("type: auto") == 1 and "type: tunnel" in text
    assert printed(world, "-C", str(world.write("again.yaml", text))) == text
