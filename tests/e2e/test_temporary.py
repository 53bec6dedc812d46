"""A public service of one's own: with a domain at the server every bound tunnel has a temporary name."""

from __future__ import annotations

import hashlib
import signal
from typing import Any

import pytest

from harness import certs, visitor
from harness.daemon import Daemon, Event
from harness.datagrams import UdpServer, ask
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, Pair, Tunnel, World, at, query_of, tunnel_id

HERE = "127.0.0.1:0"
DOMAIN = "t.example.com"


def far_side(transport: str, server: Tunnel, tunnel: str) -> str:
    return f"tunnel+{transport}://{at(server.clients)}?{query_of({'tunnel.id': tunnel}, {})}"


def name_of(tunnel: str) -> str:
    """gost's rule for the endpoint, below the domain."""
    return f"{hashlib.md5(tunnel.encode()).hexdigest()[:16]}.{DOMAIN}"


def public_server(world: World, transport: str = "tcp", **options: Any) -> Tunnel:
    return world.server(transport, options.pop("rules", {}), tunnel_domain=f".{DOMAIN}", **options)


def refused(place: Any) -> bool:
    try:
        visitor.get(place, "any")
    except (ConnectionError, visitor.http.client.BadStatusLine):
        return True
    return False


def created(client: Daemon) -> Event:
    return client.log.wait(REGISTERED)


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", [*TRANSPORTS, "wss"])
def test_site_is_reached_by_the_name_its_client_is_told(world: World, transport: str):
    """As long as it is bound. The client's line is the page's."""
    server, site, tunnel = public_server(world, transport), world.site("mine"), tunnel_id()
    client = world.client(transport, server.clients, tunnel, site.address)
    line = created(client).fields
    assert (line["kind"], line["connector"], line["dialer"], line["hop"], line["node"], line["tunnel"]) == \
           ("connector", "tunnel", transport, "hop-0", "node-0", tunnel)
    assert f"{line['endpoint']}.{DOMAIN}" == name_of(tunnel)
    assert line["msg"].startswith(f"create tunnel on {line['endpoint']}:0/tcp OK, tunnel={tunnel}, connector=")
    client.log.wait(rf"^to be visited at http://{name_of(tunnel)}:{server.entry[1]}$")
    assert server.get(name_of(tunnel)).text == "mine\n"
    assert server.get(name_of(tunnel).upper()).text == "mine\n"
    assert server.get(name_of(tunnel_id())).status == 404
    client.stop()
    until(lambda: server.get(name_of(tunnel)).status == 404, "the name is gone")


def test_tunnel_without_an_id_has_a_name_too(world: World):
    server, site = public_server(world), world.site("mine")
    client = world.start("-L", f"rtcp://:0/{at(site.address)}", "-F", f"tunnel+tcp://{at(server.clients)}")
    assert server.get(f"{created(client).fields['endpoint']}.{DOMAIN}").text == "mine\n"


def test_tls_by_the_name(world: World):
    server, tunnel = public_server(world), tunnel_id()
    certificate = certs.make(world.folder, name_of(tunnel))
    world.client("tcp", server.clients, tunnel, world.site("secure", certificate).address)
    with visitor.Visitor(server.entry, name_of(tunnel), certificate.cert) as v:
        assert v.get(name_of(tunnel)).text == "secure\n"


@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_visitors_of_tcp_and_udp(world: World, transport: str):
    """The tunnel's id is the key; the name alone, and another id, are none."""
    server, tunnel, echo = public_server(world, transport), tunnel_id(), world.keep(UdpServer())
    world.client(transport, server.clients, tunnel, world.site("mine").address)
    udp = world.start("-L", f"rudp://:0/{at(echo.address)}", "-F", far_side(transport, server, tunnel))
    udp.log.wait(rf"^for visitors of UDP at {name_of(tunnel)}$")
    doors = world.start("-L", f"tcp://{HERE}/{name_of(tunnel)}", "-L", f"udp://{HERE}/{name_of(tunnel)}",
                        "-F", far_side(transport, server, tunnel))
    assert visitor.get(doors.listening("service-0"), "any").text == "mine\n"
    assert ask(doors.listening("service-1"), b"hello", b"hello")
    stranger = world.start("-L", f"tcp://{HERE}/{name_of(tunnel)}", "-F", far_side(transport, server, tunnel_id()))
    assert refused(stranger.listening())


