"""Rules from elsewhere: a URL, a Redis, a file, read again while the server runs."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from typing import Any, Optional

import pytest

from harness import certs, visitor
from harness.daemon import Address, Daemon, address
from harness.lists import ListServer, Redis
from harness.waiting import until
from harness.world import REGISTERED, World, at, tunnel_id

STAYS = "the rules stay as they are"


def serve(world: World, name: str = "server", rules: Optional[dict[str, str]] = None, workers: str = "2",
          **source: Any) -> Daemon:
    """A tunnel server whose rules come from source, over those given here."""
    return world.start("--workers", workers, config=config_of(rules, **source), name=name)


def config_of(rules: Optional[dict[str, str]] = None, **source: Any) -> str:
    ingress = {"name": "hosts", "rules": [{"hostname": h, "endpoint": t} for h, t in (rules or {}).items()], **source}
    return json.dumps({
        "services": [{"name": "clients", "addr": "127.0.0.1:0", "listener": {"type": "tcp"},
                      "handler": {"type": "tunnel", "metadata": {"entrypoint": "127.0.0.1:0", "ingress": "hosts"}}}],
        "ingresses": [ingress]})


def serve_many(world: World, sources: list[dict[str, Any]]) -> Daemon:
    """A server with an entry point for each of the sources."""
    return world.start(name="server", config=json.dumps({
        "services": [{"name": "clients", "addr": "127.0.0.1:0", "listener": {"type": "tcp"},
                      "handler": {"type": "tunnel", "metadata": {"entrypoints": [
                          {"addr": "127.0.0.1:0", "ingress": f"hosts-{i}"} for i in range(len(sources))]}}}],
        "ingresses": [{"name": f"hosts-{i}", **source} for i, source in enumerate(sources)]}))


def entries_of(server: Daemon) -> list[Address]:
    server.listening("clients")
    return [address(e.msg) for e in server.log.events if e.msg.startswith("entrypoint: ")]


def status(server: Daemon, host: str) -> int:
    return visitor.get(server.entrypoint("clients"), host).status


def becomes(server: Daemon, host: str, wanted: int) -> None:
    until(lambda: status(server, host) == wanted, f"{host} answers {wanted}")


def read(server: Daemon, times: int = 1) -> Daemon:
    """Returns when its sources have been read: before that a host without a rule gets 503 too."""
    until(lambda: server.log.count("rules, with those of") >= times, "the sources are read")
    return server


def publish(world: World, server: Daemon, name: str = "site") -> str:
    tunnel = tunnel_id()
    world.client("tcp", server.listening("clients"), tunnel, world.site(name).address)
    return tunnel


# ---- a URL --------------------------------------------------------------------------------------


def test_rules_behind_a_url(world: World):
    """They are read at the start and again; a rule here is replaced by one there."""
    lists = world.keep(ListServer(f"# mine\n\nother.local {tunnel_id()}\n"))
    server = serve(world, rules={"app.local": tunnel_id(), "other.local": f"${tunnel_id()}"}, reload="1s",
                   http={"url": f"http://{at(lists.address)}/rules?key=hidden"})
    assert status(read(server), "other.local") == 503
    tunnel = publish(world, server)
    lists.text = f"app.local {tunnel}\n"
    becomes(server, "app.local", 200)
    becomes(server, "other.local", 404)
    assert {r[:2] for r in lists.requests} == {("GET", "/rules?key=hidden")}
    assert "hidden" not in server.log.text()


def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    time.sleep(3)


def without_end(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(20000):
        handler.wfile.write(b"#" * 1023 + b"\n")


def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")


BROKEN = (
    ("status 500", {"status": 500}), ("line 1: ", {"text": "<html>no rules</html>\n"}), ("not a text", {"text": "a\0b"}),
    ("no answer within 1000 ms", {"answer": slowly}), ("the answer is too long", {"answer": without_end}),
    ("truncated|reset|ended", {"answer": cut}),
    ("status 302", {"status": 302, "fields": {"Location": "https://127.0.0.1:1/"}}),
)


def test_broken_sources_change_nothing(world: World):
    """Each is told of once, and that it is over; the rules stay, also for who comes meanwhile."""
    lists = [world.keep(ListServer(f"app.local {tunnel_id()}\n")) for _ in BROKEN]
    server = serve_many(world, [{"reload": "1s", "http": {"url": f"http://{at(one.address)}/", "timeout": "1s"}}
                                for one in lists])
    entries = entries_of(server)
    read(server, len(lists))
    for one, (_, how) in zip(lists, BROKEN):
        for key, value in how.items():
            setattr(one, key, value)
    for number, (one, (said, _)) in enumerate(zip(lists, BROKEN)):
        line = server.log.wait(rf"^http://{at(one.address)}/: .*({said}).*: {STAYS}$")
        assert line.level == "warn" and line.fields["ingress"] == f"hosts-{number}"
    asked = len(lists[0].requests)
    until(lambda: len(lists[0].requests) > asked + 1, "it is asked again")
    assert [visitor.get(entry, "app.local").status for entry in entries] == [503] * len(lists)
    assert server.log.count(STAYS) == len(lists)
    for one in lists:
        one.status, one.text, one.answer, one.fields = 200, f"new.local {tunnel_id()}\n", None, {}
    until(lambda: server.log.count("is read again$") == len(lists), "all are well")
    assert [visitor.get(entry, "new.local").status for entry in entries] == [503] * len(lists)


def test_no_rule_is_no_answer_before_the_first_reading(world: World):
    """Who comes too early is told to come again; and a source that is late is waited for without a reload."""
    lists = world.keep(ListServer())
    lists.status = 503
    server = serve(world, rules={"in.local": tunnel_id()}, http={"url": f"http://{at(lists.address)}/"})
    server.log.wait("status 503: nothing was read from there yet$")
    answer = visitor.get(server.entrypoint("clients"), "app.local")
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    lists.text, lists.status = "", 200
    becomes(server, "app.local", 404)


def test_tls_is_checked(world: World):
    certificate, other = (certs.make(world.folder, name) for name in ("rules.example", "other.example"))
    lists = world.keep(ListServer(f"app.local {tunnel_id()}\n", certificate))
    url = f"https://{at(lists.address)}/"
    read(serve(world, http={"url": url, "tls": {"caFile": str(certificate.cert), "serverName": "rules.example"}}))
    read(serve(world, "careless", http={"url": url, "tls": {"secure": False}}))
    for name, tls in (("system", {}), ("named", {"caFile": str(certificate.cert)}),
                      ("stranger", {"caFile": str(other.cert), "serverName": "rules.example"})):
        deceived = serve(world, name, http={"url": url, **({"tls": tls} if tls else {})})
        deceived.log.wait(f"^{url}: .*certificate.*nothing was read from there yet$")
        assert deceived.log.count("rules, with those of") == 0


def test_redirects_and_credentials(world: World):
    """A redirect is followed by the same scheme; to another server without credentials, which no log has."""
    lists, other = world.keep(ListServer()), world.keep(ListServer(f"app.local {tunnel_id()}\n"))
    lists.status, lists.fields = 307, {"Location": "/moved"}

    def move(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(301)
        there = "/moved" if handler.path == "/" else f"http://{at(other.address)}/there"
        handler.send_header("Location", there)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    lists.answer = move
    server = serve(world, http={"url": f"http://reader:s%65cret@{at(lists.address)}/"})
    assert status(read(server), "app.local") == 503
    assert [(r[1], r[2].get("authorization")) for r in lists.requests] == \
           [("/", "Basic cmVhZGVyOnNlY3JldA=="), ("/moved", "Basic cmVhZGVyOnNlY3JldA==")]
    assert [(r[1], r[2].get("authorization")) for r in other.requests] == [("/there", None)]
    assert "ecret" not in server.log.text()


def test_reload_under_load_loses_nothing(world: World):
    """Neither new rules nor a new configuration, which begins with what was read before, though the source
    is gone by then."""
    lists = world.keep(ListServer())
    source = {"reload": "1s", "http": {"url": f"http://{at(lists.address)}/"}}
    server = serve(world, **source)
    tunnel = publish(world, server)
    lists.text = f"app.local {tunnel}\n"
    becomes(server, "app.local", 200)
    entry, answers, stop = server.entrypoint("clients"), [], threading.Event()

    def visit() -> None:
        while not stop.is_set():
            answers.append(visitor.get(entry, "app.local").status)

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for one in visitors:
        one.start()
    lists.text += f"more.local {tunnel_id()}\n"
    server.log.wait("^2 rules, with those of")
    lists.status = 500
    world.write("server.yaml", config_of({"in.local": tunnel_id()}, **source))
    since = len(server.log.events)
    server.send(signal.SIGHUP)
    becomes(server, "in.local", 503)
    server.log.wait(f"status 500: {STAYS}$", since)
    before = len(answers)
    until(lambda: len(answers) > before + 20, "more visits")
    stop.set()
    for one in visitors:
        one.join()
    assert set(answers) == {200}


# ---- a Redis ------------------------------------------------------------------------------------


def test_rules_in_a_redis(world: World):
    """A hash, or a set of lines; over a file and here, and below a URL."""
    redis, lists = world.keep(Redis("s3cret")), world.keep(ListServer())
    first, second = tunnel_id(), tunnel_id()
    path = world.write("rules.txt", f"a.local {second}\nb.local {second}\n")
    redis.values[2, "rules"] = {"a.local": f"${first}", "c.local": f"${first}", ".d.local": second}
    lists.text = f"c.local {second}\n"
    server = serve(world, rules={"e.local": second}, reload="1s", file={"path": str(path)},
                   redis={"addr": at(redis.address), "db": 2, "password": "s3cret", "key": "rules"},
                   http={"url": f"http://{at(lists.address)}/"})
    read(server, 2)
    assert [status(server, f"{name}.local") for name in ("a", "b", "c", "x.d", "e", "f")] == [404, 503, 503, 503, 503, 404]
    assert redis.commands[:3] == [["AUTH", "s3cret"], ["SELECT", "2"], ["HGETALL", "rules"]]
    redis.values[2, "rules"] = {}
    becomes(server, "a.local", 503)
    assert "s3cret" not in server.log.text()


@pytest.mark.parametrize("kind", ["set", "list", "string"])
def test_kinds_of_keys(world: World, kind: str):
    redis, line = world.keep(Redis("pw", "reader")), f"app.local {tunnel_id()}"
    redis.values[0, "gost"] = {"set": {line}, "list": [line], "string": line + "\n"}[kind]
    server = serve(world, redis={"addr": at(redis.address), "username": "reader", "password": "pw", "type": kind})
    assert status(read(server), "app.local") == 503
    assert redis.commands[0] == ["AUTH", "reader", "pw"]


def test_redis_without_a_password(world: World):
    """An empty one is none, as to a gost: a server that wants none may refuse AUTH."""
    redis = world.keep(Redis())
    redis.values[0, "gost"] = {"app.local": tunnel_id()}
    read(serve(world, redis={"addr": at(redis.address), "username": "default", "password": ""}))
    assert redis.commands == [["HGETALL", "gost"]]


BROKEN_REDIS = (
    ("LOADING", b"-LOADING Redis is loading the dataset in memory\r\n"), ("not expected", b"HTTP/1.1 400 Bad\r\n"),
    ("not expected", b"*1\r\n$1\r\na\r\n"), ("line breaks", b"*2\r\n$3\r\na\nb\r\n$1\r\nc\r\n"),
    ("too long", b"*2\r\n$99999999\r\n"), ("no answer within", b"*2\r\n"),
    ("line 1: ", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"), ("WRONGTYPE", b"-WRONGTYPE no hash\r\n"),
)


def test_broken_redis_changes_nothing(world: World):
    all_of_them = [world.keep(Redis()) for _ in BROKEN_REDIS]
    for one in all_of_them:
        one.values[0, "gost"] = {"app.local": tunnel_id()}
    server = serve_many(world, [{"reload": "1s", "redis": {"addr": at(one.address), "timeout": "1s"}}
                                for one in all_of_them])
    entries = entries_of(server)
    read(server, len(all_of_them))
    for one, (_, raw) in zip(all_of_them, BROKEN_REDIS):
        one.raw = raw
    for one, (said, _) in zip(all_of_them, BROKEN_REDIS):
        server.log.wait(rf"^redis {at(one.address)} gost: .*{said}.*: {STAYS}$")
    assert [visitor.get(entry, "app.local").status for entry in entries] == [503] * len(entries)
    for one in all_of_them:
        one.raw = None
    until(lambda: server.log.count("is read again$") == len(entries), "all are well")


def test_redis_over_tls_is_checked(world: World):
    certificate = certs.make(world.folder, "redis.example")
    redis = world.keep(Redis("pw", certificate=certificate))
    redis.values[0, "gost"] = {"app.local": tunnel_id()}
    there = {"addr": at(redis.address), "password": "pw"}
    read(serve(world, redis={**there, "tls": {"caFile": str(certificate.cert), "serverName": "redis.example"}}))
    deceived = serve(world, "deceived", redis={**there, "tls": {}})
    deceived.log.wait("certificate.*nothing was read from there yet$")
    assert redis.commands == [["AUTH", "pw"], ["HGETALL", "gost"]]


def test_password_is_not_told_by_a_redis(world: World):
    redis = world.keep(Redis("right"))
    server = serve(world, redis={"addr": at(redis.address), "password": "wr0ng"})
    server.log.wait("AUTH: WRONGPASS: nothing was read from there yet$")
    assert "wr0ng" not in server.log.text()


def test_real_redis(world: World):
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if not program:
        pytest.skip("no redis-server here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    redis = subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "pw",
                              "--dir", str(world.folder)], stdout=subprocess.DEVNULL)
    try:
        server = serve(world, reload="1s", redis={"addr": f"127.0.0.1:{port}", "password": "pw", "db": 1})
        becomes(server, "app.local", 404)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(f"AUTH pw\r\nSELECT 1\r\nHSET gost app.local {tunnel_id()}\r\n".encode())
            becomes(server, "app.local", 503)
    finally:
        redis.kill()
        redis.wait()


# ---- a plugin -----------------------------------------------------------------------------------


class Plugin:
    """gost's ingress plugin: answers by `rules`, of "service/host" or "host"; what clients offer is in `offers`."""

    def __init__(self, world: World, rules: dict[str, str]) -> None:
        self.rules, self.asked, self.offers = rules, [], []   # type: ignore[var-annotated]
        self.gate, self.broken = threading.Event(), False
        self.gate.set()
        self.server = world.keep(ListServer())
        self.server.answer = self._answer
        self.url = f"http://{at(self.server.address)}/ingress"

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        query = {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query).items()}
        if handler.command == "PUT":
            self.offers.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
            body = b'{"ok":true}'
        else:
            self.asked.append(query)
            self.gate.wait(30)
            host = query["host"].partition(":")[0]
            body = json.dumps({"endpoint": self.rules.get(f"{query['service']}/{host}", self.rules.get(host, ""))}).encode()
        handler.send_response(500 if self.broken else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def times(self, host: str) -> int:
        return sum(q["host"].partition(":")[0] == host for q in self.asked)


def ask(world: World, plugin: Plugin, reload: str = "1s", workers: str = "2", **more: Any) -> Daemon:
    return serve(world, workers=workers, reload=reload, plugin={"type": "http", "addr": plugin.url, "token": "t0ken", **more})


def client_hello(host: str) -> bytes:
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host).do_handshake()
    return sent.read()


