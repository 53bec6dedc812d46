"""The web API and the metrics: what an operator sees of a running process, and changes in it."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import socket
import threading
from typing import Any, Mapping, Optional

import pytest

from harness import visitor
from harness.daemon import Address, Daemon
from harness.pages import ROOT
from harness.waiting import PATIENCE, until
from harness.world import World, at, tunnel_id

HERE = "127.0.0.1:0"


def basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


class Metrics:
    """One look at the metrics, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[str, list[tuple[dict[str, str], float]]] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
            self.values.setdefault(name, []).append((found, float(value)))

    def get(self, name: str, **labels: str) -> float:
        """The sum of all samples with those labels."""
        return sum(value for found, value in self.values.get(name, []) if labels.items() <= found.items())

    def families(self) -> set[str]:
        return set(re.findall(r"^# TYPE (\w+) ", self.text, re.M))


def metrics(where: Address, path: str = "/metrics", headers: Optional[Mapping[str, str]] = None) -> Metrics:
    answer = visitor.get(where, "any", path, headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return Metrics(answer.text)


# ---- metrics ----------------------------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_metrics_of_a_tunnel(world: World, transport: str):
    """What visitors did, what they were told, and who is bound, under gost's names and ours."""
    tunnel, idle = tunnel_id(), tunnel_id()
    server = world.server(transport, {"app.local": tunnel, "idle.local": idle}, flags=["-metrics", HERE])
    where = server.daemon.listening("@metrics")
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address,
                          flags=["-metrics", HERE])
    assert [server.get(host).status for host in ("app.local", "app.local", "no.local", "idle.local")] == [
        200, 200, 404, 503]
    entry = f"service-0-ep-{at(server.entry)}"
    until(lambda: metrics(where).get("gost_service_requests_in_flight", service=entry) == 0, "visitors have gone")
    seen = metrics(where)
    host = socket.gethostname()
    assert seen.get("gost_services", host=host) == 2
    assert seen.get("gost_service_requests_total", host=host, service=entry, client="127.0.0.1") == 4
    assert seen.get("gost_service_request_duration_seconds_count", service=entry) == 4
    assert seen.get("gost_service_request_duration_seconds_bucket", service=entry, le="+Inf") == 4
    assert seen.get("gost_service_transfer_input_bytes_total", service=entry) > 4 * 20
    assert seen.get("gost_service_transfer_output_bytes_total", service=entry) > 4 * 20
    assert seen.get("gost_service_requests_in_flight", service="service-0") > 0, "the client"
    assert [seen.get("adit_http_responses_total", service=entry, code=str(code)) for code in (200, 404, 503)] == [2, 1, 1]
    assert seen.get("adit_tunnel_refusals_total", service=entry, reason="no-rule") == 1
    assert seen.get("adit_tunnel_refusals_total", service=entry, reason="no-client") == 1
    assert seen.get("adit_tunnels") == 1 and seen.get("adit_tunnel_sessions", service="service-0") >= 1
    assert seen.get("adit_memory_budget_bytes") > seen.get("adit_memory_used_bytes") > 0
    assert seen.get("process_open_fds") > 5 and seen.get("process_resident_memory_bytes") > 1 << 20
    assert seen.get("gost_service_status", host=host, state="ready") == 1
    mine = metrics(client.listening("@metrics"))
    assert mine.get("gost_service_status", state="ready") == 1 and mine.get("gost_service_status", state="running") == 0
    assert mine.get("gost_chain_node_connect_duration_seconds_count", chain="chain-0", node="node-0") >= 1
    client.stop()
    until(lambda: metrics(where).get("adit_tunnels") == 0, "nobody is bound")


def test_a_service_that_is_not_up_yet(world: World):
    """Its bind far away has not been taken: it is running, and not ready."""
    dead = at(world.dead_port().address)
    client = world.start("-L", f"rtcp://:0/{dead}", "-F", f"tunnel+tcp://{dead}?tunnel.id={tunnel_id()}",
                         "-metrics", HERE)
    seen = metrics(client.listening("@metrics"))
    assert seen.get("gost_service_status", state="running") == 1 and seen.get("gost_service_status", state="ready") == 0


