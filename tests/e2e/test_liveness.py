"""Fast to notice who has died, never wrong about who lives: clients that freeze, crash or crawl, servers
that are away, networks that come late."""

from __future__ import annotations

import collections
import contextlib
import datetime
import itertools
import threading
import time

import pytest

from harness import namespaces, visitor
from harness.daemon import Daemon, Event
from harness.dns import DnsServer
from harness.load import Arrivals, Visit, at_once
from harness.waiting import PATIENCE, until
from harness.world import REGISTERED, TRANSPORTS, Tunnel, World, tunnel_id

# What the limits of this file may be exceeded by: a machine that is busy with other things.
SLACK = PATIENCE / 40
# For how long a client that was heard is taken to be there: what is sent to it meanwhile was handed over.
FRESH = 1.0


def when(event: Event) -> float:
    """The time of a log line, as time.time() has it."""
    return datetime.datetime.fromisoformat(event.fields["time"].replace("Z", "+00:00")).timestamp()


def connector(client: Daemon) -> str:
    """The id that the server gave to a client's (first) session."""
    return client.log.wait(REGISTERED).msg.partition("connector=")[2].partition(",")[0]


def evictions(server: Tunnel) -> int:
    """How many sessions of clients have ended there."""
    return server.daemon.log.count(r"^connector \S+: ")


def sleep_until(moment: float) -> None:
    """For tests about time itself."""
    time.sleep(max(0.0, moment - time.time()))


def failed(visits: list[Visit], *fine: str) -> list[Visit]:
    return [v for v in visits if v.outcome not in fine]


def two_clients(world: World, transport: str) -> tuple[Tunnel, Daemon, Daemon]:
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    first = world.client(transport, server.clients, tunnel, world.site("first").address)
    second = world.client(transport, server.clients, tunnel, world.site("second").address)
    return server, first, second


def both_serve(load: Arrivals) -> None:
    until(lambda: load.count("first\n") > 10 and load.count("second\n") > 10, "both serve")


