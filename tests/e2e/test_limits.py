"""How fast, how many and how often: limiters, climiters and rlimiters, at each kind of port."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from typing import Iterator

import pytest

from harness import datagrams, visitor
from harness.daemon import Address, Daemon
from harness.waiting import until
from harness.world import World, at, publish, reachable, tunnel_id

HERE = "127.0.0.1:0"
KB = 1024


@contextlib.contextmanager
def open_conn(address: Address) -> Iterator[socket.socket]:
    with contextlib.closing(visitor.connect(address)) as sock:
        yield sock


def echoes(sock: socket.socket) -> bool:
    """Whether it is served: what is sent comes back."""
    try:
        sock.sendall(b"x")
        return sock.recv(1) == b"x"
    except OSError:
        return False


def echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)


def endless(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(bytes(65536))


def received(sock: socket.socket, seconds: float) -> int:
    """How many bytes come in that time."""
    n, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError):
            n += len(sock.recv(1 << 20))
    return n


def rate_out(address: Address, seconds: float = 2) -> float:
    """Bytes a second that come from there once the first second's worth has come."""
    with open_conn(address) as sock:
        received(sock, 1)
        begun = time.monotonic()
        return received(sock, seconds) / (time.monotonic() - begun)


def least(world: World) -> float:
    """The part of a rate that must be reached: a program with a sanitizer may be slower for other reasons."""
    return 0.5 if world.instrumented else 0.9


# ---- bytes -----------------------------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("query", ["limiter.out=400KB", "limiter.in=10KB&limiter.conn.out=400KB"])
def test_rate_out(world: World, query: str):
    """Within 10 % over 2 s, where the machine lets us; never above."""
    target = world.serve(endless)
    daemon = world.start("-L", f"tcp://{HERE}/{at(target.address)}?{query}")
    rate = rate_out(daemon.listening())
    assert least(world) * 400 * KB < rate < 1.1 * 400 * KB, rate


def test_rate_in(world: World):
    taken = [0]

    def count(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                taken[0] += len(data)

    target = world.serve(count)
    daemon = world.start("-L", f"tcp://{HERE}/{at(target.address)}?limiter.in=400KB")
    with open_conn(daemon.listening()) as sock:
        threading.Thread(target=endless, args=(sock,), daemon=True).start()
        until(lambda: taken[0] >= 400 * KB, "a second's worth has come at once")
        time.sleep(0.5)
        begun, before = time.monotonic(), taken[0]
        time.sleep(2)
        rate = (taken[0] - before) / (time.monotonic() - begun)
    assert least(world) * 400 * KB < rate < 1.1 * 400 * KB, rate


def test_all_share_a_service_and_each_conn_has_its_own(world: World):
    target = world.serve(endless)
    config = f"""
services:
- name: service-0
  addr: {HERE}
  limiter: l
  handler: {{type: tcp}}
  listener: {{type: tcp}}
  forwarder: {{nodes: [{{name: n, addr: "{at(target.address)}"}}]}}
limiters:
- name: l
  limits: ["$ 0 600KB", "$$ 0 400KB", "192.0.2.1 1KB 1KB"]
"""
    address = world.start(config=config).listening()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(open_conn(address)) for _ in range(4)]
        for sock in socks:
            received(sock, 0.5)
        begun, got = time.monotonic(), [0] * 4
        while time.monotonic() < begun + 2:
            for i, sock in enumerate(socks):
                got[i] += received(sock, 0.01)
        taken = time.monotonic() - begun
    assert sum(got) / taken < 600 * KB * 1.5
    assert min(got) > 0.4 * sum(got) / 4, got


def test_http_through_a_limit_loses_nothing(world: World):
    """A body of 3 KB at 1 KB a second: 2 s, as a gost takes, and all of it."""
    body = bytes(range(256)) * 12
    site = world.serve(lambda c: (c.recv(65536), c.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)))
    daemon = world.start("-L", f"http://{HERE}?limiter.out=1KB")
    begun = time.monotonic()
    answer = visitor.get(daemon.listening(), "x", f"http://{at(site.address)}/")
    assert answer.body == body
    assert 1.9 < time.monotonic() - begun


@pytest.mark.parametrize("transport", ["tls", "quic"])
def test_entry_point_and_tunnel_are_slow(world: World, transport: str):
    """The limit of a tunnel's server holds at its public port as well."""
    site = world.site()
    tunnel = publish(world, transport, site, **{"limiter_out": "60KB"})
    reachable(tunnel, "app.local")
    begun = time.monotonic()
    assert len(tunnel.get("app.local", "/bytes/153600").body) == 150 * KB
    assert time.monotonic() - begun > 1


