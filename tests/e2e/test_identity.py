"""Who may do what: users, tokens and certificates, and the grants that give them tunnels."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from pathlib import Path
from typing import Optional, Sequence

import pytest

from harness import certs
from harness.daemon import Address, Daemon
from harness.lists import ListServer, Redis
from harness.waiting import PATIENCE, until
from harness.world import REGISTERED, Tunnel, World, at, reachable, tunnel_id

# The relay protocol and adit/1: the two wires that a client is refused on.
WIRES = ("tcp", "quic")
UNAUTHORIZED, FORBIDDEN = 2, 3          # of the relay protocol
# Of "a secret", by yescrypt, as cheap as there is.
HASHED = "$y$j75$sBXJqezlLnhOTne24yH.c/$ZgKqHjw1/aU.3.ygNlpbTMX4s4MaeDMKA7qfUE0MZF6"


def server_config(transport: str, rules: dict[str, str], authers: str, grants: str = "", tls: str = "") -> str:
    inline = ",".join(f"{host}:{tunnel}" for host, tunnel in rules.items())
    return f"""\
services:
- name: main
  addr: 127.0.0.1:0
  handler:
    type: tunnel
    {"authers: [people]" if authers else ""}
    metadata:
      entrypoint: 127.0.0.1:0
      tunnel: {inline}
      tunnel.direct: true
      {"grants: owners" if grants else ""}
  listener:
    type: {transport}
{tls}
{authers}
{grants and "grants:" + chr(10) + "- name: owners" + chr(10) + "  rules:" + chr(10) + grants}
"""


AUTHERS = f"""\
authers:
- name: people
  auths:
  - {{username: web, password: secret}}
  - {{username: api, password: other-secret}}
  - {{username: deploy, token: token-8d1f2c40}}
"""


def start(world: World, config: str) -> Tunnel:
    daemon = world.start(config=config, name="server")
    return Tunnel(daemon, daemon.listening("main"), daemon.entrypoint("main"))


def reload(world: World, server: Tunnel, config: str) -> int:
    """Returns the number of the log's next event before it."""
    mark = server.daemon.log.mark()
    world.write("server.yaml", config)
    server.daemon.send(signal.SIGHUP)
    server.daemon.log.wait("^config reloaded", since=mark)
    return mark


def refused(world: World, transport: str, server: Tunnel, tunnel: str, why: str, **options: object) -> Daemon:
    """A client that the server refuses, once it has been."""
    mark = server.daemon.log.mark()
    client = world.client(transport, server.clients, tunnel, ("127.0.0.1", 9), registered=False, **options)
    server.daemon.log.wait(f"refused: .*{why}", since=mark)
    client.log.wait(lambda e: e.level in ("warn", "error"))
    assert client.log.count(REGISTERED) == 0
    return client


def rule(users: str, tunnel: str, more: str = "") -> str:
    return f"  - {{users: [{users}], tunnels: [{tunnel}]{more and ', ' + more}}}\n"


# ---- who is let in -----------------------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", WIRES)
def test_passwords_hashes_and_tokens(world: World, transport: str):
    users = world.write("users.txt", f"# people\nplain in the clear\nhash {HASHED}\nweb from-file\n")
    authers = AUTHERS + f"  file: {{path: {users}}}\n"
    rules = {f"{n}.local": tunnel_id() for n in ("web", "token", "plain", "hash")}
    server = start(world, server_config(transport, rules, authers))
    site = world.site("alpha")
    for name, user in (("web", "web:from-file"), ("token", "token-8d1f2c40"), ("plain", "plain:in%20the%20clear"),
                       ("hash", "hash:a%20secret")):
        world.client(transport, server.clients, rules[f"{name}.local"], site.address, user=user)
        assert server.get(f"{name}.local").text == "alpha\n"
    for user in ("web:secret", "deploy:token-8d1f2c40", "token-8d1f2c41", "hash:a%20secre", "nobody:x", ""):
        refused(world, transport, server, rules["web.local"], "unauthorized", user=user)
    logged = server.daemon.log.text()
    assert not any(s in logged for s in ("from-file", "token-8d1f", "in the clear", "a secre", "secret")), logged


