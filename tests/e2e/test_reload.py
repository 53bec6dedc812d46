"""Change while running: SIGHUP takes a new configuration whole or not at all."""

from __future__ import annotations

import re
import signal
import socket
from typing import Mapping

import pytest

from harness import visitor
from harness.daemon import Address, Daemon, address
from harness.load import Load
from harness.site import Site
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, Tunnel, World, at, reachable, tunnel_id

NOWHERE: Address = ("127.0.0.1", 0)


def server_config(transport: str, rules: Mapping[str, str], clients: Address = NOWHERE, entry: Address = NOWHERE,
                  more: str = "") -> str:
    lines = "\n".join(f"  - hostname: {host}\n    endpoint: {tunnel}" for host, tunnel in rules.items())
    return f"""\
services:
- name: main
  addr: {at(clients)}
  handler:
    type: tunnel
    metadata:
      entrypoint: {at(entry)}
      ingress: rules
  listener:
    type: {transport}
{more}
ingresses:
- name: rules
  rules:
{lines}
"""


def forward(name: str, target: Address) -> str:
    return f"""\
- name: {name}
  addr: 127.0.0.1:0
  handler:
    type: tcp
  listener:
    type: tcp
  forwarder:
    nodes:
    - name: target
      addr: {at(target)}
"""


def start(world: World, config: str) -> Tunnel:
    daemon = world.start(config=config, name="server")
    return Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))


def reload(world: World, daemon: Daemon, config: str) -> int:
    """Replaces the file and tells the daemon; returns the log's place from which on it is the new one."""
    mark = daemon.log.mark()
    world.write("server.yaml", config)
    daemon.send(signal.SIGHUP)
    return mark


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_unchanged_service_is_not_touched(world: World, transport):
    """A download goes on, the client stays registered, and the new service is there."""
    rules, site, other = {"app.local": tunnel_id()}, world.site("alpha"), world.site("beta")
    server = start(world, server_config(transport, rules))
    client = world.client(transport, server.clients, rules["app.local"], site.address, connections=1)
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        mark = reload(world, server.daemon, server_config(transport, rules, more=forward("extra", other.address)))
        server.daemon.log.wait("^config reloaded", since=mark)
        assert visitor.get(server.daemon.listening("extra"), "any").text == "beta\n"
        site.gate.set()
        assert response.read() == b"last\n"
    assert server.get("app.local").text == "alpha\n"
    assert client.log.count(REGISTERED) == 1


def test_removed_service_is_gone(world: World):
    rules = {"app.local": tunnel_id()}
    server = start(world, server_config("tcp", rules, more=forward("extra", world.site("beta").address)))
    place = server.daemon.listening("extra")
    assert visitor.get(place, "any").text == "beta\n"
    mark = reload(world, server.daemon, server_config("tcp", rules))
    server.daemon.log.wait("^config reloaded", since=mark)
    with pytest.raises(ConnectionError):
        visitor.get(place, "any")


def test_new_rules_reach_tunnels_that_stand(world: World):
    """Rules change, clients stay: sessions hang on names, not on the configuration they came with."""
    tunnel, other = tunnel_id(), tunnel_id()
    server = start(world, server_config("tcp", {"old.local": tunnel}))
    client = world.client("tcp", server.clients, tunnel, world.site("alpha").address, connections=1)
    spare = world.client("tcp", server.clients, other, world.site("beta").address, connections=1)
    assert server.get("old.local").text == "alpha\n" and server.get("new.local").status == 404
    with visitor.Visitor(server.entry) as v:
        assert v.get("old.local").status == 200
        mark = reload(world, server.daemon, server_config("tcp", {"new.local": other}))
        server.daemon.log.wait("^config reloaded", since=mark)
        assert v.get("old.local").status == 404, "the next request asks the new rules"
        assert v.get("new.local").text == "beta\n"
    assert [c.log.count(REGISTERED) for c in (client, spare)] == [1, 1]


