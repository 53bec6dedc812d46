"""Records of what a service has served: whole JSON, each its own, no secret in it, and nobody waits for the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import visitor
from harness.daemon import Daemon
from harness.waiting import until
from harness.world import World, at, tunnel_id

HERE = "127.0.0.1:0"
KINDS = {
    "served": "recorder.service.handler", "who": "recorder.service.client.address",
    "dials": "recorder.service.router.dial.address", "failed": "recorder.service.router.dial.address.error",
}


def recording(world: World, handler: str, more: str = "", rotation: str = "") -> Daemon:
    recorders = "\n".join(f'- {{name: {name}, file: {{path: {world.folder}/{name}.log, sep: "\\n"{rotation}}}}}'
                          for name in KINDS)
    config = f"""
services:
- name: service-0
  addr: {HERE}
  recorders: [{", ".join(f"{{name: {name}, record: {kind}}}" for name, kind in KINDS.items())}]
  handler: {handler}
  listener: {{type: tcp}}
{more}
recorders:
{recorders}
"""
    return world.start(config=config)


def lines(world: World, name: str, n: int) -> list[str]:
    path = world.folder / f"{name}.log"
    until(lambda: path.exists() and path.read_text().count("\n") >= n, f"{n} records in {name}.log")
    return path.read_text().splitlines()


def records(world: World, n: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(world, "served", n)]


@pytest.mark.short
def test_each_request_of_a_proxy(world: World):
    site, dead = world.site(), world.dead_port()
    proxy = recording(world, "{type: http, auth: {username: user, password: secret-pass}}").listening()
    secrets = {"Proxy-Authorization": "Basic dXNlcjpzZWNyZXQtcGFzcw==", "Cookie": "id=secret-cookie",
               "Authorization": "Bearer secret-token", "X-Api-Key": "secret-key", "X-Auth-Token": "secret-token",
               "Referer": "http://app.local/from?key=secret-query"}
    with visitor.Visitor(proxy) as v:
        v.get("x", f"http://{at(site.address)}/echo?key=secret-query", "POST", b"12345", secrets)
        assert v.get("x", f"http://{at(dead.address)}/", headers=secrets).status == 502
        assert v.get("x", f"http://{at(site.address)}/", headers={"Gost-Record": "off", **secrets}).status == 200
        assert v.get("x", f"http://{at(site.address)}/").status == 407
    first, second, refused = records(world, 3)
    assert first["service"] == "service-0" and first["network"] == "tcp" and first["proto"] == "http"
    assert first["host"] == at(site.address) and first["clientIP"] == "127.0.0.1"
    assert first["remote"].startswith("127.0.0.1:") and first["sid"] == second["sid"]
    assert first["inputBytes"] > 100 and first["outputBytes"] > 100 and first["duration"] > 0
    assert first["time"].startswith("20")
    http = first["http"]
    assert (http["method"], http["proto"], http["uri"], http["statusCode"]) == ("POST", "HTTP/1.1", "/echo", 200)
    assert http["request"]["contentLength"] == 5 and http["request"]["header"]["Cookie"] == ["***"]
    assert http["request"]["header"]["Referer"] == ["http://app.local/from"]
    assert second["http"]["statusCode"] == 502 and refused["http"]["statusCode"] == 407
    assert "secret" not in (world.folder / "served.log").read_text()
    assert "dXNlcj" not in (world.folder / "served.log").read_text()
    assert (world.folder / "served.log").stat().st_mode & 0o777 == 0o600
    assert lines(world, "dials", 3)[:2] == [at(site.address), at(dead.address)]
    assert lines(world, "failed", 1) == [at(dead.address)]
    assert lines(world, "who", 1) == ["127.0.0.1"]


def test_bytes_of_a_request_without_a_record_are_no_others(world: World):
    site = world.site()
    proxy = recording(world, "{type: http}").listening()
    with visitor.Visitor(proxy) as v:
        assert v.get("x", f"http://{at(site.address)}/bytes/50000", headers={"Gost-Record": "off"}).status == 200
        assert v.get("x", f"http://{at(site.address)}/bytes/10").status == 200
    assert records(world, 1)[0]["outputBytes"] < 10000


def test_connections(world: World):
    site = world.site()
    nodes = f'  forwarder: {{nodes: [{{name: n, addr: "{at(site.address)}"}}]}}'
    daemon = recording(world, "{type: tcp}", nodes)
    visitor.get(daemon.listening(), "x", "/bytes/5000")
    visitor.get(daemon.listening(), "x")
    first, _ = records(world, 2)
    assert first["outputBytes"] > 5000 and "http" not in first and "err" not in first


def test_entry_point_and_client_of_a_tunnel(world: World):
    """A request of a visitor has its own; the client's connection, when it ends, too."""
    site, tunnel = world.site(), tunnel_id()
    server = recording(world, f'{{type: tunnel, metadata: {{entrypoint: "{HERE}", tunnel: "app.local:{tunnel}"}}}}')
    client = world.client("tcp", server.listening(), tunnel, site.address)
    world.wait_registered(client)
    entry = server.entrypoint()
    with visitor.Visitor(entry) as v:
        assert v.get("app.local", "/").status == 200
        assert v.get("other.local", "/").status == 404
    found = {r["http"]["host"]: r["http"]["statusCode"] for r in records(world, 2)}
    assert found == {"app.local": 200, "other.local": 404}
    client.stop()
    until(lambda: any(r.get("clientID") == tunnel for r in records(world, 3)), "the client's record")