def test_file_that_changes_and_breaks(world: World):
    """Users come and go with it; while it is broken nobody is let in, and who is in stays."""
    users = world.write("users.txt", "old one\nstays two\n")

    def write(text: str) -> int:
        mark = server.daemon.log.mark()
        world.write("users.new", text)
        os.rename(world.folder / "users.new", users)
        return mark

    authers = AUTHERS + f"  file: {{path: {users}}}\n  reload: 1s\n"
    rules = {"old.local": tunnel_id(), "stays.local": tunnel_id(), "new.local": tunnel_id()}
    server = start(world, server_config("tcp", rules, authers))
    site = world.site("alpha")
    world.client("tcp", server.clients, rules["old.local"], site.address, user="old:one")
    stays = world.client("tcp", server.clients, rules["stays.local"], site.address, user="stays:two", connections=1)

    mark = write("stays two\nnew three\n")
    gone = server.daemon.log.wait("^connector .*permission withdrawn: user old is not known", since=mark)
    assert gone.fields["user"] == "old" and gone.fields["remote"]
    assert server.get("old.local").status == 503
    world.client("tcp", server.clients, rules["new.local"], site.address, user="new:three")

    mark = write("stays two\nnew $1$salt$hidden\n")
    error = server.daemon.log.wait("line 2: the hash is of a kind .* nobody is let in until it can be read", since=mark)
    assert error.level == "error" and "hidden" not in error.line
    refused(world, "tcp", server, rules["new.local"], "unauthorized", user="stays:two")
    refused(world, "tcp", server, rules["new.local"], "unauthorized", user="web:secret")
    assert server.get("stays.local").text == "alpha\n"

    mark = write("stays two\n")
    server.daemon.log.wait("^[0-9]+ users, with those of ", since=mark)
    server.daemon.log.wait("^connector .*permission withdrawn: user new is not known", since=mark)
    assert server.get("stays.local").text == "alpha\n"
    assert stays.log.count(REGISTERED) == 1


def test_users_in_a_redis_and_behind_a_url(world: World):
    """Nobody is let in before both were read; then a break changes nothing, and a change does."""
    redis, lists = world.keep(Redis("s3cret")), world.keep(ListServer("web from-url\n"))
    redis.values[0, "users"] = {"web": "from-redis", "hash": HASHED}
    lists.status = 500
    authers = AUTHERS + f"""\
  redis: {{addr: "{at(redis.address)}", password: s3cret, key: users}}
  http: {{url: "http://{at(lists.address)}/users"}}
  reload: 1s
"""
    rules = {"web.local": tunnel_id(), "hash.local": tunnel_id()}
    server = start(world, server_config("tcp", rules, authers))
    error = server.daemon.log.wait("status 500: nobody is let in until it can be read$")
    assert error.level == "error" and error.fields["auther"] == "people"
    for user in ("web:secret", "web:from-redis", "api:other-secret"):
        refused(world, "tcp", server, rules["web.local"], "unauthorized", user=user)
    lists.status = 200
    server.daemon.log.wait("^[0-9]+ users, with those of http")
    site = world.site("alpha")
    world.client("tcp", server.clients, rules["web.local"], site.address, user="web:from-url")
    world.client("tcp", server.clients, rules["hash.local"], site.address, user="hash:a%20secret")
    refused(world, "tcp", server, rules["web.local"], "unauthorized", user="web:from-redis")

    lists.text, redis.raw = "web $1$salt$hidden\n", b"-LOADING\r\n"
    server.daemon.log.wait("line 1: the hash is of a kind .*: the users stay as they are$")
    server.daemon.log.wait("LOADING: the users stay as they are$")
    mark = reload(world, server, server_config("tcp", rules, authers + "  # changed\n"))
    world.client("tcp", server.clients, rules["web.local"], site.address, user="web:from-url")

    lists.text, redis.raw, redis.values[0, "users"] = "web from-url\n", None, {"other": "one"}
    server.daemon.log.wait("^connector .*permission withdrawn: user hash is not known", since=mark)
    assert server.get("web.local").text == "alpha\n"
    logged = server.daemon.log.text()
    assert not any(s in logged for s in ("from-url", "from-redis", "s3cret", "hidden")), logged


