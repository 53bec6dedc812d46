"""Client routing: with sniffing, which of a forwarder's nodes a request or a connection goes to."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import socket
import subprocess
from typing import Any, Mapping

import pytest

from harness import certs, h2c, visitor, websocket
from harness.daemon import Daemon
from harness.lists import ListServer
from harness.pages import ROOT
from harness.servers import echo
from harness.waiting import PATIENCE, until
from harness.world import REGISTERED, World, at, tunnel_id

HERE = "127.0.0.1:0"
CONFIGURATIONS = ROOT / "tests" / "data" / "examples-config"


def service(nodes: list[dict[str, Any]], metadata: Mapping[str, Any] = {}, **more: Any) -> dict[str, Any]:
    return {
        "name": "web", "addr": HERE,
        "handler": {"type": "tcp", "metadata": {"sniffing": True, **metadata}},
        "listener": {"type": "tcp"}, "forwarder": {"nodes": nodes, **more},
    }


def start(world: World, nodes: list[dict[str, Any]], metadata: Mapping[str, Any] = {}, **more: Any) -> Daemon:
    """A port that sniffs and forwards. JSON is YAML."""
    return world.start("-D", config=json.dumps({"services": [service(nodes, metadata, **more)]}))


def matching(rule: str, site: Any, **more: Any) -> dict[str, Any]:
    return {"addr": at(site.address), "matcher": {"rule": rule}, **more}


# ---- gost's own files, unchanged but for addresses ------------------------------------------


def placed(name: str, places: Mapping[str, str]) -> str:
    text = (CONFIGURATIONS / name).read_text()
    for shown, real in places.items():
        assert shown in text, f"{name} does not name {shown}"
        text = text.replace(shown, real)
    return text


@pytest.mark.short
@pytest.mark.threads
def test_tunnel_client_routes(world: World):
    """2-tunnel-client.yaml with 1-tunnel-server.yaml, but for its API and metrics."""
    web, api, shell = world.site("web"), world.site("api"), world.serve(echo)
    config = placed("1-tunnel-server.yaml", {"127.0.0.1:21443": HERE, "127.0.0.1:21080": HERE,
                                             "127.0.0.1:21081": HERE})
    server = world.start(config=re.sub(r"^api:.*^(?=log:)", "", config, flags=re.M | re.S), name="server")
    client = world.start(name="client", config=placed("2-tunnel-client.yaml", {
        "127.0.0.1:21443": at(server.listening("tunnel")), "127.0.0.1:21802": at(api.address),
        "127.0.0.1:21801": at(web.address), "127.0.0.1:21822": at(shell.address), "127.0.0.1:21222": HERE}))
    for tunnel in ("6f1a2c34", "0d9c8b7a"):
        client.log.wait(rf"{REGISTERED[:-3]}.*tunnel={tunnel}")
    with visitor.Visitor(server.entrypoint("tunnel")) as v:
        assert v.get("www.app.example").text == "web\n"
        assert v.get("api.app.example", "/v1/x").status == 404 and api.requests == ["GET /v1/x"]
        assert v.get("api.app.example", "/").text == "web\n"
        assert v.get("API.app.example", "/v1").status == 404 and len(api.requests) == 2
        assert v.get("other.example").status == 404
    with visitor.connect(client.listening("ssh-visitor")) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock) == b"hello"


@pytest.mark.short
def test_a_forwarder_of_a_hop(world: World):
    """gost's forwarder.hop: the nodes of one of the top, with its selector and bypass; also after a reload."""
    one, two, three = (world.site(name) for name in ("one", "two", "three"))

    def config(rest: Any) -> str:
        web = {**service([]), "forwarder": {"hop": "targets"}}
        hop = {"name": "targets", "selector": {"strategy": "fifo"}, "bypass": "not-these", "nodes": [
            {"name": "a", "addr": at(one.address), "filter": {"host": "one.example"}},
            {"name": "b", "addr": at(rest.address), "connector": {"type": "relay"}, "dialer": {"type": "tls"}}]}
        return json.dumps({"services": [web], "hops": [hop],
                           "bypasses": [{"name": "not-these", "matchers": ["no.example"]}]})

    daemon = world.start(config=config(two), name="daemon")
    where = daemon.listening("web")
    with visitor.Visitor(where) as v:
        assert v.get("one.example").text == "one\n"
        assert v.get("any.example").text == "two\n"
        assert v.get("no.example").status == 502
    world.write("daemon.yaml", config(three))
    daemon.send(signal.SIGHUP)
    daemon.log.wait("^config reloaded")
    until(lambda: visitor.get(where, "any.example").text == "three\n", "the service has the hop's new node")


