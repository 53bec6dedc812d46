"""Which wire two programs speak over QUIC: adit/1 among us, gost's with a gost, and what a
configuration asks for."""

from __future__ import annotations

import re
import signal
import time

import pytest

from harness import certs, visitor
from harness.daemon import Daemon
from harness.load import Load
from harness.proxies import UdpProxy
from harness.waiting import until
from harness.world import REGISTERED, Pair, World, at, tunnel_id

SPOKEN = r"^quic session: protocol (\S+), version (\d)$"


def said_of_session(daemon: Daemon) -> re.Match[str]:
    """What a daemon that runs at level debug says was agreed on."""
    found = re.match(SPOKEN, daemon.log.wait(SPOKEN).msg)
    assert found
    return found


def spoken(daemon: Daemon) -> str:
    """What protocol a daemon has logged for its session."""
    return said_of_session(daemon)[1]


@pytest.mark.peers
@pytest.mark.short
def test_the_wire_is_ours_among_us_and_gosts_with_a_gost(world: World, pair):
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel}, flags=["-D"])
    client = world.client("quic", server.clients, tunnel, world.site("alpha").address, flags=["-D"])
    assert server.get("app.local").text == "alpha\n"
    expected = "adit/1" if pair == Pair("adit", "adit") else "h3"
    for daemon, program in ((server.daemon, pair.server), (client, pair.client)):
        if program == "adit":
            assert spoken(daemon) == expected
            # A gost's QUIC begins with version 1 and offers no other.
            assert said_of_session(daemon)[2] == ("2" if pair.server == pair.client else "1")


@pytest.mark.short
@pytest.mark.parametrize("side", ["server", "client"])
def test_alpn_of_a_configuration_is_what_is_offered(world: World, side):
    """Who writes gost's protocol gets gost's wire, on whichever side."""
    tunnel = tunnel_id()
    alpn = "tls: {options: {alpn: [h3]}}"
    server = world.start("-D", name="server", config=f"""
services:
- name: service-0
  addr: 127.0.0.1:0
  handler: {{type: tunnel, metadata: {{entrypoint: "127.0.0.1:0", tunnel: "app.local:{tunnel}"}}}}
  listener: {{type: quic, {alpn if side == "server" else ""}}}
""")
    client = world.start("-D", name="client", config=f"""
services:
- name: web
  addr: ":0"
  handler: {{type: rtcp}}
  listener: {{type: rtcp, chain: out}}
  forwarder: {{nodes: [{{name: site, addr: "{at(world.site("alpha").address)}"}}]}}
chains:
- name: out
  hops:
  - name: hop
    nodes:
    - name: far
      addr: {at(server.listening())}
      connector: {{type: tunnel, metadata: {{tunnel.id: {tunnel}}}}}
      dialer: {{type: quic, {alpn if side == "client" else ""}}}
""")
    client.log.wait(REGISTERED)
    assert visitor.get(server.entrypoint(), "app.local").text == "alpha\n"
    assert spoken(server) == spoken(client) == "h3"


def test_visitor_of_his_own_over_adit_1(world: World):
    """A visitor's program that reaches the tunnel through the same session protocol: TCP, half-closed."""
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel}, flags=["-D"])
    world.client("quic", server.clients, tunnel, world.site("alpha").address)
    door = world.start("-L", "tcp://127.0.0.1:0/app.local:80",
                       "-F", f"tunnel+quic://{at(server.clients)}?tunnel.id={tunnel}", "-D", name="door")
    with visitor.connect(door.listening()) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\nConnection: close\r\n\r\n")
        answer = b""
        while block := sock.recv(1 << 16):
            answer += block
    assert answer.endswith(b"alpha\n")
    assert spoken(door) == "adit/1"


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_first_request_goes_with_the_head_of_its_stream(world: World, kind):
    """Over a long way: one round trip where two would be if the answer of the client had to come first, which
    is so for what must not be sent twice. Each of these hosts has a stream of its own."""
    way = 0.3  # seconds, one direction
    tunnel, hosts = tunnel_id(), [f"{n}.example.com" for n in range(6)]
    secure = certs.make(world.folder, hosts[0]) if kind == "tls" else None
    server = world.server("quic", {host: tunnel for host in hosts})
    link = world.slow_link("quic", server.clients, way, 1e7)
    world.client("quic", link.address, tunnel, world.site("alpha", secure).address, connections=1)

    def seconds(host: str, method: str) -> float:
        began = time.monotonic()
        if secure:  # a connection is there with the ServerHello
            visitor.connect(server.entry, host).close()
        else:
            assert server.get(host, "/" if method == "GET" else "/echo", method=method).status == 200
        return time.monotonic() - began

    waits = [seconds(host, "POST") for host in hosts[:2]] if kind == "http" else []
    assert min(waits, default=4 * way) >= 4 * way
    # One may find a client that was not heard for a second and is asked first, or the machine busy.
    assert min(seconds(host, "GET") for host in hosts[2:]) < 3.5 * way