def test_broken_file_starts_nothing_and_reloads_nothing(world: World):
    users = world.write("users.txt", "web $sha1$hidden\n")
    authers = f"authers:\n- name: people\n  file: {{path: {users}}}\n"
    config = server_config("tcp", {"web.local": tunnel_id()}, authers)
    world.write("bad.yaml", config)
    check = world.run("check", "-C", str(world.folder / "bad.yaml"))
    assert check.status == 2 and "users.txt: line 1: the hash is of a kind" in check.log.text()
    assert "hidden" not in check.log.text()
    users.write_text("web one\n")
    server = start(world, config)
    users.unlink()
    mark = server.daemon.log.mark()
    server.daemon.send(signal.SIGHUP)
    server.daemon.log.wait("^config not reloaded, nothing has changed", since=mark)
    world.client("tcp", server.clients, tunnel_id(), ("127.0.0.1", 9), user="web:one")


def test_authers_of_a_plugin_are_refused_by_name(world: World):
    world.write("bad.yaml", server_config("tcp", {}, "authers:\n- name: people\n  plugin: {addr: '127.0.0.1:1'}\n")
                .replace("      tunnel: \n", ""))
    check = world.run("check", "-C", str(world.folder / "bad.yaml"))
    assert "authers[0].plugin: plugin is not available in this build" in check.log.text()


# ---- what they may do ----------------------------------------------------------------


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", WIRES)
def test_another_ones_tunnel_cannot_be_taken(world: World, transport: str):
    web, api = tunnel_id(), tunnel_id()
    server = start(world, server_config(transport, {"web.local": web, "api.local": api}, AUTHERS,
                                        rule("web", web) + rule("api", api) + rule("api", "'*'", "role: visitor")))
    world.client(transport, server.clients, web, world.site("alpha").address, user="web:secret")
    mark = server.daemon.log.mark()
    thief = refused(world, transport, server, web, "no grant gives that role to user api", user="api:other-secret")
    line = server.daemon.log.wait("refused: forbidden: no grant", since=mark)
    assert line.level == "warn" and line.fields["user"] == "api" and line.fields["tunnel"] == web
    assert line.fields["remote"].startswith("127.0.0.1:") and line.fields["how"] == "refused"
    assert "forbidden" in thief.log.text()
    if transport == "quic":
        assert "no grant gives that role to user api" in thief.log.text(), "adit/1 tells why"
    refused(world, transport, server, tunnel_id(), "no grant gives that tunnel to user web", user="web:secret")
    refused(world, transport, server, web, "no grant names user deploy", user="token-8d1f2c40")
    assert {server.get("web.local").text for _ in range(20)} == {"alpha\n"}


def visit(world: World, transport: str, server: Tunnel, user: str, tunnel: str, target: str = "") -> bytes:
    """What a visitor gets who comes by a tunnel's connector, from a site: b"" if he is refused."""
    local = world.start("-L", f"tcp://127.0.0.1:0{target and '/' + target}",
                        "-F", f"tunnel+{transport}://{user}@{at(server.clients)}?tunnel.id={tunnel}")
    try:
        with socket.create_connection(local.listening(), PATIENCE) as c:
            c.sendall(b"GET / HTTP/1.0\r\nHost: any\r\n\r\n")
            return c.recv(100)
    except ConnectionError:
        return b""
    finally:
        local.stop()


@pytest.mark.parametrize("transport", WIRES)
def test_roles_and_hosts_of_visitors(world: World, transport: str):
    web = tunnel_id()
    server = start(world, server_config(
        transport, {"web.local": web}, AUTHERS,
        rule("web", web, "role: client") + rule("api", web, "role: visitor, hosts: [one.local, .two.local]")))
    site = world.site("alpha")
    world.client(transport, server.clients, web, site.address, user="web:secret")
    assert visit(world, transport, server, "api:other-secret", web, "one.local:80").startswith(b"HTTP/1")
    assert visit(world, transport, server, "api:other-secret", web, "x.two.local:80").startswith(b"HTTP/1")
    mark = server.daemon.log.mark()
    assert visit(world, transport, server, "api:other-secret", web, "x.one.local:80") == b""
    server.daemon.log.wait("refused: forbidden: no grant gives that host to user api", since=mark)
    assert visit(world, transport, server, "web:secret", web, "one.local:80") == b""
    server.daemon.log.wait("refused: forbidden: no grant gives that role to user web", since=mark)
    refused(world, transport, server, web, "no grant gives that role to user api", user="api:other-secret")