def test_bytes_are_counted_as_they_pass(world: World):
    """Also while the connection goes on, and also those that the kernel moves by itself."""
    done = threading.Event()

    def target(conn: socket.socket) -> None:
        for _ in range(64):
            conn.sendall(bytes(1 << 16))
        done.wait(PATIENCE)

    forward = world.start("-L", f"tcp://{HERE}/{at(world.serve(target).address)}", "-metrics", HERE)
    where = forward.listening("@metrics")
    try:
        with visitor.connect(forward.listening()) as sock:
            left = 64 << 16
            while left:
                left -= len(sock.recv(min(left, 1 << 16)))
            until(lambda: metrics(where).get("gost_service_transfer_output_bytes_total", service="service-0")
                  == 64 << 16, "all bytes are counted")
            assert metrics(where).get("gost_service_requests_in_flight", service="service-0") == 1
    finally:
        done.set()
    until(lambda: metrics(where).get("gost_service_requests_in_flight", service="service-0") == 0, "he is gone")
    assert metrics(where).get("gost_service_transfer_output_bytes_total", service="service-0") == 64 << 16


def test_metrics_that_come_with_a_reload(world: World):
    """Nothing is counted where nobody asks, but for who is bound."""
    site, tunnel = world.site("alpha"), tunnel_id()
    text = f"""\
services:
- name: service-0
  addr: {HERE}
  handler: {{type: tunnel, metadata: {{entrypoint: "{HERE}", tunnel: "app.local:{tunnel}"}}}}
  listener: {{type: tcp}}
"""
    server = world.start(config=text, name="server")
    client = world.client("tcp", server.listening(), tunnel, site.address)
    world.wait_registered(client)
    entry = server.entrypoint()
    assert visitor.get(entry, "app.local").status == 200
    (world.folder / "server.yaml").write_text(text + f"metrics: {{addr: {HERE}}}\n")
    server.send(signal.SIGHUP)
    where = server.listening("@metrics")
    assert [visitor.get(entry, "app.local").status for _ in range(2)] == [200, 200]
    seen, name = metrics(where), f"service-0-ep-{at(entry)}"
    assert seen.get("adit_http_responses_total", service=name, code="200") == 2
    assert seen.get("gost_service_requests_total", service=name) == 2
    assert seen.get("adit_tunnel_sessions", service="service-0") >= 1
    client.stop()
    until(lambda: metrics(where).get("adit_tunnel_sessions", service="service-0") == 0, "nobody is bound")


def test_chain_errors_are_counted(world: World):
    dead = world.dead_port().address
    proxy = world.start("-L", f"tcp://{HERE}/127.0.0.1:9", "-F", f"relay://{at(dead)}", "-metrics", HERE)
    with pytest.raises(ConnectionResetError), visitor.connect(proxy.listening()) as sock:
        sock.recv(1)
    assert metrics(proxy.listening("@metrics")).get("gost_chain_errors_total", chain="chain-0", node="node-0") == 1


def test_metrics_are_guarded(world: World):
    daemon = world.start("-L", f"tcp://{HERE}/127.0.0.1:9", "-metrics", f"me:secret@{HERE}?path=/m")
    where = daemon.listening("@metrics")
    refused = visitor.get(where, "any", "/m", headers=basic("me:wrong"))
    assert (refused.status, refused.body, refused.headers["WWW-Authenticate"]) == (401, b"", "Basic")
    assert visitor.get(where, "any", "/m").status == 401
    assert metrics(where, "/m", basic("me:secret")).get("gost_services") == 1
    assert visitor.get(where, "any", "/metrics", headers=basic("me:secret")).status == 404
    assert visitor.get(where, "any", "/m", method="POST", body=b"", headers=basic("me:secret")).status == 405