@pytest.mark.short
@pytest.mark.parametrize("bad, said", [
    ("services: [", r"server\.yaml:\d+:\d+"),
    ("services: []\n", r"server\.yaml:1:11: services: there are none"),
    ("services:\n- name: main\n  addr: 127.0.0.1:0\n  handler:\n    type: nonesuch\n", r"server\.yaml:5:11: .*nonesuch"),
    ("services:\n- name: main\n  addr: 127.0.0.1:99999\n  handler:\n    type: tcp\n", r"server\.yaml:3:9"),
])
def test_bad_file_changes_nothing(world: World, bad, said):
    rules = {"app.local": tunnel_id()}
    server = start(world, server_config("tcp", rules))
    client = world.client("tcp", server.clients, rules["app.local"], world.site("alpha").address, connections=1)
    mark = reload(world, server.daemon, bad)
    error = server.daemon.log.wait(lambda e: e.level == "error", since=mark)
    assert re.search(said, error.msg)
    assert server.get("app.local").text == "alpha\n"
    assert client.log.count(REGISTERED) == 1


def test_port_that_is_taken_changes_nothing(world: World):
    """An error after parsing: what the new configuration had opened already is closed again."""
    rules, taken = {"app.local": tunnel_id()}, world.serve(lambda conn: None)
    server = start(world, server_config("tcp", rules))
    world.client("tcp", server.clients, rules["app.local"], world.site("alpha").address)
    extra = forward("fine", world.site("beta").address) + forward("taken", taken.address).replace(
        "addr: 127.0.0.1:0", f"addr: {at(taken.address)}", 1)
    mark = reload(world, server.daemon, server_config("tcp", {"other.local": tunnel_id()}, more=extra))
    error = server.daemon.log.wait(lambda e: e.level == "error", since=mark)
    assert re.search(rf"/server\.yaml:\d+:9: services\[2\]\.addr: .*{at(taken.address)}", error.msg)
    assert error.fields["line"] == f"  addr: {at(taken.address)}"
    assert server.get("app.local").text == "alpha\n"
    assert server.get("other.local").status == 404
    mark = reload(world, server.daemon, server_config("tcp", rules, more=forward("fine", world.site("beta").address)))
    server.daemon.log.wait("^config reloaded", since=mark)
    assert visitor.get(server.daemon.listening("fine"), "any").text == "beta\n"


def test_port_that_was_given_may_be_asked_for(world: World):
    """From port 0 to the number it turned out to be, and back: these are the same sockets."""
    rules = {"app.local": tunnel_id()}
    server = start(world, server_config("quic", rules))
    world.client("quic", server.clients, rules["app.local"], world.site("alpha").address)
    for clients, entry in ((server.clients, server.entry), (NOWHERE, NOWHERE)):
        mark = reload(world, server.daemon, server_config("quic", rules, clients, entry))
        server.daemon.log.wait("^config reloaded", since=mark)
        assert reachable(server, "app.local").text == "alpha\n"


def test_mode_of_a_unix_socket_changes_with_the_whole(world: World):
    """Nothing of a configuration that is refused is taken, the mode of a file that stays neither."""
    def config(mode: str, more: str = "") -> str:
        return f"""\
services:
- name: main
  addr: {path}
  handler: {{type: tunnel}}
  listener: {{type: unix, metadata: {{mode: "{mode}"}}}}
{more}"""

    def mode() -> int:
        return path.stat().st_mode & 0o777

    path, taken = world.folder / "s", world.site("alpha").address
    daemon = world.start(config=config("0600"), name="server")
    daemon.log.wait("^listening on")
    mark = reload(world, daemon, config("0666", f"- {{name: other, addr: \"{at(taken)}\", handler: {{type: tunnel}}}}"))
    daemon.log.wait("^config not reloaded", since=mark)
    assert mode() == 0o600
    mark = reload(world, daemon, config("0666"))
    daemon.log.wait("^config reloaded", since=mark)
    assert mode() == 0o666