@pytest.mark.parametrize("forwarder, hop, says", [
    ("{hop: h, nodes: [{addr: '127.0.0.1:1'}]}", "nodes: [{addr: '127.0.0.1:1'}]", 'not used beside the hop "h"'),
    ("{hop: h}", "nodes: []", "a hop needs nodes"),
    ("{hop: h}", "nodes: [{addr: '127.0.0.1:1'}], plugin: {addr: '127.0.0.1:1'}", "plugin is not available"),
    ("{hop: g}", "nodes: [{addr: '127.0.0.1:1'}]", 'no "g" in hops'),
])
def test_what_is_no_hop_for_a_forwarder(world: World, forwarder: str, hop: str, says: str):
    checked = world.run("check", "-C", str(world.write("c.yaml", f"""
services: [{{name: s, addr: {HERE}, handler: {{type: tcp}}, listener: {{type: tcp}}, forwarder: {forwarder}}}]
hops: [{{name: h, {hop}}}]
""")))
    assert checked.status == 2 and says in checked.log.text()


@pytest.mark.short
@pytest.mark.threads
def test_port_forward_routes(world: World):
    """5-port-forward.yaml: HTTP, TLS by its name, TCP with a dead node, UDP."""
    sites = [world.site(name) for name in ("one", "two", "three", "four")]
    certificate = certs.make(world.folder, "five.example")
    five, plain = world.site("five", certificate), world.serve(echo)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    world.keep(datagrams)
    places = {f"127.0.0.1:{port}": HERE for port in (24080, 24443, 24022, 24053)}
    places |= {f"127.0.0.1:2480{i + 1}": at(site.address) for i, site in enumerate(sites)}
    forward = world.start(config=placed("5-port-forward.yaml", {
        **places, "127.0.0.1:24843": at(five.address), "127.0.0.1:24821": at(world.dead_port().address),
        "127.0.0.1:24822": at(plain.address), "127.0.0.1:24853": at(datagrams.getsockname())}))
    with visitor.Visitor(forward.listening("http")) as v:
        assert v.get("one.example").text == "one\n"
        assert v.get("a.two.example", "/static").status == 404 and sites[1].requests == ["GET /static"]
        assert v.get("a.two.example", "/dynamic").status == 502
        assert v.get("three.example").text == "three\n"
        assert v.get("three.example", method="PUT", headers={"X-Key": "k1"}).text == "three\n"
        assert v.get("three.example", method="PUT").status == 502
        assert v.get("three.example", "/admin").status == 502
        for path in ("/%61dmin", "/public/../admin", "/public/%2e%2E/./admin"):
            assert v.get("three.example", path).status == 502, "an escape is no way around a rule"
        assert v.get("four.example", "/echo").status == 401
        token = base64.b64encode(b"user:pass").decode()
        answer = v.get("four.example", "/echo?a=b", headers={"Authorization": f"Basic {token}"})
        assert answer.headers["X-Via"] == "gost"
        told = answer.json
        assert told["headers"]["host"] == "internal.example" and told["headers"]["x-from"] == "gost"
        assert told["target"] == "/echo?a=b"
        assert v.get("four.example", "/api/x%20y?q=1", headers={"Authorization": f"Basic {token}"}).status == 404
        assert sites[3].requests[-1] == "GET /v2/x%20y?q=1"
    with visitor.Visitor(forward.listening("tls"), "five.example", certificate.cert) as v:
        assert v.get("five.example").text == "five\n"
    with visitor.connect(forward.listening("plain")) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock) == b"hello"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        datagrams.settimeout(PATIENCE)
        sock.sendto(b"question", forward.listening("dns"))
        question, who = datagrams.recvfrom(100)
        datagrams.sendto(b"answer", who)
        assert question == b"question" and sock.recv(100) == b"answer"


# ---- which node -----------------------------------------------------------------------------


def test_fallbacks_only_where_nothing_matches(world: World):
    """The page's example: two hosts, and a node for all the rest, for each request of a connection."""
    sites = {name: world.site(name) for name in ("main", "sub", "rest")}
    forward = start(world, [
        {"addr": at(sites["rest"].address)},
        {"addr": at(sites["main"].address), "filter": {"host": "example.com"}},
        {"addr": at(sites["sub"].address), "filter": {"host": "sub.example.com"}},
    ])
    with visitor.Visitor(forward.listening("web")) as v:
        for _ in range(3):
            assert v.get("example.com").text == "main\n"
            assert v.get("SUB.example.com:80").text == "sub\n"
            assert v.get("abc.example.com").text == "rest\n"
    # One visitor's connection, and one to each target, which is kept.
    assert [site.connections for site in sites.values()] == [1, 1, 1]