# ---- clients -------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_frozen_client_costs_nobody_anything(world: World, pair, transport):
    """One of two stops under load: after 3 s nobody waits for it any more, nobody has lost a request that
    it had not been handed, and when it wakes it serves again."""
    if pair.server == "gost":
        pytest.skip("about our server")
    server, first, _ = two_clients(world, transport)
    load = Arrivals(server.entry, "app.local")
    both_serve(load)
    frozen = time.time()
    first.freeze()
    sleep_until(frozen + 4.5)
    first.thaw()
    thawed = time.time()
    until(lambda: load.count("first\n", since=thawed) > 5, "it serves again")
    visits = load.stop()
    between = [v for v in visits if frozen <= v.began < thawed]
    assert not failed(between, "first\n", "second\n")
    # What was under way when it stopped may have had half of its answer.
    assert len(failed(visits, "first\n", "second\n")) <= len([v for v in visits if v.began < frozen <= v.ended])
    late = [v for v in between if v.began >= frozen + FRESH + SLACK and v.ended < thawed]
    assert late and not failed(late, "second\n")
    waited = [v.ended - v.began for v in between if v.began >= frozen + 3]
    assert max(waited) < 1 + SLACK


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_open_that_is_not_answered_moves(world: World, pair, transport):
    """Asked after a second of silence a frozen client gets nothing of the request: another one serves it,
    soon and once, even if it must not be repeated."""
    if pair.server == "gost":
        pytest.skip("about our server")
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    sites = [world.site("first"), world.site("second")]
    clients = [world.client(transport, server.clients, tunnel, s.address) for s in sites]
    for name in ("first\n", "second\n"):
        until(lambda: server.get("app.local").text == name, "both serve, and have kept streams")
    clients[0].freeze()
    frozen = time.time()
    before = len(sites[0].requests)
    sleep_until(frozen + FRESH + 0.1)
    answers = []

    def post(_: int) -> None:
        began = time.monotonic()
        answer = server.get("app.local", "/echo", method="POST", body=b"once")
        site = answer.json["site"] if answer.status == 200 else ""
        answers.append((answer.status, site, time.monotonic() - began))

    at_once(12, post)
    assert {(status, site) for status, site, _ in answers} == {(200, "second")}
    assert max(seconds for _, _, seconds in answers) < 2 + SLACK
    clients[0].thaw()
    until(lambda: server.get("app.local").text == "first\n", "it serves again")
    assert "POST /echo" not in sites[0].requests[before:]
    assert sites[1].requests.count("POST /echo") == 12


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_open_moves_to_another_client(world: World, transport):
    """Not to another session of the one that is frozen: one second is enough for every visitor. The first of
    them find out; on a server of two workers with a session of each client on each."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, flags=["--workers", "2"])
    sites = [world.site("first"), world.site("second")]
    clients = [world.client(transport, server.clients, tunnel, s.address) for s in sites]
    until(lambda: all(c.log.count(REGISTERED) == 2 for c in clients), "both have two sessions")
    for name in ("first\n", "second\n"):
        until(lambda: server.get("app.local").text == name, "both serve, and have kept streams")
    clients[0].freeze()
    sleep_until(time.time() + FRESH + 0.1)
    answers = []

    def post(_: int) -> None:
        began = time.monotonic()
        answer = server.get("app.local", "/echo", method="POST", body=b"once")
        answers.append((answer.status, time.monotonic() - began))

    at_once(12, post)
    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < 1 + 1.5 * SLACK
    clients[0].thaw()


@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_killed_client_is_noticed(world: World, transport):
    """kill -9: at once over TCP, soon over QUIC, and no request that comes after it fails."""
    server, first, _ = two_clients(world, transport)
    load = Arrivals(server.entry, "app.local")
    both_serve(load)
    name = connector(first)
    killed = time.time()
    first.kill()
    noticed = server.daemon.log.wait(rf"^connector {name}: ")
    # Over QUIC its kernel says "unreachable", to whichever socket of the server's, and four times until that counts.
    assert when(noticed) - killed < (1.5 if transport == "quic" else 0.2) + SLACK
    begun = time.time()
    until(lambda: load.count("second\n", since=begun) > 20, "the other one serves")
    visits = load.stop()
    assert not failed([v for v in visits if v.began >= killed], "second\n")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_killed_client_costs_no_request(world: World, transport):
    """Each of its sessions may be chosen by a request before its end has been seen: that moves on, and on
    again, until it comes to the client that lives. Every request under way is one that may be repeated,
    unless its response had begun."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    world.client(transport, server.clients, tunnel, world.site("second").address)
    site = world.site("first")
    load = Arrivals(server.entry, "app.local", rate=200)
    kills = []
    for _ in range(4):
        first = world.client(transport, server.clients, tunnel, site.address, connections=3)
        begun = time.time()
        until(lambda: load.count("first\n", since=begun) > 5, "it serves")
        kills.append(time.time())
        first.kill()
        begun = time.time()
        until(lambda: load.count("second\n", since=begun) > 20, "the other one serves")
    visits = [v for v in load.stop() if not (v.outcome == "cut" and any(v.began < k < v.ended for k in kills))]
    assert {v.outcome for v in visits} == {"first\n", "second\n"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_killed_client_doubles_no_request(world: World, transport):
    """Of two clients one is killed again and again while requests are sent to it that must not be repeated:
    a target sees each of them once at most, and who was answered was served once."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    sites = [world.site("first"), world.site("second")]
    world.client(transport, server.clients, tunnel, sites[1].address)
    numbers, lock, stop = itertools.count(), threading.Lock(), threading.Event()
    served: list[str] = []

    def post(_: int) -> None:
        while not stop.is_set():
            with lock:
                path = f"/echo?{next(numbers)}"
            with contextlib.suppress(OSError, visitor.http.client.HTTPException):
                if server.get("app.local", path, method="POST", body=b"once").status == 200:
                    served.append(path)

    def kill() -> None:
        for _ in range(4):
            client = world.client(transport, server.clients, tunnel, sites[0].address)
            before = len(sites[0].requests)
            until(lambda: len(sites[0].requests) > before + 10, "it serves")
            client.kill()
        stop.set()

    at_once(5, lambda n: post(n) if n else kill())
    seen = collections.Counter(line for site in sites for line in site.requests)
    assert max(seen.values()) == 1
    assert set(seen) >= {f"POST {path}" for path in served}


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_probes_do_a_gost_no_harm(world: World, pair, transport):
    """The probe is a NOP with a stream id that is not 0. What is asked so for several seconds, idle and
    busy, stays registered and says nothing about it."""
    if pair.client != "gost" or pair.server != "adit":
        pytest.skip("about a gost client; a gost server is probed by our client in all other tests")
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    mark, begin = client.log.mark(), time.time()
    sleep_until(begin + 4)
    assert server.get("app.local").text == "alpha\n"
    load = Arrivals(server.entry, "app.local")
    sleep_until(begin + 8)
    assert {v.outcome for v in load.stop()} == {"alpha\n"}
    assert not evictions(server)
    assert not [e.line for e in client.log.events[mark:] if e.level in ("warn", "error")]


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_crawling_client_is_never_evicted(world: World, pair, transport):
    """One that answers stays, however slowly: it runs for a twentieth of the time only."""
    if pair.server == "gost":
        pytest.skip("about our server")
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    load = Arrivals(server.entry, "app.local", rate=5)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        client.freeze()
        time.sleep(0.95)
        client.thaw()
        time.sleep(0.05)
    assert {v.outcome for v in load.stop()} == {"alpha\n"}
    assert not evictions(server)


@pytest.mark.peers
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_behind_a_full_queue_is_never_evicted(world: World, pair, transport):
    """The way there is slow and full in both directions for seconds: whatever asks for a sign of life
    stands behind all that."""
    if pair.server == "gost":
        pytest.skip("about our server")
    rate, seconds = 40_000, 5
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    link = world.link_proxy(transport, server.clients, rate=rate)
    client = world.client(transport, link.address, tunnel, world.site("alpha").address)
    done = []

    def down(_: int) -> None:
        done.append(len(server.get("app.local", f"/bytes/{rate * seconds // 2}").body) == rate * seconds // 2)

    def up(_: int) -> None:
        done.append(server.get("app.local", "/echo", method="POST", body=bytes(rate * seconds // 2))
                    .json["length"] == rate * seconds // 2)

    at_once(4, lambda n: up(n) if n % 2 else down(n))
    assert done == [True] * 4
    assert server.get("app.local").text == "alpha\n"
    assert not evictions(server)


# ---- servers -------------------------------------------------------------------------


@pytest.mark.parametrize("away", [1, pytest.param(10, marks=pytest.mark.long), pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clients_are_back_when_the_server_is(world: World, transport, away):
    """kill -9 of the server; each client is back within 2 s of its port listening again, although the
    new process has fewer workers than those whose connection ids the clients still use."""
    tunnel = tunnel_id()
    rules = {"app.local": tunnel}
    server = world.server(transport, rules, flags=["-workers", "3"])
    clients = [world.client(transport, server.clients, tunnel, world.site("alpha").address) for _ in range(4)]
    assert server.get("app.local").text == "alpha\n"
    server.daemon.kill()
    marks = [c.log.mark() for c in clients]
    sleep_until(time.time() + away)
    again = world.server(transport, rules, listen=server.clients, entry=server.entry, flags=["-workers", "1"])
    listening = when(again.daemon.log.wait("^listening on "))
    for client, mark in zip(clients, marks):
        back = when(client.log.wait(REGISTERED, since=mark))
        assert back - listening < 2 + SLACK
    assert again.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_server_that_is_back_at_once(world: World, transport):
    """Away for so short that no client has missed it: over QUIC only a stateless reset can tell in time."""
    tunnel = tunnel_id()
    rules = {"app.local": tunnel}
    server = world.server(transport, rules)
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address)
    server.daemon.kill()
    mark = client.log.mark()
    again = world.server(transport, rules, listen=server.clients, entry=server.entry)
    back = when(client.log.wait(REGISTERED, since=mark))
    assert back - when(again.daemon.log.wait("^listening on ")) < 2 + SLACK


# ---- what a client has to wait for ---------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_that_is_up_before_its_network(world: World, transport):
    """In a network namespace whose only interface is down: it tries until that comes up."""
    with namespaces.network() as inside:
        tunnel = tunnel_id()
        server = world.start("-L", f"tunnel+{transport}://127.0.0.1:0?tunnel=app.local:{tunnel}",
                             within=inside.enter, name="server")
        place = server.listening()
        client = world.client(transport, place, tunnel, ("127.0.0.1", 9), registered=False, within=inside.enter)
        client.log.wait(lambda e: e.level == "warn")
        assert client.log.count(REGISTERED) == 0
        inside.up()
        up = time.time()
        assert when(client.log.wait(REGISTERED)) - up < 2 + SLACK
        for daemon in (client, server):
            assert daemon.stop() == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_that_is_up_before_names_are(world: World, transport):
    """The name server is silent, then says that there is no such name, then knows it."""
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel})
    dns = world.keep(DnsServer({"server.test": "127.0.0.1"}))
    dns.silent = True
    inside = namespaces.files({"/etc/resolv.conf": f"nameserver 127.0.0.1:{dns.address[1]}\n"}, world.folder)
    client = world.client(transport, ("server.test", server.clients[1]), tunnel, world.site("alpha").address,
                          registered=False, within=inside)
    until(lambda: dns.asked >= 2, "it asks, and is not answered")
    dns.knows, dns.silent = False, False
    until(lambda: dns.refused >= 2, "it asks again, and hears that there is no such name")
    assert client.log.count(REGISTERED) == 0
    dns.knows = True
    known = time.time()
    assert when(client.log.wait(REGISTERED)) - known < 2 + SLACK
    assert server.get("app.local").text == "alpha\n"
