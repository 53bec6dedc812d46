"""Raw TCP and UDP through a tunnel: visitors of their own, sessions of datagrams and their ends, both kinds
in one tunnel, the examples of gost's page."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from typing import Any, Iterator, Mapping

import pytest

from harness import servers, visitor
from harness.daemon import Address, Daemon
from harness.datagrams import LONGEST, UdpServer, UdpVisitor, ask, named
from harness.pages import EXAMPLES
from harness.waiting import PATIENCE, until
from harness.world import REGISTERED, TRANSPORTS, World, at, query_of, tunnel_id

HERE = "127.0.0.1:0"
NAME = "dns.srv-2.local"
ENDED = " >-< target$"


def tunnel_server(world: World, transport: str = "tcp", tunnel: str = "", **options: Any) -> Daemon:
    """A server with a rule for NAME, if a tunnel is given."""
    query = query_of({"tunnel": f"{NAME}:{tunnel}"} if tunnel else {}, options)
    server = world.start("-L", f"tunnel+{transport}://{HERE}?{query}", *(["-D"] if world.pair.server == "gost" else []),
                         program=world.pair.server, name="server")
    if tunnel and world.pair.server == "gost":
        server.log.wait("^load items")
    return server


def far_side(transport: str, server: Address, tunnel: str) -> str:
    """The -F of who binds or reaches that tunnel."""
    return f"tunnel+{transport}://{at(server)}?tunnel.id={tunnel}"


def udp_client(world: World, server: Address, tunnel: str, target: Address, transport: str = "tcp",
               flags: tuple[str, ...] = ()) -> Daemon:
    client = world.start("-L", f"rudp://:0/{at(target)}", "-F", far_side(transport, server, tunnel), *flags,
                         program=world.pair.client)
    client.log.wait(REGISTERED)
    return client


def udp_door(world: World, server: Address, tunnel: str, transport: str = "tcp", name: str = NAME,
             program: str = "adit", flags: tuple[str, ...] = (), **options: Any) -> Daemon:
    """A visitor's program: a UDP port that leads to name in the tunnel."""
    query = query_of({}, options)
    return world.start("-L", f"udp://{HERE}/{name}{query and '?' + query}", "-F",
                       far_side(transport, server, tunnel), *flags, program=program)


def through(world: World, target: Address, transport: str = "tcp", **options: Any) -> Daemon:
    """A server, a client that gives it target, and the door to it."""
    tunnel = tunnel_id()
    server = tunnel_server(world, transport, tunnel)
    udp_client(world, server.listening(), tunnel, target, transport)
    return udp_door(world, server.listening(), tunnel, transport, **options)


# ---- datagrams ------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("door", ["adit", "gost"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_datagrams_keep_their_borders(world: World, transport: str, door: str, pair):
    """From several sources, of any size, the empty one too."""
    if door == "gost" and "gost" not in (pair.server, pair.client):
        pytest.skip("a gost's door is tried with --peers=gost")
    tunnel, echo = tunnel_id(), world.keep(UdpServer())
    server = tunnel_server(world, transport, tunnel)
    udp_client(world, server.listening(), tunnel, echo.address, transport)
    port = udp_door(world, server.listening(), tunnel, transport, program=door,
                    keepalive="true", ttl="60s").listening()
    # A gost cuts what is longer than its buffer of 4096 bytes.
    sizes = [1, 1200, 1500, 4000] if "gost" in (pair.server, pair.client) else [1, 0, 1200, 1500, 4096, 9000, 65000, LONGEST]
    for visits in (world.keep(UdpVisitor(port)), world.keep(UdpVisitor(port))):
        for size in sizes:
            asked = bytes(i * 7 + size & 0xFF for i in range(size))
            visits.ask(asked, asked)
    # A gost's client ends a session after each exchange, towards a gost too.
    assert len(set(echo.sources)) == 2 or pair.client == "gost", "each source has a session of its own"