def test_name_is_over_when_time_is_up(world: World):
    """The tunnel itself is not: a rule leads there as before. Who binds anew has a name anew."""
    tunnel = tunnel_id()
    server = public_server(world, rules={"app.local": tunnel}, tunnel_ttl="3s")
    client = world.client("tcp", server.clients, tunnel, world.site("mine").address)
    until(lambda: server.get(name_of(tunnel)).status == 404, "the name is over")
    assert server.get("app.local").text == "mine\n"
    refuses = world.start("-L", f"tcp://{HERE}/{name_of(tunnel)}", "-F", far_side("tcp", server, tunnel))
    assert refused(refuses.listening())
    client.stop()
    site = world.site("again")

    def named_again() -> bool:
        other = world.client("tcp", server.clients, tunnel, site.address)
        answer = server.get(name_of(tunnel))
        other.stop()
        return answer.status == 200
    until(named_again, "a name for who binds anew")


def test_strangers_are_counted_by_their_address(world: World):
    """Sessions beyond the limit are refused; one that ends makes room."""
    server, site = public_server(world, tunnel_perAddress="2"), world.site("mine")
    first, second = ({"tunnel": tunnel_id()} for _ in range(2))
    for client in (first, second):
        client["daemon"] = world.client("tcp", server.clients, client["tunnel"], site.address, connections="1")
    tunnel = tunnel_id()
    third = world.client("tcp", server.clients, tunnel, site.address, connections="1", registered=False)
    third.log.wait(lambda e: e.level == "warn" and "retrying" in e.msg)
    assert third.log.count(REGISTERED) == 0
    assert [server.get(name_of(t)).status for t in (first["tunnel"], second["tunnel"], tunnel)] == [200, 200, 404]
    first["daemon"].stop()
    third.log.wait(REGISTERED, limit=60)
    assert [server.get(name_of(t)).status for t in (first["tunnel"], second["tunnel"], tunnel)] == [404, 200, 200]


def test_names_outlive_a_reload(world: World):
    """Of sessions that were there before; the domain is asked for anew."""
    tunnel, before = tunnel_id(), DOMAIN

    def config(domain: str) -> str:
        return f"""
services:
- name: clients
  addr: {HERE}
  handler: {{type: tunnel, metadata: {{entrypoint: "{HERE}", tunnel.domain: .{domain}}}}}
  listener: {{type: tcp}}
"""
    server = world.start(config=config(before), name="server")
    world.client("tcp", server.listening("clients"), tunnel, world.site("mine").address)
    assert visitor.get(server.entrypoint("clients"), name_of(tunnel)).text == "mine\n"
    world.write("server.yaml", config("u.example.com"))
    server.send(signal.SIGHUP)
    server.log.wait("^config reloaded")
    entry = server.entrypoint("clients")
    label = name_of(tunnel).partition(".")[0]
    until(lambda: visitor.get(entry, f"{label}.u.example.com").status == 200, "the new domain")
    assert visitor.get(entry, name_of(tunnel)).status == 404


@pytest.mark.peers
def test_gosts_client_has_a_name(world: World, pair: Pair):
    if pair.server == "gost":
        pytest.skip("a gost's names are for plugins")
    server, tunnel = public_server(world), tunnel_id()
    client = world.client("tcp", server.clients, tunnel, world.site("mine").address)
    assert f"{created(client).fields['endpoint']}.{DOMAIN}" == name_of(tunnel)
    assert server.get(name_of(tunnel)).text == "mine\n"