def test_plugin_is_asked(world: World):
    """Once for all who come at the same time; HTTP and TLS and visitors wait for what it says."""
    certificate = certs.make(world.folder, "tls.local")
    tunnel, secure = tunnel_id(), tunnel_id()
    plugin = Plugin(world, {"app.local": tunnel, "tls.local": secure, "private.local": f"${tunnel}", "bad.local": "x"})
    server = ask(world, plugin, "1h", workers="1")
    for one, site in ((tunnel, world.site()), (secure, world.site("secure", certificate))):
        world.client("tcp", server.listening("clients"), one, site.address)
    assert plugin.server.requests[0][2]["authorization"] == "Bearer t0ken"
    assert plugin.server.requests[0][2]["content-type"] == "application/json"
    entry = server.entrypoint("clients")
    plugin.gate.clear()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(visitor.Visitor(entry)) for _ in range(5)]
        for one in waiting:
            one.sock.sendall(b"GET / HTTP/1.1\r\nHost: APP.local:81\r\n\r\n")
        with visitor.connect(entry) as leaves, visitor.connect(entry) as tls:
            leaves.sendall(b"GET / HTTP/1.1\r\nHost: app.local:81\r\n\r\n")
            until(lambda: plugin.times("app.local") == 1, "it is asked")
            tls.sendall(client_hello("app.local"))
        plugin.gate.set()
        for one in waiting:
            assert one.sock.recv(100).startswith(b"HTTP/1.1 200")
    with visitor.Visitor(entry, "tls.local", certificate.cert) as v:
        assert v.get("tls.local").text == "secure\n"
    assert [status(server, f"{name}.local") for name in ("app", "private", "bad", "none")] == [200, 404, 404, 404]
    assert plugin.times("app.local") == plugin.times("tls.local") == plugin.times("private.local") == 1
    hosts = [query["host"] for query in plugin.asked if query["service"] == "clients"]
    assert {"app.local:81", "tls.local:443", "private.local:80"} <= set(hosts)
    there = visitor_of(world, server, tunnel, "private.local")
    assert visitor.get(there.listening("visit"), "private.local").text == "site\n"
    far = visitor_of(world, server, secure, "visited.local")
    with visitor.connect(far.listening("visit")) as sock, contextlib.suppress(ConnectionResetError):
        assert visitor.read_to_end(sock) == b""
    assert plugin.asked[-1] == {"host": "visited.local", "service": "clients"}
    assert "t0ken" not in server.log.text()


