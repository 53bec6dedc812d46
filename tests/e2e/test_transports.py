"""The transports a tunnel may run over beside tcp, tls and quic: the same few things over each of them, and
what is peculiar to one. With --peers=gost each side of the wire is a gost once."""

from __future__ import annotations

import socket
import time

import pytest

from harness import body, servers, visitor, websocket
from harness.load import at_once
from harness.waiting import until
from harness.world import REGISTERED, World, at, publish, tunnel_id

TRANSPORTS = ("ws", "wss", "mtcp", "mtls", "mws", "mwss", "h2", "h2c")
WEBSOCKETS = ("ws", "mwss")
# Those in which a server has something to say before it is asked for anything.
SHAKING_HANDS = [t for t in TRANSPORTS if t != "mtcp"]
BULK = 64 << 20
# The limit that core has for handshakes is 6 s; tests that wait for it allow it this long.
DEFAULT = 20


def over_tls(transport: str) -> bool:
    return transport in ("wss", "mtls", "mwss", "h2")


def connect(address, transport: str) -> socket.socket:
    """A connection to a listener, past TLS where it has that."""
    return visitor.connect(address, "tunnel.example" if over_tls(transport) else None)


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_http(world: World, pair, transport):
    """Requests by Host, and several visitors at once."""
    server = publish(world, transport, world.site("alpha"))
    assert server.get("app.local").text == "alpha\n"

    def visit(n: int) -> None:
        with visitor.Visitor(server.entry) as v:
            for _ in range(3):
                told = v.get("app.local", "/echo", method="POST", body=b"%d" % n * 1000).json
                assert told["length"] == len(b"%d" % n * 1000)

    at_once(8, visit)


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bulk(world: World, pair, transport):
    """64 MB each way, with equal checksums."""
    server = publish(world, transport, world.site("alpha"))
    want = body.digest(BULK)

    def down() -> None:
        with visitor.Visitor(server.entry) as v:
            assert body.consume(v.start("app.local", f"/bytes/{BULK}")) == (BULK, want)

    def up() -> None:
        with visitor.Visitor(server.entry) as v:
            told = v.get("app.local", "/echo", method="POST", body=body.blocks(BULK),
                         headers={"Content-Length": str(BULK)}).json
            assert told["length"] == BULK and told["sha256"] == want

    at_once(2, lambda n: (down, up)[n]())


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ends_pass_through(world: World, pair, transport):
    """A site that ends within its answer, one that hangs up, and a visitor that leaves: nothing hangs, and
    the tunnel goes on."""
    site = world.site("alpha")
    server = publish(world, transport, site)
    with visitor.Visitor(server.entry) as v:
        answer = v.start("app.local", "/cut")
        with pytest.raises((OSError, visitor.http.client.HTTPException)):
            if len(answer.read()) < 1000:
                raise OSError("cut")
    assert server.get("app.local", "/hangup").status in (502, 503, 504)
    with visitor.Visitor(server.entry) as v:
        v.start("app.local", "/gate").read(6)
    site.gate.set()
    assert server.get("app.local").text == "alpha\n"


