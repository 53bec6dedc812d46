"""Private tunnels and who reaches them: rules with a $, visitors of their own, external public entry points,
direct routing, several entry points of one server."""

from __future__ import annotations

import ssl
from typing import Any, Mapping

import pytest

from harness import certs, visitor
from harness.daemon import Address, Daemon
from harness.datagrams import UdpServer, UdpVisitor, ask
from harness.pages import EXAMPLES
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, Pair, Tunnel, World, at, query_of, tunnel_id

HERE = "127.0.0.1:0"
PUBLIC, PRIVATE, OTHER, NOWHERE = "srv-3.local", "srv-2.local", "srv-0.local", "srv-9.local"
# What becomes of a visitor whom the server refuses: his connection ends, reset where he had said something.
REFUSED = (ConnectionError, visitor.http.client.BadStatusLine)


def far_side(transport: str, server: Address, tunnel: str, user: str = "", **options: Any) -> str:
    """The -F of who binds or reaches that tunnel."""
    query = query_of({"tunnel.id": tunnel}, options)
    return f"tunnel+{transport}://{user and user + '@'}{at(server)}?{query}"


def door(world: World, server: Address, tunnel: str, host: str = "", transport: str = "tcp", scheme: str = "tcp",
         program: str = "adit", user: str = "", **options: Any) -> Daemon:
    """A visitor's program: a port of his own that leads to host in the tunnel. options: of that port's query."""
    query = query_of({}, options)
    return world.start("-L", f"{scheme}://{HERE}{host and '/' + host}{query and '?' + query}",
                       "-F", far_side(transport, server, tunnel, user), program=program)


def is_refused(place: Address) -> bool:
    try:
        return visitor.get(place, "any").status == 503      # so a gost that sniffs
    except REFUSED:
        return True


def alert_of(entry: Address, name: str) -> str:
    """What TLS says to who asks for that name."""
    with pytest.raises(ssl.SSLError) as fault:
        visitor.connect(entry, name).close()
    return fault.value.reason


class Hub:
    """The rules of gost's page: PRIVATE and PUBLIC lead to one tunnel, OTHER to another one."""

    def __init__(self, world: World, transport: str = "tcp", user: str = "", **options: Any) -> None:
        self.world, self.transport, self.user = world, transport, user
        self.tunnel, self.other, self.public_id = tunnel_id(), tunnel_id(), tunnel_id()
        rules = {PRIVATE: f"${self.tunnel}", PUBLIC: self.tunnel, OTHER: self.other}
        self.server: Tunnel = world.server(transport, rules, user=user, entrypoint_id=self.public_id, **options)

    def client(self, site: Any, tunnel: str = "") -> Daemon:
        return self.world.client(self.transport, self.server.clients, tunnel or self.tunnel, site.address,
                                 user=self.user)

    def door(self, tunnel: str, host: str = "", **more: Any) -> Address:
        return door(self.world, self.server.clients, tunnel, host, self.transport, user=self.user, **more).listening()


# ---- the public entry point, and visitors -------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_privacy_is_the_rules(world: World, transport: str):
    """One tunnel, reached by the entry point under the name whose rule is not private, and by visitors under both."""
    hub = Hub(world, transport)
    hub.client(world.site("web"))
    assert [hub.server.get(h).status for h in (PUBLIC, PRIVATE, NOWHERE)] == [200, 404, 404]
    with visitor.Visitor(hub.server.entry) as keeps:        # each request counts, not the connection's first
        assert [keeps.get(h).status for h in (PUBLIC, PRIVATE, PUBLIC)] == [200, 404, 200]
    for host in (PRIVATE, PUBLIC):
        assert visitor.get(hub.door(hub.tunnel, host), "any").text == "web\n"