def test_plugin_may_answer_by_service(world: World):
    """What it said to one service is not taken for what it says to another one."""
    tunnel = tunnel_id()
    plugin = Plugin(world, {"clients/app.local": tunnel, "others/more.local": tunnel})
    config = json.loads(config_of(reload="1h", plugin={"type": "http", "addr": plugin.url}))
    config["services"].append({**config["services"][0], "name": "others"})
    server = world.start("--workers", "1", config=json.dumps(config), name="server")
    for name in ("clients", "others"):
        world.client("tcp", server.listening(name), tunnel, world.site(name).address)

    def said(host: str) -> list[int]:
        return [visitor.get(server.entrypoint(name), host).status for name in ("clients", "others")]

    assert said("app.local") == said("app.local") == [200, 404]
    assert said("more.local") == said("more.local") == [404, 200]
    asked = [(q["service"], q["host"]) for q in plugin.asked if q["host"] == "app.local:80"]
    assert sorted(set(asked)) == [("clients", "app.local:80"), ("others", "app.local:80")]


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_visitors_of_a_direct_server_wait_for_no_plugin(world: World, transport: str):
    """Who names his tunnel gets it, whatever the rules say, and however long they are asked for."""
    tunnel, plugin = tunnel_id(), Plugin(world, {})
    config = json.loads(config_of(plugin={"type": "http", "addr": plugin.url, "timeout": "60s"}))
    service = config["services"][0]
    service["handler"]["metadata"]["tunnel.direct"] = True
    service["listener"]["type"] = transport
    server = world.start("--workers", "1", config=json.dumps(config), name="server")
    world.client(transport, server.listening("clients"), tunnel, world.site().address)
    plugin.gate.clear()
    there = visitor_of(world, server, tunnel, "app.local", transport)
    assert visitor.get(there.listening("visit"), "app.local").text == "site\n"
    assert not plugin.times("app.local")
    plugin.gate.set()