def test_metrics_are_those_of_the_page(world: World):
    """docs/operations.md has a row for each family, and none for what is not there."""
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `((?:gost|adit|process)_\w+)` \| (\w+) \|", page, re.M))
    daemon = world.start("-L", f"tcp://{HERE}/127.0.0.1:9", "-metrics", HERE)
    text = metrics(daemon.listening("@metrics")).text
    assert dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)) == rows


# ---- the API ----------------------------------------------------------------------


class Api:
    def __init__(self, daemon: Daemon, user: str = "", prefix: str = "") -> None:
        self.where, self.prefix = daemon.listening("@api"), prefix
        self.headers = basic(user) if user else {}
        self.host = at(self.where)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> visitor.Answer:
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return visitor.get(self.where, self.host, self.prefix + path, method=method, body=sent,
                           headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json["data"]

    def do(self, method: str, path: str, body: Any = None) -> None:
        answer = self.ask(method, path, body)
        assert (answer.status, answer.json) == (200, {"msg": "OK"}), answer.body

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, int, str]:
        answer = self.ask(method, path, body)
        return answer.status, answer.json["code"], answer.json["msg"]


def forward(name: str, addr: str, target: Address) -> dict[str, Any]:
    return {"name": name, "addr": addr, "handler": {"type": "tcp"}, "listener": {"type": "tcp"},
            "metadata": {"enableStats": True},
            "forwarder": {"nodes": [{"name": "target", "addr": at(target)}]}}


def start(world: World, flag: str = HERE, *more: str) -> Daemon:
    return world.start("-L", f"tcp://{HERE}/{at(world.site('first').address)}", "-api", flag, *more, name="daemon")


@pytest.mark.short
@pytest.mark.threads
def test_services_come_change_and_go(world: World):
    daemon = start(world)
    api, one, two = Api(daemon), world.site("one"), world.site("two")
    first = daemon.listening()
    assert [s["name"] for s in api.get("/config/services")["list"]] == ["service-0"]
    api.do("POST", "/config/services", forward("extra", HERE, one.address))
    where = daemon.listening("extra")
    assert visitor.get(where, "any").text == "one\n"
    shown = api.get("/config/services/extra")
    assert shown["addr"] == HERE and shown["status"]["state"] == "ready" and shown["status"]["createTime"] > 10**9
    until(lambda: api.get("/config/services/extra")["status"]["stats"]["currentConns"] == 0, "it has gone")
    stats = api.get("/config/services/extra")["status"]["stats"]
    assert stats["totalConns"] == 1 and stats["inputBytes"] > 20 and stats["outputBytes"] > 20
    with visitor.Visitor(first) as kept:
        assert kept.get("any").text == "first\n"
        api.do("PUT", "/config/services/extra", {**shown, "forwarder": forward("", "", two.address)["forwarder"]})
        assert visitor.get(where, "any").text == "two\n", "its port is kept"
        api.do("DELETE", "/config/services/extra")
        assert api.get("/config/services/extra") is None
        until(lambda: not reachable(where), "its port is closed")
        assert kept.get("any").text == "first\n", "others are not touched"


def reachable(where: Address) -> bool:
    try:
        visitor.connect(where).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.short
