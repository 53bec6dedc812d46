"""Who is let in and which targets are left out: admissions and bypasses, at each place that takes them."""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest

from harness import datagrams, visitor
from harness.daemon import Address, Daemon
from harness.waiting import until
from harness.world import World, at, tunnel_id
from test_proxies import connected

HERE = "127.0.0.1:0"


def refused(address: Address) -> bool:
    """Whether what connects there is closed at once, before it has said anything."""
    try:
        with contextlib.closing(visitor.connect(address)) as sock:
            return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def proxied(proxy: Address, site: Address, host: str = "") -> int:
    """The status of a request for site, by that name of it."""
    return visitor.get(proxy, "x", f"http://{host or site[0]}:{site[1]}/").status


# ---- admissions ------------------------------------------------------------------------


@pytest.mark.short
def test_admission_refuses_at_once(world: World):
    """By the peer's address; ~ is a whitelist; the log says so once, however many they are."""
    site = world.site("inside")
    closed = world.start("-L", f"tcp://{HERE}/{at(site.address)}?admission=127.0.0.0/8", "-D")
    chosen = world.start("-L", f"tcp://{HERE}/{at(site.address)}?admission=~127.0.0.1,192.0.2.0/24", "-D")
    others = world.start("-L", f"tcp://{HERE}/{at(site.address)}?admission=~192.0.2.0/24", "-D")
    address = closed.listening()
    for _ in range(5):
        assert refused(address)
    assert visitor.get(chosen.listening(), "x").text == "inside\n"
    assert refused(others.listening())
    said = closed.log.wait("^not admitted$")
    assert said.level == "debug" and said.fields["remote"].startswith("127.0.0.1:")
    until(lambda: said_of(closed) >= 6, "all of them are counted")


def said_of(daemon: Daemon) -> int:
    """How many were refused, as the log says so far; one more is refused to make it say so."""
    refused(daemon.listening())
    return sum(int(e.fields["refused"]) for e in daemon.log.events if e.msg == "not admitted")


def test_admission_goes_by_the_address_that_a_proxy_tells(world: World):
    """Of one that is trusted: what anybody else says of himself does not count."""
    site = world.site("inside")
    config = f"""
services:
- name: service-0
  addr: {HERE}
  admission: friends
  handler: {{type: tcp}}
  listener: {{type: tcp}}
  forwarder: {{nodes: [{{name: n, addr: "{at(site.address)}"}}]}}
  metadata: {{proxyProtocol: 1, trustedProxies: [TRUSTED]}}
admissions: [{{name: friends, whitelist: true, matchers: [192.0.2.0/24]}}]
"""
    trusting = world.start(config=config.replace("TRUSTED", "127.0.0.1")).listening()
    strict = world.start(config=config.replace("TRUSTED", "192.0.2.1")).listening()

    def ask(proxy: Address, source: str) -> bytes:
        with contextlib.closing(visitor.connect(proxy)) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(f"PROXY TCP4 {source} 127.0.0.1 1000 80\r\nGET / HTTP/1.0\r\nHost: x\r\n\r\n".encode())
                return visitor.read_to_end(sock)
            return b""

    assert b"inside" in ask(trusting, "192.0.2.9")
    assert ask(trusting, "198.51.100.9") == b""
    assert ask(strict, "192.0.2.9") == b""


@pytest.mark.parametrize("transport", ["quic", "wss", "mtls"])
def test_admission_holds_for_every_transport(world: World, transport: str):
    """A client from elsewhere is turned away before any handshake, and told so in its log."""
    site, tunnel = world.site("inside"), tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, admission="127.0.0.0/8", flags=["-D"])
    client = world.client(transport, server.clients, tunnel, site.address, registered=False)
    server.daemon.log.wait("^not admitted$")
    until(lambda: "refused" in client.log.text().lower() or "reset" in client.log.text().lower(),
          "the client knows that it was refused")
    assert not client.log.count("^create tunnel on .* OK")
    assert server.get("app.local").status == 503, "the entry point is for visitors, whom it lets in"


