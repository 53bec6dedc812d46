"""Starting, stopping, crashing and coming back."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket

import pytest

from harness import visitor, websocket
from harness.daemon import Address
from harness.load import Load
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, Pair, Tunnel, World, at, publish, reachable, tunnel_id


def restart(world: World, transport: str, old: Tunnel, rules: dict[str, str]) -> Tunnel:
    """A new server process on the old one's addresses."""
    return world.server(transport, rules, listen=old.clients, entry=old.entry)


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_comes_back_after_a_crash_of_the_server(world: World, pair, transport):
    rules = {"app.local": tunnel_id()}
    server = world.server(transport, rules)
    client = world.client(transport, server.clients, rules["app.local"], world.site("alpha").address)
    assert server.get("app.local").text == "alpha\n"
    server.daemon.kill()
    again = restart(world, transport, server, rules)
    if pair == Pair("gost", "gost") and transport == "quic":
        return      # its client finds out when its idle timeout (90 s) is over
    # A gost client over QUIC finds out by the stateless reset that answers its next keep-alive (10 s).
    limit = 30 if pair.client == "gost" else 10
    assert reachable(again, "app.local", limit).text == "alpha\n"
    assert client.running


def test_state_is_kept_in_the_home(world: World):
    """With nothing said, too: only a secret that outlives the server tells its QUIC clients of the next one."""
    unset = ("env", "-u", "XDG_STATE_HOME", "-u", "STATE_DIRECTORY")
    server = world.start("-L", "tunnel+quic://127.0.0.1:0", within=unset)
    server.listening()
    kept = world.folder / ".local" / "state" / "adit"
    assert (kept / "secret").stat().st_mode & 0o777 == 0o600
    assert list(kept.glob("auto-*.pem"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_may_start_before_its_server(world: World, transport):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        place = taken.getsockname()
    rules = {"app.local": tunnel_id()}
    client = world.client(transport, place, rules["app.local"], world.site("alpha").address, registered=False)
    client.log.wait(lambda e: e.level in ("warn", "error"))
    server = world.server(transport, rules, listen=place)
    assert reachable(server, "app.local", 10).text == "alpha\n"


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_crash_and_restart_under_load(world: World, transport):
    """Visitors in between are refused or cut off, never answered wrongly, and service resumes."""
    rules = {"app.local": tunnel_id()}
    server = world.server(transport, rules)
    for _ in range(2):
        world.client(transport, server.clients, rules["app.local"], world.site("alpha").address)
    load = Load(server.entry, "app.local")
    for _ in range(3):
        served = load.count("alpha\n")
        until(lambda: load.count("alpha\n") >= served + 50, "visitors are served")
        server.daemon.kill()
        server = restart(world, transport, server, rules)
    served = load.count("alpha\n")
    until(lambda: load.count("alpha\n") >= served + 50, "visitors are served again")
    assert set(load.stop()) <= {"alpha\n", "503", "502", "cut"}


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clients_come_and_go_under_load(world: World, transport):
    """While one client stays, others that leave by SIGTERM cost no visitor anything."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    site = world.site("alpha")
    world.client(transport, server.clients, tunnel, site.address)
    load = Load(server.entry, "app.local")
    for _ in range(5):
        guest = world.client(transport, server.clients, tunnel, site.address)
        served = load.count("alpha\n")
        until(lambda: load.count("alpha\n") >= served + 20, "visitors are served")
        assert guest.stop() == 0
    assert set(load.stop()) == {"alpha\n"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_connection_that_is_cut_is_made_anew(world: World, transport):
    if transport == "quic":
        pytest.skip("QUIC has no connection that the network could reset")
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    link = world.tcp_proxy(server.clients)
    client = world.client(transport, link.address, tunnel, world.site("alpha").address)
    for _ in range(2):
        mark = client.log.mark()
        link.cut()
        client.log.wait(REGISTERED, since=mark, limit=10)
        assert reachable(server, "app.local").text == "alpha\n"


# ---- stopping ----------------------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stop_is_clean(world: World, transport, signum):
    """Status 0 and no leak, with visitors' idle connections and a registered client at hand."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    with visitor.Visitor(server.entry) as v:
        assert v.get("app.local").status == 200
        server.daemon.send(signum)
        assert server.daemon.wait(limit=10) == 0
    client.send(signum)
    assert client.wait(limit=10) == 0


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stop_lets_a_response_finish(world: World, transport, who):
    """SIGTERM drains: what has begun goes on to its end, then the process ends with status 0."""
    tunnel, site = tunnel_id(), world.site()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, site.address)
    daemon = server.daemon if who == "server" else client
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        daemon.send(signal.SIGTERM)
        if who == "server":
            until(lambda: refused(server), "the entry point takes nobody new")
        else:
            until(lambda: server.get("app.local").status == 503, "the client is out of rotation")
        assert daemon.running
        site.gate.set()
        assert response.read() == b"last\n"
    assert daemon.wait(limit=10) == 0


def refused(server: Tunnel) -> bool:
    try:
        return server.get("app.local").status == 503
    except (OSError, visitor.http.client.HTTPException):
        return True


def test_second_signal_does_not_wait(world: World):
    """Who asks twice wants it over, streams or not; still in order."""
    server = publish(world, "tcp", world.site())
    ws = websocket.Client(visitor.connect(server.entry), "app.local")
    server.daemon.send(signal.SIGTERM)
    until(lambda: refused(server), "draining")
    assert server.daemon.running
    server.daemon.send(signal.SIGTERM)
    assert server.daemon.wait(limit=5) == 0
    ws.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_crash_of_a_client_ends_its_visitors(world: World, transport):
    """A response in the middle of its body must end, and not well."""
    tunnel, site = tunnel_id(), world.site()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, site.address)
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        assert response.read(6) == b"first\n"
        client.kill()
        with pytest.raises((visitor.http.client.IncompleteRead, ConnectionError)):
            response.read()