def test_private_rules_are_not_told_from_none_by_tls(world: World):
    certificate = certs.make(world.folder, PUBLIC)
    hub = Hub(world)
    hub.client(world.site("secure", certificate))
    with visitor.Visitor(hub.server.entry, PUBLIC, certificate.cert) as v:
        assert v.get(PUBLIC).text == "secure\n"
    assert alert_of(hub.server.entry, PRIVATE) == alert_of(hub.server.entry, NOWHERE) == "TLSV1_UNRECOGNIZED_NAME"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_visitor_reaches_his_own_tunnel_alone(world: World, transport: str):
    """Neither another tunnel's name, nor one without a rule, nor none at all."""
    hub = Hub(world, transport)
    hub.client(world.site("web"))
    hub.client(world.site("other"), hub.other)
    for tunnel, host in ((hub.other, PRIVATE), (hub.tunnel, OTHER), (hub.tunnel, NOWHERE), (hub.tunnel, "")):
        before = hub.server.daemon.log.count("refused: ")
        assert is_refused(hub.door(tunnel, host)), (tunnel, host)
        until(lambda: hub.server.daemon.log.count("refused: ") > before, "the server says so")
    assert visitor.get(hub.door(hub.other, OTHER), "any").text == "other\n"


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_visitors_show_the_password(world: World, transport: str):
    hub = Hub(world, transport, user="web:secret")
    hub.client(world.site("web"))
    assert visitor.get(hub.door(hub.tunnel, PRIVATE), "any").text == "web\n"
    for user in ("", "web:wrong"):
        stranger = door(world, hub.server.clients, hub.tunnel, PRIVATE, transport, user=user)
        assert is_refused(stranger.listening())
        hub.server.daemon.log.wait("refused: .*unauthorized")


@pytest.mark.short
def test_entry_point_is_no_way_past_the_password(world: World):
    """A gost's entry point serves relay streams to any tunnel whose id is known: neither password nor rule."""
    hub = Hub(world, user="web:secret")
    hub.client(world.site("web"))
    for tunnel in (hub.tunnel, hub.public_id):
        for host in (PRIVATE, PUBLIC):
            assert is_refused(door(world, hub.server.entry, tunnel, host, user="web:secret").listening())


# ---- visitors that sniff the name ------------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_visitor_sniffs_the_name(world: World, transport: str):
    """Of each request of a connection: all names of his tunnel, and no other."""
    hub = Hub(world, transport)
    hub.client(world.site("web"))
    hub.client(world.site("other"), hub.other)
    port = hub.door(hub.tunnel, sniffing="true")
    with visitor.Visitor(port) as v:
        assert [v.get(h).status for h in (PRIVATE, OTHER, PUBLIC, NOWHERE, PRIVATE)] == [200, 502, 200, 502, 200]
        assert v.get(PRIVATE).text == "web\n"


def test_visitor_sniffs_the_server_name(world: World):
    hub, certificate = Hub(world), certs.make(world.folder, PRIVATE)
    hub.client(world.site("secure", certificate))
    port = hub.door(hub.tunnel, sniffing="true")
    with visitor.Visitor(port, PRIVATE, certificate.cert) as v:
        assert v.get(PRIVATE).text == "secure\n"
    assert alert_of(port, OTHER) == alert_of(port, NOWHERE)


# ---- an external public entry point ---------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_entry_point_by_its_id(world: World, transport: str):
    """Who has the id reaches every tunnel, and each only as from a public entry point."""
    hub = Hub(world, transport)
    hub.client(world.site("web"))
    hub.client(world.site("other"), hub.other)
    assert visitor.get(hub.door(hub.public_id, PUBLIC), "any").text == "web\n"
    assert visitor.get(hub.door(hub.public_id, OTHER), "any").text == "other\n"
    for host in (PRIVATE, NOWHERE, ""):
        assert is_refused(hub.door(hub.public_id, host)), host
    assert visitor.get(hub.door(hub.tunnel, PRIVATE), "any").text == "web\n"


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_external_entry_point(world: World, transport: str):
    """Each request by its own Host, also behind one that was for a public name of the same tunnel. That a private
    name exists is not told."""
    hub = Hub(world, transport)
    hub.client(world.site("web"))
    hub.client(world.site("other"), hub.other)
    with visitor.Visitor(hub.door(hub.public_id, sniffing="true")) as v:
        assert [v.get(h).text for h in (PUBLIC, OTHER, PUBLIC)] == ["web\n", "other\n", "web\n"]
        private, nowhere = v.get(PRIVATE), v.get(NOWHERE)
        assert (private.status, private.body) == (nowhere.status, nowhere.body) == (502, b"502 Bad Gateway\n")
        assert v.get(PUBLIC).text == "web\n"


def test_external_entry_point_for_tls(world: World):
    hub, certificate = Hub(world), certs.make(world.folder, PUBLIC)
    hub.client(world.site("secure", certificate))
    port = hub.door(hub.public_id, sniffing="true")
    with visitor.Visitor(port, PUBLIC, certificate.cert) as v:
        assert v.get(PUBLIC).text == "secure\n"
    assert alert_of(port, PRIVATE) == alert_of(port, NOWHERE)


