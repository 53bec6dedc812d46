"""The documentation is true: every example, command, configuration and output in it is tried."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Mapping

import pytest

from harness import certs, pages, visitor
from harness.daemon import address
from harness.datagrams import UdpServer, ask, udp_socket
from harness.lists import ListServer, Redis
from harness.pages import EXAMPLES, ROOT, Block, Command
from harness.servers import echo
from harness.waiting import until
from harness.world import REGISTERED, World, at

CONFIGURATIONS = sorted(p.name for p in EXAMPLES.glob("*.yaml"))
SERVER_NAME = "tunnel.example.net"


@pytest.fixture
def folder(world: World) -> Path:
    """The world's folder with the examples in it, and with the certificates they name."""
    for path in EXAMPLES.iterdir():
        shutil.copy(path, world.folder)
    authority = certs.make(world.folder, "authority", ca=True)
    for name, label in ((SERVER_NAME, "server"), ("client", "client")):
        certs.make(world.folder, name, issuer=authority, label=label)
    for name in ("server-ca.pem", "clients-ca.pem"):
        shutil.copy(authority.cert, world.folder / name)
    return world.folder


def files_of_page(folder: Path, block: Block) -> None:
    """Writes what the page shows as files: good ones, and bad ones to show what is said about them."""
    for other in pages.blocks_of(ROOT / block.page) if block.page.endswith(".md") else []:
        if other.kind in ("yaml", "text") and other.name:
            (folder / other.name).write_text(other.text)


# ---- accepted ---------------------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_example_is_accepted(world: World, folder: Path, name: str):
    daemon = world.run("check", "-C", name)
    assert daemon.status == 0, daemon.log.text()


@pytest.mark.parametrize("block", pages.blocks("yaml"), ids=str)
def test_configuration_in_a_page_is_accepted(world: World, folder: Path, block: Block):
    files_of_page(folder, block)
    world.write("block.yaml", block.text)
    daemon = world.run("check", "-C", "block.yaml")
    assert daemon.status == 0, daemon.log.text()


def checked(args: list[str]) -> list[str]:
    """What to run so that args are judged and nothing is started; files are those in the folder."""
    local = [Path(word).name if last == "-C" and "/" in word else word for last, word in zip(["", *args], args)]
    ends_by_itself = not local or not local[0].startswith("-") or {"-V", "-h", "-help", "-O"} & set(local)
    return local if ends_by_itself else ["check", *local]


@pytest.mark.parametrize("command", [c for c in pages.commands() if c.block.kind != "console"], ids=str)
def test_command_line_is_accepted(world: World, folder: Path, command: Command):
    files_of_page(folder, command.block)
    daemon = world.run(*checked(command.args))
    assert daemon.status == 0, daemon.log.text()


@pytest.mark.parametrize("command", [c for c in pages.commands() if c.block.kind == "console"], ids=str)
def test_output_is_as_shown(world: World, folder: Path, command: Command):
    files_of_page(folder, command.block)
    daemon = world.run(*command.args)
    assert (daemon.output() + daemon.log.text()).rstrip("\n") == command.output


def test_there_is_something_to_try():
    """The tests above are made from what is found in the pages: finding nothing must not pass."""
    found = pages.commands()
    assert len(CONFIGURATIONS) >= 9 and len(pages.blocks("yaml")) >= 3 and len(found) >= 20
    assert sum(c.block.kind == "console" for c in found) >= 2


# ---- running ----------------------------------------------------------------------


def placed(folder: Path, name: str, places: Mapping[str, str]) -> str:
    """An example's text with other addresses: each must be in it, or the test is not about it any more."""
    text = (folder / name).read_text()
    for shown, real in places.items():
        assert shown in text, f"{name} does not name {shown}"
        text = text.replace(shown, real)
    return text


HERE = "127.0.0.1:0"