@pytest.mark.threads
def test_stop_while_visitors_arrive(world: World):
    """Many connections open and half-open at the moment of SIGTERM: clean all the same."""
    server = publish(world, "quic", world.site("alpha"))
    load = Load(server.entry, "app.local", visitors=8)
    until(lambda: load.count("alpha\n") >= 100, "visitors are served")
    server.daemon.send(signal.SIGTERM)
    assert server.daemon.wait(limit=15) == 0
    assert set(load.stop()) <= {"alpha\n", "503", "cut"}


def test_all_descriptors_are_taken_that_may_be_had(world: World):
    """A shell gives 1024 and lets a process have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(512, hard - 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        daemon = world.start("-L", "tcp://127.0.0.1:0/127.0.0.1:9")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    daemon.listening()
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def version_negotiated(server: Address, source: int) -> bool:
    """Whether somebody reads that socket of the server's: a version that nobody knows is answered."""
    initial = bytes([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, source, *b"7654321", 8, *b"abcdefgh"]).ljust(1200, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server)
        sock.settimeout(1)
        for _ in range(10):
            sock.send(initial)
            try:
                return sock.recv(1 << 16)[1:5] == bytes(4)
            except TimeoutError:
                continue
    return False


@pytest.mark.threads
def test_quic_server_that_stops_refuses_who_comes(world: World):
    """On all of its sockets as long as anything goes on: who has another server to go to goes there at once."""
    tunnel = tunnel_id()
    site = world.site("alpha")
    server = world.server("quic", {"app.local": tunnel}, flags=("-drain", "60s", "-workers", "4"))
    world.client("quic", server.clients, tunnel, site.address, connections=1)
    with visitor.Visitor(server.entry) as v:
        response = v.start("app.local", "/gate")
        server.daemon.send(signal.SIGTERM)
        server.daemon.log.wait("^stopping")
        assert [version_negotiated(server.clients, source) for source in range(16)] == [True] * 16
        late = world.client("quic", server.clients, tunnel, site.address, registered=False)
        assert "refused" in late.log.wait("retrying in").msg
        site.gate.set()
        assert response.read() == b"first\nlast\n"
    assert server.daemon.wait() == 0


@pytest.mark.parametrize("transport", ("mtcp", "mtls", "quic"))
@pytest.mark.parametrize("first", range(3))
def test_stop_waits_for_nobody_who_has_gone(world: World, transport, first):
    """A visitor's end goes through to the target, and a session that nobody uses holds nobody up."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, flags=("-drain", "60s"), tunnel_direct="true")
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address,
                          flags=("-drain", "60s"))
    near = world.start("-L", "tcp://127.0.0.1:0", "-drain", "60s",
                       "-F", f"tunnel+{transport}://{at(server.clients)}?tunnel.id={tunnel}")
    entry = near.listening()
    assert visitor.get(entry, "app.local").text == "alpha\n"
    with visitor.Visitor(entry) as v:
        assert v.get("app.local").text == "alpha\n"
    daemons = [near, client, server.daemon]
    for daemon in daemons[first:] + daemons[:first]:
        daemon.stop()  # fails long before the limit of the drain