def test_external_entry_points_client_is_away(world: World):
    hub = Hub(world)
    port = hub.door(hub.public_id, sniffing="true")
    assert visitor.get(port, PUBLIC).status == 503
    hub.client(world.site("web"))
    assert visitor.get(port, PUBLIC).text == "web\n"


def test_datagrams_by_the_entry_points_id(world: World):
    hub, echo = Hub(world), world.keep(UdpServer())
    world.start("-L", f"rudp://:0/{at(echo.address)}", "-F", far_side("tcp", hub.server.clients, hub.tunnel))
    assert ask(hub.door(hub.public_id, PUBLIC, scheme="udp"), b"hello", b"hello")
    with world.keep(UdpVisitor(hub.door(hub.public_id, PRIVATE, scheme="udp"))) as asking:
        asking.send(b"private")
        hub.server.daemon.log.wait("refused: .*unreachable")
        assert asking.hear(0.1) is None
    assert b"private" not in echo.received


# ---- direct routing ---------------------------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_direct_routing_goes_by_the_id(world: World, transport: str):
    """Whatever the host; the entry point has its rules all the same, and what is private stays so."""
    hub, free = Hub(world, transport, tunnel_direct="true"), tunnel_id()
    hub.client(world.site("web"))
    hub.client(world.site("free"), free)
    for host in ("", NOWHERE, PRIVATE, OTHER):
        assert visitor.get(hub.door(free, host), "any").text == "free\n", host
    assert visitor.get(hub.door(hub.tunnel, OTHER), "any").text == "web\n"
    assert [hub.server.get(h).status for h in (PUBLIC, PRIVATE, NOWHERE)] == [200, 404, 404]
    for host in (PRIVATE, NOWHERE):
        assert is_refused(hub.door(hub.public_id, host)), host


# ---- several entry points -----------------------------------------------------------------------


def ports_of(server: Daemon, n: int) -> list[Address]:
    lines = until(lambda: [e.msg for e in server.log.events if e.msg.startswith("entrypoint: ")][:n]
                  if server.log.count("^entrypoint: ") >= n else None, f"{n} entry points")
    return [(a, int(p)) for a, _, p in (m.removeprefix("entrypoint: ").rpartition(":") for m in lines)]


@pytest.mark.short
def test_each_entry_point_has_its_rules(world: World):
    """One that is for the inside knows a name that is private at the public one; a third one has the handler's."""
    tunnel = tunnel_id()
    server = world.start(config=f"""
services:
- name: clients
  addr: {HERE}
  handler:
    type: tunnel
    metadata:
      entrypoint: {HERE}
      ingress: outside
      entrypoints:
      - {{addr: "{HERE}", ingress: inside}}
      - {{addr: "{HERE}"}}
  listener: {{type: tcp}}
ingresses:
- name: outside
  rules:
  - {{hostname: {PUBLIC}, endpoint: {tunnel}}}
  - {{hostname: {PRIVATE}, endpoint: ${tunnel}}}
- name: inside
  rules:
  - {{hostname: {PRIVATE}, endpoint: {tunnel}}}
""")
    world.client("tcp", server.listening("clients"), tunnel, world.site("web").address)
    found = [[visitor.get(port, h).status for h in (PUBLIC, PRIVATE)] for port in ports_of(server, 3)]
    assert found == [[200, 404], [404, 200], [200, 404]]


# ---- the examples ---------------------------------------------------------------------------------


def placed(name: str, places: Mapping[str, str]) -> str:
    text = (EXAMPLES / name).read_text()
    for shown, real in places.items():
        assert shown in text, f"{name} does not name {shown}"
        text = text.replace(shown, real)
    return text