@pytest.mark.parametrize("transport", WIRES)
def test_weight_over_the_limit(world: World, transport: str):
    web = tunnel_id()
    server = start(world, server_config(transport, {"web.local": web}, AUTHERS, rule("web", web, "weight: 10")))
    site = world.site("alpha")
    world.client(transport, server.clients, web, site.address, user="web:secret", tunnel_weight=10)
    refused(world, transport, server, web, "no grant gives that weight", user="web:secret", tunnel_weight=11)
    refused(world, transport, server, web, "no grant gives that weight", user="web:secret", tunnel_weight=255)


@pytest.mark.parametrize("transport", WIRES)
def test_too_many_connections(world: World, transport: str):
    """An adit is told how many it may have and makes no more; another client waits until one is free."""
    web = tunnel_id()
    server = start(world, server_config(transport, {"web.local": web}, AUTHERS, rule("web", web, "connections: 1")))
    first = world.client(transport, server.clients, web, world.site("alpha").address, user="web:secret")
    mark = server.daemon.log.mark()
    second = world.client(transport, server.clients, web, world.site("beta").address, user="web:secret",
                          registered=False)
    server.daemon.log.wait("refused: limit reached: too many connections of user web", since=mark)
    assert server.daemon.log.count("^bind: ") == 1, "the first did not ask for more than it may have"
    assert server.get("web.local").text == "alpha\n"
    first.stop()
    second.log.wait(REGISTERED)
    assert reachable(server, "web.local").text == "beta\n"


@pytest.mark.parametrize("transport", WIRES)
def test_reload_that_withdraws(world: World, transport: str):
    """Who lost his tunnel leaves with a reason; who did not notices nothing."""
    rules = {"web.local": tunnel_id(), "api.local": tunnel_id()}
    web, api = rules.values()
    server = start(world, server_config(transport, rules, AUTHERS, rule("web", web) + rule("api", api)))
    site = world.site("alpha")
    loser = world.client(transport, server.clients, web, site.address, user="web:secret", connections=1)
    keeper = world.client(transport, server.clients, api, site.address, user="api:other-secret", connections=1)
    mark = reload(world, server, server_config(transport, rules, AUTHERS, rule("api", api)))
    line = server.daemon.log.wait("^connector .*permission withdrawn: no grant names user web", since=mark)
    assert line.fields["user"] == "web" and line.fields["tunnel"] == web
    assert server.get("web.local").status == 503
    assert server.get("api.local").text == "alpha\n"
    loser.log.wait("forbidden")
    reload(world, server, server_config(transport, rules, AUTHERS, rule("web, api", f"{web}, {api}")))
    loser.log.wait(lambda e: loser.log.count(REGISTERED) == 2)
    assert server.get("web.local").text == "alpha\n"
    assert keeper.log.count(REGISTERED) == 1


def relay_request(command: int, tunnel: str, user: Optional[Sequence[str]] = None, weight: int = 1) -> bytes:
    """As a gost's: VER CMD, then its features: credentials, two addresses, the tunnel."""
    def feature(kind: int, value: bytes) -> bytes:
        return bytes([kind]) + len(value).to_bytes(2, "big") + value
    features = b""
    if user:
        features += feature(1, b"".join(bytes([len(w)]) + w.encode() for w in user))
    features += 2 * feature(2, b"\x01\0\0\0\0\0\0")
    features += feature(3, uuid.UUID(tunnel).bytes + bytes([0, 0, 0, weight]))
    return bytes([1, command]) + len(features).to_bytes(2, "big") + features


def relay_status(server: Address, request: bytes) -> int:
    with socket.create_connection(server, PATIENCE) as c:
        c.settimeout(PATIENCE)
        c.sendall(request)
        answer = b""
        while len(answer) < 2:
            more = c.recv(2 - len(answer))
            assert more, "closed without an answer"
            answer += more
        return answer[1]