def test_admission_drops_datagrams(world: World):
    echo = world.keep(datagrams.named("echo"))
    daemon = world.start("-L", f"udp://{HERE}/{at(echo.address)}?admission=127.0.0.0/8", "-D")
    with datagrams.UdpVisitor(daemon.listening()) as peer:
        for _ in range(3):
            peer.send(b"hello")
        daemon.log.wait("^not admitted$")
        assert peer.hear() is None


def test_admission_is_read_again(world: World):
    """From its file, by itself; a wrong line leaves it as it was, and is said; by a reload too."""
    site = world.site("inside")
    allowed = world.write("allowed.txt", "# friends\n127.0.0.0/8  # all of us\n\n")
    config = f"""
services:
- name: service-0
  addr: {HERE}
  admission: friends
  handler: {{type: tcp}}
  listener: {{type: tcp}}
  forwarder: {{nodes: [{{name: n, addr: "{at(site.address)}"}}]}}
admissions: [{{name: friends, whitelist: true, matchers: MATCHERS, reload: 1s, file: {{path: "{allowed}"}}}}]
"""
    daemon = world.start(config=config.replace("MATCHERS", "[]"), name="door")
    address = daemon.listening()
    assert visitor.get(address, "x").text == "inside\n"
    allowed.write_text("10.0.0.0/8\nwhat is this\n")
    wrong = daemon.log.wait(lambda e: e.level == "warn" and "line 2" in e.msg)
    assert "the list stays as it was" in wrong.msg and "allowed.txt" in wrong.msg
    assert visitor.get(address, "x").text == "inside\n"
    allowed.write_text("10.0.0.0/8\n")
    daemon.log.wait("^1 entries, with those of .*allowed.txt$")
    until(lambda: refused(address), "the new list is in force")
    world.write("door.yaml", config.replace("MATCHERS", "[127.0.0.1]"))
    daemon.send(signal.SIGHUP)
    daemon.log.wait("^config reloaded")
    until(lambda: not refused_quickly(address), "the reloaded list is in force")
    assert visitor.get(address, "x").text == "inside\n"


def refused_quickly(address: Address) -> bool:
    """As refused, where one that is let in says nothing by itself."""
    try:
        with contextlib.closing(visitor.connect(address)) as sock:
            sock.settimeout(0.3)
            return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


# ---- bypasses --------------------------------------------------------------------------


@pytest.mark.short
def test_bypass_of_a_service_refuses_the_target(world: World):
    """403 to a request and to CONNECT, whatever the spelling of the target; whitelists; ports."""
    site = world.site("inside")
    port = site.address[1]
    black = world.start("-L", f"http://{HERE}?bypass=127.0.0.0/8,*.ads.example,.evil.example:443").listening()
    white = world.start("-L", f"http://{HERE}?bypass=~localhost,.fine.example").listening()
    ports = world.start("-L", f"http://{HERE}?bypass=127.0.0.1:1-{port - 1}").listening()
    assert proxied(black, site.address) == 403
    assert proxied(black, site.address, "127.1") == 403
    assert proxied(black, site.address, "[::ffff:127.0.0.1]") == 403
    assert visitor.get(black, "x", "http://x.ads.example/").status == 403
    for target, wanted in (("a.evil.example:443", b" 403 "), (at(site.address), b" 403 "), ("evil.example:8", b" 502 ")):
        sock, answer = connected(black, target)
        sock.close()
        assert wanted in answer.partition(b"\r\n")[0], target
    assert proxied(black, site.address, "localhost") == 200, "a name is not looked up for it"
    assert proxied(white, site.address, "localhost") == 200
    assert proxied(white, site.address) == 403
    assert proxied(ports, site.address) == 200