@pytest.mark.short
@pytest.mark.threads
def test_tunnel_pair_works(world: World, folder: Path):
    certificate = certs.make(world.folder, "a.example.com")
    plain, secure = world.site("plain"), world.site("secure", certificate)
    server = world.start(config=placed(folder, "tunnel-server.yaml", {
        '":8443"': HERE, '":8444"': HERE, '":8080"': HERE}))
    client = world.start(config=placed(folder, "tunnel-client.yaml", {
        f"{SERVER_NAME}:8443": at(server.listening("clients-quic")),
        f"{SERVER_NAME}:8444": at(server.listening("clients-tls")),
        "127.0.0.1:3000": at(plain.address), "127.0.0.1:3443": at(secure.address)}))
    until(lambda: len({e.fields["tunnel"] for e in client.log.events if re.search(REGISTERED, e.msg)}) == 2,
          "both tunnels are bound")
    entry = server.entrypoint("clients-quic")
    assert visitor.get(entry, "app.local").text == "plain\n"
    with visitor.Visitor(entry, "a.example.com", certificate.cert) as v:
        assert v.get("a.example.com").text == "secure\n"


def test_mutual_tls_pair_works(world: World, folder: Path):
    site = world.site("alpha")
    server = world.start(config=placed(folder, "mutual-tls-server.yaml", {'":8443"': HERE, '":8080"': HERE}))
    config = placed(folder, "mutual-tls-client.yaml", {
        f"{SERVER_NAME}:8443": at(server.listening("clients")), "127.0.0.1:3000": at(site.address)})
    stranger = world.start(config=re.sub(r" *(certFile|keyFile): .*\n", "", config), name="stranger")
    stranger.log.wait(lambda e: e.level == "warn" and "retrying" in e.msg)
    assert stranger.log.count(REGISTERED) == 0, "without a certificate nobody gets in"
    deceived = world.start(config=config.replace(f"serverName: {SERVER_NAME}", "serverName: other.example.net"),
                           name="deceived")
    deceived.log.wait(lambda e: e.level == "warn" and "retrying" in e.msg)
    assert deceived.log.count(REGISTERED) == 0, "another server's certificate is not taken"
    world.start(config=config, name="client").log.wait(REGISTERED)
    assert visitor.get(server.entrypoint("clients"), "app.local").text == "alpha\n"


def test_hosts_work(world: World, folder: Path):
    """A tunnel for a host and all below it; its client, and one with a site for each host."""
    sites = {name: world.site(name) for name in ("one", "two", "rest")}
    server = world.start(config=placed(folder, "hosts-server.yaml", {" :8443": f" {HERE}", '":80"': HERE}))
    there, entry = {f"{SERVER_NAME}:8443": at(server.listening())}, server.entrypoint()
    client = world.start(name="client", config=placed(folder, "hosts-client.yaml", {
        **there, "192.168.1.1:80": at(sites["one"].address)}))
    client.log.wait(REGISTERED)
    hosts = ("example.com", "sub.example.com", "abc.example.com", "example.org", "example.net")
    answers = [visitor.get(entry, host) for host in hosts]
    assert [a.status for a in answers] == [200, 200, 200, 503, 404]
    client.stop()
    world.start(name="routing", config=placed(folder, "hosts-routing-client.yaml", {
        **there, "192.168.1.1:80": at(sites["one"].address), "192.168.1.2:80": at(sites["two"].address),
        "192.168.2.1:80": at(sites["rest"].address)})).log.wait(REGISTERED)
    assert [visitor.get(entry, host).text for host in hosts[:3]] == ["one\n", "two\n", "rest\n"]


def test_websocket_pair_works(world: World, folder: Path):
    server = world.start(config=placed(folder, "websocket-server.yaml", {'":8443"': HERE, '":8080"': HERE}))
    client = world.start(config=placed(folder, "websocket-client.yaml", {
        f"{SERVER_NAME}:8443": at(server.listening("clients")),
        "127.0.0.1:3000": at(world.site("alpha").address)}))
    client.log.wait(REGISTERED)
    assert visitor.get(server.entrypoint("clients"), "app.local").text == "alpha\n"


