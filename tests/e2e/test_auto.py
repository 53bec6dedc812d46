"""tunnel+auto: a server that is told by the first bytes what a client speaks, and a client that finds out
what gets through."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
import time
from typing import Optional, Union

import pytest

from harness import certs, visitor, websocket
from harness.daemon import Address, Daemon
from harness.load import Load
from harness.proxies import TcpProxy, UdpProxy
from harness.servers import Server
from harness.waiting import until
from harness.world import REGISTERED, Tunnel, World, at, tunnel_id

# What may come to the one port.
SPOKEN = ("tcp", "tls", "ws", "wss", "quic")
# Within which an end must come that half a second is the limit for.
DEFAULT = 20


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


def begun_if_in_time(server: Tunnel, said: bytes, tls: bool) -> Optional[socket.socket]:
    """None: this machine took longer than the limit, and the end is there already."""
    try:
        return beginning(server, said, tls)
    except (ConnectionError, ssl.SSLError):
        return None


def test_server_ends_what_is_nothing(world: World):
    """Silence, a beginning without an end, and garbage end within the limits; clients are served meanwhile."""
    rules = {"app.local": tunnel_id()}
    server = world.server("auto", rules, handshakeTimeout="500ms", readTimeout="500ms")
    begin = time.monotonic()
    begun = [begun_if_in_time(server, said, tls) for tls in (False, True)
             for said in (b"", b"G", b"GET /", b"GET /ws HTTP/1.1\r\nHost: a\r\n", b"\x01", b"\x01\x02\x00\xff",
                          b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 64, b"\xff" * 300, b"SSH-2.0-x\r\n",
                          b"GEX", b"POST / HTTP/1.1\r\n\r\n", b"GET http://a/ HTTP/1.1\r\n\r\n")]
    world.client("tls", server.clients, rules["app.local"], world.site("alpha").address)
    for sock in filter(None, begun):
        visitor.ended(sock)
        sock.close()
    assert time.monotonic() - begin < DEFAULT
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("tls", (False, True), ids=("clear", "tls"))
def test_server_speaks_http_to_http(world: World, tls):
    """A browser that comes to the port is answered; the path of the WebSocket is the configured one."""
    server = world.server("auto", {"app.local": tunnel_id()}, path="/tunnel")
    assert b" 404 " in visitor.ended(beginning(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls))
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


# ---- the client ------------------------------------------------------------------------------------------


def with_udp(world: World, tcp: Union[TcpProxy, Server], target: Address) -> UdpProxy:
    """What carries UDP at the port of something that has its TCP. Blocked, so that nothing is answered."""
    udp = world.keep(UdpProxy(target, listen=tcp.address))
    udp.block()
    return udp


def on_one_port(world: World, target: Address) -> tuple[TcpProxy, UdpProxy]:
    for _ in range(20):
        tcp = world.tcp_proxy(target)
        with contextlib.suppress(OSError):      # somebody else's
            return tcp, with_udp(world, tcp, target)
    raise AssertionError("no port is free for both")


def tried(client: Daemon, since: int = 0) -> list[str]:
    return [e.msg.split()[1] for e in client.log.events[since:] if e.msg.startswith("tries ")]


def auto_client(world: World, server: Address, tunnel: str, target: Address, **options: str) -> Daemon:
    return world.client("auto", server, tunnel, target, flags=("-D",), **options)


def test_quic_is_chosen(world: World):
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    client = auto_client(world, server.clients, tunnel, world.site("alpha").address)
    client.log.wait("^goes by quic")
    assert server.get("app.local").text == "alpha\n"


def test_without_udp_it_is_tls(world: World):
    """It is found while QUIC still waits for an answer; and comes first the next time."""
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    tcp, _ = on_one_port(world, server.clients)
    client = auto_client(world, tcp.address, tunnel, world.site("alpha").address, connections="1",
                         **{"auto_retry": "1h"})
    client.log.wait("^goes by tls")
    assert tried(client)[:2] == ["quic", "tls"]
    assert client.log.count("^does not go by") == 0, "nobody waited for QUIC to fail"
    assert server.get("app.local").text == "alpha\n"
    mark = client.log.mark()
    tcp.cut()
    client.log.wait(REGISTERED, since=mark)
    assert tried(client, mark)[0] == "tls"
    until(lambda: server.get("app.local").text == "alpha\n", "the site is back")


def copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            sink.sendall(block)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def test_where_only_http_passes_it_is_wss(world: World):
    """A front that has the TLS itself, as a content network's, and takes nothing but HTTP in it: the handshake
    of TLS tells nothing, the tunnel's answer does."""
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    made = certs.make(world.folder, "front.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.cert, made.key)

    def front(conn: socket.socket) -> None:
        with tls.wrap_socket(conn, server_side=True) as near:
            first = near.recv(1 << 16)
            if not first.startswith(b"GET /ws "):
                near.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(server.clients) as far:
                far.sendall(first)
                back = threading.Thread(target=copy, args=(far, near), daemon=True)
                back.start()
                copy(near, far)
                back.join()

    client = auto_client(world, world.serve(front).address, tunnel, world.site("alpha").address, connections="1")
    client.log.wait("^goes by wss")
    assert server.get("app.local").text == "alpha\n"


def test_it_climbs_back(world: World):
    """UDP passes again: visitors come by QUIC from then on, and none of them notices."""
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    tcp, udp = on_one_port(world, server.clients)
    client = auto_client(world, tcp.address, tunnel, world.site("alpha").address, **{"auto_retry": "300ms"})
    client.log.wait("^goes by tls")
    until(lambda: tried(client).count("quic") > 3, "it is tried again", limit=60)
    load = Load(server.entry, "app.local")
    until(lambda: load.count("alpha\n") > 20, "visitors are served")
    bound = client.log.count("^session ended")
    udp.unblock()
    client.log.wait("^goes again by quic", limit=60)
    until(lambda: client.log.count("^session ended") == bound + 2, "both sessions over TLS have ended", limit=60)
    served = load.count("alpha\n")
    until(lambda: load.count("alpha\n") > served + 20, "visitors are served by the others")
    assert set(load.stop()) == {"alpha\n"}
    assert udp.carried > 40


def bound_client(server: str, host: str, tunnel: str, target: Address) -> str:
    return f"""
services:
- name: bound
  addr: :0
  handler: {{type: rtcp}}
  listener: {{type: rtcp, chain: c}}
  forwarder: {{nodes: [{{name: site, addr: "{at(target)}"}}]}}
chains:
- name: c
  hops:
  - hosts: names
    nodes:
    - name: server
      addr: {server}
      connector: {{type: tunnel, metadata: {{tunnel.id: {tunnel}}}}}
      dialer: {{type: auto, metadata: {{auto.retry: 300ms}}}}
hosts:
- name: names
  mappings: [{{hostname: server.test, ip: {host}}}]
log: {{level: debug}}
"""


def test_it_climbs_to_where_the_server_is_now(world: World):
    """The name has another address by the time that QUIC is tried again."""
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    tcp, _ = on_one_port(world, server.clients)
    udp = world.keep(UdpProxy(server.clients, listen=("127.0.0.2", tcp.address[1])))
    site, node = world.site("alpha").address, f"server.test:{tcp.address[1]}"
    client = world.start(config=bound_client(node, "127.0.0.1", tunnel, site), name="client")
    client.log.wait("^goes by tls")
    mark = client.log.mark()
    world.write("client.yaml", bound_client(node, "127.0.0.2", tunnel, site))
    client.send(signal.SIGHUP)
    client.log.wait("^config reloaded", since=mark)
    client.log.wait("^goes (again )?by quic", since=mark, limit=60)  # another session may have come by it first
    until(lambda: server.get("app.local").text == "alpha\n", "the site is there")
    assert udp.carried > 0


@pytest.mark.parametrize("proxy", ("http", "socks5"))
def test_through_another_hop(world: World, proxy):
    """What a hop opens are bytes: there is nothing to wait for."""
    tunnel = tunnel_id()
    server = world.server("auto", {"app.local": tunnel})
    hop = world.start("-L", f"{proxy}://127.0.0.1:0")
    client = world.start("-D", "-L", f"rtcp://:0/{at(world.site('alpha').address)}",
                         "-F", f"{proxy}://{at(hop.listening())}",
                         "-F", f"tunnel+auto://{at(server.clients)}?tunnel.id={tunnel}")
    client.log.wait(REGISTERED)
    client.log.wait("^goes by tls")
    assert "quic" not in tried(client)
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("passes", (True, False), ids=("udp", "no-udp"))
def test_visitors_and_proxies(world: World, passes):
    """Other connectors, which dial for each visitor: a tunnel's visitor and a relay's."""
    tunnel, site = tunnel_id(), world.site("alpha")
    server = world.server("auto", {"app.local": tunnel})
    world.client("tls", server.clients, tunnel, site.address)
    relay = world.start("-L", "relay+auto://127.0.0.1:0")
    for connector, place in ((f"tunnel+auto://%s?tunnel.id={tunnel}", server.clients),
                             ("relay+auto://%s", relay.listening())):
        tcp, udp = on_one_port(world, place)
        if passes:
            udp.unblock()
        target = "app.local" if "tunnel" in connector else at(site.address)
        door = world.start("-L", f"tcp://127.0.0.1:0/{target}", "-F", connector % at(tcp.address))
        for _ in range(3):
            assert visitor.get(door.listening(), "app.local").text == "alpha\n"
        door.log.wait("^goes by quic" if passes else "^goes by tls")


def test_what_contradicts_is_refused(world: World):
    refused = world.run("check", "-L", "tcp://:0/a:1", "-F", "relay+auto://127.0.0.1:1?proxyProtocol=1")
    assert refused.status != 0 and "not every way of dialer auto has room for it" in refused.log.text()


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