def test_refused_changes_change_nothing(world: World):
    daemon = start(world)
    api, site = Api(daemon), world.site("one")
    before = api.ask("GET", "/config").json
    taken = at(daemon.listening())
    assert api.refused("POST", "/config/services", {"addr": HERE}) == (400, 40001, "service name is required")
    assert api.refused("POST", "/config/services", forward("service-0", HERE, site.address)) == (
        400, 40002, "service service-0 already exists")
    assert api.refused("PUT", "/config/services/x", {})[:2] == (400, 40004)
    assert api.refused("DELETE", "/config/chains/x") == (400, 40004, "chain x not found")
    assert api.refused("DELETE", "/config/services/@api") == (400, 40004, "service @api not found")
    assert api.refused("POST", "/config/services", b"{")[:2] == (400, 40001)
    assert api.refused("POST", "/config/services", [1]) == (400, 40001, "expected an object, not a list")
    wrong = {**forward("x", HERE, site.address), "handler": {"type": "nope"}}
    status, code, text = api.refused("POST", "/config/services", wrong)
    assert (status, code) == (400, 40001) and "handler.type" in text
    late = {**forward("x", HERE, site.address), "forwarder": {"selector": {"failTimeout": True}}}
    assert api.refused("POST", "/config/services", late)[:2] == (400, 40001)
    other = world.serve(lambda conn: None).address
    status, code, text = api.refused("POST", "/config/services", forward("x", at(other), site.address))
    assert (status, code) == (500, 40003) and text.startswith("create service x failed: ") and "in use" in text
    assert api.refused("PUT", "/config/services/service-0", forward("", at(other), site.address))[:2] == (500, 40003)
    assert visitor.get(daemon.listening(), "any").text == "first\n"
    after = api.ask("GET", "/config").json
    assert after == before and taken == at(daemon.listening())


def test_lists_that_services_name(world: World):
    """A rule is added to an ingress that a server uses, and one that is named cannot go."""
    tunnel = tunnel_id()
    server = world.start("-api", HERE, config=f"""\
services:
- addr: {HERE}
  handler: {{type: tunnel, metadata: {{entrypoint: {HERE}, ingress: public}}}}
  listener: {{type: tcp}}
ingresses:
- name: public
  rules: [{{hostname: app.local, endpoint: {tunnel}}}]
""")
    api, entry = Api(server), server.entrypoint()
    world.client("tcp", server.listening(), tunnel, world.site("alpha").address)
    rules = api.get("/config/ingresses/public")
    rules["rules"].append({"hostname": "more.local", "endpoint": tunnel})
    assert visitor.get(entry, "more.local").status == 404
    api.do("PUT", "/config/ingresses/public", rules)
    assert visitor.get(entry, "more.local").text == "alpha\n"
    assert api.refused("DELETE", "/config/ingresses/public")[0] == 400
    assert api.get("/config/chains") == {"count": 0, "list": None}
    assert api.get("/config/ingresses")["count"] == 1


def test_secrets_are_hidden_and_kept(world: World):
    """What is read can be sent back: a password that was not shown stays what it was."""
    daemon = world.start("-L", f"http://me:secret@{HERE}", "-api", f"admin:topsecret@{HERE}")
    api = Api(daemon, "admin:topsecret")
    answer = api.ask("GET", "/config")
    assert b"secret" not in answer.body and answer.json["api"]["auth"]["password"] == "******"
    assert b"secret" not in api.ask("GET", "/config?format=yaml").body
    shown = api.get("/config/services/service-0")
    assert shown["handler"]["auth"] == {"username": "me", "password": "******"}
    api.do("PUT", "/config/services/service-0", {**shown, "metadata": {"enableStats": True}})
    site = world.site("reachable")
    proxied = visitor.get(daemon.listening(), at(site.address), f"http://{at(site.address)}/",
                          headers={"Proxy-" + k: v for k, v in basic("me:secret").items()})
    assert proxied.text == "reachable\n"
    stranger = {**shown, "name": "x", "handler": {"type": "http", "auth": {"username": "q", "password": "******"}}}
    assert api.refused("POST", "/config/services", stranger)[:2] == (400, 40001)
    assert b"secret" not in daemon.log.text().encode()