def test_auto_pair_works(world: World, folder: Path):
    server = world.start(config=placed(folder, "auto-server.yaml", {'":8443"': HERE, '":8080"': HERE}))
    client = world.start(config=placed(folder, "auto-client.yaml", {
        f"{SERVER_NAME}:8443": at(server.listening("tunnel")),
        "127.0.0.1:3000": at(world.site("alpha").address)}))
    client.log.wait("^goes by quic")
    assert visitor.get(server.entrypoint("tunnel"), "app.local").text == "alpha\n"


def test_rules_file_works(world: World, folder: Path):
    server = world.start(config=placed(folder, "rules-file-server.yaml", {
        '":8443"': HERE, '":8080"': HERE, "reload: 10s": "reload: 1s"}))
    world.client("tcp", server.listening("clients"), "ac74d9dd-3125-442a-a7c1-f9e49e05faca",
                 world.site("alpha").address)
    entry = server.entrypoint("clients")
    assert visitor.get(entry, "app.local").text == "alpha\n"
    assert visitor.get(entry, "www.example.com").status == 503, "a rule, and no client"
    assert visitor.get(entry, "ssh.internal").status == 404, "private"


def test_rules_elsewhere_work(world: World, folder: Path):
    tunnel, redis = "ac74d9dd-3125-442a-a7c1-f9e49e05faca", world.keep(Redis("change-me"))
    redis.values[0, "adit:rules"] = {"app.local": tunnel, "ssh.internal": tunnel}
    lists = world.keep(ListServer(f"ssh.internal ${tunnel}\n"))
    server = world.start(config=placed(folder, "rules-elsewhere-server.yaml", {
        '":8443"': HERE, '":8080"': HERE, "127.0.0.1:6379": at(redis.address), "127.0.0.1:8000": at(lists.address)}))
    world.client("tcp", server.listening("clients"), tunnel, world.site("alpha").address)
    until(lambda: server.log.count("rules, with those of") == 2, "both are read")
    assert visitor.get(server.entrypoint("clients"), "app.local").text == "alpha\n"
    assert visitor.get(server.entrypoint("clients"), "ssh.internal").status == 404, "private"
    assert lists.requests[0][1] == "/rules.txt"


def test_rules_plugin_works(world: World, folder: Path):
    tunnel = "ac74d9dd-3125-442a-a7c1-f9e49e05faca"
    plugin = world.keep(ListServer(json.dumps({"endpoint": tunnel})))
    server = world.start(config=placed(folder, "rules-plugin-server.yaml", {
        '":8443"': HERE, '":8080"': HERE, "127.0.0.1:8000": at(plugin.address)}))
    world.client("tcp", server.listening("clients"), tunnel, world.site("alpha").address)
    assert visitor.get(server.entrypoint("clients"), "app.local").text == "alpha\n"
    asked = ("GET", "/ingress?host=app.local%3A80&service=clients")
    assert any(r[:2] == asked and r[2]["authorization"] == "Bearer change-me" for r in plugin.requests)


@pytest.mark.short
@pytest.mark.threads
def test_grants_work(world: World, folder: Path):
    server = world.start(config=placed(folder, "grants-server.yaml", {'":8443"': HERE, '":8080"': HERE}))
    site = world.site("alpha")
    config = placed(folder, "grants-client.yaml", {
        f"{SERVER_NAME}:8443": at(server.listening("tunnels")), "127.0.0.1:3000": at(site.address)})
    thief = world.start(config=config.replace("username: web", "username: api").replace("change-me", "change-that"),
                        name="thief")
    server.log.wait("refused: forbidden: no grant gives that tunnel to user api")
    world.start(config=config, name="client").log.wait(REGISTERED)
    assert visitor.get(server.entrypoint("tunnels"), "app.example.com").text == "alpha\n"
    assert thief.log.count(REGISTERED) == 0


def test_private_tunnel_works(world: World, folder: Path):
    site = world.site("inside")
    server = world.start(config=placed(folder, "private-server.yaml", {'":8443"': HERE}))
    there = {f"{SERVER_NAME}:8443": at(server.listening("clients"))}
    client = world.start(config=placed(folder, "private-client.yaml", {**there, "127.0.0.1:22": at(site.address)}))
    client.log.wait(REGISTERED)
    local = world.start(config=placed(folder, "private-visitor.yaml", {**there, "127.0.0.1:2222": HERE}))
    assert visitor.get(local.listening("ssh"), "any").text == "inside\n"