def test_rule_with_most_priority_wins(world: World):
    short, long, first = world.site("short"), world.site("long"), world.site("first")
    forward = start(world, [
        matching("PathPrefix(`/`)", short), matching("PathPrefix(`/`) && Host(`a.example`)", long),
        {**matching("Header(`X-First`)", first), "matcher": {"rule": "Header(`X-First`)", "priority": 1000}}])
    with visitor.Visitor(forward.listening("web")) as v:
        assert v.get("a.example").text == "long\n"
        assert v.get("b.example").text == "short\n"
        assert v.get("a.example", headers={"X-First": "1"}).text == "first\n"


def test_clients_by_address(world: World):
    near, far = world.site("near"), world.site("far")
    forward = start(world, [matching("ClientIP(`127.0.0.2/32`)", near), {"addr": at(far.address)}])
    for source, name in (("127.0.0.2", "near\n"), ("127.0.0.3", "far\n")):
        with socket.create_connection(forward.listening("web"), PATIENCE, (source, 0)) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert visitor.read_to_end(sock).endswith(name.encode())


def test_a_rule_by_address_holds_through_a_tunnel(world: World):
    """What a tunnel's server keeps to a client whose choice depends on the visitor is that visitor's alone."""
    tunnel = tunnel_id()
    server = world.server("tcp", {"app.local": tunnel})
    near, far = world.site("near"), world.site("far")
    client = {
        "services": [{
            "name": "web", "addr": ":0", "handler": {"type": "rtcp", "metadata": {"sniffing": True}},
            "listener": {"type": "rtcp", "chain": "c"},
            "forwarder": {"nodes": [matching("ClientIP(`127.0.0.2`)", near), {"addr": at(far.address)}]},
        }],
        "chains": [{"name": "c", "hops": [{"name": "h", "nodes": [{
            "name": "n", "addr": at(server.clients), "connector": {"type": "tunnel", "metadata": {"tunnel.id": tunnel}},
            "dialer": {"type": "tcp"}}]}]}],
    }
    world.start(config=json.dumps(client), name="client").log.wait(REGISTERED)
    for source, name in (("127.0.0.2", "near\n"), ("127.0.0.3", "far\n"), ("127.0.0.2", "near\n")):
        with socket.create_connection(server.entry, PATIENCE, (source, 0)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\nConnection: close\r\n\r\n")
            assert visitor.read_to_end(sock).endswith(name.encode())


def test_other_protocols(world: World):
    """What is no HTTP goes by its protocol; who waits for the server to speak first goes when the time is up."""
    def saying(name: bytes) -> Any:
        def serve(sock: socket.socket) -> None:
            sock.sendall(name)
            echo(sock)
        return world.serve(serve)

    def node(name: str, **more: Any) -> dict[str, Any]:
        return {"addr": at(saying(name.encode()).address), **more}

    forward = start(world, [node("ssh", filter={"protocol": "ssh"}), node("redis", filter={"protocol": "redis"}),
                            node("tls", filter={"protocol": "tls"}), node("rest")], {"sniffing.timeout": "300ms"})
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
    for first, name in ((b"SSH-2.0-x\r\n", b"ssh"), (b"*1\r\n$4\r\nPING\r\n", b"redis"), (hello, b"tls"),
                        (b"\x00\x01\x02", b"rest"), (b"", b"rest")):
        with visitor.connect(forward.listening("web")) as sock:
            sock.sendall(first)
            sock.settimeout(PATIENCE)
            answer = b""
            while len(answer) < len(name) + len(first):
                answer += sock.recv(100)
            assert answer == name + first
            sock.shutdown(socket.SHUT_WR)
            assert visitor.read_to_end(sock) == b""


@pytest.mark.short
@pytest.mark.threads
def test_http2_in_the_clear_goes_by_its_first_request(world: World):
    """By host and by path; what follows on the connection goes the same way."""
    one, two, three, rest = (world.keep(h2c.H2Site(name)) for name in ("one", "two", "three", "rest"))
    forward = start(world, [
        {"addr": at(one.address), "filter": {"host": "one.local"}},
        {"addr": at(two.address), "filter": {"host": "two.local"}},
        {"addr": at(three.address), "matcher": {"rule": "Host(`two.local`) && PathPrefix(`/three`)"}},
        {"addr": at(rest.address)}]).listening("web")

    def curl(*words: str) -> str:
        return subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", str(PATIENCE), *words],
                              capture_output=True, text=True, check=True).stdout

    if not shutil.which("curl"):
        pytest.skip("no curl")
    for host, path, name in (("one.local", "", "one"), ("TWO.local", "", "two"), ("two.local", "%74hree/x", "three"),
                             ("else.local", "", "rest")):
        assert curl("-H", f"Host: {host}", f"http://{at(forward)}/{path}") == name, host
    body = world.write("body", "x" * 50000)
    assert curl("-H", "Host: two.local", "--data-binary", f"@{body}", f"http://{at(forward)}/") == "two"
    with visitor.connect(forward) as sock:
        sock.sendall(h2c.PREFACE + h2c.frame(h2c.SETTINGS))
        for byte in h2c.request(1, "one.local") + h2c.request(3, "two.local"):
            sock.sendall(bytes([byte]))
        got = [h2c.take(sock) for _ in range(6)]
        assert [f.payload for f in got if f.kind == h2c.DATA] == [b"one", b"one"]