def test_hundreds_of_visitors_at_once(world: World):
    """More streams than gost's limit of 100 wait for nothing."""
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    world.client("quic", server.clients, tunnel, world.site("alpha").address)
    socks = []
    try:
        for _ in range(300):
            sock = visitor.connect(server.entry)
            socks.append(sock)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\nContent-Length: 5\r\n\r\n")
        assert server.get("app.local").text == "alpha\n"
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("side", ["client", "server"])
def test_drain_costs_no_visitor(world: World, side):
    """Under load one of two clients is stopped, or the only server of a client: what was opened before
    is served, and a stopped client leaves at once when nothing of it is open."""
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    first = world.client("quic", server.clients, tunnel, world.site("alpha").address)
    if side == "client":
        world.client("quic", server.clients, tunnel, world.site("beta").address)
    load = Load(server.entry, "app.local")
    until(lambda: sum(load.outcomes.values()) > 50, "visitors come")
    if side == "client":
        first.stop()
        outcomes = load.stop()
        assert set(outcomes) <= {"alpha\n", "beta\n"}, outcomes
    else:
        load.stop()
        server.daemon.stop()
        first.log.wait(r"retrying in")


def test_visitors_of_a_server_that_stops_go_to_another(world: World):
    """Told so in their session, in which nothing of theirs is bound: what is open there goes on."""
    tunnel, site = tunnel_id(), world.site("alpha")
    servers = [world.server("quic", {"app.local": tunnel}, flags=("-drain", "60s"), tunnel_direct="true")
               for _ in range(2)]
    for server in servers:
        world.client("quic", server.clients, tunnel, site.address)
    nodes = "\n".join(f"""\
    - name: node-{i}
      addr: {at(server.clients)}
      connector: {{type: tunnel, metadata: {{tunnel.id: "{tunnel}"}}}}
      dialer: {{type: quic}}""" for i, server in enumerate(servers))
    near = world.start("-D", name="near", config=f"""\
services:
- name: near
  addr: 127.0.0.1:0
  handler: {{type: tcp, chain: out}}
  listener: {{type: tcp}}
chains:
- name: out
  hops:
  - name: first
    selector: {{strategy: fifo}}
    nodes:
{nodes}
""")
    entry = near.listening("near")
    with visitor.Visitor(entry) as v:
        response = v.start("app.local", "/gate")
        servers[0].daemon.send(signal.SIGTERM)
        assert near.log.wait("the server goes$").fields["node"] == "node-0"
        assert [visitor.get(entry, "app.local").text for _ in range(10)] == ["alpha\n"] * 10
        site.gate.set()
        assert response.read() == b"first\nlast\n"
    assert servers[0].daemon.wait() == 0


def test_network_that_knows_version_1_only(world: World):
    """It drops what has version 2 in its header: the answer of an adit to an adit."""
    def passes(datagram: bytes, outbound: bool) -> bool:
        return not (datagram[0] & 0x80 and datagram[1:5] == b"\x6b\x33\x43\xcf")

    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    proxy = world.keep(UdpProxy(server.clients, passes))
    client = world.client("quic", proxy.address, tunnel, world.site("alpha").address, flags=["-D"])
    assert server.get("app.local").text == "alpha\n"
    assert said_of_session(client)[2] == "1"


def test_nat_that_forgets(world: World):
    """The client's address changes below the session: it goes on, and nobody binds anew."""
    tunnel = tunnel_id()
    server = world.server("quic", {"app.local": tunnel})
    proxy = world.udp_proxy(server.clients)
    client = world.client("quic", proxy.address, tunnel, world.site("alpha").address, connections=1)
    for _ in range(3):
        proxy.rebind()
        assert server.get("app.local").text == "alpha\n"
    assert client.log.count(REGISTERED) == 1
    assert server.daemon.log.count(r"^bind: ") == 1