@pytest.mark.parametrize("here, there", [("tcp", "quic"), ("quic", "tcp")])
def test_visitor_and_client_by_different_transports(world: World, here: str, there: str):
    """Framed in a stream on one side, DATAGRAM frames on the other."""
    tunnel, echo = tunnel_id(), world.keep(UdpServer())
    server = world.start("-L", f"tunnel+tcp://{HERE}?tunnel.direct=true", name="tcp-server", config=f"""
services:
- name: quic
  addr: {HERE}
  handler: {{type: tunnel, metadata: {{tunnel.direct: true}}}}
  listener: {{type: quic}}
""")
    ports = {e.fields["listener"]: server.listening(e.fields["service"])
             for e in until(lambda: [e for e in server.log.events if e.msg.startswith("listening on ")][1:] and
                            [e for e in server.log.events if e.msg.startswith("listening on ")], "both listen")}
    udp_client(world, ports[there], tunnel, echo.address, there)
    port = udp_door(world, ports[here], tunnel, here, keepalive="true", ttl="60s").listening()
    for size in (1, 1200, 30000):
        ask(port, b"x" * size, b"x" * size)


def test_port_forward_without_a_tunnel(world: World):
    echo = world.keep(UdpServer())
    door = world.start("-L", f"udp://{HERE}/{at(echo.address)}")
    assert ask(door.listening(), b"hello", b"hello") == b"hello"
    door.log.wait(">-< target")


def test_a_way_that_is_down_is_not_tried_for_each_datagram(world: World):
    """A pause for who sends them, and one line for many failures; then the way is tried again."""
    tunnel, echo = tunnel_id(), world.keep(UdpServer())
    server = tunnel_server(world, "tcp", tunnel)
    door = udp_door(world, server.listening(), tunnel)
    with UdpVisitor(door.listening()) as visits:
        until(lambda: visits.send(b"x") or door.log.count("in the pause after a failure"), "a pause")
        for _ in range(200):
            visits.send(b"x")
    assert door.log.count("no client of the tunnel|NotFound|not available") <= 2, "a line for each of them"
    udp_client(world, server.listening(), tunnel, echo.address)
    assert ask(door.listening(), b"back", b"back") == b"back"


# ---- who gets whom -----------------------------------------------------------------------


@pytest.mark.short
def test_visitors_match_clients_of_their_network(world: World):
    """One client each for TCP and UDP in one tunnel: also when only the wrong one is there."""
    tunnel, site, echo = tunnel_id(), world.site("tcp"), world.keep(named("udp"))
    server = tunnel_server(world, "tcp", tunnel)
    port = server.listening()
    tcp_door = world.start("-L", f"tcp://{HERE}/{NAME}", "-F", far_side("tcp", port, tunnel))
    door = udp_door(world, port, tunnel)
    udp = udp_client(world, port, tunnel, echo.address)
    assert ask(door.listening(), b"a") == b"udp:a"
    with pytest.raises(ConnectionResetError), visitor.connect(tcp_door.listening()) as sock:
        visitor.read_to_end(sock)       # no client of TCP
    server.log.wait("visitor refused: .*")
    tcp = world.client("tcp", port, tunnel, site.address)
    assert visitor.get(tcp_door.listening(), "any").text == "tcp\n"
    udp.stop()
    before = server.log.count("visitor refused")
    with UdpVisitor(door.listening()) as asking:
        asking.send(b"b")
        until(lambda: server.log.count("visitor refused") > before, "a visitor of UDP is refused")
        assert asking.hear(0.1) is None
    assert visitor.get(tcp_door.listening(), "any").text == "tcp\n"
    tcp.stop()


@pytest.mark.peers
@pytest.mark.short
def test_one_tunnel_carries_web_tcp_and_udp(world: World, pair):
    """At once, by one id: a web site by an entry point, TCP and UDP by visitors."""
    tunnel, echo, web = tunnel_id(), world.keep(named("udp")), world.site("web")
    server = world.server("tcp", {"app.local": tunnel, NAME: tunnel})
    clients = world.start("-L", f"rtcp://:0/{at(web.address)}", "-L", f"rudp://:0/{at(echo.address)}",
                          "-F", far_side("tcp", server.clients, tunnel), program=pair.client)
    until(lambda: {e.msg.partition("/")[2][:3] for e in clients.log.events if e.msg.startswith("create tunnel")}
          == {"tcp", "udp"}, "both are bound")
    doors = world.start("-L", f"tcp://{HERE}/{NAME}", "-L", f"udp://{HERE}/{NAME}",
                        "-F", far_side("tcp", server.clients, tunnel))
    udp = doors.listening("service-1")
    until(lambda: server.get("app.local").text == "web\n", "the site answers")
    with world.keep(UdpVisitor(udp)) as asking:
        for i in range(5):
            assert server.get("app.local").text == "web\n"
            assert visitor.get(doors.listening("service-0"), "any").text == "web\n"
            assert asking.ask(b"%d" % i, b"udp:%d" % i)