def socks(address: Address, target: Address) -> socket.socket:
    sock = visitor.connect(address)
    sock.sendall(b"\5\1\0")
    assert sock.recv(2) == b"\5\0"
    sock.sendall(b"\5\1\0\1" + socket.inet_aton(target[0]) + target[1].to_bytes(2, "big"))
    assert sock.recv(10)[:2] == b"\5\0"
    return sock


def test_who_comes_is_answered_while_others_take_all(world: World):
    """The words of a protocol are not held up: bytes wait, and nobody is turned away for them."""
    target = world.serve(endless)
    address = world.start("-L", f"socks5://{HERE}?limiter.out=50KB").listening()
    with contextlib.closing(socks(address, target.address)) as first:
        received(first, 1)
        for _ in range(5):
            socks(address, target.address).close()


def test_proxy_asks_for_a_password_while_others_take_all(world: World):
    target = world.serve(endless)
    address = world.start("-L", f"http://me:secret@{HERE}?limiter.out=50KB").listening()
    with open_conn(address) as first:
        first.sendall(f"CONNECT {at(target.address)} HTTP/1.1\r\nHost: {at(target.address)}\r\n"
                      "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n".encode())
        assert received(first, 1) > 10 * KB
        for _ in range(5):
            assert visitor.get(address, "x", f"http://{at(target.address)}/").status == 407


def test_udp_over_the_rate_is_dropped(world: World):
    server = world.keep(datagrams.UdpServer(lambda asked: [asked[:4] + bytes(996)] * 30))
    daemon = world.start("-L", f"udp://{HERE}/{at(server.address)}?limiter.out=10KB&keepalive=true&ttl=30s")
    with datagrams.UdpVisitor(daemon.listening()) as v:
        v.send(b"ping")
        assert v.hear(20)
        heard = 1
        while v.hear(1.5):
            heard += 1
        assert 8 <= heard < 30
        time.sleep(1)
        v.forget()
        assert v.ask(b"pong")[:4] == b"pong"


# ---- connections -------------------------------------------------------------------------


@pytest.mark.short
def test_one_too_many_is_refused_alone(world: World):
    """gost ends the service at the first one."""
    target = world.serve(echo)
    daemon = world.start("-L", f"tcp://{HERE}/{at(target.address)}?climiter=2", "-D")
    address = daemon.listening()
    with open_conn(address) as first, open_conn(address) as second:
        assert echoes(first) and echoes(second)
        for _ in range(3):
            with open_conn(address) as third:
                assert not echoes(third)
        assert echoes(first) and echoes(second)
    assert daemon.log.wait("^connection limit$").level == "debug"

    def again() -> bool:
        with open_conn(address) as sock:
            return echoes(sock)
    until(again, "room again when they have gone")


def limited(world: World, lines: str, kind: str = "climiter", more: str = "") -> str:
    target = world.serve(echo)
    return f"""
services:
- name: service-0
  addr: {HERE}
  {kind}: l
  handler: {{type: tcp}}
  listener: {{type: tcp}}
  forwarder: {{nodes: [{{name: n, addr: "{at(target.address)}"}}]}}
{kind}s:
- name: l
  limits: [{lines}]
{more}"""


def served(daemon: Daemon, n: int) -> int:
    """How many of n connections at a time are served."""
    with contextlib.ExitStack() as stack:
        return sum(echoes(stack.enter_context(open_conn(daemon.listening()))) for _ in range(n))


@pytest.mark.parametrize("lines, n", [
    ('"$$ 2"', 2), ('"$ 3", "$$ 5"', 3), ('"127.0.0.1 1", "127.0.0.0/8 2", "$$ 4"', 1),
    ('"127.0.0.0/8 2", "$$ 4"', 2), ('"10.0.0.0/8 1"', 6), ("", 6),
])
def test_whose_limit_holds(world: World, lines: str, n: int):
    assert served(world.start(config=limited(world, lines)), 6) == n


def test_counts_survive_a_reload_and_the_limit_changes(world: World):
    config = limited(world, '"$ 2"')
    daemon = world.start(config=config)
    with open_conn(daemon.listening()) as sock:
        assert echoes(sock)
        path = world.folder / f"{daemon.name}.yaml"
        path.write_text(config.replace("$ 2", "$ 4"))
        since = daemon.log.mark()
        daemon.send(signal.SIGHUP)
        daemon.log.wait("^config reloaded", since)
        assert echoes(sock), "the service goes on as it is"
        assert served(daemon, 5) == 3


def test_limits_of_a_file_that_changes(world: World):
    lines = world.write("limits.txt", "# more\n$ 1\n")
    daemon = world.start(config=limited(world, '"$ 5"', more=f"  file: {{path: {lines}}}\n  reload: 1s\n"))
    assert served(daemon, 3) == 1
    lines.write_text("$ 2\n")
    until(lambda: served(daemon, 3) == 2, "the other limit holds")
    since = daemon.log.mark()
    lines.write_text("$ two\n")
    daemon.log.wait(lambda e: "expected a number of connections" in e.msg, since)
    assert served(daemon, 3) == 2


