"""Who is let in and which targets are left out: admissions and bypasses, at each place that takes them."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import ssl
from typing import Callable

import pytest

from harness import certs, datagrams, pages, servers, visitor
from harness.daemon import Address, Daemon
from harness.dns import CutDnsServer, DnsServer
from harness.waiting import until
from harness.world import World, at, tunnel_id
from test_proxies import Association, connected, wire

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


def said_by(text: list[str]) -> Callable[[socket.socket], None]:
    """A web server of one text, which may be changed meanwhile; "": it is broken."""
    def run(conn: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            block = conn.recv(4096)
            if not block:
                return
            head += block
        status, body = ("200 OK", text[0].encode()) if text[0] else ("500 Broken", b"")
        conn.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    return run


def test_lists_behind_a_url(world: World):
    """Until it has answered nobody is let in and every target is left out; what breaks later changes nothing."""
    site = world.site("inside")
    people, targets = [""], [""]
    config = f"""
services:
- {{name: service-0, addr: "{HERE}", admission: people, handler: {{type: tcp}}, listener: {{type: tcp}},
   forwarder: {{nodes: [{{name: n, addr: "{at(site.address)}"}}]}}}}
- {{name: service-1, addr: "{HERE}", bypass: targets, handler: {{type: http}}, listener: {{type: tcp}}}}
admissions: [{{name: people, reload: 1s, http: {{url: "http://{at(world.serve(said_by(people)).address)}/people"}}}}]
bypasses: [{{name: targets, reload: 1s, http: {{url: "http://{at(world.serve(said_by(targets)).address)}/targets"}}}}]
"""
    daemon = world.start(config=config)
    door, proxy = daemon.listening(), daemon.listening("service-1")
    assert refused(door) and proxied(proxy, site.address) == 403
    people[0], targets[0] = "192.0.2.1\n", "blocked.example\n"
    until(lambda: not refused_quickly(door), "who is not named is let in")
    until(lambda: proxied(proxy, site.address) == 200, "what is not named is not left out")
    targets[0] = "127.0.0.1  # ourselves\n"
    until(lambda: proxied(proxy, site.address) == 403, "it is read again")
    targets[0] = ""
    daemon.log.wait(lambda e: e.level == "warn" and "the list stays as it was" in e.msg and "500" in e.msg)
    assert proxied(proxy, site.address) == 403


def test_list_that_is_inherited_is_read_all_the_same(world: World):
    """Without `reload` too: once, however often that takes; what was read before counts until then."""
    site = world.site("inside")
    targets = ["blocked.example\n"]
    config = f"""