@pytest.mark.short
def test_private_tunnel_of_the_page(world: World):
    """By file, and its visitor by command line."""
    tunnel = "ac74d9dd-3125-442a-a7c1-f9e49e05faca"
    server = world.start(config=placed("services-server.yaml", {'":8443"': HERE, '":80"': HERE}), name="server")
    clients = server.listening("clients")
    world.start(name="client", config=placed("services-web-client.yaml", {
        "tunnel.example.net:8443": at(clients), "192.168.2.1:80": at(world.site("web").address)})).log.wait(REGISTERED)
    statuses = [visitor.get(server.entrypoint("clients"), f"srv-{n}.local").status for n in range(5)]
    assert statuses == [503, 503, 404, 200, 404]
    for host in ("srv-2.local", "srv-3.local"):
        assert visitor.get(door(world, clients, tunnel, host).listening(), "any").text == "web\n"
    door_of_file = world.start(name="door", config=placed("services-web-visitor.yaml", {
        "tunnel.example.net:8443": at(clients), ":8000": HERE})).listening("web")
    statuses = [visitor.get(door_of_file, f"srv-{n}.local").status for n in range(5)]
    assert statuses == [502, 502, 200, 200, 502]


def test_external_entry_point_of_the_page(world: World):
    server = world.start(config=placed("entrypoint-server.yaml", {'":8443"': HERE}), name="server")
    clients = server.listening("clients")
    for tunnel, name in (("4d21094e-b74c-4916-86c1-d9fa36ea677b", "com"),
                         ("ac74d9dd-3125-442a-a7c1-f9e49e05faca", "org")):
        world.client("tcp", clients, tunnel, world.site(name).address)
    public = "9fd6c586-86f9-49c1-a03a-d4876851695a"
    for host, name in (("example.com", "com"), ("www.example.com", "com"), ("example.org", "org")):
        assert visitor.get(door(world, clients, public, host).listening(), "any").text == f"{name}\n"
    assert is_refused(door(world, clients, public, "admin.example.org").listening())
    entry = world.start(name="entry", config=placed("entrypoint.yaml", {
        "tunnel.example.net:8443": at(clients), ":80": HERE})).listening("entrypoint")
    for host, name in (("example.com", "com"), ("www.example.com", "com"), ("example.org", "org")):
        assert visitor.get(entry, host).text == f"{name}\n"
    assert [visitor.get(entry, h).status for h in ("admin.example.org", "example.net")] == [502, 502]


# ---- with a gost ------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("program", ["adit", "gost"])
def test_visitors_and_servers_of_both_kinds(world: World, pair: Pair, program: str):
    """A private rule, a tunnel that is not the visitor's, the id of the entry point: the same whoever asks whom."""
    if program == "gost" and "gost" not in (pair.server, pair.client):
        pytest.skip("a gost's door is tried with --peers=gost")
    hub = Hub(world)
    hub.client(world.site("web"))
    assert hub.server.get(PUBLIC).status == 200
    assert hub.server.get(PRIVATE).status in (404, 502)
    assert visitor.get(hub.door(hub.tunnel, PRIVATE, program=program), "any").text == "web\n"
    assert visitor.get(hub.door(hub.public_id, PUBLIC, program=program), "any").text == "web\n"
    for tunnel, host in ((hub.tunnel, OTHER), (hub.other, PRIVATE),
                         (hub.public_id, PRIVATE), (hub.public_id, NOWHERE)):
        assert is_refused(hub.door(tunnel, host, program=program)), host


@pytest.mark.peers
@pytest.mark.parametrize("program", ["adit", "gost"])
def test_sniffing_visitors_of_both_kinds(world: World, pair: Pair, program: str):
    """A private entry point and a public one, at servers of both kinds."""
    if program == "gost" and "gost" not in (pair.server, pair.client):
        pytest.skip("a gost's door is tried with --peers=gost")
    hub = Hub(world)
    hub.client(world.site("web"))
    private, public = (hub.door(t, sniffing="true", program=program) for t in (hub.tunnel, hub.public_id))
    assert [visitor.get(private, h).status == 200 for h in (PRIVATE, PUBLIC, OTHER)] == [True, True, False]
    assert [visitor.get(public, h).status == 200 for h in (PRIVATE, PUBLIC, NOWHERE)] == [False, True, False]
    assert visitor.get(private, PRIVATE).text == visitor.get(public, PUBLIC).text == "web\n"


@pytest.mark.peers
@pytest.mark.parametrize("program", ["adit", "gost"])
def test_direct_routing_between_both_kinds(world: World, pair: Pair, program: str):
    if program == "gost" and "gost" not in (pair.server, pair.client):
        pytest.skip("a gost's door is tried with --peers=gost")
    hub, free = Hub(world, tunnel_direct="true"), tunnel_id()
    hub.client(world.site("free"), free)
    for host in ("", NOWHERE):
        assert visitor.get(hub.door(free, host, program=program), "any").text == "free\n", host