def visitor_of(world: World, server: Daemon, tunnel: str, host: str, transport: str = "tcp") -> Daemon:
    return world.start(name=f"visit-{host}", config=json.dumps({
        "services": [{"name": "visit", "addr": "127.0.0.1:0", "handler": {"type": "tcp", "chain": "c"},
                      "listener": {"type": "tcp"}, "forwarder": {"nodes": [{"name": "n", "addr": f"{host}:80"}]}}],
        "chains": [{"name": "c", "hops": [{"name": "h", "nodes": [{
            "name": "n", "addr": at(server.listening("clients")), "dialer": {"type": transport},
            "connector": {"type": "tunnel", "metadata": {"tunnel.id": tunnel}}}]}]}]}))


def test_plugin_that_fails(world: World):
    """Hosts it gave stay, others get no answer; when it is well again, all is new."""
    tunnel = tunnel_id()
    plugin = Plugin(world, {"app.local": tunnel})
    server = ask(world, plugin, timeout="1s")
    world.client("tcp", server.listening("clients"), tunnel, world.site().address)
    assert status(server, "app.local") == 200
    plugin.broken = True
    answer = visitor.get(server.entrypoint("clients"), "other.local")
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    line = server.log.wait(f"^{plugin.url}: status 500: rules that are known stay, other hosts are not served$")
    assert line.level == "warn" and line.fields["ingress"] == "hosts"
    asked = plugin.times("app.local")
    until(lambda: status(server, "app.local") == 200 and plugin.times("app.local") > asked + 1, "it was asked again")
    plugin.broken = False
    plugin.gate.clear()
    with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
        visitor.connect(server.entrypoint("clients"), "silent.local")
    plugin.rules = {"silent.local": tunnel}
    plugin.gate.set()
    becomes(server, "silent.local", 200)
    becomes(server, "app.local", 404)
    server.log.wait(f"^{plugin.url}: answers again$")
    assert server.log.count("are not served$") in (1, 2)