def count_after_upgrade(conn: socket.socket) -> None:
    """Leaves HTTP for a protocol in which the answer comes at the end of what is asked."""
    while not conn.recv(1 << 16).endswith(b"\r\n\r\n"):
        pass
    conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: count\r\n\r\n")
    servers.count_then_answer(conn)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_half_close(world: World, transport):
    """A target that answers only at the end of what it is sent: between adits a visitor's end crosses."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, server.clients, tunnel, world.serve(count_after_upgrade).address)
    with visitor.connect(server.entry) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\nConnection: Upgrade\r\nUpgrade: count\r\n\r\n")
        assert b" 101 " in sock.recv(1 << 16)
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert visitor.ended(sock) == b"5 bytes\n"


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_users(world: World, pair, transport):
    """Who has the password is let in, who has another is told so."""
    rules = {"one.local": tunnel_id(), "two.local": tunnel_id()}
    server = world.server(transport, rules, user="u:secret")
    refused = world.client(transport, server.clients, rules["two.local"], world.site("b").address,
                           user="u:wrong", registered=False)
    world.client(transport, server.clients, rules["one.local"], world.site("a").address, user="u:secret")
    assert server.get("one.local").text == "a\n"
    refused.log.wait(lambda e: e.level in ("warn", "error"))
    assert refused.log.count(REGISTERED) == 0
    assert server.get("two.local").status != 200


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_comes_back(world: World, pair, transport):
    """The connection is cut: the client is back by itself, over a new one."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    link = world.link_proxy(transport, server.clients)
    client = world.client(transport, link.address, tunnel, world.site("alpha").address)
    mark = client.log.mark()
    link.cut()
    client.log.wait(REGISTERED, since=mark)
    until(lambda: server.get("app.local").text == "alpha\n", "the site is back")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_peer_that_says_nothing(world: World, transport):
    """A slow handshake is timed out, and nobody else notices."""
    server = publish(world, transport, world.site("alpha"), handshakeTimeout="500ms", readTimeout="500ms")
    with visitor.connect(server.clients) as bare, connect(server.clients, transport) as sock:
        begin = time.monotonic()
        visitor.ended(sock)
        visitor.ended(bare)
        assert time.monotonic() - begin < DEFAULT
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("transport", SHAKING_HANDS)
def test_server_that_says_nothing(world: World, transport):
    """A client gives each attempt up and makes another."""
    silent = world.serve(servers.silent)
    client = world.client(transport, silent.address, tunnel_id(), ("127.0.0.1", 9), registered=False,
                          handshakeTimeout="300ms", connectTimeout="300ms")
    until(lambda: silent.connections >= 2, "a second attempt", limit=60)
    assert client.running and client.log.count(REGISTERED) == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_peer_that_speaks_something_else(world: World, transport):
    server = publish(world, transport, world.site("alpha"), readTimeout="500ms")
    for noise in (b"\0" * 64, b"\xff" * 300, b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        with connect(server.clients, transport) as sock:
            sock.sendall(noise)
            visitor.ended(sock)
    assert server.get("app.local").text == "alpha\n"


# ---- WebSockets ------------------------------------------------------------------------------------------


def upgrade(address, transport: str, path: str = "/ws", **fields: str) -> bytes:
    """The answer to a request for an upgrade, up to the end of its head."""
    head = {"Host": at(address), "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
            **{k.replace("_", "-"): v for k, v in fields.items()}}
    with connect(address, transport) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\n".encode() +
                     b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items() if v) + b"\r\n")
        return sock.makefile("rb").readline()


@pytest.mark.parametrize("transport", WEBSOCKETS)
def test_websocket_handshake(world: World, transport):
    """What is answered to a request that is right, and to those that are not."""
    server = world.server(transport, {"app.local": tunnel_id()}, path="/tunnel")
    asked = [({}, 101), ({"path": "/tunnel?ed=2048"}, 101), ({"path": "/ws"}, 404),
             ({"Upgrade": ""}, 400), ({"Connection": "close"}, 400),
             ({"Sec_WebSocket_Version": "8"}, 426), ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
             ({"Sec_WebSocket_Key": ""}, 400), ({"Host": ""}, 400)]
    for how, status in asked:
        line = upgrade(server.clients, transport, **{"path": "/tunnel", **how})
        assert line.split()[1] == b"%d" % status, how


@pytest.mark.parametrize("transport", WEBSOCKETS)
def test_why_a_server_refused_is_told(world: World, transport):
    """To who binds, and to who forwards: what the server answered, in their logs."""
    server = world.server(transport, {"app.local": tunnel_id()}, path="/there")
    client = world.client(transport, server.clients, tunnel_id(), ("127.0.0.1", 9), registered=False)
    client.log.wait("the server refused the WebSocket: 404 Not Found")
    door = world.start("-L", "tcp://127.0.0.1:0/127.0.0.1:9", "-F", f"forward+{transport}://{at(server.clients)}")
    with visitor.connect(door.listening()) as sock:
        visitor.ended(sock)
    door.log.wait("the server refused the WebSocket: 404 Not Found")


@pytest.mark.parametrize("transport", WEBSOCKETS)
def test_websocket_of_somebody_else(world: World, transport):
    """Pings are answered with their payload, a Close with its code, an unmasked frame with 1002."""
    server = world.server(transport, {"app.local": tunnel_id()})
    ws = websocket.Client(connect(server.clients, transport), "tunnel.example")
    ws.send(b"are you there", opcode=9)
    assert ws.receive() == (10, b"are you there")
    ws.send(b"\x03\xe8bye", opcode=8)
    assert ws.receive() == (8, b"\x03\xe8")
    ws.close()
    ws = websocket.Client(connect(server.clients, transport), "tunnel.example")
    ws._sock.sendall(websocket.encode(2, b"plain", masked=False))
    assert ws.receive() == (8, b"\x03\xea")
    ws.close()


@pytest.mark.peers
@pytest.mark.parametrize("transport", WEBSOCKETS)
def test_websocket_options(world: World, pair, transport):
    """A path and a host of one's own, and pings that keep a quiet tunnel there."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, path="/a/b")
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address, path="/a/b",
                          host="front.example", keepalive="true", ttl="200ms")
    mark = client.log.mark()
    time.sleep(1)           # several intervals, in which nobody gives anybody up
    assert server.get("app.local").text == "alpha\n"
    assert not any("retrying" in e.msg for e in client.log.events[mark:])


# ---- Unix sockets ----------------------------------------------------------------------------------------


class OnPath:
    """A server at a path, and the entry point of its tunnels. By configuration: as a URL a gost takes a path
    for a target."""

    def __init__(self, world: World, tunnel: str, mode: str = "0660") -> None:
        self.path = world.folder / "adit.sock"
        self.tunnel = tunnel
        self.daemon = world.start(program=world.pair.server, config=f"""
