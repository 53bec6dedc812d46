"""Records that go to a server: TCP, HTTP or Redis, as a gost sends them; a broken one is nobody's trouble."""

from __future__ import annotations

import json
import re
import signal
import socket
from typing import Any

import pytest

from harness import certs, visitor
from harness.daemon import Daemon
from harness.lists import ListServer, Redis
from harness.servers import silent
from harness.waiting import until
from harness.world import World, at

HERE = "127.0.0.1:0"
MANY_FIELDS = {f"X-{i}": "y" * 4000 for i in range(6)}


def recording(world: World, target: str, kind: str = "recorder.service.handler", more: str = "") -> Daemon:
    return world.start(config=f"""
services:
- name: service-0
  addr: {HERE}
  recorders: [{{name: r, record: {kind}}}]
  handler: {{type: http}}
  listener: {{type: tcp}}
recorders: [{{name: r, {target}}}]
{more}
""")


def visit(world: World, daemon: Daemon, n: int = 3, **fields: str) -> None:
    """n requests through the proxy, one after the other: /bytes/0, /bytes/1, ..."""
    site = world.site()
    with visitor.Visitor(daemon.listening()) as v:
        for i in range(n):
            assert v.get("x", f"http://{at(site.address)}/bytes/{i}", headers=fields).status == 200


def dropped(daemon: Daemon) -> int:
    return sum(int(e.fields["dropped"]) for e in daemon.log.events if e.msg.endswith(" records dropped"))


def uris(texts: list[str]) -> list[str]:
    records: list[dict[str, Any]] = [json.loads(text) for text in texts]
    assert all(r["service"] == "service-0" for r in records)
    return sorted(r["http"]["uri"] for r in records)