def test_plugin_that_is_asked_too_much(world: World):
    """Who makes names up keeps it busy: hosts that it gave stay, and nobody waits for them."""
    tunnel = tunnel_id()
    plugin = Plugin(world, {"app.local": tunnel})
    server = ask(world, plugin, workers="1", timeout="60s")
    world.client("tcp", server.listening("clients"), tunnel, world.site().address)
    assert status(server, "app.local") == 200
    known = time.monotonic()
    plugin.gate.clear()
    with contextlib.ExitStack() as stack:
        for i in range(64):
            one = stack.enter_context(visitor.Visitor(server.entrypoint("clients")))
            one.sock.sendall(f"GET / HTTP/1.1\r\nHost: h{i}.local\r\n\r\n".encode())
        until(lambda: len({q["host"] for q in plugin.asked}) >= 65, "all of them are asked for")
        until(lambda: time.monotonic() > known + 1.5, "the rule is old")
        assert status(server, "app.local") == 200
        assert status(server, "other.local") == 503
        for name in ("late", "later"):
            world.client("tcp", server.listening("clients"), tunnel_id(), world.site(name).address)
        line = server.log.wait(f"^{plugin.url}: is not told of a tunnel: 64 questions are under way$")
        assert line.level == "warn" and line.fields["dropped"] == 1
        assert server.log.count("is not told of a tunnel") == 1
        plugin.gate.set()