services:
- name: service-0
  addr: {self.path}
  handler: {{type: tunnel, metadata: {{entrypoint: "127.0.0.1:0", tunnel: "app.local:{tunnel}"}}}}
  listener: {{type: unix, metadata: {{mode: "{mode}"}}}}
""")
        self.entry = self.daemon.entrypoint()
        self.daemon.log.wait(f"^listening on {self.path}")

    def client(self, world: World, target) -> None:
        daemon = world.start(program=world.pair.client, config=f"""
services:
- name: service-0
  addr: ":0"
  handler: {{type: rtcp}}
  listener: {{type: rtcp, chain: server}}
  forwarder: {{nodes: [{{name: site, addr: "{at(target)}"}}]}}
chains:
- name: server
  hops:
  - name: server
    nodes:
    - name: server
      addr: {self.path}
      connector: {{type: tunnel, metadata: {{tunnel.id: {self.tunnel}}}}}
      dialer: {{type: unix}}
""")
        daemon.log.wait(REGISTERED)


@pytest.mark.peers
def test_unix_socket(world: World, pair):
    """A tunnel over a path: large bodies, the file's mode, and no file left at the end."""
    server = OnPath(world, tunnel_id(), mode="0600")
    server.client(world, world.site("alpha").address)
    until(lambda: visitor.get(server.entry, "app.local").status == 200, "the server counted the client in")
    with visitor.Visitor(server.entry) as v:
        assert body.consume(v.start("app.local", f"/bytes/{BULK}")) == (BULK, body.digest(BULK))
    if pair.server == "adit":
        assert server.path.stat().st_mode & 0o777 == 0o600
        assert server.daemon.stop() == 0
        assert not server.path.exists()


def test_unix_socket_that_was_left_behind(world: World):
    """What a killed daemon left is replaced; what is in use, or no socket, is not."""
    tunnel = tunnel_id()
    first = OnPath(world, tunnel)
    second = world.run("-L", f"tunnel+unix://{first.path}?entrypoint=127.0.0.1:0")
    assert second.status != 0 and "somebody listens there" in second.log.text()
    first.daemon.kill()
    assert first.path.exists()
    OnPath(world, tunnel).client(world, world.site("alpha").address)
    note = world.write("note.txt", "not a socket")
    third = world.run("-L", f"tunnel+unix://{note}?entrypoint=127.0.0.1:0")
    assert third.status != 0 and note.read_text() == "not a socket"


def test_unix_socket_by_command_line(world: World):
    path, tunnel = world.folder / "s", tunnel_id()
    server = world.start("-L", f"tunnel+unix://{path}?entrypoint=127.0.0.1:0&tunnel=app.local:{tunnel}")
    entry = server.entrypoint()
    server.log.wait(f"^listening on {path}")
    client = world.start("-L", f"rtcp://:0/{at(world.site('alpha').address)}",
                         "-F", f"tunnel+unix://{path}?tunnel.id={tunnel}")
    client.log.wait(REGISTERED)
    assert visitor.get(entry, "app.local").text == "alpha\n"


def test_forward_from_a_path_by_command_line(world: World):
    """A path that begins at the root takes up the place where others have their target."""
    path = world.folder / "door"
    door = world.start("-L", f"unix://{path}?target={at(world.site('alpha').address)}")
    door.log.wait(f"^listening on {path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert visitor.ended(sock).endswith(b"alpha\n")


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("transport", ["tls", "mtcp"])
def test_forward_through_a_chain(world: World, transport, hops):
    """Connector forward adds nothing: what it gives back is the node's own conn, which both the node and the
    target of the service wait for. A node that is not there ends the visitor, and nothing else."""
    site = world.site("alpha")
    far = world.start("-L", f"tcp+{transport}://127.0.0.1:0/{at(site.address)}", name="far")
    chain = ["-F", f"forward+{transport}://{at(far.listening())}"] * (hops == 1)
    if hops == 2:
        middle = world.start("-L", f"tcp://127.0.0.1:0/{at(far.listening())}", name="middle")
        chain = ["-F", f"forward+tcp://{at(middle.listening())}", "-F", f"forward+{transport}://127.0.0.1:1"]
    near = world.start("-L", f"tcp://127.0.0.1:0/{at(site.address)}", *chain, name="near")
    for _ in range(3):
        assert visitor.get(near.listening(), "app.local", "/").text == "alpha\n"
    far.kill()
    with pytest.raises((OSError, visitor.http.client.HTTPException)):
        visitor.get(near.listening(), "app.local", "/")
    assert near.running