class Collector:
    """What each connection said until its end."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, conn: socket.socket) -> None:
        said = b""
        while block := conn.recv(1 << 16):
            said += block
        self.texts.append(said.decode())


@pytest.mark.short
def test_tcp_one_connection_for_each(world: World):
    collector = Collector()
    server = world.serve(collector)
    daemon = recording(world, f"tcp: {{addr: {at(server.address)}, timeout: 5s}}")
    visit(world, daemon, 3, **MANY_FIELDS)
    until(lambda: len(collector.texts) == 3, "three connections")
    assert uris(collector.texts) == ["/bytes/0", "/bytes/1", "/bytes/2"]


@pytest.mark.short
def test_http_a_post_for_each(world: World):
    certificate = certs.make(world.folder, "localhost")
    lists = world.keep(ListServer(certificate=certificate))
    lists.status = 204
    host = f"localhost:{lists.address[1]}"
    daemon = recording(world, f"http: {{url: 'https://user:pw@{host}/take?key=secret-key', header: {{X-Of: me}}, "
                              f"tls: {{caFile: {certificate.cert}}}}}")
    visit(world, daemon, 3)
    until(lambda: len(lists.posted) == 3, "three requests")
    assert uris(lists.posted) == ["/bytes/0", "/bytes/1", "/bytes/2"]
    method, target, fields = lists.requests[0]
    assert (method, target, fields["content-type"]) == ("POST", "/take?key=secret-key", "application/json")
    assert fields["x-of"] == "me" and fields["authorization"] == "Basic dXNlcjpwdw=="
    lists.status = 500
    visit(world, daemon, 2)
    said = daemon.log.wait("status 500: records are dropped until it can be written")
    assert said.level == "warn" and "secret-key" not in daemon.log.text() and "pw@" not in daemon.log.text()
    lists.status = 200
    until(lambda: len(lists.posted) == 5, "they were asked too")
    visit(world, daemon, 1)
    until(lambda: len(lists.posted) == 6, "and the next one")


@pytest.mark.short
@pytest.mark.parametrize("type, as_is", [
    ("", set), (", type: set", set), (", type: list", list), (", type: sset", dict),
])
def test_redis_in_each_type(world: World, type: str, as_is: type):
    redis = world.keep(Redis("s3cret"))
    daemon = recording(world, f"redis: {{addr: {at(redis.address)}, db: 2, key: 'k', password: s3cret{type}}}",
                       "recorder.service.client.address")
    site = world.site()
    for _ in range(2):
        assert visitor.get(daemon.listening(), "x", f"http://{at(site.address)}/").status == 200
    wanted = {set: {"127.0.0.1"}, list: ["127.0.0.1"] * 2, dict: {"127.0.0.1": "2"}}[as_is]
    until(lambda: redis.values.get((2, "k")) == wanted, "both are there")


def test_redis_with_a_key_of_another_type(world: World):
    redis = world.keep(Redis())
    redis.values[(0, "k")] = "a text"
    daemon = recording(world, f"redis: {{addr: {at(redis.address)}, key: k, type: list}}")
    visit(world, daemon, 1)
    assert "WRONGTYPE" in daemon.log.wait("records are dropped until it can be written").msg
    assert daemon.log.wait("^1 records dropped$").fields["recorder"] == "r"
    del redis.values[(0, "k")]
    visit(world, daemon, 2)
    until(lambda: isinstance(redis.values.get((0, "k")), list) and len(redis.values[(0, "k")]) == 2, "it goes on")


@pytest.mark.parametrize("how", ["tcp", "http", "redis"])
def test_a_server_that_is_not_there(world: World, how: str):
    dead = at(world.dead_port().address)
    target = {"tcp": f"tcp: {{addr: {dead}}}", "http": f"http: {{url: 'http://{dead}/'}}",
              "redis": f"redis: {{addr: {dead}, key: k}}"}[how]
    daemon = recording(world, target)
    visit(world, daemon, 3)
    assert dead in daemon.log.wait("refused: records are dropped until it can be written").msg
    daemon.stop()
    assert dropped(daemon) == 3


@pytest.mark.parametrize("how", ["http", "redis"])
def test_a_server_that_says_nothing_holds_up_nobody(world: World, how: str):
    """What is more than the queue holds is dropped; the end waits for it no longer than a second or so."""
    server = world.serve(silent)
    target = {"http": f"http: {{url: '{at(server.address)}', timeout: 1h}}",
              "redis": f"redis: {{addr: {at(server.address)}, key: k, timeout: 1h}}"}[how]
    daemon = recording(world, target)
    visit(world, daemon, 100, **MANY_FIELDS)
    until(lambda: server.connections > 0, "it was asked")
    daemon.stop()
    assert dropped(daemon) == 100


def test_records_are_counted(world: World):
    """By recorder, those that are dropped too, and as long as the process lives."""
    dead = at(world.dead_port().address)
    daemon = recording(world, f"tcp: {{addr: {dead}}}", more=f"metrics: {{addr: {HERE}}}")

    def counted() -> int:
        text = visitor.get(daemon.listening("@metrics"), "any", "/metrics").text
        found = re.search(r'^gost_recorder_records_total\{.*recorder="r"\} (\d+)$', text, re.M)
        return int(found[1]) if found else 0

    assert counted() == 0
    visit(world, daemon, 3)
    until(lambda: counted() == 3, "all are counted")
    daemon.send(signal.SIGHUP)
    daemon.log.wait("^config reloaded")
    visit(world, daemon, 1)
    until(lambda: counted() == 4, "and those after a reload")


def test_what_is_left_is_sent_at_the_end(world: World):
    collector = Collector()
    server = world.serve(collector)
    daemon = recording(world, f"tcp: {{addr: {at(server.address)}}}")
    visit(world, daemon, 20)
    daemon.stop()
    until(lambda: len(collector.texts) == 20, "all of them")
    assert len(uris(collector.texts)) == 20


@pytest.mark.parametrize("target, says", [
    ("tcp: {addr: 'nowhere'}", "tcp: addr: not an address"),
    ("tcp: {}", "addr"),
    ("http: {url: 'ftp://h/'}", "http: url"),
    ("http: {url: 'http://h/', header: {Content-Length: 1}}", "header: Content-Length: cannot be set"),
    ("http: {url: 'https://h/', tls: {caFile: /nowhere.pem}}", "/nowhere.pem"),
    ("redis: {addr: '127.0.0.1:1'}", "redis: key is needed"),
    ("redis: {addr: '127.0.0.1:1', key: k, type: hash}", "none of set, list and sset"),
    ("tcp: {addr: '127.0.0.1:1'}, file: {path: x}", "one of file, tcp, http and redis"),
    ("plugin: {addr: '127.0.0.1:1'}", "plugin is not available in this build"),
])
def test_what_is_no_server(world: World, target: str, says: str):
    checked = world.run("check", "-C", str(world.write("c.yaml", f"""
services: [{{name: s, addr: {HERE}, handler: {{type: http}}, listener: {{type: tcp}}}}]
recorders: [{{name: r, {target}}}]
""")))
    assert checked.status == 2 and says in checked.log.text()