@pytest.mark.threads
def test_routing_client_works(world: World, folder: Path):
    inner, secure = (certs.make(world.folder, name) for name in ("admin.internal", "secure.example.com"))
    names = {"www-1": 3001, "www-2": 3002, "www-sorry": 3009, "api": 3003, "rest": 3000}
    sites = {name: world.site(name) for name in names}
    admin, passed = world.site("admin", inner), world.site("secure", secure)
    server = world.server("quic", {".example.com": "4d21094e-b74c-4916-86c1-d9fa36ea677b"}, user="web:change-me")
    world.start(name="client", config=placed(folder, "routing-client.yaml", {
        **{f"127.0.0.1:{port}": at(sites[name].address) for name, port in names.items()},
        "127.0.0.1:3443": at(admin.address), "127.0.0.1:3444": at(passed.address),
        f"{SERVER_NAME}:8443": at(server.clients)})).log.wait(REGISTERED)
    with visitor.Visitor(server.entry) as v:
        assert {v.get("www.example.com").text for _ in range(4)} == {"www-1\n", "www-2\n"}
        answer = v.get("www.example.com", "/v1/x?y=z")
        assert sites["api"].requests == ["GET /api/x?y=z"] and answer.headers["Cache-Control"] == "no-store"
        assert v.get("www.example.com", "/v1/x", method="DELETE").status == 404
        assert len(sites["api"].requests) == 1 and not sites["www-sorry"].requests
        assert v.get("admin.example.com").status == 401
        assert v.get("admin.example.com", headers={"Authorization": "Basic YWRtaW46Y2hhbmdlLW1l"}).text == "admin\n"
        assert v.get("other.example.com").text == "rest\n"
    with visitor.Visitor(server.entry, "secure.example.com", secure.cert) as v:
        assert v.get("secure.example.com").text == "secure\n"


def test_proxy_pair_works(world: World, folder: Path):
    site, echo = world.site("reachable"), world.keep(UdpServer())
    server = world.start(config=placed(folder, "proxy-server.yaml", {'":8443"': HERE}))
    local = world.start(config=placed(folder, "proxy-client.yaml", {
        "127.0.0.1:1080": HERE, "127.0.0.1:5353": HERE, "192.168.1.1:53": at(echo.address),
        f"{SERVER_NAME}:8443": at(server.listening("proxy"))}))
    assert visitor.get(local.listening("local"), "x", f"http://{at(site.address)}/").text == "reachable\n"
    ask(local.listening("dns"), b"query", b"query")


def test_relay_pair_works(world: World, folder: Path):
    sshd, dns = world.serve(echo), world.keep(UdpServer())
    with udp_socket(("127.0.0.1", 0)) as free:
        port = free.getsockname()
    server = world.start(config=placed(folder, "relay-server.yaml", {'":8443"': HERE}))
    client = world.start(config=placed(folder, "relay-client.yaml", {
        "0.0.0.0:8022": HERE, "0.0.0.0:5353": at(port), "127.0.0.1:22": at(sshd.address),
        "192.168.1.1:53": at(dns.address), f"{SERVER_NAME}:8443": at(server.listening("relay"))}))
    with visitor.connect(address(client.log.wait("^bind on .*/tcp OK").msg)) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
    ask(port, b"query", b"query")


def test_port_forward_works(world: World, folder: Path):
    """The backup serves while the first node is dead, and is told who visits."""
    heads: list[bytes] = []

    def target(conn) -> None:
        heads.append(conn.recv(28, socket.MSG_WAITALL))
        conn.sendall(b"backup")

    forward = world.start(config=placed(folder, "port-forward.yaml", {
        '":8080"': HERE, "127.0.0.1:3000": at(world.dead_port().address),
        "127.0.0.1:3001": at(world.serve(target).address), "output: adit.log": "output: stderr"}))
    with visitor.connect(forward.listening("web")) as sock:
        assert visitor.read_to_end(sock) == b"backup"
    assert heads[0].startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"), "PROXY version 2, TCP over IPv4"