def test_addresses_change_hands(world: World):
    """Two services that swap their ports in one reload: no clash, and each has the other's socket."""
    def config(a: Address, b: Address) -> str:
        return f"""\
services:
{forward("a", alpha).replace("127.0.0.1:0", at(a))}
{forward("b", beta).replace("127.0.0.1:0", at(b))}"""

    def unused(host: str) -> Address:
        """Nobody else binds to these hosts: what the kernel gave stays unused."""
        with socket.create_server((host, 0)) as s:
            return s.getsockname()

    alpha, beta = world.site("alpha").address, world.site("beta").address
    one, two = unused("127.81.0.1"), unused("127.81.0.2")
    daemon = world.start(config=config(one, two), name="server")
    daemon.listening("b")
    assert (visitor.get(one, "any").text, visitor.get(two, "any").text) == ("alpha\n", "beta\n")
    mark = reload(world, daemon, config(two, one))
    daemon.log.wait("^config reloaded", since=mark)
    assert (visitor.get(one, "any").text, visitor.get(two, "any").text) == ("beta\n", "alpha\n")


def test_log_that_cannot_be_opened_changes_nothing(world: World):
    rules = {"app.local": tunnel_id()}
    server = start(world, server_config("tcp", rules))
    world.client("tcp", server.clients, rules["app.local"], world.site("alpha").address)
    config = server_config("tcp", {"other.local": tunnel_id()})
    mark = reload(world, server.daemon, config + "log:\n  output: server.yaml/log\n")
    error = server.daemon.log.wait(lambda e: e.level == "error", since=mark)
    assert re.search(r"/server\.yaml:\d+:11: log\.output: .*server\.yaml/log: Not a directory$", error.msg)
    assert error.fields["line"] == "  output: server.yaml/log"
    server.daemon.log.wait("^config not reloaded, nothing has changed$", since=mark)
    assert server.get("app.local").text == "alpha\n"
    assert server.get("other.local").status == 404


def test_changed_password_applies_to_the_next_client(world: World):
    def config(password: str) -> str:
        return server_config("tcp", rules).replace(
            "    type: tunnel\n", f"    type: tunnel\n    auth:\n      username: u\n      password: {password}\n")
    rules = {"app.local": tunnel_id()}
    server = start(world, config("old-word"))
    site = world.site("alpha")
    world.client("tcp", server.clients, rules["app.local"], site.address, user="u:old-word").stop()
    mark = reload(world, server.daemon, config("new-word"))
    server.daemon.log.wait("^config reloaded", since=mark)
    refused = world.client("tcp", server.daemon.listening("main"), rules["app.local"], site.address,
                           user="u:old-word", registered=False)
    refused.log.wait(lambda e: e.level in ("warn", "error"))
    assert refused.log.count(REGISTERED) == 0
    world.client("tcp", server.daemon.listening("main"), rules["app.local"], site.address, user="u:new-word")


def test_many_reloads_under_load(world: World):
    """Thirty reloads that alternate between two configurations: no visitor notices, nothing leaks."""
    rules, beta = {"app.local": tunnel_id()}, world.site("beta")
    server = start(world, server_config("quic", rules))
    client = world.client("quic", server.clients, rules["app.local"], world.site("alpha").address, connections=1)
    load = Load(server.entry, "app.local")
    for number in range(30):
        more = forward("extra", beta.address) if number % 2 else ""
        mark = reload(world, server.daemon, server_config("quic", rules, more=more))
        server.daemon.log.wait("^config reloaded", since=mark)
    until(lambda: load.count("alpha\n") > 0, "visitors are served")
    assert set(load.stop()) == {"alpha\n"}
    assert client.log.count(REGISTERED) == 1