def test_tunnel_without_a_name(world: World):
    """Direct routing, and a door that names nothing."""
    tunnel, echo = tunnel_id(), world.keep(UdpServer())
    server = tunnel_server(world, tunnel_direct="true")
    udp_client(world, server.listening(), tunnel, echo.address)
    world.client("tcp", server.listening(), tunnel, world.site("plain").address)
    doors = world.start("-L", f"tcp://{HERE}", "-L", f"udp://{HERE}?keepalive=true",
                        "-F", far_side("tcp", server.listening(), tunnel))
    assert ask(doors.listening("service-1"), b"hello", b"hello")
    assert visitor.get(doors.listening("service-0"), "any").text == "plain\n"


# ---- sessions and their ends ------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_session_ends_with_its_answer(world: World, transport: str):
    """Without keepalive: what follows is another session, all the way to the target."""
    echo = world.keep(UdpServer())
    door = through(world, echo.address, transport)
    with world.keep(UdpVisitor(door.listening())) as asking:
        asking.ask(b"first", b"first")
        door.log.wait(ENDED)
        asking.forget()
        asking.ask(b"second", b"second")
    first, second = (next(s for s, r in zip(echo.sources, echo.received) if r == asked) for asked in (b"first", b"second"))
    assert first != second


def test_two_questions_at_once_have_two_answers(world: World):
    """As resolvers ask for both kinds of address: the first answer must not end what waits for the second."""
    echo = world.keep(UdpServer())
    door = through(world, echo.address)
    with world.keep(UdpVisitor(door.listening())) as asking:
        def both() -> bool:
            asking.send(b"A")
            asking.send(b"AAAA")
            return {asking.hear(), asking.hear()} == {b"A", b"AAAA"}
        until(both, "two answers")


def test_session_is_kept_and_ends_in_silence(world: World):
    echo = world.keep(UdpServer())
    door = through(world, echo.address, keepalive="true", ttl="1s")
    with world.keep(UdpVisitor(door.listening())) as asking:
        asking.ask(b"first", b"first")
        assert door.log.count(ENDED) == 0
        end = door.log.wait(ENDED)
        assert end.fields["how"] == "end" and end.fields["duration"] >= 10**9
        asking.ask(b"again", b"again")
    assert len(set(echo.sources)) >= 2


def test_sessions_are_bounded(world: World):
    """One more than may be takes the place of the one that was silent for longest."""
    echo = world.keep(UdpServer())
    door = through(world, echo.address, keepalive="true", ttl="60s", sessions="2", flags=("-workers", "1"))
    visits = [world.keep(UdpVisitor(door.listening())) for _ in range(3)]
    for asking in visits:
        asking.ask(b"hello", b"hello")
    door.log.wait(ENDED)
    door.log.wait("1 flows ended for newer ones")
    assert len(set(echo.sources)) == 3


@pytest.mark.parametrize("transport", ["tcp", "quic"])
@pytest.mark.parametrize("who", ["client", "server", "door"])
def test_death_on_one_side_ends_sessions_on_the_other(world: World, transport: str, who: str):
    """Killed, not stopped: the others forget the sessions, and serve the next ones."""
    tunnel, echo = tunnel_id(), world.keep(UdpServer())
    server = tunnel_server(world, transport, tunnel)
    address = server.listening()
    client = udp_client(world, address, tunnel, echo.address, transport)
    door = udp_door(world, address, tunnel, transport, keepalive="true", ttl="120s")
    with world.keep(UdpVisitor(door.listening())) as asking:
        asking.ask(b"first", b"first")
        if who == "door":
            door.kill()
            client.log.wait(ENDED)
            server.log.wait("tunnel")
            door = udp_door(world, address, tunnel, transport)
            ask(door.listening(), b"second", b"second")
            return
        (client if who == "client" else server).kill()
        door.log.wait(ENDED)
        if who == "client":
            udp_client(world, address, tunnel, echo.address, transport)
        else:
            world.start("-L", f"tunnel+{transport}://{at(address)}?tunnel={NAME}:{tunnel}", name="second")
        asking.ask(b"second", b"second")


def test_target_that_refuses(world: World):
    """Nobody is there: the session ends, the visitor's next one may find somebody."""
    dead = UdpServer()
    address = dead.address
    dead.close()
    door = through(world, address, keepalive="true", ttl="60s")
    with world.keep(UdpVisitor(door.listening())) as asking:
        asking.send(b"hello")
        door.log.wait(ENDED)
        assert asking.hear(0.05) is None