def test_rotation_keeps_records_whole(world: World):
    site = world.site()
    proxy = recording(world, "{type: http}", rotation=", rotation: {maxSize: 1, maxBackups: 2}").listening()
    with visitor.Visitor(proxy) as v:
        for _ in range(60):
            v.get("x", f"http://{at(site.address)}/", headers={f"X-{i}": "y" * 4000 for i in range(6)})
    lines(world, "dials", 1)
    until(lambda: len(list(world.folder.glob("served-*.log"))) >= 1, "a file was set aside")
    until(lambda: sum(p.read_text().count("\n") for p in world.folder.glob("served*.log")) == 60, "all of them")
    for path in world.folder.glob("served*.log"):
        assert path.stat().st_size <= 1 << 20
        for line in path.read_text().splitlines():
            json.loads(line)


def test_a_file_that_nobody_reads_holds_up_nothing(world: World):
    """A full pipe in a record's place: what finds no room is dropped and counted, the service goes on."""
    site = world.site()
    os.mkfifo(world.folder / "served.log")
    reader = os.open(world.folder / "served.log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        daemon = recording(world, "{type: http}")
        with visitor.Visitor(daemon.listening()) as v:
            for _ in range(110):
                assert v.get("x", f"http://{at(site.address)}/",
                             headers={f"X-{i}": "y" * 4000 for i in range(6)}).status == 200
        daemon.stop()
        said = daemon.log.wait("^[0-9]+ records dropped$")
        assert int(said.fields["dropped"]) >= 1 and said.fields["recorder"] == "served"
    finally:
        os.close(reader)


def test_a_folder_that_cannot_be_made(world: World):
    """As with a gost it runs, and says so."""
    site = world.site()
    (world.folder / "served.log").mkdir()
    daemon = recording(world, "{type: http}")
    assert visitor.get(daemon.listening(), "x", f"http://{at(site.address)}/").status == 200
    assert daemon.log.wait("records are dropped until it can be written").level == "warn"


@pytest.mark.parametrize("recorder, says", [
    ("{name: r}", "one of file, tcp, http and redis is needed"),
    ("{name: r, file: {sep: x}}", "path"),
])
def test_what_is_no_recorder(world: World, recorder: str, says: str):
    daemon = world.run("check", "-C", str(world.write("c.yaml", f"""
services:
- {{name: s, addr: {HERE}, handler: {{type: http}}, listener: {{type: tcp}}}}
recorders: [{recorder}]
""")))
    assert daemon.status == 2 and says in daemon.log.text()


def test_check_writes_nothing(world: World):
    path = Path(world.folder / "new.log")
    daemon = world.run("check", "-C", str(world.write("c.yaml", f"""
services:
- name: s
  addr: {HERE}
  recorders: [{{name: r, record: recorder.service.handler}}]
  handler: {{type: http}}
  listener: {{type: tcp}}
recorders: [{{name: r, file: {{path: {path}}}}}]
""")))
    assert daemon.status == 0 and not path.exists()