def test_plugin_hears_of_tunnels(world: World):
    """By their endpoints' names, and by the name that a client asks for, unless that is another's."""
    mine, other = tunnel_id(), tunnel_id()
    plugin = Plugin(world, {"taken.local": other})
    server = ask(world, plugin)

    def bind(host: str) -> Daemon:
        return world.start("-L", f"rtcp://{host}:0/{at(world.site().address)}",
                           "-F", f"tunnel+tcp://{at(server.listening('clients'))}?tunnel.id={mine}")

    first, second = bind("mine.local"), bind("taken.local")
    for client in (first, second):
        client.log.wait(REGISTERED)
    endpoint = hashlib.md5(mine.encode()).hexdigest()[:16]
    until(lambda: len(plugin.offers) >= 3, "offers")
    offered = sorted(plugin.offers, key=lambda o: o["host"])
    assert all(o["service"] == "clients" and o["endpoint"] == mine for o in offered)
    assert {o["host"] for o in offered} == {endpoint, "mine.local"}


def test_plugin_goes_with_a_reload(world: World):
    """Who waits for it gets his answer from what comes after it."""
    tunnel = tunnel_id()
    plugin = Plugin(world, {})
    server = ask(world, plugin, workers="1")
    world.client("tcp", server.listening("clients"), tunnel, world.site().address)
    plugin.gate.clear()
    with visitor.Visitor(server.entrypoint("clients")) as v:
        v.sock.sendall(b"GET / HTTP/1.1\r\nHost: app.local\r\n\r\n")
        until(lambda: plugin.times("app.local") == 1, "it is asked")
        world.write("server.yaml", config_of({"app.local": tunnel}))
        server.send(signal.SIGHUP)
        assert v.sock.recv(100).startswith(b"HTTP/1.1 200")
    plugin.gate.set()