@pytest.mark.short
def test_what_a_gost_is_told(world: World):
    """The statuses of the relay protocol, as a client sees them that is not ours."""
    web = tunnel_id()
    server = start(world, server_config("tcp", {"web.local": web}, AUTHERS, rule("web", web, "weight: 3, role: client")))

    def status(*args: object) -> int:
        return relay_status(server.clients, relay_request(*args))
    assert status(2, web, ("web", "secret")) == 0
    assert status(2, web, ("web", "wrong")) == UNAUTHORIZED
    assert status(2, web) == UNAUTHORIZED
    assert status(2, web, ("api", "other-secret")) == FORBIDDEN
    assert status(2, tunnel_id(), ("web", "secret")) == FORBIDDEN
    assert status(2, web, ("web", "secret"), 4) == FORBIDDEN
    assert status(1, web, ("web", "secret")) == FORBIDDEN
    assert status(1, web, ("token-8d1f2c40", "")) == FORBIDDEN


# ---- certificates ---------------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize("transport", ("tls", "wss", "mtls", "h2", "quic"))
def test_client_certificates(world: World, transport: str):
    """By common name, alternative name and fingerprint, over TLS, what is layered on it, and QUIC."""
    authority = certs.make(world.folder, "authority", ca=True)
    own = certs.make(world.folder, "tunnel.example.net", issuer=authority)
    made = {n: certs.make(world.folder, n, issuer=authority) for n in ("edge-7", "edge-8", "edge-9", "other")}
    fingerprint = certificate_fingerprint(made["edge-9"].cert)
    tunnels = {n: tunnel_id() for n in ("edge-7", "edge-8", "edge-9")}
    grants = "".join(f"  - {{{key}, tunnels: [{tunnels[name]}]}}\n" for name, key in (
        ("edge-7", "commonNames: [edge-7]"), ("edge-8", "alternativeNames: [EDGE-8]"),
        ("edge-9", f"fingerprints: ['{fingerprint}']")))
    tls = f"    tls: {{certFile: {own.cert}, keyFile: {own.key}, caFile: {authority.cert}}}"
    rules = {f"{n}.local": t for n, t in tunnels.items()}
    server = start(world, server_config(transport, rules, "", grants, tls))
    site = world.site("alpha")
    for name, tunnel in tunnels.items():
        world.client(transport, server.clients, tunnel, site.address, cert=made[name].cert, key=made[name].key)
        assert server.get(f"{name}.local").text == "alpha\n"
    refused(world, transport, server, tunnels["edge-8"], "no grant gives that tunnel to certificate edge-7",
            cert=made["edge-7"].cert, key=made["edge-7"].key)
    refused(world, transport, server, tunnels["edge-7"], "no grant names certificate other",
            cert=made["other"].cert, key=made["other"].key)


def certificate_fingerprint(path: Path) -> str:
    """As openssl prints it, with colons."""
    import hashlib
    import ssl
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, len(digest), 2))


# ---- mistakes in a configuration ---------------------------------------------------------


@pytest.mark.parametrize("wrong, said", [
    ("  - {tunnels: ['*']}", "grants[0].rules[0]: nobody is named"),
    ("  - {users: [x]}", 'key "tunnels" is missing'),
    ("  - {users: [x], tunnels: [abc]}", 'tunnels[0]: expected a UUID, or * for all, not "abc"'),
    ("  - {users: [x], tunnels: ['*'], hosts: ['a b']}", "hosts[0]: expected a host"),
    ("  - {fingerprints: [12], tunnels: ['*']}", "fingerprints[0]: expected the SHA-256 of a certificate"),
    ("  - {users: [x], tunnels: ['*'], weight: 256}", "weight"),
    ("  - {users: [x], tunnels: ['*'], role: server}", "role"),
    ("  - {users: [x], tunnels: ['*'], user: y}", 'unknown key, did you mean "users"'),
])
def test_mistakes_are_told_where_they_are(world: World, wrong: str, said: str):
    world.write("bad.yaml", server_config("tcp", {"a.local": tunnel_id()}, AUTHERS, wrong))
    check = world.run("check", "-C", str(world.folder / "bad.yaml"))
    assert check.status == 2 and said in check.log.text(), check.log.text()


def test_grants_that_are_not_there(world: World):
    check = world.run("check", "-L", "tunnel://:0?grants=nobody")
    assert check.status == 2 and 'no "nobody" in grants' in check.log.text(), check.log.text()