services:
- {{name: service-0, addr: "{HERE}", bypass: targets, handler: {{type: http}}, listener: {{type: tcp}}}}
bypasses: [{{name: targets, matchers: MATCHERS, http: {{url: "http://{at(world.serve(said_by(targets)).address)}/"}}}}]
"""
    daemon = world.start(config=config.replace("MATCHERS", "[]"), name="door")
    proxy = daemon.listening()
    until(lambda: proxied(proxy, site.address) == 200, "it was read")
    targets[0] = ""
    world.write("door.yaml", config.replace("MATCHERS", "[other.example]"))
    daemon.send(signal.SIGHUP)
    daemon.log.wait(lambda e: e.level == "warn" and "the list stays as it was" in e.msg and "500" in e.msg)
    assert proxied(proxy, site.address) == 200
    targets[0] = "127.0.0.1\n"
    until(lambda: proxied(proxy, site.address) == 403, "it is read again")


def test_example_of_policies(world: World):
    """examples/policies.yaml does what its head says."""
    site = world.site("inside")
    text = (pages.EXAMPLES / "policies.yaml").read_text().replace("127.0.0.1:8080", HERE)
    proxy = world.start(config=text).listening("proxy")
    assert proxied(proxy, site.address, "app.internal") == 200
    assert proxied(proxy, site.address, "www.internal") == 200
    assert visitor.get(proxy, "x", "http://blocked.example/").status == 403
    outside = world.start(config=text.replace("127.0.0.0/8", "192.0.2.0/24")).listening("proxy")
    assert refused(outside)


def test_gosts_example_of_policies(world: World):
    """tests/data/examples-config/6-hosts-bypass-limiter.yaml does what its head says."""
    site = world.site("inside")
    text = (pages.ROOT / "tests/data/examples-config/6-hosts-bypass-limiter.yaml").read_text()
    daemon = world.start(config=re.sub(r"127\.0\.0\.1:2508[01]", HERE, text))
    proxy, closed = daemon.listening("proxy"), daemon.listening("closed")
    user = {"Proxy-Authorization": "Basic dXNlcjpwYXNz"}

    def ask(host: str, **more: object) -> int:
        return visitor.get(proxy, "x", f"http://{host}:{site.address[1]}/", **more).status

    assert ask("app.internal", headers=user) == 200
    assert ask("a.dev.internal", headers=user) == 200
    assert ask("blocked.internal", headers=user) == 403
    assert ask("192.0.2.20", headers=user) == 403
    assert ask("app.internal") == 407
    assert refused(closed)


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


def test_bypass_drops_datagrams(world: World):
    """Of an association, to the targets that it names alone."""
    one, two = world.keep(datagrams.named("one")), world.keep(datagrams.named("two"))
    proxy = world.start("-L", f"socks5://{HERE}?udp=true&bypass={at(two.address)}").listening()
    client = world.keep(Association(proxy))
    client.sock.sendto(b"\0\0\0" + wire(two.address) + b"never", client.relay)
    client.ask(wire(one.address), b"hello", b"one:hello")
    assert two.received == []


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


@pytest.mark.parametrize("of", ["hop", "node"])
def test_bypass_that_is_not_known_lets_nothing_past_a_hop(world: World, of: str):
    """Who is to be hidden by it is refused until it was read."""
    site, targets = world.site("inside"), [""]
    near = world.start("-L", f"http://{HERE}")
    node = {"name": "n", "addr": at(near.listening()), "connector": {"type": "http"}, "dialer": {"type": "tcp"}}
    hop = {"name": "h", "nodes": [node]}
    (hop if of == "hop" else node)["bypass"] = "targets"
    proxy = world.start(config=json.dumps({
        "services": [{"name": "service-0", "addr": HERE, "handler": {"type": "http", "chain": "c"},
                      "listener": {"type": "tcp"}}],
        "chains": [{"name": "c", "hops": [hop]}],
        "bypasses": [{"name": "targets", "reload": "1s",
                      "http": {"url": f"http://{at(world.serve(said_by(targets)).address)}/"}}]})).listening()
    assert proxied(proxy, site.address) == 503
    targets[0] = "other.example\n"
    until(lambda: proxied(proxy, site.address) == 200, "it was read")
    until(lambda: near.log.count("^127.0.0.1:.* >"), "it went through the hop")


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
    for wrong in ('matchers[1]: "10.0.0.0/99"', 'matchers[1]: "a b"'):
        assert f"{wrong}: not an address, a range, a host or a pattern" in daemon.log.text()
    assert f"{path}:4:" in daemon.log.text() and f"{path}:6:" in daemon.log.text()


# ---- hosts -----------------------------------------------------------------------------


@pytest.mark.short
def test_hosts_name_the_targets_of_a_service(world: World):
    """Exactly, by an alias, below a suffix; before anybody is asked; a chain is told the address."""
    site = world.site("inside")
    path = world.write("hosts.txt", "# more\n127.0.0.1 file.internal also.internal\nnonsense\n")
    config = f"""
services:
- name: service-0
  addr: {HERE}
  hosts: names
  handler: {{type: http}}
  listener: {{type: tcp}}
hosts:
- name: names
  reload: 1s
  file: {{path: "{path}"}}
  mappings:
  - {{ip: 127.0.0.1, hostname: app.internal, aliases: [www.internal]}}
  - {{ip: 127.0.0.1, hostname: .dev.internal}}