def test_http2_in_the_clear_and_the_bypass_of_a_hop(world: World):
    """Where nothing else looks at hosts, too, what it names has no node."""
    site = world.keep(h2c.H2Site("one"))
    where = world.start(config=json.dumps({
        "services": [{**service([]), "forwarder": {"hop": "targets"}}],
        "hops": [{"name": "targets", "bypass": "not-these", "nodes": [{"name": "a", "addr": at(site.address)}]}],
        "bypasses": [{"name": "not-these", "matchers": ["no.example"]}]}), name="daemon").listening("web")
    hello = h2c.PREFACE + h2c.frame(h2c.SETTINGS)
    with visitor.connect(where) as sock:
        sock.sendall(hello + h2c.request(1, "any.example"))
        assert [h2c.take(sock) for _ in range(4)][3].payload == b"one"
    with visitor.connect(where) as sock:
        sock.sendall(hello + h2c.request(1, "no.example"))
        with pytest.raises((EOFError, ConnectionError)):
            h2c.take(sock)
    assert site.requests == 1


def test_http2_clients_that_wait_for_settings(world: World):
    """They are told settings, and what they say to that is not the target's; it tells its own afterwards."""
    one, rest = (world.keep(h2c.H2Site(name)) for name in ("one", "rest"))
    nodes = [{"addr": at(one.address), "filter": {"host": "one.local"}}, {"addr": at(rest.address)}]
    forward = start(world, nodes).listening("web")
    own = h2c.frame(h2c.SETTINGS, payload=b"\0\4\0\1\0\0")
    with visitor.connect(forward) as sock:
        sock.sendall(h2c.PREFACE + own)
        assert h2c.take(sock) == (h2c.SETTINGS, 0, 0, b"")
        sock.sendall(h2c.request(1, "one.local"))           # RFC 9113, 6.5.3: soon, but not at once
        sock.sendall(h2c.frame(h2c.SETTINGS, h2c.ACK))
        got = [h2c.take(sock) for _ in range(4)]
        assert got[0] == (h2c.SETTINGS, 0, 0, b"") and got[3].payload == b"one"
        assert [f.kind for f in one.seen] == [h2c.SETTINGS, h2c.HEADERS] and one.seen[0].payload
        sock.sendall(h2c.frame(h2c.SETTINGS, h2c.ACK))
        until(lambda: one.seen[-1][:2] == (h2c.SETTINGS, h2c.ACK), "the target hears of its own settings")
    assert not rest.seen


def test_http2_clients_that_say_nothing(world: World):
    """Nobody guesses where they want to go; where that does not matter they are there at once."""
    one, rest = (world.keep(h2c.H2Site(name)) for name in ("one", "rest"))
    nodes = [{"addr": at(one.address), "filter": {"host": "one.local"}}, {"addr": at(rest.address)}]
    forward = start(world, nodes, {"sniffing.timeout": "1s"}).listening("web")
    with visitor.connect(forward) as sock:
        sock.sendall(h2c.PREFACE + h2c.frame(h2c.SETTINGS))
        assert h2c.take(sock).kind == h2c.SETTINGS
        assert h2c.take(sock) == (h2c.GOAWAY, 0, 0, bytes(8))
        assert visitor.read_to_end(sock) == b""
    alone = start(world, [{"addr": at(rest.address)}]).listening("web")
    with visitor.connect(alone) as sock:
        sock.sendall(h2c.PREFACE + h2c.frame(h2c.SETTINGS))
        assert [h2c.take(sock)[:2] for _ in range(2)] == [(h2c.SETTINGS, 0), (h2c.SETTINGS, h2c.ACK)]
    assert not one.seen