# ---- the guide --------------------------------------------------------------------


def guide() -> dict[str, list[str]]:
    """The shell lines of docs/getting-started.md by the heading they stand under, continued lines joined."""
    found: dict[str, list[str]] = {}
    for block in pages.blocks_of(ROOT / "docs" / "getting-started.md"):
        if block.kind == "sh":
            found.setdefault(block.heading, []).extend(re.sub(r"\\\n\s*", "", block.text).splitlines())
    return found


def guided(lines: list[str], flag: str) -> list[str]:
    """The words of the one adit command among lines that is the client's ("-F") or the server's ("-L")."""
    found = [line for line in lines if line.startswith("adit -L ") and (" -F " in line) == (flag == "-F")]
    assert len(found) == 1, found
    return shlex.split(found[0])[1:]


def moved(words: list[str], places: Mapping[str, str]) -> list[str]:
    for shown, real in places.items():
        assert any(shown in w for w in words), f"{shown} not in {words}"
        words = [w.replace(shown, real) for w in words]
    return words


@pytest.mark.parametrize("heading", [h for h, lines in guide().items() if any(" -F " in line for line in lines)])
def test_guide_leads_to_a_reachable_service(world: World, heading: str):
    """The commands under each heading, in their order and as they stand there but for addresses."""
    site, lines = world.site("reachable"), guide()[heading]
    for line in lines:
        if line.startswith("openssl "):
            subprocess.run(shlex.split(line), cwd=world.folder, check=True, capture_output=True)
    server = world.start(*moved(guided(lines, "-L"), {":8443?": f"{HERE}?", "entrypoint=:8080": f"entrypoint={HERE}"}),
                         name="server")
    words = moved(guided(lines, "-F"), {"127.0.0.1:3000": at(site.address),
                                        f"{SERVER_NAME}:8443": at(server.listening())})
    words = [w + f"&serverName={SERVER_NAME}" if "secure=true" in w else w for w in words]
    world.start(*words, name="client").log.wait(REGISTERED)
    assert visitor.get(server.entrypoint(), "app.local").text == "reachable\n"


def test_guide_has_its_sections():
    with_pairs = [h for h, lines in guide().items() if any(" -F " in line for line in lines)]
    assert len(with_pairs) >= 4, with_pairs


# ---- the log ----------------------------------------------------------------------


def shape(line: str) -> str:
    """A line of the log without what differs from run to run."""
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line)
    line = re.sub(r"\b[0-9a-f]{16}\b", "ENDPOINT", line)
    line = re.sub(r'"time":"[^"]*"', '"time":T', line)
    line = re.sub(r'"(endedBy|how)":"\w+"', r'"\1":WORD', line)
    line = re.sub(r"\d+\.\d+\.\d+\.\d+:\d+", "ADDRESS", line)
    return re.sub(r"\d+", "N", line)


def test_log_lines_are_as_shown(world: World, folder: Path):
    """Each line that docs/configuration.md shows is written by a pair that does what the page says."""
    site, tunnel = world.site("alpha"), "ac74d9dd-3125-442a-a7c1-f9e49e05faca"
    server = world.server("quic", {"app.local": tunnel}, user="web:secret")
    client = world.client("quic", server.clients, tunnel, site.address, user="web:secret")
    wrong = world.client("quic", server.clients, tunnel, site.address, user="web:wrong", registered=False)
    wrong.log.wait("unauthorized")
    assert server.get("app.local").text == "alpha\n"
    server.daemon.log.wait(">< app.local")
    for daemon in (wrong, client):
        daemon.stop()
    server.daemon.log.wait("^connector ")
    server.daemon.stop()
    written = {shape(e.line) for d in (server.daemon, client, wrong) for e in d.log.events}
    shown = [line for b in pages.blocks("log") for line in b.text.splitlines()]
    assert len(shown) >= 8
    assert [line for line in shown if shape(line) not in written] == []


# ---- references -------------------------------------------------------------------