class Crowd:
    """Visitors of all kinds, from now on; what they got is alpha's page, each time, and a download goes on."""

    def __init__(self, world: World, entry: Address, site: Site) -> None:
        self.loads = [Load(entry, "app.local", 2, keep=keep) for keep in (False, True)]
        self.site = site
        self.visitor = world.keep(visitor.Visitor(entry))
        self.download = self.visitor.start("app.local", "/gate")
        assert self.download.read(6) == b"first\n"

    def goes_on(self, requests: int = 30) -> None:
        """Waits until each kind of visitor has asked so many times more."""
        for load in self.loads:
            wanted = load.count("alpha\n") + requests
            until(lambda: load.count("alpha\n") >= wanted or len(load.outcomes) > 1, "visitors are served")

    def end(self) -> None:
        self.site.gate.set()
        assert self.download.read() == b"last\n"
        for load in self.loads:
            assert set(load.stop()) == {"alpha\n"}, load.outcomes


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_changed_service_costs_no_request(world: World, transport):
    """Three in a row: each time another service takes over the ports, and the client moves there."""
    def config(seconds: int) -> str:
        return server_config(transport, rules).replace(
            "ingress: rules\n", f"ingress: rules\n      readTimeout: {seconds}s\n")
    rules, site = {"app.local": tunnel_id()}, world.site("alpha")
    daemon = world.start("-drain", "60s", config=config(10), name="server")
    server = Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))
    client = world.client(transport, server.clients, rules["app.local"], site.address)
    crowd = Crowd(world, server.entry, site)
    for number in range(3):
        crowd.goes_on()
        mark = reload(world, daemon, config(11 + number))
        daemon.log.wait("^config reloaded", since=mark)
    before = client.log.count(REGISTERED)
    until(lambda: client.log.count(REGISTERED) > before or before > 2, "the client has moved")
    crowd.goes_on()
    crowd.end()


def test_removed_service_may_come_back_while_it_drains(world: World):
    """Over QUIC the sessions of one that is gone have its port still: who comes back has both."""
    rules, site = {"app.local": tunnel_id()}, world.site("alpha")
    whole = server_config("quic", rules, more=forward("extra", world.site("beta").address))
    daemon = world.start("-drain", "60s", config=whole, name="server")
    server = Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))
    client = world.client("quic", server.clients, rules["app.local"], site.address, connections=1)
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        for config in ("services:\n" + whole[whole.index("- name: extra"):], whole):
            mark, registered = reload(world, daemon, config), client.log.mark()
            daemon.log.wait("^config reloaded", since=mark)
        assert daemon.log.wait("^listening on .*/udp", since=mark).msg.endswith(f"{at(server.clients)}/udp")
        client.log.wait(REGISTERED, since=registered)
        entry = address(daemon.log.wait("^entrypoint: ", since=mark).msg)
        assert visitor.get(entry, "app.local").text == "alpha\n"
        site.gate.set()
        assert response.read() == b"last\n"


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", ("quic", "mtls"))
def test_changed_chain_costs_no_request(world: World, transport):
    """A client whose way to its server changes, three times in a row: what came by the old one goes on."""
    def config(seconds: int) -> str:
        return f"""\
services:
- name: web
  addr: :0
  handler: {{type: rtcp}}
  listener: {{type: rtcp, chain: out}}
  forwarder:
    nodes:
    - {{name: target, addr: "{at(site.address)}"}}
chains:
- name: out
  hops:
  - name: hop
    nodes:
    - name: server
      addr: {at(server.clients)}
      connector: {{type: tunnel, metadata: {{tunnel.id: {rules["app.local"]}}}}}
      dialer: {{type: {transport}, metadata: {{handshakeTimeout: {seconds}s}}}}
"""
    rules, site = {"app.local": tunnel_id()}, world.site("alpha")
    server = world.server(transport, rules)
    client = world.start("-drain", "60s", config=config(10), name="client")
    client.log.wait(REGISTERED)
    crowd = Crowd(world, server.entry, site)
    for number in range(3):
        crowd.goes_on()
        mark = client.log.mark()
        world.write("client.yaml", config(11 + number))
        client.send(signal.SIGHUP)
        client.log.wait("^config reloaded", since=mark)
        client.log.wait(REGISTERED, since=mark)
    crowd.goes_on()
    crowd.end()