def test_tls_without_a_node_gets_an_alert(world: World):
    forward = start(world, [{"addr": at(world.site().address), "filter": {"host": "a.example"}}])
    with pytest.raises(visitor.ssl.SSLError, match="(?i)unrecognized.name"):
        visitor.connect(forward.listening("web"), "b.example")


# ---- HTTP -----------------------------------------------------------------------------------


@pytest.mark.short
def test_bodies_are_streamed(world: World):
    site = world.site("alpha")
    forward = start(world, [matching("Host(`a.example`)", site)])
    with visitor.Visitor(forward.listening("web")) as v:
        response = v.start("a.example", "/gate")
        assert response.readline() == b"first\n"
        site.gate.set()
        assert response.read() == b"last\n"

        def pieces() -> Any:
            yield b"x" * 1000
            until(lambda: site.received >= 1000, "the first half comes before the second")
            yield b"y" * 1000

        assert v.get("a.example", "/progress", method="POST", body=pieces()).text == "2000\n"


@pytest.mark.short
def test_websocket(world: World):
    site = world.site("alpha")
    forward = start(world, [matching("Path(`/ws`)", site)])
    client = websocket.Client(visitor.connect(forward.listening("web")), "a.example")
    client.send(b"hello")
    assert client.receive() == (websocket.BINARY, b"hello")
    client.close()
    line = forward.log.wait(lambda e: "requests" in e.fields and e.fields.get("status") == 101)
    assert line.fields["requests"] == 1 and line.fields["host"] == "a.example"


@pytest.mark.parametrize("keep", [True, False])
def test_keepalive(world: World, keep: bool):
    """http.keepalive: of both sides. Off, the visitor is told that there is nothing more."""
    site = world.site("alpha")
    forward = start(world, [{"addr": at(site.address)}], {"http.keepalive": keep})
    with visitor.Visitor(forward.listening("web")) as v:
        first = v.get("a.example", "/echo")
        assert first.headers.get("Connection") == (None if keep else "close")
        assert first.json["headers"].get("connection") == (None if keep else "close")
        if keep:
            told = v.get("a.example", "/echo").json
            assert (told["connection"], told["request"]) == (1, 2)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_kept_connection_that_died_is_replaced(world: World, method: str):
    """A GET is repeated, on a new connection and then to another node, of which there is none."""
    site = world.site("alpha")
    forward = start(world, [{"addr": at(site.address)}])
    with visitor.Visitor(forward.listening("web")) as v:
        assert v.get("a.example").text == "alpha\n"
        assert v.get("a.example", "/hangup", method=method).status == 502
        assert v.get("a.example").text == "alpha\n"


@pytest.mark.parametrize("fails", [1, 3])
def test_a_dead_node_costs_no_request(world: World, fails: int):
    site, dead = world.site("alive"), world.dead_port()
    forward = start(world, [{"name": "dead", "addr": at(dead.address)}, {"name": "alive", "addr": at(site.address)}],
                    {}, selector={"strategy": "fifo", "maxFails": fails, "failTimeout": "30s"})
    for _ in range(2):
        with visitor.connect(forward.listening("web")) as sock:  # passed on as it is
            sock.sendall(b"\x00 / HTTP/1.0\r\n\r\n")
            assert b"HTTP" in visitor.read_to_end(sock)
    with visitor.Visitor(forward.listening("web")) as v:
        for _ in range(3):
            assert v.get("a.example").text == "alive\n"
    alone = start(world, [{"addr": at(dead.address)}])
    assert visitor.get(alone.listening("web"), "a.example").status == 502


def test_a_node_that_hangs_up_is_marked(world: World):
    """Who takes a connection and ends it without an answer has failed as well."""
    taken: list[int] = []

    def hang_up(sock: socket.socket) -> None:
        taken.append(len(sock.recv(1000)))

    site = world.site("alive")
    forward = start(world, [{"addr": at(world.serve(hang_up).address)}, {"addr": at(site.address)}],
                    {}, selector={"strategy": "fifo", "maxFails": 1, "failTimeout": "30s"})
    for _ in range(3):
        assert visitor.get(forward.listening("web"), "a.example").text == "alive\n"
    assert len(taken) == 1


def test_codes_that_mark_a_node(world: World):
    broken, well = world.site("broken"), world.site("well")
    forward = start(world, [
        {"addr": at(broken.address), "http": {"failCodes": "429, 5xx"}},
        {"addr": at(well.address), "metadata": {"backup": True}}], {},
        selector={"strategy": "fifo", "maxFails": 1, "failTimeout": "60s"})
    with visitor.Visitor(forward.listening("web")) as v:
        assert v.get("a.example", "/status/404").status == 404
        assert v.get("a.example").text == "broken\n"
        assert v.get("a.example", "/status/503").status == 503
        assert v.get("a.example").text == "well\n"