def test_help_of_every_plugin(world: World):
    listed = [line.split()[:2] for line in world.run("list").output().splitlines()]
    assert len(listed) >= 15
    for kind, name in listed:
        shown = world.run("help", kind, name)
        assert shown.status == 0 and shown.output().startswith(f"{kind} {name}: ")


def test_reference_is_what_the_program_says(programs: Mapping[str, Path]):
    """Else: scripts/reference > docs/reference.md"""
    made = subprocess.run([ROOT / "scripts" / "reference"], env={**os.environ, "ADIT": str(programs["adit"])},
                          check=True, capture_output=True, text=True).stdout
    assert made == (ROOT / "docs" / "reference.md").read_text()


def usage_flags(world: World) -> set[str]:
    daemon = world.run("help")
    return set(re.findall(r"^  -(\S+)", daemon.output() + "\n" + daemon.log.text(), re.M))


def test_man_page_has_every_flag_and_command(world: World):
    page = (ROOT / "packaging" / "adit.1").read_text()
    assert set(re.findall(r"^\.It Fl (\S+)", page, re.M)) == usage_flags(world)
    usage = world.run("help")
    commands = set(re.findall(r"^       adit (\w+)", usage.output() + "\n" + usage.log.text(), re.M))
    assert commands and set(re.findall(r"^\.It Cm (\w+)", page, re.M)) == commands


def test_configuration_page_has_every_flag(world: World):
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert set(re.findall(r"^\| `-([\w-]+)", page, re.M)) == usage_flags(world)


def test_unit_starts_what_exists(world: World, folder: Path):
    """The unit's command lines with the configuration of an example."""
    shutil.copy(folder / "tunnel-server.yaml", folder / "adit.yaml")
    unit = (ROOT / "packaging" / "adit.service.in").read_text()
    lines = re.findall(r"^Exec(?:StartPre|Start)=@CMAKE_INSTALL_FULL_BINDIR@/adit (.*)$", unit, re.M)
    assert len(lines) == 2
    for line in lines:
        daemon = world.run(*checked(line.split()))
        assert daemon.status == 0, daemon.log.text()


UNITS = {"": 1, "h": 3600 * 10**9, "s": 10**9, "ms": 10**6, "KiB": 1 << 10, "MiB": 1 << 20}
LIMIT = re.compile(r"^\| [^|]+ \| (\d+) ?(\w*) \| `([\w/.]+)` `(\w+)` \|$", re.M)


def defined(path: Path, name: str) -> int:
    """The value of a constant in a C source, times in ns."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    found = re.search(rf"^\s*(?:#define\s+{name}\s+|{name} = )(.+?),?\s*$", text, re.M)
    assert found, f"{path} has no {name}"
    value = re.sub(r"ADIT_SECONDS\((\d+)\)", r"(\1 * 10**9)", found[1])
    value = re.sub(r"ADIT_MS\((\d+)\)", r"(\1 * 10**6)", value)
    value = re.sub(r"\b(\d+)u\b", r"\1", value)
    assert re.fullmatch(r"[\d\s()*<]+", value), f"{name}: {value}"
    return int(eval(value))


def test_limits_are_those_of_the_sources():
    rows = LIMIT.findall((ROOT / "docs" / "design.md").read_text())
    assert len(rows) >= 70
    for number, unit, path, name in rows:
        factor = UNITS[unit] if unit != "ms" or not name.endswith("_MS") else 1
        assert defined(ROOT / path, name) == int(number) * factor, name


def test_sources_that_pages_name_exist():
    for page in pages.pages():
        named = re.findall(r"`((?:include/adit|core|listeners|handlers|connectors|dialers|ingress|plugins|cmd|tests|scripts|"
                           r"packaging|docs|examples)/[\w/.-]+)`", page.read_text())
        missing = [n for n in named if "NAME" not in n and not (ROOT / n).exists()]
        assert missing == [], page


@pytest.mark.parametrize("page, target", pages.links(), ids=lambda x: x.name if isinstance(x, Path) else x)
def test_link_leads_somewhere(page: Path, target: str):
    assert (page.parent / target).exists()