"""
    proxy = world.start(config=config)
    for host in ("app.internal", "WWW.Internal", "dev.internal", "a.b.dev.internal", "also.internal"):
        assert proxied(proxy.listening(), site.address, host) == 200, host
    assert proxied(proxy.listening(), site.address, "a.app.internal") == 502
    world.write("hosts.txt", "127.0.0.1 fresh.internal\n")
    until(lambda: proxied(proxy.listening(), site.address, "fresh.internal") == 200, "the file is read again")
    assert proxied(proxy.listening(), site.address, "file.internal") == 502
    far = world.start("-L", f"http://{HERE}").listening()
    near = world.start("-L", f"http://{HERE}?hosts=app.internal:127.0.0.1", "-F", f"http://{at(far)}").listening()
    assert proxied(near, site.address, "app.internal") == 200


@pytest.mark.parametrize("transport", ["tls", "quic", "mtcp"])
def test_hosts_name_the_nodes_of_a_hop(world: World, transport: str):
    site, tunnel = world.site("inside"), tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, ("server.internal", server.clients[1]), tunnel, site.address,
                 hosts="server.internal:127.0.0.1")
    assert server.get("app.local").text == "inside\n"


# ---- resolvers -------------------------------------------------------------------------


def over_tls(world: World, serve: Callable[[socket.socket], None]) -> servers.Server:
    """A server of streams behind TLS, with a certificate that nobody verifies."""
    made = certs.make(world.folder, "dns.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.cert, made.key)

    def run(conn: socket.socket) -> None:
        serve(tls.wrap_socket(conn, server_side=True))

    return world.serve(run)


def over_http(names: DnsServer) -> Callable[[socket.socket], None]:
    """RFC 8484, POST, one request for a connection."""
    def run(conn: socket.socket) -> None:
        stream = conn.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        if not head.startswith(b"POST /dns-query HTTP/1.1") or b"application/dns-message" not in head:
            conn.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
            return
        answer = names.answer(stream.read(length))
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n"
                     % len(answer) + answer)

    return run


@pytest.mark.short
@pytest.mark.parametrize("transport", ["udp", "cut", "tcp", "tls", "https"])
def test_resolver_asks_its_name_servers(world: World, transport: str):
    """By each transport (cut: the answer is too large for UDP); what they say is kept for its time."""
    site = world.site("inside")
    kind = CutDnsServer if transport == "cut" else DnsServer
    names = world.keep(kind({"app.example": "127.0.0.1"}))
    if transport == "udp":
        where = at(names.address)
    elif transport == "cut":
        where = f"udp://{at(names.address)}"
    elif transport == "tcp":
        where = f"tcp://{at(world.serve(names.serve_stream).address)}"
    elif transport == "tls":
        where = f"tls://{at(over_tls(world, names.serve_stream).address)}"
    else:
        where = f"https://{at(over_tls(world, over_http(names)).address)}/dns-query"
    config = resolving(f'{{addr: "{where}", ttl: 1h}}')
    proxy = world.start("--workers", "1", config=config).listening()        # each keeps its own
    assert proxied(proxy, site.address, "app.example") == 200
    asked = names.asked
    assert proxied(proxy, site.address, "App.Example") == 200
    assert names.asked == asked, "it is known still"
    assert proxied(proxy, site.address, "no.example") == 502


def resolving(*nameservers: str, more: str = "") -> str:
    return f"""
services:
- name: service-0
  addr: {HERE}
  resolver: r
  handler: {{type: http}}
  listener: {{type: tcp}}
{more}
resolvers:
- name: r
  nameservers: [{', '.join(nameservers)}]
"""


def test_resolver_goes_on_to_the_next_server(world: World):
    """Behind one that is silent, one that is not there, and one that knows nothing; ttl below 0: nothing is kept."""
    site = world.site("inside")
    silent, ignorant, good = (world.keep(DnsServer({"app.example": "127.0.0.1"})) for _ in range(3))
    silent.silent, ignorant.knows = True, False
    dead = world.dead_port()
    proxy = world.start(config=resolving(
        f'{{addr: "{at(silent.address)}", timeout: 300ms}}', f'{{addr: "tcp://{at(dead.address)}"}}',
        f'{{addr: "{at(ignorant.address)}"}}',
        f'{{addr: "{at(good.address)}", ttl: -1s, only: ipv4, clientIP: 192.0.2.77}}')).listening()
    assert proxied(proxy, site.address, "app.example") == 200
    assert proxied(proxy, site.address, "app.example") == 200
    assert silent.asked >= 4 and good.asked == 2
    assert bytes([0, 8, 0, 8, 0, 1, 32, 0, 192, 0, 2, 77]) in good.queries[0], "RFC 7871: for whom it is"


def test_resolver_is_asked_through_a_chain(world: World):
    site = world.site("inside")
    names = world.keep(DnsServer({"app.example": "127.0.0.1"}))
    by = world.start("-L", f"http://{HERE}")
    proxy = world.start(config=resolving(
        f'{{addr: "tcp://{at(world.serve(names.serve_stream).address)}", chain: c}}',
        more=f"""chains:
- name: c
  hops: [{{name: h, nodes: [{{name: n, addr: "{at(by.listening())}", connector: {{type: http}}, dialer: {{type: tcp}}}}]}}]
""")).listening()
    assert proxied(proxy, site.address, "app.example") == 200
    until(lambda: by.log.count(" >-< "), "it went through the chain")


def test_resolver_of_a_hop_finds_its_nodes(world: World):
    """And of a tunnel's client, over QUIC as well."""
    site, tunnel = world.site("inside"), tunnel_id()
    names = world.keep(DnsServer({"server.example": "127.0.0.1"}))
    server = world.server("quic", {"app.local": tunnel})
    world.client("quic", ("server.example", server.clients[1]), tunnel, site.address, resolver=at(names.address))
    assert server.get("app.local").text == "inside\n"
    assert names.asked


# ---- retries and the limit of a try ----------------------------------------------------


@pytest.mark.parametrize("retries, statuses", [(0, {200, 502}), (1, {200})])
def test_retries_choose_anew(world: World, retries: int, statuses: set[int]):
    """Of two nodes one is dead, and never marked as such: the next try gets the other."""
    site, dead = world.site("inside"), world.dead_port()
    near = world.start("-L", f"http://{HERE}").listening()
    proxy = world.start(config=f"""
services:
- name: service-0
  addr: {HERE}
  handler: {{type: http, chain: c, retries: {retries}}}
  listener: {{type: tcp}}
chains:
- name: c
  hops:
  - name: h
    selector: {{strategy: round, maxFails: 1000}}
    nodes:
    - {{name: a, addr: "{at(dead.address)}", connector: {{type: http}}, dialer: {{type: tcp}}}}
    - {{name: b, addr: "{at(near)}", connector: {{type: http}}, dialer: {{type: tcp}}}}
""").listening()
    assert {proxied(proxy, site.address) for _ in range(4)} == statuses


def test_who_waits_for_a_name_does_not_hold_a_stop(world: World):
    names = world.keep(DnsServer({}))
    names.silent = True
    daemon = world.start("-L", f"socks5://{HERE}?resolver={at(names.address)}&retries=3", "-drain", "100ms")
    with contextlib.closing(visitor.connect(daemon.listening())) as sock:
        sock.sendall(b"\5\1\0\5\1\0\3\7app.one\0\1")
        until(lambda: names.asked, "it asks")
        with contextlib.closing(visitor.connect(daemon.listening())) as other:
            other.sendall(b"\5\1\0\5\1\0\3\7app.two\0\1")
            until(lambda: names.asked > 1, "and for the other one")
        daemon.stop()


def test_a_try_has_its_limit(world: World):
    """dialTimeout holds for the name, too."""
    names = world.keep(DnsServer({}))
    names.silent = True
    proxy = world.start("-L", f"http://{HERE}?resolver={at(names.address)}&dialTimeout=300ms").listening()
    assert visitor.get(proxy, "x", "http://app.example/").status == 504


# ---- tunnels ---------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tls", "quic"])
def test_bypass_of_a_tunnel_server(world: World, transport: str):
    """What it names is reached neither by its entry point nor by visitors, whatever the rules say."""
    site, tunnel = world.site("inside"), tunnel_id()
    server = world.server(transport, {"app.local": tunnel, "closed.local": tunnel}, bypass="closed.local")
    world.client(transport, server.clients, tunnel, site.address)
    assert server.get("app.local").text == "inside\n"
    assert server.get("closed.local").status == 403

    def door(host: str) -> Address:
        return world.start("-L", f"tcp://{HERE}/{host}:80",
                           "-F", f"tunnel+{transport}://{at(server.clients)}?tunnel.id={tunnel}").listening()

    assert visitor.get(door("app.local"), "app.local").text == "inside\n"
    assert refused(door("closed.local"))