def test_settings_of_a_node(world: World):
    site = world.site("alpha")
    forward = start(world, [{"addr": at(site.address), "http": {
        "host": "inside.example", "requestHeader": {"X-Set": "new", "X-Gone": ""},
        "responseHeader": {"X-Via": "adit", "Server": ""},
        "rewriteURL": [{"match": "^/v1/(?P<rest>.*)$", "replacement": "/${rest}"},
                       {"match": "^/find/(.*)$", "replacement": "/echo?word=$1&cost=$$1"},
                       {"match": "^/nothing$", "replacement": ""}, {"match": "^/nothing", "replacement": "/wrong"}]}}])
    with visitor.Visitor(forward.listening("web")) as v:
        answer = v.get("a.example", "/v1/echo?q=1", headers={"X-Set": "old", "X-Gone": "here"})
        assert answer.headers["X-Via"] == "adit" and answer.headers["Server"] == ""
        told = answer.json
        assert told["target"] == "/echo?q=1" and told["headers"]["host"] == "inside.example"
        assert told["headers"]["x-set"] == "new" and "x-gone" not in told["headers"]
        # What a path carries cannot become a query of its own, or a line.
        told = v.get("a.example", "/find/a%3Fb%0Dc?dropped=1").json
        assert told["target"] == "/echo?word=a%3Fb%0Dc&cost=$1"
        assert v.get("a.example", "/echo?as=is").json["target"] == "/echo?as=is"
        # What is left of nothing is the root, where the site says its name.
        assert v.get("a.example", "/nothing").text == "alpha\n"