def test_flood_blocks_nobody(world: World):
    """More than anything takes, from many sources: it is dropped and counted, and others get through."""
    quiet, echo = world.keep(UdpServer(lambda asked: [])), world.keep(UdpServer())
    tunnel, other = tunnel_id(), tunnel_id()
    server = world.start("-L", f"tunnel+tcp://{HERE}?tunnel.direct=true")
    udp_client(world, server.listening(), tunnel, quiet.address)
    udp_client(world, server.listening(), other, echo.address)
    flooded = udp_door(world, server.listening(), tunnel, backlog="4", readQueueSize="8")
    door = udp_door(world, server.listening(), other)
    floods = [world.keep(UdpVisitor(flooded.listening())) for _ in range(20)]
    for _ in range(100):
        for flood in floods:
            flood.send(b"x" * 1000)
    flooded.log.wait(r"udp: so far [1-9]\d* datagrams dropped|[1-9]\d* that would have begun")
    assert ask(door.listening(), b"hello", b"hello")
    until(lambda: quiet.received, "some of the flood arrives")


# ---- life of the port -------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["client", "server", "door"])
def test_stop_waits_for_no_idle_session(world: World, who: str):
    """Sessions have no end of their own: those that are silent do not hold up a stop."""
    echo, tunnel = world.keep(UdpServer()), tunnel_id()
    server = tunnel_server(world, "tcp", tunnel)
    client = udp_client(world, server.listening(), tunnel, echo.address)
    door = udp_door(world, server.listening(), tunnel, keepalive="true", ttl="120s")
    with world.keep(UdpVisitor(door.listening())) as asking:
        asking.ask(b"hello", b"hello")
        began = time.monotonic()
        assert {"client": client, "server": server, "door": door}[who].stop() == 0
        assert time.monotonic() - began < 8, "the limit of a drain is 10 s"


def test_port_is_kept_over_a_reload(world: World):
    """The same address with other options: nothing is refused in between."""
    echo = world.keep(UdpServer())
    text = f"""
services:
- name: dns
  addr: {HERE}
  handler: {{type: udp}}
  listener: {{type: udp, metadata: {{ttl: TTL}}}}
  forwarder: {{nodes: [{{name: echo, addr: "{at(echo.address)}"}}]}}
"""
    door = world.start(config=text.replace("TTL", "5s"), name="door")
    port = door.listening("dns")
    ask(port, b"before", b"before")
    world.write("door.yaml", text.replace("TTL", "6s"))
    door.send(signal.SIGHUP)
    until(lambda: door.log.count("^listening on ") == 2, "the service is there anew")
    assert door.listening("dns") == port
    ask(port, b"after", b"after")


def test_change_of_a_service_costs_no_datagram(world: World):
    """Its sockets have two readers for a moment: whoever reads a datagram answers it, of old sessions too."""
    echo = world.keep(UdpServer())
    text = f"""
services:
- name: dns
  addr: {HERE}
  handler: {{type: udp}}
  listener: {{type: udp, metadata: {{keepalive: true, ttl: TTL}}}}
  forwarder: {{nodes: [{{name: echo, addr: "{at(echo.address)}"}}]}}
"""
    door = world.start("-workers", "2", config=text.replace("TTL", "20s"), name="door")
    port = door.listening("dns")
    visitors = [world.keep(UdpVisitor(port)) for _ in range(8)]
    for number in range(21, 24):
        world.write("door.yaml", text.replace("TTL", f"{number}s"))
        door.send(signal.SIGHUP)
        asked = 0
        while asked < 20 or door.log.count("^config reloaded") <= number - 21:
            question = f"{number} {asked}".encode()
            for v in visitors:
                v.send(question)
            assert [v.hear(PATIENCE) for v in visitors] == [question] * len(visitors)
            asked += 1


# ---- the page -------------------------------------------------------------------------------


def placed(name: str, places: Mapping[str, str]) -> str:
    text = (EXAMPLES / name).read_text()
    for shown, real in places.items():
        assert shown in text, f"{name} does not name {shown}"
        text = text.replace(shown, real)
    return text


