"""Several clients of one tunnel, and who may be one."""

from __future__ import annotations

import collections
import re
import time

import pytest

from harness.load import Load
from harness.waiting import until
from harness.world import REGISTERED, TRANSPORTS, Pair, Tunnel, World, at, tunnel_id


def answers(server: Tunnel, n: int, host: str = "app.local") -> "collections.Counter[str]":
    return collections.Counter(server.get(host).text.strip() for _ in range(n))


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_exclusive_client(world: World, pair, transport):
    """Weight 255 takes every visitor while it lives; then the others do."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, server.clients, tunnel, world.site("spare").address, tunnel_weight=1)
    chief = world.client(transport, server.clients, tunnel, world.site("chief").address, tunnel_weight=255)
    assert answers(server, 20) == {"chief": 20}
    chief.stop()
    if pair == Pair("gost", "gost") and transport == "quic":
        return      # a gost leaves without a word, and a gost server waits out its idle timeout
    until(lambda: server.get("app.local").status == 200, "the spare client takes over")
    assert answers(server, 10) == {"spare": 10}


@pytest.mark.peers
def test_weighted_choice(world: World, pair):
    """Weights 1 and 3: a quarter goes to the first (200 draws: below 12 % or above 40 % once in 30 000)."""
    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    for weight in (1, 3):
        world.client("tcp", server.clients, tunnel, world.site(f"w{weight}").address, tunnel_weight=weight)
    got = answers(server, 200)
    assert set(got) == {"w1", "w3"}
    assert 24 <= got["w1"] <= 80


def bound(server: Tunnel) -> list[str]:
    """The connectors of all binds that a server has seen."""
    return [e.msg.partition("connector=")[2].partition(",")[0] for e in server.daemon.log.events
            if e.msg.startswith("bind: ")]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sessions_of_one_client_count_once(world: World, transport):
    """Four sessions of one client and one of another: half of the visitors each (of 200, once in 10^9 not)."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, flags=["--workers", "4"])
    for name, sessions in (("many", 4), ("one", 1)):
        world.client(transport, server.clients, tunnel, world.site(name).address, connections=sessions)
    until(lambda: len(bound(server)) == 5, "all sessions are bound")
    assert sorted(collections.Counter(bound(server)).values()) == [1, 4]
    got = answers(server, 200)
    assert got["many"] + got["one"] == 200
    assert 55 <= got["one"] <= 145


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("workers, asked, sessions", [(1, None, 2), (3, None, 2), (3, 3, 3), (3, 9, 3)])
def test_a_client_has_as_many_sessions_as_the_server_gains_by(world: World, transport, workers, asked, sessions):
    """At least two where two are wanted: one may be cut off."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, flags=["--workers", str(workers)])
    options = {} if asked is None else {"connections": asked}
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address, flags=["-D", "--workers", "2"],
                          **options)
    until(lambda: len(bound(server)) >= sessions, "the sessions are bound")
    assert server.get("app.local").text == "alpha\n"
    assert len(bound(server)) == sessions
    assert len(set(bound(server))) == 1
    assert client.log.count(REGISTERED) == sessions
    if transport == "quic":
        assert client.log.count("^quic session: protocol adit/1") == sessions


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_gost_is_given_one_session(world: World, pair, transport):
    """It would count each as a client of its own. Among us a second one follows the first at once."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    sessions = 2 if pair == Pair("adit", "adit") else 1
    until(lambda: client.log.count(REGISTERED) >= sessions, "the sessions are bound")
    assert answers(server, 50) == {"alpha": 50}
    assert client.log.count(REGISTERED) == sessions


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_worker_serves_its_share(world: World, transport):
    """Each has a session of the client, so no visitor has to move: of 400 that the kernel spreads over two
    workers each serves 35 to 65 % (once in 10^8 not)."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, flags=["--workers", "2"])
    world.client(transport, server.clients, tunnel, world.site("alpha").address)
    until(lambda: len(bound(server)) == 2, "both sessions are bound")
    assert answers(server, 400) == {"alpha": 400}
    until(lambda: sum(served(server).values()) == 400, "all visits are in the log")
    assert set(served(server)) == {0, 1}
    assert 140 <= served(server)[0] <= 260


def served(server: Tunnel) -> "collections.Counter[int]":
    """How many visits each worker of a server has seen to their end."""
    return collections.Counter(e.fields["worker"] for e in server.daemon.log.events
                               if e.fields.get("kind") == "entrypoint" and "endedBy" in e.fields)


@pytest.mark.parametrize("weight", ["256", "-1", "many"])
def test_impossible_weight_is_refused(world: World, weight):
    client = world.client("tcp", ("127.0.0.1", 1), tunnel_id(), ("127.0.0.1", 2), registered=False,
                          tunnel_weight=weight)
    client.must_end_well = False
    assert client.wait() == 2
    assert "tunnel.weight" in client.log.text()


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_password(world: World, pair, transport):
    """A wrong password is refused and logged by both; the client goes on trying, and nothing leaks."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, user="site-a:correct-horse")
    site = world.site("alpha")
    for user in ("site-a:wrong-horse", "site-b:correct-horse", ""):
        client = world.client(transport, server.clients, tunnel, site.address, user=user, registered=False)
        first = client.log.wait(lambda e: e.level in ("warn", "error"))
        mark = client.log.events.index(first) + 1
        client.log.wait(lambda e: e.level in ("warn", "error"), since=mark)
        assert client.log.count(REGISTERED) == 0
        assert client.running and server.get("app.local").status == 503
        client.stop()
        if pair.client == "adit":
            assert "horse" not in client.log.text()
    world.client(transport, server.clients, tunnel, site.address, user="site-a:correct-horse")
    assert server.get("app.local").text == "alpha\n"
    if pair.server == "adit":
        assert "horse" not in server.daemon.log.text()