def test_limits_behind_a_url(world: World):
    web = world.serve(lambda c: (c.recv(65536), c.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n$ 1\n")))
    daemon = world.start(config=limited(world, '"$ 5"', more=f"  http: {{url: 'http://{at(web.address)}/'}}\n"))
    until(lambda: served(daemon, 3) == 1, "its line counts")


# ---- requests ------------------------------------------------------------------------------


def test_new_connections_a_second(world: World):
    daemon = world.start("-L", f"tcp://{HERE}/{at(world.serve(echo).address)}?rlimiter=0.2", "-D")
    assert [served(daemon, 1) for _ in range(3)] == [1, 0, 0]
    assert daemon.log.wait("^rate limit$").level == "debug"
    until(lambda: served(daemon, 1), "one more after 5 s")


def test_entry_point_says_when_to_come_again(world: World):
    """A request too many is told so in HTTP, and the connection stays."""
    site = world.site()
    tunnel = publish(world, "tls", site, rlimiter=0.4)
    until(lambda: reachable(tunnel, "app.local").status == 200, "the tunnel is there")
    with visitor.Visitor(tunnel.entry) as v:
        answers = [v.get("app.local", "/") for _ in range(4)]
        refused = [a for a in answers if a.status == 429]
        assert refused and 1 <= int(refused[0].headers["Retry-After"]) <= 3
        until(lambda: v.get("app.local", "/").status == 200, "let in again")


def test_who_is_behind_a_proxy_has_the_limit(world: World):
    """From the first request of its connection on, and of each the visitor that it comes for."""
    tunnel = tunnel_id()
    daemon = world.start(config=f"""
services:
- name: service-0
  addr: {HERE}
  rlimiter: l
  handler:
    type: tunnel
    metadata: {{entrypoint: "{HERE}", tunnel: "app.local:{tunnel}", entrypoint.trustedProxies: [127.0.0.0/8]}}
  listener: {{type: tls}}
rlimiters:
- name: l
  limits: ["203.0.113.1 0.01"]
""")
    world.client("tls", daemon.listening(), tunnel, world.site().address)
    with visitor.Visitor(daemon.entrypoint()) as v:
        answers = [v.get("app.local", "/", headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in (1, 1, 2)]
    assert [a.status for a in answers] == [200, 429, 200]


def test_entry_point_refuses_one_visitor_too_many(world: World):
    """The client's own connections are some of them."""
    site = world.site()
    tunnel = publish(world, "tls", site, climiter=8)
    reachable(tunnel, "app.local")
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(visitor.Visitor(tunnel.entry)) for _ in range(9)]
        answers = [v.get("app.local", "/") for v in visitors]
        assert answers[0].status == 200 and answers[-1].status == 503
        assert answers[-1].headers["Retry-After"] == "1"
        assert visitors[0].get("app.local", "/").status == 200
    reachable(tunnel, "app.local")


# ---- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("config, says", [
    ("- {name: t, addr: 127.0.0.1:0, rlimiter: l, handler: {type: http}}\n"
     "rlimiters: [{name: l, limits: ['$ -1']}]", 'limits[0]: expected a number a second, like 2.5, not "-1"'),
    ("climiters: [{name: l, limits: ['$ many']}]", 'limits[0]: expected a number of connections, not "many"'),
    ("limiters: [{name: l, limits: ['$ 1MB', '$ 2MB']}]", 'limits[1]: "$ 2MB" is the second line of its key'),
    ("rlimiters: [{name: l, limits: ['app.local 1']}]", "expected $, $$, an address or a network"),
    ("limiters: [{name: l, plugin: {type: http, addr: '127.0.0.1:1'}}]", "plugin is not available in this build"),
])
def test_what_is_no_limit(world: World, config: str, says: str):
    daemon = world.run("check", "-C", str(world.write("c.yaml", f"""
services:
- {{name: s, addr: {HERE}, handler: {{type: http}}, listener: {{type: tcp}}}}
{config}
""")))
    assert daemon.status == 2
    assert says in daemon.log.text()


def test_a_reload_with_what_is_no_limit_changes_nothing(world: World):
    """A new list, and a service that names it: both are made before anything is refused."""
    config = limited(world, '"$ 2"')
    daemon = world.start(config=config)
    assert served(daemon, 3) == 2
    since = daemon.log.mark()
    (world.folder / f"{daemon.name}.yaml").write_text(
        config.replace(" l\n", " other\n").replace("$ 2", "$ many"))
    daemon.send(signal.SIGHUP)
    daemon.log.wait(lambda e: 'expected a number of connections, not "many"' in e.msg, since)
    daemon.log.wait("^config not reloaded", since)
    assert served(daemon, 4) == 2