def test_credentials_are_not_got_past(world: World):
    """A node that asks for them takes nothing whose requests are not read, even if its target would."""
    site = world.site("alpha")
    forward = start(world, [{"name": "staff", "addr": at(site.address),
                             "http": {"auth": {"username": "u", "password": "p"}}}], {"sniffing.timeout": "300ms"})
    entry = forward.listening("web")
    right = {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}
    assert visitor.get(entry, "a.example").status == 401
    assert visitor.get(entry, "a.example", headers=right).text == "alpha\n"
    connections = site.connections
    request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
    for first in (b"\n" + request, b"\r\n" + request, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", hello, b""):
        with visitor.connect(entry) as sock:
            sock.sendall(first)
            sock.settimeout(PATIENCE)
            try:
                answer = visitor.read_to_end(sock)
            except ConnectionError:
                answer = b""
            assert b"alpha" not in answer and (b"HTTP" not in answer or b" 401 " in answer), first
    assert site.connections == connections
    forward.log.wait("node staff asks for credentials")


@pytest.mark.parametrize("secure", [False, True])
def test_tls_toward_a_node(world: World, secure: bool):
    """tls of a node: HTTP that comes in the clear leaves encrypted; with secure only to whom it is meant for."""
    certificate = certs.make(world.folder, "inside.example")
    site = world.site("alpha", certificate)
    tls: dict[str, Any] = {"serverName": "inside.example"}
    if secure:
        tls |= {"secure": True, "caFile": str(certificate.cert)}
    forward = start(world, [{"addr": at(site.address), "tls": tls}])
    assert visitor.get(forward.listening("web"), "a.example").text == "alpha\n"
    wrong = start(world, [{"addr": at(site.address), "tls": {**tls, "serverName": "other.example"}}])
    answer = visitor.get(wrong.listening("web"), "a.example")
    assert answer.status == (502 if secure else 200)


@pytest.mark.parametrize("version", [1, 2])
def test_targets_are_told_who_visits(world: World, version: int):
    """One header a connection, which therefore serves one visitor."""
    heads: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        heads.append(stream.readline() if version == 1 else stream.read(28))
        while stream.readline() not in (b"\r\n", b""):
            pass
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        while True:
            line = stream.readline()
            if not line:
                return
            while line not in (b"\r\n", b""):
                line = stream.readline()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    forward = start(world, [{"addr": at(world.serve(serve).address)}], {"proxyProtocol": version})
    for count in (1, 2):
        with visitor.Visitor(forward.listening("web")) as v:
            who = v.sock.getsockname()
            assert v.get("a.example").text == "ok" and v.get("a.example").text == "ok"
        assert len(heads) == count
        if version == 1:
            assert heads[-1].startswith(f"PROXY TCP4 127.0.0.1 127.0.0.1 {who[1]} ".encode())
        else:
            assert heads[-1][16:] == bytes([127, 0, 0, 1] * 2) + who[1].to_bytes(2, "big") + heads[-1][26:]


def test_what_a_chain_led_to_is_one_visitors(world: World):
    """A chain's connector may have told its node who visits."""
    site = world.site("alpha")
    proxy = world.start(name="proxy", config=json.dumps({"services": [{
        "name": "proxy", "addr": HERE, "handler": {"type": "socks5"}, "listener": {"type": "tcp"}}]}))
    web = service([{"addr": at(site.address)}])
    web["handler"]["chain"] = "c"
    forward = world.start("-D", name="forward", config=json.dumps({"services": [web], "chains": [
        {"name": "c", "hops": [{"name": "h", "nodes": [{
            "name": "n", "addr": at(proxy.listening("proxy")), "connector": {"type": "socks5"},
            "dialer": {"type": "tcp"}}]}]}]}))
    for count in range(1, 9):  # more than there are workers
        with visitor.Visitor(forward.listening("web")) as v:
            assert v.get("a.example").text == "alpha\n" and v.get("a.example").text == "alpha\n"
        assert site.connections == count


def test_refusals(world: World):
    forward = start(world, [matching("Host(`a.example`)", world.site())])
    entry = forward.listening("web")
    assert visitor.get(entry, "b.example").status == 502, "no node"
    for request, status in ((b"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n", 405),
                            (b"GET / HTTP/1.1\r\nHost: a example\r\n\r\n", 400),
                            (b"GET / HTTP/1.1\r\n\r\n", 400)):
        with visitor.connect(entry) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            assert visitor.read_to_end(sock).split()[1] == b"%d" % status


def test_a_drain_lets_a_request_end(world: World):
    site = world.site("alpha")
    forward = start(world, [{"addr": at(site.address)}])
    with visitor.Visitor(forward.listening("web")) as v:
        response = v.start("a.example", "/gate")
        assert response.readline() == b"first\n"
        forward.send(signal.SIGTERM)
        site.gate.set()
        assert response.read() == b"last\n"
    assert forward.wait() == 0


def test_a_drain_does_not_wait_for_who_says_nothing(world: World):
    config = json.dumps({"services": [service([{"addr": at(world.site().address)}], {"sniffing.timeout": "10m"})]})
    forward = world.start("-drain", "10m", "-D", config=config)
    with visitor.connect(forward.listening("web")) as sock:
        # He is in when another one, who came later, was served.
        assert visitor.get(forward.listening("web"), "a.example").status == 200
        forward.send(signal.SIGTERM)
        sock.settimeout(PATIENCE)
        try:
            assert sock.recv(1) == b""
        except ConnectionError:
            pass
    assert forward.wait() == 0


# ---- what is wrong is said where it stands ----------------------------------------------------


def test_errors_have_their_place(world: World):
    world.write("wrong.yaml", """\
services:
- name: web
  addr: 127.0.0.1:0
  handler:
    type: tcp
  listener:
    type: tcp
  forwarder:
    nodes:
    - addr: 127.0.0.1:1
      matcher:
        rule: Host(`a`) && Hots(`b`)
    - addr: 127.0.0.1:1
      matcher:
        rule: "PathRegexp(`/[`)"
""")
    daemon = world.run("check", "-C", "wrong.yaml")
    assert daemon.status == 2
    text = daemon.log.text()
    assert ("wrong.yaml:12:28: services[0].forwarder.nodes[0].matcher.rule: unknown function \"Hots\", "
            "did you mean \"Host\"?") in text
    assert "wrong.yaml:15:30: services[0].forwarder.nodes[1].matcher.rule: PathRegexp: regular expression:" in text


def test_errors_of_settings_have_their_place(world: World):
    world.write("wrong.yaml", """\
services:
- name: web
  addr: 127.0.0.1:0
  handler: {type: tcp, metadata: {sniffing: true}}
  listener: {type: tcp}
  forwarder:
    nodes:
    - addr: 127.0.0.1:1
      http:
        requestHeader:
          Content-Length: 1
          "X Y": 1
        failCodes: many
        rewriteURL:
        - match: (/a
          replacement: /b
        rewriteResponseBody:
        - match: a
          replacement: b
    - addr: 127.0.0.1:1
      http:
        host: a b
        requestHeader:
          host: a/b
        responseHeader:
          Host: a/b
""")
    daemon = world.run("check", "-C", "wrong.yaml")
    assert daemon.status != 0
    text = daemon.log.text()
    node = "services[0].forwarder.nodes[0].http"
    for line in (f"wrong.yaml:11:27: {node}.requestHeader.Content-Length: a field of the connection",
                 f"wrong.yaml:12:18: {node}.requestHeader.X Y: no header field",
                 f"wrong.yaml:13:20: {node}: failCodes: expected statuses, as 429,5xx",
                 f"wrong.yaml:15:21: {node}.rewriteURL[0].match: regular expression: missing closing parenthesis",
                 f"wrong.yaml:18:9: {node}.rewriteResponseBody: rewriteResponseBody is not available in this build",
                 "wrong.yaml:22:15: services[0].forwarder.nodes[1].http.host: no host: a b",
                 "wrong.yaml:24:17: services[0].forwarder.nodes[1].http.requestHeader.host: no host: a/b"):
        assert line in text, text
    assert "nodes[1].http.responseHeader" not in text


@pytest.mark.parametrize("trusted", [True, False])
def test_forwarded_fields_of_a_port(world: World, trusted: bool):
    """Whoever comes says who he is; only a trusted proxy is believed, and the target hears both."""
    site = world.site("alpha")
    port = world.start("-L", f"tcp://127.0.0.1:0/{at(site.address)}?sniffing=true&http.forwarded=true"
                       f"&http.trustedProxies={'127.0.0.0/8' if trusted else '192.0.2.0/24'}").listening()
    said = {"X-Forwarded-For": "203.0.113.9", "X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9",
            "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.9"}
    told = visitor.get(port, "a.example", "/echo", headers=said).json["headers"]
    assert told["x-forwarded-host"] == "a.example"
    if trusted:
        assert told["x-forwarded-for"] == "203.0.113.9, 127.0.0.1" and told["x-forwarded-proto"] == "https"
        assert told["forwarded"] == "for=203.0.113.9, for=127.0.0.1;proto=http"
    else:
        assert told["x-forwarded-for"] == "127.0.0.1" and told["x-forwarded-proto"] == "http"
        assert "203.0.113.9" not in str(told)
    plain = world.start("-L", f"tcp://127.0.0.1:0/{at(site.address)}?sniffing=true").listening()
    assert "x-forwarded-for" not in visitor.get(plain, "a.example", "/echo").json["headers"]


# ---- probes ---------------------------------------------------------------------------------


def probed(world: World, probe: dict[str, Any], first: Any, second: Any) -> Daemon:
    """Two nodes, the first of which is probed once a second and forgotten for an hour when it fails."""
    return start(world, [{"name": "first", "addr": at(first), "probe": {"interval": "1s", **probe},
                          "metadata": {"failTimeout": "1h"}}, {"name": "second", "addr": at(second)}],
                 selector={"strategy": "fifo"})


@pytest.mark.short
@pytest.mark.threads
def test_a_probe_by_http(world: World):
    """A node whose page has another status is out before any visitor gets there, and in when it is well."""
    health, second = world.keep(ListServer("healthy")), world.site("second")
    health.status = 503
    daemon = probed(world, {"type": "http", "httpPath": "/health", "httpHost": "health.example",
                            "httpHeaders": {"X-Probe": "yes"}, "expectedStatus": 204}, health.address, second.address)
    daemon.log.wait(f"^probe of {at(health.address)}: status 503$")
    method, target, fields = health.requests[0]
    assert (method, target, fields["host"], fields["x-probe"]) == ("GET", "/health", "health.example", "yes")
    assert visitor.get(daemon.listening("web"), "any.example").text == "second\n"
    health.status = 204
    daemon.log.wait("it is well again$")
    assert visitor.get(daemon.listening("web"), "any.example").status == 204


def test_a_probe_by_a_connection(world: World):
    first, second = world.dead_port(), world.site("second")
    daemon = probed(world, {"type": "tcp"}, first.address, second.address)
    assert "refused" in daemon.log.wait(f"^probe of {at(first.address)}: ").msg
    assert visitor.get(daemon.listening("web"), "any.example").text == "second\n"
    daemon.stop()


@pytest.mark.parametrize("node, says", [
    ("addr: '127.0.0.1:1', probe: {type: cmd, command: 'true'}", "cmd is not available"),
    ("addr: '127.0.0.1:1', probe: {type: udp}", "udp"),
    ("addr: '127.0.0.1:1', probe: {type: http, httpPath: health}", "httpPath: must begin with a /"),
    ("addr: '127.0.0.1:1', probe: {type: http, httpHeaders: {Host: x}}", "httpHeaders: Host: cannot be set"),
    ("addr: name, probe: {}", "without host and port"),
])
def test_what_is_no_probe(world: World, node: str, says: str):
    checked = world.run("check", "-C", str(world.write("c.yaml", f"""
services:
- {{name: s, addr: {HERE}, handler: {{type: tcp}}, listener: {{type: tcp}}, forwarder: {{nodes: [{{{node}}}]}}}}
""")))
    assert checked.status == 2 and says in checked.log.text()