@pytest.mark.peers
def test_private_rule_is_not_for_the_public(world: World, pair):
    tunnel = tunnel_id()
    server = world.server("tcp", {"open.local": tunnel, "closed.local": "$" + tunnel})
    world.client("tcp", server.clients, tunnel, world.site("alpha").address)
    assert server.get("open.local").text == "alpha\n"
    assert server.get("closed.local").status in (404, 502)


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_that_stopped_answering_is_out_in_3_seconds(world: World, transport):
    """Frozen, not dead: its kernel still acknowledges, so only its own word counts. Visitors are served
    all the time, and once it wakes it is back."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    frozen = world.client(transport, server.clients, tunnel, world.site("frozen").address)
    world.client(transport, server.clients, tunnel, world.site("awake").address)
    until(lambda: server.get("app.local").text == "frozen\n", "both serve")
    frozen.freeze()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        answer = server.get("app.local")
        assert (answer.status, answer.text) == (200, "awake\n")
    begin = time.monotonic()
    assert answers(server, 20) == {"awake": 20}
    assert time.monotonic() - begin < 2, "nothing waits for the frozen one any more"
    frozen.thaw()
    until(lambda: server.get("app.local").text == "frozen\n", "the client is back")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_behind_a_dead_network_is_replaced(world: World, transport):
    """Nothing gets through and nobody says so: after 3 s the tunnel has no client, and later it has one."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    link = world.link_proxy(transport, server.clients)
    world.client(transport, link.address, tunnel, world.site("alpha").address)
    assert server.get("app.local").text == "alpha\n"
    link.block()
    until(lambda: server.get("app.local").status == 503, "the server gave the client up", limit=6)
    link.unblock()
    until(lambda: server.get("app.local").status == 200, "the client is back", limit=15)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_idle_client_is_never_evicted(world: World, transport):
    """One that answers stays: over several probe periods it registers exactly once."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address, connections=1)
    load = Load(server.entry, "nobody.local", visitors=1)
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 7, "seven seconds in which only other hosts are asked for")
    load.stop()
    assert server.get("app.local").text == "alpha\n"
    assert client.log.count(REGISTERED) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_thirty_clients(world: World, transport):
    """Each tunnel reaches its own site, whichever order they came in."""
    rules = {f"h{i}.local": tunnel_id() for i in range(30)}
    server = world.server(transport, rules)
    sites = {host: world.site(host) for host in rules}
    clients = [world.client(transport, server.clients, t, sites[h].address, registered=False)
               for h, t in reversed(rules.items())]
    for client in clients:
        client.log.wait(REGISTERED)
    for host in rules:
        assert server.get(host).text == f"{host}\n"


def test_two_services_in_one_client(world: World):
    """One process, two -L: both get their chain; one of them failing is not the other's matter."""
    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    good, dead = world.site("good"), world.dead_port()
    client = world.start(
        "-L", f"rtcp://:0/127.0.0.1:{good.address[1]}", "-L", f"rtcp://:0/127.0.0.1:{dead.address[1]}",
        "-F", f"tunnel://127.0.0.1:{server.clients[1]}?tunnel.id={tunnel}&connections=1")
    until(lambda: client.log.count(REGISTERED) == 2, "both services are registered")
    got = collections.Counter(server.get("app.local").status for _ in range(40))
    assert set(got) == {200, 502}


def test_pauses_before_the_next_attempt_grow_and_differ(world: World):
    """From 100 ms on, up to a second in the first minute, each cut short by chance."""
    server = world.dead_port()

    def pauses() -> "list[int]":
        client = world.start("-L", "rtcp://:0/127.0.0.1:9",
                             "-F", f"tunnel://{at(server.address)}?tunnel.id={tunnel_id()}")
        until(lambda: client.log.count("retrying in") >= 7, "seven attempts", 60)
        said = (re.search(r"retrying in (\d+)ms", e.msg) for e in list(client.log.events))
        return [int(found[1]) for found in said if found][:7]

    first, second = pauses(), pauses()
    for found in first, second:
        assert all(49 <= pause <= most for pause, most in zip(found, (100, 200, 400, 800, 1000, 1000, 1000)))
        assert max(found) > 200, "what an attempt itself took is taken off, so the least is the first one's"
    assert first != second, "two that lost the same server come back at the same moments"