def test_bypass_speaks_each_proxy_protocol(world: World):
    """SOCKS 5 says "not allowed", relay "forbidden"."""
    site = world.site("inside")
    socks = world.start("-L", f"socks5://{HERE}?bypass=127.0.0.1").listening()
    with contextlib.closing(visitor.connect(socks)) as sock:
        sock.sendall(b"\x05\x01\x00")
        assert sock.recv(2) == b"\x05\x00"
        sock.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + site.address[1].to_bytes(2, "big"))
        assert sock.recv(2) == b"\x05\x02"
    relay = world.start("-L", f"relay://{HERE}?bypass=127.0.0.1").listening()
    with contextlib.closing(visitor.connect(relay)) as sock:
        sock.sendall(b"\x01\x01\x00\x0a\x02\x00\x07\x01\x7f\x00\x00\x01" + site.address[1].to_bytes(2, "big"))
        assert sock.recv(2) == b"\x01\x03"


def test_bypass_of_hops_and_nodes_leaves_them_out(world: World):
    """A node that is not for a target is not asked; where none is left the way ends before the hop."""
    site = world.site("inside")
    near = world.start("-L", f"http://{HERE}")
    dead = world.dead_port()
    config = f"""
services:
- name: service-0
  addr: {HERE}
  handler: {{type: http, chain: c}}
  listener: {{type: tcp}}
chains:
- name: c
  hops:
  - name: h
    bypass: HOP
    nodes:
    - {{name: a, addr: "{at(dead.address)}", bypasses: [local], connector: {{type: http}}, dialer: {{type: tcp}}}}
    - {{name: b, addr: "{at(near.listening())}", connector: {{type: http}}, dialer: {{type: tcp}}}}
bypasses:
- {{name: local, matchers: [127.0.0.0/8]}}
- {{name: tcp-only, matchers: [127.0.0.1], network: tcp}}
- {{name: none, matchers: []}}
- {{name: udp-only, matchers: [127.0.0.1], network: udp}}
"""
    around = world.start(config=config.replace("HOP", "none")).listening()
    direct = world.start(config=config.replace("HOP", "tcp-only")).listening()
    other = world.start(config=config.replace("HOP", "udp-only")).listening()

    def passed() -> int:
        return near.log.count("^127.0.0.1:.* >")

    for _ in range(3):
        assert proxied(around, site.address) == 200
    until(lambda: passed() == 3, "the node that is left had them all")
    assert proxied(other, site.address) == 200
    until(lambda: passed() == 4, "a bypass for UDP is none for TCP")
    assert proxied(direct, site.address) == 200
    assert passed() == 4, "it went past the hop"


def test_bypass_of_targets_goes_by_what_is_asked_for(world: World):
    """A node of a forwarder is left out for a host, the service's refuses one: 403, and a closed door."""
    one, two = world.site("one"), world.site("two")
    config = f"""
services:
- name: service-0
  addr: {HERE}
  bypass: never
  handler: {{type: tcp, metadata: {{sniffing: true}}}}
  listener: {{type: tcp}}
  forwarder:
    selector: {{strategy: fifo}}
    nodes:
    - {{name: one, addr: "{at(one.address)}", bypass: second}}
    - {{name: two, addr: "{at(two.address)}"}}
bypasses:
- {{name: never, matchers: [never.local]}}
- {{name: second, matchers: [.two.local]}}
"""
    door = world.start(config=config).listening()
    assert visitor.get(door, "www.one.local").text == "one\n"
    assert visitor.get(door, "www.two.local").text == "two\n"
    assert visitor.get(door, "never.local").status == 403
    shut = world.start("-L", f"tcp://{HERE}/{at(one.address)}?bypass=127.0.0.1")
    assert refused(shut.listening())


def test_what_is_wrong_in_a_list_is_said_in_its_place(world: World):
    path = world.write("wrong.yaml", """\
services:
- {name: s, addr: "127.0.0.1:0", admission: a, bypass: b, handler: {type: http}, listener: {type: tcp}}
admissions:
- {name: a, matchers: [10.0.0.0/8, 10.0.0.0/99]}
bypasses:
- {name: b, matchers: [fine.example, "a b"]}
""")
    daemon = world.run("check", str(path))
    assert daemon.status == 2
    assert 'not an address, a range, a host or a pattern: "10.0.0.0/99"' in daemon.log.text()
    assert 'not an address, a range, a host or a pattern: "a b"' in daemon.log.text()
    assert f"{path}:4:" in daemon.log.text() and f"{path}:6:" in daemon.log.text()