def test_server_ends_while_it_asks(world: World):
    """A list and a plugin that are silent hold nobody up."""
    plugin, lists = Plugin(world, {}), world.keep(ListServer())
    plugin.gate.clear()
    lists.answer = lambda handler: plugin.gate.wait(30) and None
    server = ask(world, plugin, timeout="60s")
    other = serve(world, "other", http={"url": f"http://{at(lists.address)}/", "timeout": "60s"})
    with visitor.connect(server.entrypoint("clients")) as sock:
        sock.sendall(client_hello("app.local"))
        until(lambda: plugin.times("app.local") == 1 and lists.requests, "both are asked")
        for daemon in (server, other):
            daemon.send(signal.SIGTERM)
            assert daemon.wait() == 0
    plugin.gate.set()


# ---- the configuration --------------------------------------------------------------------------


@pytest.mark.parametrize("source, place", [
    ({"http": {"url": "ftp://rules.example/"}}, "http: url: not a URL of http or https"),
    ({"http": {"url": "http:///rules"}}, "http: url: a URL without a proper host"),
    ({"plugin": {"addr": "127.0.0.1:8000"}}, "plugin: type: grpc is not available"),
    ({"plugin": {"type": "http", "addr": "http://"}}, "plugin: addr: a URL without a proper host"),
    ({"redis": {"addr": "127.0.0.1:x"}}, "redis: addr: not an address"),
    ({"redis": {"addr": "127.0.0.1:1", "type": "zset"}}, 'redis: type: "zset" is none of'),
])
def test_what_is_no_source_is_refused(world: World, source: dict[str, Any], place: str):
    daemon = world.run("check", "-C", str(world.write("wrong.yaml", config_of(**source))))
    assert daemon.wait() != 0 and f"ingresses[0]: {place}" in daemon.log.text()