@pytest.mark.parametrize("transport", ("quic", "mtls"))
def test_visitors_of_a_changed_chain_are_through(world: World, transport):
    """Conns that a service has opened through a chain are no concern of the next chain."""
    def config(seconds: int) -> str:
        return f"""\
services:
- name: ssh
  addr: 127.0.0.1:0
  handler: {{type: tcp, chain: out}}
  listener: {{type: tcp}}
chains:
- name: out
  hops:
  - name: hop
    nodes:
    - name: server
      addr: {at(server.clients)}
      connector: {{type: tunnel, metadata: {{tunnel.id: {tunnel}}}}}
      dialer: {{type: {transport}, metadata: {{handshakeTimeout: {seconds}s}}}}
"""
    tunnel, site = tunnel_id(), world.site("alpha")
    server = world.server(transport, {"app.local": tunnel}, tunnel_direct="true")
    world.client(transport, server.clients, tunnel, site.address)
    daemon = world.start("-drain", "60s", config=config(10), name="client")
    entry = daemon.listening("ssh")
    with visitor.Visitor(entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        for number in range(3):
            mark = daemon.log.mark()
            world.write("client.yaml", config(11 + number))
            daemon.send(signal.SIGHUP)
            daemon.log.wait("^config reloaded", since=mark)
            assert visitor.get(entry, "app.local").text == "alpha\n"
        site.gate.set()
        assert response.read() == b"last\n"


def test_client_reloads_too(world: World):
    """A client whose target changes serves the new one; a client with a bad file stays as it was."""
    def config(target: Address) -> str:
        return f"""\
services:
- name: web
  addr: :0
  handler: {{type: rtcp}}
  listener: {{type: rtcp, chain: out}}
  forwarder:
    nodes:
    - {{name: target, addr: "{at(target)}"}}
chains:
- name: out
  hops:
  - name: hop
    nodes:
    - name: server
      addr: {at(server.clients)}
      connector: {{type: tunnel, metadata: {{tunnel.id: {rules["app.local"]}}}}}
      dialer: {{type: tcp}}
"""
    rules = {"app.local": tunnel_id()}
    server = world.server("tcp", rules)
    alpha, beta = world.site("alpha"), world.site("beta")
    client = world.start(config=config(alpha.address), name="client")
    client.log.wait(REGISTERED)
    assert server.get("app.local").text == "alpha\n"
    for text, expected in ((config(beta.address), "beta\n"), ("services: 3\n", "beta\n")):
        mark = client.log.mark()
        world.write("client.yaml", text)
        client.send(signal.SIGHUP)
        client.log.wait(lambda e: e.level == "error" or e.msg.startswith("config reloaded"), since=mark)
        until(lambda: reachable(server, "app.local").text == expected, "the target is the new one")


def test_a_password_file_is_read_again(world: World):
    """Only the file changes: who is still in it stays, and an old password opens nothing any more, nor does it
    keep in who came by it."""
    secret = world.folder / "users.txt"
    secret.write_text("u old-word\nv same-word\n")
    rules = {"app.local": tunnel_id(), "same.local": tunnel_id()}
    config = server_config("tcp", rules).replace(
        "    type: tunnel\n", f"    type: tunnel\n    auth:\n      file: {secret}\n")
    server = start(world, config)
    site = world.site("alpha")
    world.client("tcp", server.clients, rules["app.local"], site.address, user="u:old-word")
    stays = world.client("tcp", server.clients, rules["same.local"], site.address, user="v:same-word", connections=1)
    secret.write_text("u new-word\nv same-word\n")
    mark = reload(world, server.daemon, config)
    server.daemon.log.wait("^config reloaded", since=mark)
    gone = server.daemon.log.wait("^connector .*permission withdrawn: user u is not known any more", since=mark)
    assert (gone.fields["user"], gone.fields["how"]) == ("u", "refused")
    assert server.get("same.local").text == "alpha\n" and stays.log.count(REGISTERED) == 1, "who is in stays in"
    assert server.get("app.local").status == 503
    refused = world.client("tcp", server.clients, rules["app.local"], site.address,
                           user="u:old-word", registered=False)
    refused.log.wait(lambda e: e.level in ("warn", "error"))
    assert refused.log.count(REGISTERED) == 0
    world.client("tcp", server.clients, rules["app.local"], site.address, user="u:new-word")


def test_configuration_is_read_again_by_itself(world: World):
    rules = {"old.local": tunnel_id()}
    daemon = world.start("-R", "1s", config=server_config("tcp", rules), name="server")
    server = Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))
    world.client("tcp", server.clients, rules["old.local"], world.site("alpha").address)
    assert server.get("old.local").text == "alpha\n"
    world.write("server.yaml", server_config("tcp", {"new.local": rules["old.local"]}))
    assert reachable(server, "new.local").text == "alpha\n"
    assert server.get("old.local").status == 404