def test_passwords_in_urls_are_hidden_and_kept(world: World):
    asked: list[bytes] = []

    def serve(conn: socket.socket) -> None:
        asked.append(conn.recv(65536))
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    web = world.serve(serve)
    daemon = start(world)
    api = Api(daemon)
    bypass = {"name": "b", "http": {"url": f"http://me:hushhush@{at(web.address)}/list?k=hushhush&hushhush"}}
    api.do("POST", "/config/bypasses", bypass)
    shown = api.get("/config/bypasses/b")
    assert shown["http"]["url"] == f"http://me:********@{at(web.address)}/list?k=********&********"
    assert b"hushhush" not in api.ask("GET", "/config").body + api.ask("GET", "/config?format=yaml").body
    until(lambda: asked, "its list is asked for")
    asked.clear()
    api.do("PUT", "/config/bypasses/b", {**shown, "whitelist": True})
    until(lambda: asked, "and again")
    expected = basic("me:hushhush")["Authorization"].encode()
    assert all(expected in request for request in asked), asked
    assert all(b"/list?k=hushhush&hushhush " in request for request in asked), asked


def test_passwords_in_urls_without_a_scheme_are_hidden_and_kept(world: World):
    api = Api(start(world, f"admin:secret@{HERE}"), "admin:secret")
    saved = world.folder / "saved.yaml"
    recorder = {"name": "r", "http": {"url": "me:hushhush@127.0.0.1:9/x?k=hushhush"}}
    api.do("POST", "/config/recorders", recorder)
    shown = api.get("/config/recorders/r")
    assert shown["http"]["url"] == "me:********@127.0.0.1:9/x?k=********"
    api.do("PUT", "/config/recorders/r", shown)
    api.do("POST", f"/config?path={saved}")
    assert recorder["http"]["url"] in saved.read_text()


def test_fields_with_credentials_are_hidden_and_kept(world: World):
    fields = {"Proxy-Authorization": "hush", "X-Api-Key": "hush", "Cookie": "a=hush", "Accept": "text/plain"}
    hidden = {name: value if name == "Accept" else "******" for name, value in fields.items()}
    api = Api(start(world, f"admin:secret@{HERE}"), "admin:secret")
    saved = world.folder / "saved.yaml"
    dialer = {"type": "ws", "metadata": {"header": fields}}
    hop = {"name": "h", "nodes": [{"name": "n", "addr": "127.0.0.1:9", "dialer": dialer}]}
    api.do("POST", "/config/chains", {"name": "c", "hops": [hop]})
    shown = api.get("/config/chains/c")
    assert shown["hops"][0]["nodes"][0]["dialer"]["metadata"]["header"] == hidden
    assert b"hush" not in api.ask("GET", "/config").body
    api.do("PUT", "/config/chains/c", shown)
    api.do("POST", f"/config?path={saved}")
    assert saved.read_text().count("hush") == 3, "what came back with asterisks is what it was"
    stranger = {"name": "r", "http": {"url": "http://127.0.0.1:9/", "header": {"X-Api-Key": "******"}}}
    assert api.refused("POST", "/config/recorders", stranger)[:2] == (400, 40001)


def test_api_is_guarded(world: World):
    daemon = start(world, f"admin:secret@{HERE}?pathPrefix=/adm&accesslog=true")
    api, stranger = Api(daemon, "admin:secret", "/adm"), Api(daemon, "admin:wrong", "/adm")
    answer = stranger.ask("GET", "/config")
    assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Basic"
    assert answer.json == {"code": 401, "msg": "Unauthorized"}
    assert stranger.ask("DELETE", "/config/services/service-0").status == 401
    assert stranger.ask("GET", "/health").json == {"msg": "OK"}
    assert api.ask("GET", "/config").status == 200
    for path in ("/nothing", "/config/nothing", "/configuration"):
        missing = api.ask("GET", path)
        assert (missing.status, missing.body) == (404, b"404 page not found")
    assert Api(daemon, "admin:secret").ask("GET", "/config").status == 404, "without the prefix"
    allowed = api.ask("OPTIONS", "/config", Origin="http://elsewhere.example")
    assert allowed.status == 204 and allowed.headers["Access-Control-Allow-Origin"] == "*"
    line = daemon.log.wait(lambda e: e.fields.get("code") == 401 and e.fields.get("method") == "GET")
    assert (line.fields["kind"], line.fields["uri"], line.fields["client"]) == ("api", "/adm/config", "127.0.0.1")


