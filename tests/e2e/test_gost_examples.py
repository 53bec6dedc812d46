"""The six configurations of tests/data/examples-config, unchanged but for addresses: what gost makes of each is
what adit makes of it, and each does what the comments at its top say. (2 and 5 run in test_routing.py too.)"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from collections import Counter
from pathlib import Path
from typing import Any, Mapping

import pytest

from harness import visitor
from harness.daemon import Address, Daemon
from harness.datagrams import UdpServer, ask
from harness.pages import ROOT
from harness.servers import echo
from harness.waiting import until
from harness.world import REGISTERED, World, at

FOLDER = ROOT / "tests" / "data" / "examples-config"
NAMES = sorted(p.stem for p in FOLDER.glob("*.yaml"))

# A loopback address of this process's own: the ports in the files are free there.
HOST = "127.{}.{}.{}".format(64 + (os.getpid() >> 16) % 64, os.getpid() >> 8 & 255, os.getpid() & 255)


def placed(name: str, targets: Mapping[str, Address] = {}) -> str:
    """The file's text, at this process's own address, with the local servers that it expects."""
    text = (FOLDER / f"{name}.yaml").read_text()
    for shown, real in targets.items():
        assert shown in text, f"{name} does not name {shown}"
        text = text.replace(shown, at(real))
    return re.sub(r"127\.0\.0\.1(?=:2[1-5]\d{3}\b)", HOST, text)


def start(world: World, name: str, targets: Mapping[str, Address] = {}) -> Daemon:
    return world.start(config=placed(name, targets), name=name[0])


def port(number: int) -> Address:
    return (HOST, number)


# ---- what is made of them -----------------------------------------------------------


def printed(world: World, path: Path) -> Any:
    daemon = world.run("-C", str(path), "-O", "json")
    assert daemon.status == 0, daemon.log.text()
    return json.loads(daemon.output())


@pytest.mark.parametrize("name", NAMES)
def test_printed_as_gost_prints_it(world: World, name: str):
    """printed/ has what gost 3.2.6 writes for -O yaml, as JSON; but for the recorder's `sep`, a line feed that its
    emitter cannot write."""
    expected = json.loads((FOLDER / "printed" / f"{name}.json").read_text())
    assert printed(world, FOLDER / f"{name}.yaml") == expected
    daemon = world.run("-C", str(FOLDER / f"{name}.yaml"), "-O", "yaml")
    assert printed(world, world.write("again.yaml", daemon.output())) == expected


def test_all_six_are_tried():
    assert [n[0] for n in NAMES] == list("123456")


# ---- what they do -------------------------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
def test_tunnel_server_and_client(world: World):
    """1 and 2, with the API and the metrics that 1 has."""
    web, api, shell = world.site("web"), world.site("api"), world.serve(echo)
    server = start(world, "1-tunnel-server")
    server.listening("tunnel")
    client = start(world, "2-tunnel-client", {
        "127.0.0.1:21801": web.address, "127.0.0.1:21802": api.address, "127.0.0.1:21822": shell.address})
    for tunnel in ("6f1a2c34", "0d9c8b7a"):
        client.log.wait(rf"{REGISTERED[:-3]}.*tunnel={tunnel}")
    with visitor.Visitor(port(21080)) as v:
        assert v.get("www.app.example").text == "web\n"
        v.get("api.app.example", "/v1/x")
        assert api.requests == ["GET /v1/x"]
        assert v.get("ssh.app.example").status == 404 and v.get("other.example").status == 404
    assert visitor.get(port(21081), "staging.example").text == "web\n"
    with visitor.connect(port(21222)) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock) == b"hello"
    metrics = visitor.get(port(21301), "any", "/metrics")
    assert f'gost_services{{host="{socket.gethostname()}"}} 3' in metrics.text
    assert 'service="tunnel-ep-' in metrics.text
    assert visitor.get(port(21300), "any", "/config").status == 401
    token = base64.b64encode(b"admin:change-me").decode()
    shown = visitor.get(port(21300), "any", "/config/services/tunnel", headers={"Authorization": f"Basic {token}"})
    assert shown.json["data"]["status"]["stats"]["totalConns"] >= 2, "enableStats"
    server.log.wait(lambda e: e.fields.get("kind") == "api" and e.fields.get("code") == 200)


@pytest.mark.threads
def test_tunnel_with_three_clients(world: World):
    """3: visitors are spread by weight, 1 : 3 : 1; a client gets past a server that is down."""
    sites = {name: world.site(name) for name in "abc"}
    daemon = start(world, "3-tunnel-ha", {
        "127.0.0.1:22801": sites["a"].address, "127.0.0.1:22802": sites["b"].address,
        "127.0.0.1:22803": sites["c"].address})
    seen: Counter[str] = Counter()

    def all_serve() -> bool:
        seen[visitor.get(port(22080), "ha.example").text.strip()] += 1
        return set("abc") <= set(seen)

    daemon.log.wait(REGISTERED)
    until(all_serve, "all three are bound")
    seen.clear()
    with visitor.Visitor(port(22080)) as v:
        for _ in range(150):
            seen[v.get("ha.example").text.strip()] += 1
    assert sum(seen[name] for name in "abc") == 150 and seen["b"] > max(seen["a"], seen["c"]), seen


def available(world: World, name: str) -> None:
    """Skips where this build says by name that it does not have all of it yet."""
    daemon = world.run("check", "-C", str(FOLDER / f"{name}.yaml"))
    missing = re.findall(r"(\S+) is not available in this build", daemon.log.text())
    if missing:
        pytest.skip(f"not there yet: {', '.join(missing)}")
    assert daemon.status == 0, daemon.log.text()


@pytest.mark.threads
def test_relay_chain(world: World):
    """4: two ports that a relay opens two hops away, and one here that leads there."""
    available(world, "4-relay-tls-chain")
    tcp, udp = world.serve(echo), world.keep(UdpServer())
    daemon = start(world, "4-relay-tls-chain", {"127.0.0.1:23822": tcp.address, "127.0.0.1:23853": udp.address})
    daemon.log.wait(r"^bind on .*:23222/tcp OK")
    daemon.log.wait(r"^bind on .*:23053/udp OK")
    for number in (23222, 23100):
        with visitor.connect(port(number)) as sock:     # WebSockets end both ways at once
            sock.sendall(b"hello")
            assert sock.recv(5, socket.MSG_WAITALL) == b"hello", number
    ask(port(23053), b"question", b"question")


@pytest.mark.threads
def test_policies(world: World):
    """6: names, bypass, users, admission, a record."""
    available(world, "6-hosts-bypass-limiter")
    site = world.site("inside")
    start(world, "6-hosts-bypass-limiter").listening("proxy")
    proxy, closed, inside = port(25080), port(25081), f"app.internal:{site.address[1]}"
    user = {"Proxy-Authorization": "Basic " + base64.b64encode(b"user:pass").decode()}
    assert visitor.get(proxy, inside, f"http://{inside}/", headers=user).text == "inside\n"
    assert visitor.get(proxy, "blocked.internal", "http://blocked.internal/", headers=user).status == 403
    assert visitor.get(proxy, inside, f"http://{inside}/").status == 407
    with visitor.connect(closed) as sock:
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert visitor.read_to_end(sock) == b""
        except (ConnectionResetError, BrokenPipeError):
            pass
    trace = world.folder / "trace.log"

    def hosts() -> set[Any]:
        lines = trace.read_text().splitlines() if trace.exists() else []
        return {json.loads(line).get("host") for line in lines}

    until(lambda: inside in hosts(), "the request was recorded")