@pytest.mark.short
def test_services_of_the_page(world: World):
    """TCP and UDP services in one tunnel, each chosen by the name that its visitor asks for."""
    ssh, redis = (world.serve(lambda c, n=n: (c.sendall(n), c.close())) for n in (b"ssh", b"redis"))
    dns = [world.keep(named(n)) for n in ("dns-1", "dns-2")]
    server = world.start(config=placed("services-server.yaml", {'":8443"': HERE, '":80"': HERE}), name="server")
    there = {"tunnel.example.net:8443": at(server.listening("clients"))}
    client = world.start(name="client", config=placed("services-client.yaml", {
        **there, "192.168.2.1:22": at(ssh.address), "192.168.2.2:6379": at(redis.address),
        "192.168.2.1:53": at(dns[0].address), "192.168.2.2:53": at(dns[1].address)}))
    until(lambda: client.log.count(REGISTERED) >= 2, "both are bound")
    doors = world.start(name="doors", config=placed("services-visitor.yaml", {
        **there, ":2222": HERE, ":6379": HERE, ":1053": HERE, ":2053": HERE}))
    for service in ("ssh", "redis"):
        with visitor.connect(doors.listening(service)) as sock:
            assert visitor.read_to_end(sock) == service.encode()
    for service in ("dns-1", "dns-2"):
        assert ask(doors.listening(service), b"who") == service.encode() + b":who"


@pytest.fixture
def iperf(world: World) -> Iterator[Address]:
    """An iperf3 server."""
    program = shutil.which("iperf3")
    if not program:
        pytest.skip("no iperf3 here (Debian package iperf3)")
    for _ in range(5):              # it takes no port 0, so one that was free a moment ago
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        running = subprocess.Popen([program, "-s", "-p", str(port), "-J"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        until(lambda: running.poll() is not None or is_open(port), "iperf3 listens")
        if running.poll() is None:
            break
    yield ("127.0.0.1", port)
    running.kill()
    running.wait()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def measured(port: Address, *how: str) -> dict[str, Any]:
    """What an iperf3 client says of a short test. Its server does one at a time."""
    def attempt() -> Any:
        done = subprocess.run(["iperf3", "-c", port[0], "-p", str(port[1]), "-J", *how],
                              capture_output=True, text=True, timeout=60)
        said = json.loads(done.stdout)
        if "busy" in said.get("error", ""):
            return None
        assert "error" not in said, said["error"]
        return said["end"]
    return until(attempt, "iperf3 has time")


def same_port(world: World) -> int:
    """A number that is free for TCP and UDP: iperf3 asks at one for both."""
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]
    raise AssertionError("no port is free for both")


@pytest.mark.parametrize("mode", ["ingress", "direct", "files"])
def test_iperf_of_the_page(world: World, iperf: Address, mode: str):
    """TCP and UDP through one tunnel, by command line with and without a rule, and by file."""
    tunnel = "22f43305-42f7-4232-bbbc-aa6c042e3bc3"
    rule = "tunnel.direct=true" if mode == "direct" else f"tunnel=iperf.local:{tunnel}"
    server = world.start("-L", f"tunnel://{HERE}?{rule}", name="server").listening()
    port, far = same_port(world), f"tunnel://{at(server)}?tunnel.id={tunnel}"
    if mode == "files":
        there = {"tunnel.example.net:8443": at(server)}
        client = world.start(config=placed("iperf-client.yaml", {**there, ":5201": at(iperf)}), name="client")
    else:
        client = world.start("-L", f"rtcp://:0/{at(iperf)}", "-L", f"rudp://:0/{at(iperf)}", "-F", far, name="client")
    until(lambda: client.log.count(REGISTERED) >= 2, "both are bound")
    if mode == "files":
        door = world.start(config=placed("iperf-visitor.yaml", {**there, " :15201": f" 127.0.0.1:{port}"}), name="door")
    else:
        name = "" if mode == "direct" else "/iperf.local"
        door = world.start("-L", f"tcp://127.0.0.1:{port}{name}", "-L", f"udp://127.0.0.1:{port}{name}?keepalive=true",
                           "-F", far, name="door")
    listening = until(lambda: [e for e in door.log.events if e.msg.startswith("listening on ")][1:], "both listen")
    assert listening
    assert measured(("127.0.0.1", port), "-t", "1")["sum_received"]["bytes"] > 1 << 16
    udp = measured(("127.0.0.1", port), "-u", "-b", "5M", "-l", "1200", "-n", "240K")["sum"]
    assert udp["packets"] >= 200 and udp["lost_packets"] < udp["packets"] / 2