@pytest.mark.parametrize("path", ["/health", "/nothing"])
def test_nothing_is_kept_for_strangers(world: World, path: str):
    """What anybody may ask for is answered before a body has come."""
    daemon = start(world, f"admin:secret@{HERE}")
    with visitor.connect(daemon.listening("@api")) as sock:
        sock.settimeout(5)
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 404 ")


def test_pages_of_others_cannot_use_an_open_api(world: World):
    """A browser on this machine would ask for any page that it shows."""
    daemon = start(world)
    answer = Api(daemon).ask("POST", "/config/reload", b"", Origin="http://elsewhere.example")
    assert answer.status == 403 and "Access-Control-Allow-Origin" not in answer.headers
    assert daemon.log.count("config reloaded") == 0


def test_a_name_that_leads_here_cannot_use_an_open_api(world: World):
    """A page whose name its owner has made 127.0.0.1 is of the same origin for its browser."""
    daemon = start(world)
    api = Api(daemon)
    for host, status in ((at(api.where), 200), ("localhost:80", 200), ("[::1]", 200), ("elsewhere.example", 403),
                         ("elsewhere.example:80", 403), ("127.0.0.1.elsewhere.example", 403)):
        api.host = host
        assert api.ask("GET", "/config").status == status, host
    guarded = Api(start(world, f"admin:secret@{HERE}"), "admin:secret")
    guarded.host = "adit.example"
    assert guarded.ask("GET", "/config").status == 200


def test_open_api_for_all_is_warned_of(world: World):
    daemon = start(world, "0.0.0.0:0")
    daemon.log.wait(lambda e: e.level == "warn" and "give the API auth" in e.msg)
    assert start_count(world) == 0


def start_count(world: World) -> int:
    quiet = world.start("-L", f"tcp://{HERE}/127.0.0.1:9", "-api", HERE, name="quiet")
    quiet.listening("@api")
    return quiet.log.count("give the API auth")


def test_reload_forgets_and_save_keeps(world: World):
    config = f"""\
services:
- name: main
  addr: {HERE}
  handler: {{type: tcp}}
  listener: {{type: tcp}}
  forwarder:
    nodes:
    - name: target
      addr: {at(world.site("one").address)}
api:
  addr: {HERE}
"""
    daemon = world.start(config=config, name="daemon")
    api, path = Api(daemon), world.folder / "daemon.yaml"
    extra = forward("extra", HERE, world.site("two").address)
    api.do("POST", "/config/services", extra)
    api.do("POST", "/config/reload", b"")
    assert api.get("/config/services")["count"] == 1, "the file does not have it"
    api.do("POST", "/config/services", extra)
    api.do("POST", "/config", b"")
    assert path.stat().st_mode & 0o777 == 0o600 and "status" not in path.read_text()
    api.do("POST", "/config/reload", b"")
    assert api.get("/config/services")["count"] == 2
    assert api.ask("POST", "/config?path=other.yaml", b"").status == 403, "anybody may ask here"
    path.write_text("services: 3\n")
    status, code, text = api.refused("POST", "/config/reload", b"")
    assert (status, code) == (400, 40001) and "services" in text
    mark = daemon.log.mark()
    daemon.send(signal.SIGHUP)
    daemon.log.wait("config not reloaded", mark)
    assert api.get("/config/services")["count"] == 2


def test_api_at_a_unix_socket(world: World):
    daemon = world.start("-L", f"tcp://{HERE}/127.0.0.1:9", "-api", "unix://api.sock")
    daemon.log.wait(lambda e: e.fields.get("service") == "@api" and e.msg.startswith("listening on "))
    assert daemon.log.count("give the API auth") == 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(world.folder / "api.sock"))
        sock.sendall(b"GET /config/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert json.loads(response.read())["data"]["count"] == 1
