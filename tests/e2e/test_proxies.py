"""Proxies: handlers and connectors that a program or another proxy asks for a target, alone and in chains."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess

import pytest

from harness import certs, datagrams, servers, visitor
from harness.daemon import Address, address
from harness.socks import SocksRelay
from harness.waiting import PATIENCE, until
from harness.world import World, at

HERE = "127.0.0.1:0"


def curl(*words: str) -> tuple[str, str, int]:
    """What curl wrote, the status of the response and of the proxy's to CONNECT ("200 000"), curl's own."""
    if not shutil.which("curl"):
        pytest.skip("no curl")
    done = subprocess.run(["curl", "-sS", "--noproxy", "", "--max-time", str(PATIENCE), "-w",
                           "\n%{http_code} %{http_connect}", *words], capture_output=True, text=True)
    body, _, codes = done.stdout.rpartition("\n")
    return body, codes, done.returncode


def connected(proxy: Address, target: str, head: str = "", early: bytes = b"") -> tuple[socket.socket, bytes]:
    """A connection on which CONNECT was sent, and the head of its answer."""
    sock = visitor.connect(proxy)
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{head}\r\n".encode() + early)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    return sock, answer


def exactly(sock: socket.socket, n: int) -> bytes:
    """The next n bytes, or what came before the end."""
    got = b""
    while len(got) < n:
        block = sock.recv(n - len(got))
        if not block:
            break
        got += block
    return got


def rest(sock: socket.socket) -> bytes:
    """All that comes until the end, which may be a reset."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while block := sock.recv(1 << 16):
            got += block
    return got


# ---- http -----------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.short
def test_http_proxy_serves_curl(world: World, pair):
    """Plain requests and CONNECT, through one proxy and through two, with credentials between them."""
    site = world.site("inside")
    far = world.start("-L", f"http://user:pass@{HERE}", program=world.pair.server).listening()
    near = world.start("-L", f"http://{HERE}", "-F", f"http://user:pass@{at(far)}",
                       program=world.pair.client).listening()
    url = f"http://{at(site.address)}/"
    assert curl("-x", f"http://user:pass@{at(far)}", url) == ("inside\n", "200 000", 0)
    assert curl("-p", "-x", f"http://user:pass@{at(far)}", url) == ("inside\n", "200 200", 0)
    assert curl("-x", f"http://{at(near)}", url) == ("inside\n", "200 000", 0)
    assert curl("-p", "-x", f"http://{at(near)}", url) == ("inside\n", "200 200", 0)


def test_http_proxy_asks_for_credentials(world: World):
    """And then takes them on the same connection: a client may ask first what is wanted."""
    site = world.site("inside")
    proxy = world.start("-L", f"http://user:pass@{HERE}").listening()
    url = f"http://{at(site.address)}/"
    assert curl("-x", f"http://{at(proxy)}", url)[1:] == ("407 000", 0)
    assert curl("-x", f"http://user:wrong@{at(proxy)}", url)[1:] == ("407 000", 0)
    assert curl("-p", "-x", f"http://{at(proxy)}", url)[1] == "000 407"
    assert curl("--proxy-anyauth", "-U", "user:pass", "-x", f"http://{at(proxy)}", url) == ("inside\n", "200 000", 0)
    with visitor.Visitor(proxy) as client:
        refused = client.get("app.local", url)
        assert refused.status == 407 and refused.headers["Proxy-Authenticate"] == 'Basic realm="adit"'
        taken = client.get("app.local", url, headers={"Proxy-Authorization": "Basic dXNlcjpwYXNz"})
        assert (taken.status, taken.text) == (200, "inside\n")


# Of "a secret", by yescrypt, as cheap as there is.
HASHED = "$y$j75$sBXJqezlLnhOTne24yH.c/$ZgKqHjw1/aU.3.ygNlpbTMX4s4MaeDMKA7qfUE0MZF6"


@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("kind", ["http", "socks5", "relay", "auto"])
def test_proxies_wait_for_a_hash(world: World, kind: str):
    """A password that is kept as a hash is right the first time too, and a wrong one is not."""
    users = world.write("users.txt", f"hash {HASHED}\n")
    site = world.site("inside")
    far = world.start(config=f"""\
services:
- name: far
  addr: {HERE}
  handler: {{type: {kind}, auther: people}}
  listener: {{type: tcp}}
authers:
- name: people
  file: {{path: {users}}}
""").listening("far")
    asked = "http" if kind == "auto" else kind
    for user, right in (("hash:a%20secre", False), ("nobody:a%20secret", False), ("hash:a%20secret", True)):
        wait = "?nodelay=true" if kind == "relay" else ""
        near = world.start("-L", f"http://{HERE}", "-F", f"{asked}://{user}@{at(far)}{wait}").listening()
        got = visitor.get(near, "x", f"http://{at(site.address)}/")
        assert (got.status, got.text if right else "") == ((200, "inside\n") if right else (502, "")), user
    if kind == "auto":
        assert curl("-x", f"socks5h://hash:a%20secret@{at(far)}", f"http://{at(site.address)}/")[0] == "inside\n"


def test_socks_request_behind_a_hash(world: World):
    """What was sent with the credentials waits for them; who goes meanwhile is no trouble."""
    users = world.write("users.txt", f"hash {HASHED}\n")
    target = world.serve(servers.echo)
    far = world.start(config=f"""\
services:
- {{name: far, addr: "{HERE}", handler: {{type: socks5, auther: people}}, listener: {{type: tcp}}}}
authers:
- {{name: people, file: {{path: {users}}}}}
""").listening("far")
    whole = (b"\5\1\2\1\4hash\x08a secret\5\1\0\1\x7f\0\0\1" + target.address[1].to_bytes(2, "big") + b"early")
    with visitor.connect(far) as sock:
        sock.sendall(whole.replace(b"secret", b"secreT"))
    with visitor.connect(far) as sock:
        sock.sendall(whole)
        assert exactly(sock, 14 + 5)[14:] == b"early"


def test_http_proxy_sends_each_request_where_it_says(world: World):
    """One connection of a client's, two hosts, and no second connection to a host for its next request."""
    heads: list[bytes] = []

    def site(name: bytes):
        def serve(conn: socket.socket) -> None:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    block = conn.recv(1 << 16)
                    if not block:
                        return
                    head += block
                heads.append(head)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nKeep-Alive: timeout=5\r\n\r\n%s" % (len(name), name))
        return world.serve(serve)

    one, two = site(b"one"), site(b"two")
    proxy = world.start("-L", f"http://{HERE}").listening()
    with visitor.Visitor(proxy) as client:
        for place, answer in ((one, "one"), (one, "one"), (two, "two"), (one, "one")):
            got = client.get("ignored.local", f"http://{at(place.address)}/path?q=1", headers={
                "Proxy-Connection": "keep-alive", "Connection": "X-Mine", "X-Mine": "a", "X-Theirs": "b",
                "Proxy-Authorization": "Basic dXNlcjpwYXNz"})
            assert (got.status, got.text) == (200, answer)
            assert got.headers["Keep-Alive"] is None and got.headers["Via"].startswith("1.1 adit-")
    assert (one.connections, two.connections) == (2, 1)
    for head in heads:
        text = head.decode().lower()
        assert text.startswith("get /path?q=1 http/1.1\r\n") and "\r\nx-theirs: b\r\n" in text
        assert "\r\nhost: 127.0.0.1:" in text and "\r\nvia: 1.1 adit-" in text
        assert not any(f"\r\n{name}:" in text for name in ("proxy-connection", "connection", "x-mine",
                                                          "proxy-authorization"))


def test_http_proxy_tells_why_not(world: World):
    dead = world.dead_port()
    silent = world.serve(servers.silent)
    proxy = world.start("-L", f"http://{HERE}?readTimeout=1s").listening()
    refused = visitor.get(proxy, "x", f"http://{at(dead.address)}/")
    assert refused.status == 502 and refused.headers["Proxy-Status"].endswith("; error=connection_refused")
    late = visitor.get(proxy, "x", f"http://{at(silent.address)}/")
    assert late.status == 504 and late.headers["Proxy-Status"].endswith("; error=connection_timeout")
    unknown = visitor.get(proxy, "x", "http://no-such-host.invalid/")
    assert unknown.status == 502 and unknown.headers["Proxy-Status"].endswith("; error=dns_error")
    assert visitor.get(proxy, "x", f"http://{at(proxy)}/").status == 508, "it leads to itself"
    assert visitor.get(proxy, "x", f"https://{at(dead.address)}/").status == 501
    sock, answer = connected(proxy, at(dead.address))
    sock.close()
    assert answer.startswith(b"HTTP/1.1 502 ") and b"error=connection_refused" in answer


def test_http_tunnel_is_transparent(world: World):
    """Bytes that come with the CONNECT, large bodies, the end of one direction before the other."""
    target = world.serve(servers.count_then_answer)
    far = world.start("-L", f"http://{HERE}").listening()
    near = world.start("-L", f"http://{HERE}", "-F", f"http://{at(far)}").listening()
    sock, answer = connected(near, at(target.address), early=b"early")
    with sock:
        assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n")
        sock.sendall(b"x" * (1 << 20))
        sock.shutdown(socket.SHUT_WR)
        assert visitor.read_to_end(sock) == b"%d bytes\n" % ((1 << 20) + 5)


def test_http_proxy_passes_an_upgrade(world: World):
    def serve(conn: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += conn.recv(1 << 16)
        assert b"Upgrade: echo" in head
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        servers.echo(conn)

    site = world.serve(serve)
    proxy = world.start("-L", f"http://{HERE}").listening()
    with visitor.connect(proxy) as sock:
        sock.sendall(f"GET http://{at(site.address)}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                     "Upgrade: echo\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("kind", ["http", "auto"])
def test_udp_through_an_http_proxy(world: World, kind: str, pair):
    """gost's: datagrams with their addresses in the tunnel of a CONNECT, in both roles."""
    echo = world.keep(datagrams.UdpServer())
    far = world.start("-L", f"{kind}://user:pass@{HERE}?udp=true", program=world.pair.server).listening()
    door = world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true&ttl=60s",
                       "-F", f"http://user:pass@{at(far)}", program=world.pair.client).listening()
    with datagrams.UdpVisitor(door) as client:
        for size in (1, 1200, 4000):
            client.ask(b"x" * size, b"x" * size)


def test_http_udp_is_to_be_allowed(world: World):
    proxy = world.start("-L", f"http://{HERE}").listening()
    sock, answer = connected(proxy, "192.0.2.1:9", "X-Gost-Protocol: udp\r\n")
    sock.close()
    assert answer.startswith(b"HTTP/1.1 403 ")


def test_http_connector_says_what_the_proxy_said(world: World):
    proxy = world.start("-L", f"http://user:pass@{HERE}").listening()
    site = world.site("inside")
    near = world.start("-L", f"http://{HERE}", "-F", f"http://user:wrong@{at(proxy)}")
    assert visitor.get(near.listening(), "x", f"http://{at(site.address)}/").status == 502
    near.log.wait("unauthorized: the proxy answered 407")
    through = world.start("-L", f"socks5://{HERE}", "-F", f"http://user:wrong@{at(proxy)}")
    assert curl("-x", f"socks5h://{at(through.listening())}", f"http://{at(site.address)}/")[2] == 97
    through.log.wait("unauthorized: the proxy answered 407")


# ---- socks ----------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("kind, user", [("socks5", "user:pass@"), ("socks5", ""), ("socks4a", ""), ("socks4", "")])
def test_socks_proxy_serves_curl(world: World, kind: str, user: str, pair):
    """Through one proxy and through two."""
    site = world.site("inside")
    far = world.start("-L", f"{kind}://{user}{HERE}", program=world.pair.server).listening()
    near = world.start("-L", f"socks5://{HERE}", "-F", f"{kind}://{user}{at(far)}",
                       program=world.pair.client).listening()
    url = f"http://{at(site.address)}/"
    asked = "socks5h" if kind == "socks5" else kind
    assert curl("-x", f"{asked}://{user}{at(far)}", url) == ("inside\n", "200 000", 0)
    assert curl("-x", f"socks5h://{at(near)}", url) == ("inside\n", "200 000", 0)
    if kind != "socks4":
        assert curl("-x", f"socks5h://{at(near)}", f"http://localhost:{site.address[1]}/")[0] == "inside\n"


def test_socks_proxy_says_why_not(world: World):
    dead, site = world.dead_port(), world.site("inside")
    proxy = world.start("-L", f"socks5://{HERE}").listening()
    locked = world.start("-L", f"socks5://user:pass@{HERE}").listening()
    old = world.start("-L", f"socks4://user:pass@{HERE}").listening()
    url = f"http://{at(site.address)}/"
    assert curl("-x", f"socks5h://{at(proxy)}", f"http://{at(dead.address)}/")[2] == 97
    assert curl("-x", f"socks5h://user:wrong@{at(locked)}", url)[2] == 97
    assert curl("-x", f"socks5h://{at(locked)}", url)[2] == 97
    assert curl("-x", f"socks4a://{at(old)}", url)[2] == 97, "SOCKS 4 has no password"
    for port, code in ((dead.address[1], 5), (0, 5)):
        with visitor.connect(proxy) as sock:
            sock.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big"))
            assert visitor.read_to_end(sock)[:5] == b"\5\0\5" + bytes([code]) + b"\0"
    for request, code in ((b"\5\1\0\3\4a\nb \0\x50", 8), (b"\5\x55\0\1\x7f\0\0\1\0\x50", 7)):
        with visitor.connect(proxy) as sock:
            sock.sendall(b"\5\1\0" + request)
            assert visitor.read_to_end(sock)[:4] == b"\5\0\5" + bytes([code])
    for nonsense in (b"\4\1", b"\5\1\0\6\1\0", b"GET / HTTP/1.1\r\n"):
        with visitor.connect(proxy) as sock:
            sock.sendall(nonsense)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            assert rest(sock) in (b"", b"\5\0")


def test_socks_request_in_pieces_with_bytes_behind(world: World):
    """Each byte alone; and what comes with the request is the target's."""
    target = world.serve(servers.echo)
    proxy = world.start("-L", f"socks5://user:pass@{HERE}").listening()
    whole = (b"\5\2\0\2", b"\1\4user\4pass", b"\5\1\0\1\x7f\0\0\1" + target.address[1].to_bytes(2, "big"))
    with visitor.connect(proxy) as sock:
        for message, answer in zip(whole, (2, 2, 10)):
            for i in range(len(message)):
                sock.sendall(message[i:i + 1])
            assert len(exactly(sock, answer)) == answer
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"
    with visitor.connect(proxy) as sock:
        sock.sendall(b"".join(whole) + b"early")
        assert exactly(sock, 14 + 5)[14:] == b"early"


def test_slow_request_has_a_limit(world: World):
    for url in (f"socks5://{HERE}?readTimeout=1s", f"http://{HERE}?readTimeout=1s"):
        proxy = world.start("-L", url).listening()
        with visitor.connect(proxy) as sock:
            sock.sendall(b"\5" if "socks" in url else b"GET /")
            assert b"200" not in rest(sock)


# ---- udp by socks ---------------------------------------------------------------------


class Association:
    """A client's UDP ASSOCIATE: the connection, and the socket he sends from."""

    def __init__(self, proxy: Address, port: int = 0) -> None:
        self.control = visitor.connect(proxy)
        self.control.sendall(b"\5\1\0\5\3\0\1\0\0\0\0" + port.to_bytes(2, "big"))
        answer = exactly(self.control, 12)
        assert answer[:6] == b"\5\0\5\0\0\1", answer
        self.relay = (socket.inet_ntoa(answer[6:10]), int.from_bytes(answer[10:], "big"))
        self.sock = datagrams.udp_socket(("127.0.0.1", 0))
        self.sock.settimeout(0.5)

    def ask(self, target: bytes, asked: bytes, answer: bytes) -> None:
        """Until the answer comes, as from target."""
        def attempt() -> bool:
            self.sock.sendto(b"\0\0\0" + target + asked, self.relay)
            with contextlib.suppress(socket.timeout):
                return self.sock.recv(1 << 16) == b"\0\0\0" + target + answer
            return False
        until(attempt, f"an answer to {asked[:20]!r}")

    def close(self) -> None:
        self.control.close()
        self.sock.close()


def wire(address: Address, name: str = "") -> bytes:
    port = address[1].to_bytes(2, "big")
    if name:
        return b"\3" + bytes([len(name)]) + name.encode() + port
    return b"\1" + socket.inet_aton(address[0]) + port


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("chain", [False, True])
def test_socks_association(world: World, chain: bool, pair):
    """Several targets, by address and by name, directly and through another proxy."""
    one, two = world.keep(datagrams.named("one")), world.keep(datagrams.named("two"))
    far = world.start("-L", f"socks5://user:pass@{HERE}?udp=true", program=world.pair.server)
    through = ["-F", f"socks5://user:pass@{at(far.listening())}"] if chain else []
    proxy = world.start("-L", f"socks5://{HERE}?udp=true", *through).listening()
    client = world.keep(Association(proxy))
    client.ask(wire(one.address), b"hello", b"one:hello")
    client.ask(wire(two.address), b"hello", b"two:hello")
    client.ask(wire(one.address, "localhost"), b"again", b"one:again")
    if world.pair.server == "adit":
        client.ask(wire(one.address), b"x" * 9000, b"one:" + b"x" * 9000)


def test_socks_association_is_its_clients(world: World):
    """Others are not served, fragments are dropped, and with the connection it ends."""
    echo = world.keep(datagrams.UdpServer())
    daemon = world.start("-L", f"socks5://{HERE}?udp=true")
    client = world.keep(Association(daemon.listening()))
    client.ask(wire(echo.address), b"mine", b"mine")
    with datagrams.udp_socket(("127.0.0.1", 0)) as stranger:
        stranger.sendto(b"\0\0\0" + wire(echo.address) + b"stranger", client.relay)
        client.sock.sendto(b"\0\0\1" + wire(echo.address) + b"fragment", client.relay)
        client.ask(wire(echo.address), b"last", b"last")
    assert b"stranger" not in echo.received and b"fragment" not in echo.received
    client.control.close()
    daemon.log.wait("^udp association")
    client.sock.sendto(b"\0\0\0" + wire(echo.address) + b"late", client.relay)
    assert b"late" not in echo.received


def test_socks_udp_is_to_be_allowed(world: World):
    proxy = world.start("-L", f"socks5://{HERE}").listening()
    for command in (3, 0xf3):
        with visitor.connect(proxy) as sock:
            sock.sendall(b"\5\1\0" + bytes([5, command]) + b"\0\1\0\0\0\0\0\0")
            assert visitor.read_to_end(sock)[2:4] == b"\5\2"


@pytest.mark.parametrize("options, code", [("bind=true", 2), ("udp=true", 2), ("udp=true&bind=true", 0)])
def test_socks_udp_port_needs_both_rights(world: World, options: str, code: int):
    """From a bound port a client sends UDP: the right to BIND alone is none to that."""
    proxy = world.start("-L", f"socks5://{HERE}?{options}").listening()
    with datagrams.udp_socket(("127.0.0.1", 0)) as free:
        where = free.getsockname()
    with visitor.connect(proxy) as sock:
        sock.sendall(b"\5\1\0" + b"\5\xf3\0" + wire(where))
        assert exactly(sock, 4)[2:] == bytes([5, code])


@pytest.mark.peers
@pytest.mark.short
def test_udp_port_through_a_socks_proxy(world: World, pair):
    """gost's UDP in the connection, in both roles; an empty datagram cannot be said, and harms nothing."""
    echo = world.keep(datagrams.UdpServer())
    far = world.start("-L", f"socks5://user:pass@{HERE}?udp=true", program=world.pair.server).listening()
    door = world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true&ttl=60s",
                       "-F", f"socks5://user:pass@{at(far)}", program=world.pair.client).listening()
    with datagrams.UdpVisitor(door) as client:
        sizes = [1, 1200, 4000] if "gost" in (pair.server, pair.client) else [1, 0, 1200, 9000, datagrams.LONGEST]
        for size in sizes:
            if size:
                client.ask(b"x" * size, b"x" * size)
            else:
                client.send(b"")


@pytest.mark.peers
@pytest.mark.short
def test_udp_beside_a_socks_connection(world: World, pair):
    """relay=udp: UDP ASSOCIATE, in both roles."""
    echo = world.keep(datagrams.UdpServer())
    far = world.start("-L", f"socks5://user:pass@{HERE}?udp=true", program=world.pair.server).listening()
    door = world.start("-L", f"udp://{HERE}/localhost:{echo.address[1]}?keepalive=true&ttl=60s",
                       "-F", f"socks5://user:pass@{at(far)}?relay=udp", program=world.pair.client).listening()
    with datagrams.UdpVisitor(door) as client:
        sizes = [1, 1200, 4000] if "gost" in (pair.server, pair.client) else [1, 0, 1200, 9000, 65000]
        for size in sizes:
            client.ask(b"x" * size, b"x" * size)


def test_udp_goes_around_no_node(world: World):
    """What the first hop hides stays hidden: TCP goes through both, UDP beside the connection nowhere."""
    echo, site = world.keep(datagrams.UdpServer()), world.site("inside")
    first, second = (world.start("-L", f"socks5://{HERE}?udp=true").listening() for _ in range(2))
    chain = ("-F", f"socks5://{at(first)}", "-F", f"socks5://{at(second)}?relay=udp")
    proxy = world.start("-L", f"http://{HERE}", *chain).listening()
    assert curl("-x", f"http://{at(proxy)}", f"http://{at(site.address)}/")[0] == "inside\n"
    door = world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true", *chain)
    with datagrams.UdpVisitor(door.listening()) as client:
        client.send(b"hello")
        door.log.wait("would go around the nodes that lead to this one")
    assert not echo.received


def test_udp_through_a_plain_socks_proxy(world: World):
    """One that refuses gost's command is asked as RFC 1928 says from then on; what comes is the proxy's alone,
    and with the connection it ends."""
    echo, proxy = world.keep(datagrams.UdpServer()), world.keep(SocksRelay())
    daemon = world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true&ttl=60s", "-F", f"socks5://{at(proxy.address)}")
    with datagrams.UdpVisitor(daemon.listening()) as client:
        client.ask(b"first", b"first")
        assert proxy.commands == [0xf3, 3]
        daemon.log.wait("the proxy takes no UDP in the connection: from now on by UDP ASSOCIATE")
        client.send(b"last")
        while (heard := client.hear(PATIENCE)) != b"last":
            assert heard == b"first"
        proxy.drop()
        until(lambda: client.ask(b"again", b"again") and proxy.commands == [0xf3, 3, 3], "another association")


def test_udp_leaves_no_encrypted_connection_by_itself(world: World):
    """A refusal alone does not send in the clear what was to be encrypted: that takes relay=udp."""
    echo, proxy = world.keep(datagrams.UdpServer()), world.keep(SocksRelay())
    tls = world.start("-L", f"tls://{HERE}/{at(proxy.address)}").listening()
    doors = [world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true", "-F", f"socks5+tls://{at(tls)}{more}")
             for more in ("", "?relay=udp")]
    with datagrams.UdpVisitor(doors[0].listening()) as client:
        def asked_again() -> bool:
            client.send(b"secret")
            return len(proxy.commands) > 1
        until(asked_again, "another attempt")
    assert set(proxy.commands) == {0xf3} and not echo.received
    datagrams.ask(doors[1].listening(), b"said to be so", b"said to be so")


# ---- relay ----------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("options", ["", "?nodelay=true"])
def test_relay_proxy(world: World, options: str, pair):
    """TCP and UDP, with credentials, through one relay and through two."""
    if options and world.pair.server == "gost":
        pytest.skip("a gost answers only with the target's first bytes")
    site, echo = world.site("inside"), world.keep(datagrams.UdpServer())
    far = world.start("-L", f"relay://user:pass@{HERE}", program=world.pair.server).listening()
    middle = world.start("-L", f"relay://{HERE}", program=world.pair.server).listening()
    chain = ["-F", f"relay://{at(middle)}{options}", "-F", f"relay://user:pass@{at(far)}{options}"]
    near = world.start("-L", f"http://{HERE}", *chain, program=world.pair.client).listening()
    url = f"http://{at(site.address)}/"
    assert curl("-x", f"http://{at(near)}", url) == ("inside\n", "200 000", 0)
    assert curl("-p", "-x", f"http://{at(near)}", url) == ("inside\n", "200 200", 0)
    door = world.start("-L", f"udp://{HERE}/{at(echo.address)}?keepalive=true&ttl=60s", *chain,
                       program=world.pair.client).listening()
    with datagrams.UdpVisitor(door) as client:
        for size in (1, 1200, 4000):
            client.ask(b"x" * size, b"x" * size)


@pytest.mark.peers
@pytest.mark.short
def test_relay_forwards(world: World, pair):
    """With targets of its own it is a port forward, whatever is asked for."""
    site, dead = world.site("inside"), world.dead_port()
    far = world.start("-L", f"relay://{HERE}/{at(site.address)}", program=world.pair.server).listening()
    door = world.start("-L", f"tcp://{HERE}/{at(dead.address)}", "-F", f"relay://{at(far)}",
                       program=world.pair.client).listening()
    assert visitor.get(door, "any").text == "inside\n"


def test_relay_forwards_datagrams(world: World):
    echo = world.keep(datagrams.UdpServer())
    far = world.start("-L", f"relay://{HERE}/{at(echo.address)}").listening()
    door = world.start("-L", f"udp://{HERE}/192.0.2.1:9?keepalive=true&ttl=60s", "-F", f"relay://{at(far)}").listening()
    datagrams.ask(door, b"hello", b"hello")


@pytest.mark.peers
@pytest.mark.short
def test_relay_listens_for_its_client(world: World, pair):
    """rtcp over relay: gost's remote port forward. With the client its port goes."""
    site = world.site("inside")
    far = world.start("-L", f"relay://user:pass@{HERE}?bind=true", program=world.pair.server)
    client = world.start("-L", f"rtcp://{HERE}/{at(site.address)}", "-F", f"relay://user:pass@{at(far.listening())}",
                         program=world.pair.client)
    port = address(client.log.wait("^bind on .* OK").msg)
    for _ in range(3):
        assert visitor.get(port, "any").text == "inside\n"
    client.stop()
    def refused() -> bool:
        try:
            visitor.connect(port).close()
        except OSError:
            return True
        return False
    until(refused, "the port is closed")


@pytest.mark.peers
@pytest.mark.short
def test_relay_opens_a_udp_port_for_its_client(world: World, pair):
    """rudp over relay: each address that comes is a session of its own, until it is silent."""
    named, far = world.keep(datagrams.named("one")), world.start("-L", f"relay://user:pass@{HERE}?bind=true",
                                                                 program=world.pair.server)
    with datagrams.udp_socket(("127.0.0.1", 0)) as free:
        port = free.getsockname()
    client = world.start("-L", f"rudp://{at(port)}/{at(named.address)}?ttl=1s",
                         "-F", f"relay://user:pass@{at(far.listening())}", program=world.pair.client)
    with datagrams.UdpVisitor(port) as first, datagrams.UdpVisitor(port) as second:
        first.ask(b"hello", b"one:hello")
        second.ask(b"hello", b"one:hello")
        assert len(set(named.sources)) == 2
        for size in [1, 1200, 4000] if "gost" in (pair.server, pair.client) else [1, 1200, 9000, 65000]:
            first.ask(b"x" * size, b"one:" + b"x" * size)
        first.send(b"")                         # cannot be said, and harms nothing
        first.ask(b"then", b"one:then")
    if pair.client == "adit":
        client.log.wait(r"^127\.0\.0\.1:\d+ >-< ")     # silence has ended one
    client.stop()

    def is_free() -> bool:
        with contextlib.suppress(OSError), datagrams.udp_socket(port):
            return True
        return False
    until(is_free, "the port is closed")


def test_relay_udp_port_comes_back(world: World):
    """When the connection to the node is lost; its sessions begin anew."""
    echo, far = world.keep(datagrams.UdpServer()), world.start("-L", f"relay://{HERE}?bind=true")
    link = world.tcp_proxy(far.listening())
    with datagrams.udp_socket(("127.0.0.1", 0)) as free:
        port = free.getsockname()
    client = world.start("-L", f"rudp://{at(port)}/{at(echo.address)}?ttl=60s", "-F", f"relay://{at(link.address)}")
    with datagrams.UdpVisitor(port) as asking:
        asking.ask(b"before", b"before")
        link.cut()
        client.log.wait("^accept: .* retrying")
        asking.ask(b"after", b"after")
    assert len(set(echo.sources)) == 2
    refused = world.start("-L", f"rudp://127.0.0.1:0/{at(echo.address)}", "-F", f"relay://{at(link.address)}")
    refused.log.wait("a UDP port at a relay needs a number")


def relay_answer(proxy: Address, request: bytes) -> bytes:
    with visitor.connect(proxy) as sock:
        sock.sendall(request)
        return rest(sock)


def test_relay_says_why_not(world: World):
    dead = world.dead_port()
    to_dead = b"\2\0\7\1\x7f\0\0\1" + dead.address[1].to_bytes(2, "big")
    proxy = world.start("-L", f"relay://{HERE}").listening()
    locked = world.start("-L", f"relay://user:pass@{HERE}").listening()
    for request, status in ((b"\1\1\0\x0a" + to_dead, 7), (b"\1\2\0\x0a" + to_dead, 3), (b"\1\3\0\x0a" + to_dead, 1),
                            (b"\1\1\0\0", 1), (b"\1\1\0\x0f\4\0\2\0\x10" + to_dead, 1)):
        assert relay_answer(proxy, request) == bytes([1, status, 0, 0]), request
    assert relay_answer(locked, b"\1\1\0\x0a" + to_dead) == b"\1\2\0\0"
    assert relay_answer(proxy, b"\2\1\0\0") == b""


def test_udp_over_a_node_of_bytes_is_refused(world: World):
    """Before anything was agreed: what a port forward leads to takes bytes, whatever was asked for."""
    node = world.serve(servers.echo)
    proxy = world.start("-L", f"relay://{HERE}", "-F", f"forward://{at(node.address)}").listening()
    echo = world.keep(datagrams.UdpServer())
    to_echo = b"\2\0\7\1\x7f\0\0\1" + echo.address[1].to_bytes(2, "big")
    assert relay_answer(proxy, b"\1\x81\0\x0a" + to_echo) == b"\1\7\0\0"


def test_relay_binds_udp(world: World):
    """A port whose visitors the client answers; and an association, where he asks for no port."""
    echo = world.keep(datagrams.UdpServer())
    proxy = world.start("-L", f"relay://{HERE}?bind=true").listening()
    with datagrams.udp_socket(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with visitor.connect(proxy) as sock:
        sock.sendall(b"\1\x82\0\x0f\4\0\2\0\1\2\0\7\1\x7f\0\0\1" + port.to_bytes(2, "big"))
        answer = exactly(sock, 4 + 10)
        assert answer == b"\1\0\0\x0a\2\0\7\1\x7f\0\0\1" + port.to_bytes(2, "big")
        with datagrams.udp_socket(("127.0.0.1", 0)) as client:
            client.settimeout(PATIENCE)
            client.sendto(b"ping", ("127.0.0.1", port))
            frame = b"\0\4\xff" + wire(client.getsockname())
            assert exactly(sock, 14) == frame + b"ping"
            # To who has sent to the port, and to nobody else: neither to a server, nor by name.
            stranger = b"\0\4\xff" + wire(echo.address) + b"none"
            by_name = b"\0\4\xff" + wire(echo.address, "localhost") + b"none"
            sock.sendall(stranger + by_name + frame + b"pong")
            assert client.recv(100) == b"pong"
    with visitor.connect(proxy) as sock:
        sock.sendall(b"\1\x82\0\x0f\4\0\2\0\1\2\0\7\1\0\0\0\0\0\0")
        exactly(sock, 4 + 10)
        frame = b"\0\4\xff" + wire(echo.address) + b"ping"
        sock.sendall(frame)
        assert exactly(sock, len(frame)) == frame
    assert b"none" not in echo.received


@pytest.mark.parametrize("url, request_for", [
    ("relay://{}?bind=true", b"\1\2\0\x0a\2\0\7"), ("relay://{}?bind=true", b"\1\x82\0\x0f\4\0\2\0\1\2\0\7"),
    ("socks5://{}?bind=true&udp=true", b"\5\1\0\5\xf2\0"), ("socks5://{}?bind=true&udp=true", b"\5\1\0\5\xf3\0")])
def test_bind_says_why_not(world: World, url: str, request_for: bytes):
    """A port that is another's: the proxy's log has the reason."""
    far = world.start("-L", url.format(HERE))
    with datagrams.udp_socket(("127.0.0.1", 0)) as taken, visitor.connect(far.listening()) as sock:
        udp = request_for[1:2] == b"\x82" or b"\xf3" in request_for
        sock.sendall(request_for + wire(taken.getsockname() if udp else far.listening()))
        far.log.wait("request refused: .*in use")


def test_a_forward_tries_each_target_once(world: World):
    """Also those that are not left out yet: maxFails is about all visitors."""
    site, dead = world.site("inside"), world.dead_port()
    far = world.start(config=f"""\
services:
- name: far
  addr: {HERE}
  handler: {{type: relay}}
  listener: {{type: tcp}}
  forwarder:
    selector: {{strategy: fifo, maxFails: 1000}}
    nodes:
    - {{name: dead, addr: "{at(dead.address)}"}}
    - {{name: site, addr: "{at(site.address)}"}}
""").listening("far")
    door = world.start("-L", f"tcp://{HERE}/192.0.2.1:9", "-F", f"relay://{at(far)}").listening()
    for _ in range(2):
        assert visitor.get(door, "any").text == "inside\n"


def test_socks_bind(world: World):
    """One connection from whoever the client expects; gost's, a session, is tried with a gost below."""
    proxy = world.start("-L", f"socks5://{HERE}?bind=true").listening()
    with visitor.connect(proxy) as sock:
        sock.sendall(b"\5\1\0" + b"\5\2\0\1\x7f\0\0\1\0\0")
        answer = exactly(sock, 12)[2:]
        assert answer[:8] == b"\5\0\0\1\x7f\0\0\1"
        with visitor.connect(("127.0.0.1", int.from_bytes(answer[8:], "big"))) as peer:
            assert exactly(sock, 10) == b"\5\0\0\1\x7f\0\0\1" + peer.getsockname()[1].to_bytes(2, "big")
            sock.sendall(b"hello")
            assert exactly(peer, 5) == b"hello"
            peer.sendall(b"there")
            assert exactly(sock, 5) == b"there"
    with visitor.connect(proxy) as sock:
        sock.sendall(b"\5\1\0" + b"\5\2\0\1\x7f\0\0\1\0\0" + b"early")
        port = int.from_bytes(exactly(sock, 12)[10:], "big")
        with visitor.connect(("127.0.0.1", port)) as peer:
            assert exactly(peer, 5) == b"early", "what came with the request is the peer's"
    with visitor.connect(world.start("-L", f"socks5://{HERE}").listening()) as sock:
        sock.sendall(b"\5\1\0" + b"\5\2\0\1\x7f\0\0\1\0\0")
        assert rest(sock)[2:4] == b"\5\2", "not allowed unless asked for"


@pytest.mark.peers
@pytest.mark.short
def test_socks_listens_for_a_gost(world: World, pair):
    """rtcp over SOCKS 5, as gost does it."""
    if "gost" not in (pair.server, pair.client):
        pytest.skip("only a gost asks for it: with --peers=gost")
    site = world.site("inside")
    far = world.start("-L", f"socks5://user:pass@{HERE}?bind=true")
    client = world.start("-L", f"rtcp://{HERE}/{at(site.address)}",
                         "-F", f"socks5://user:pass@{at(far.listening())}?notls=true", "-D", program="gost")
    # It loses what comes right behind the answer: nobody may visit before it has read that.
    port = address(client.log.wait("^bind on .* OK").msg)
    far.log.wait("^bind: listening on ")
    assert visitor.get(port, "any").text == "inside\n"


# ---- auto, sni, direct ----------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.parametrize("url", ["", "auto://", "tls://"])
def test_auto_proxy_is_told_by_the_first_bytes(world: World, url: str, pair):
    """-L with nothing but an address is auto over tcp, and a transport alone is auto over it."""
    site = world.site("inside")
    if url == "tls://":
        far = world.start("-L", f"tls://{HERE}", program=world.pair.server).listening()
        near = world.start("-L", f"{HERE}", "-F", f"http+tls://{at(far)}", program=world.pair.client).listening()
    else:
        near = world.start("-L", f"{url}{HERE}", program=world.pair.server).listening()
    target = f"http://{at(site.address)}/"
    for scheme in ("http", "socks4", "socks4a", "socks5", "socks5h"):
        assert curl("-x", f"{scheme}://{at(near)}", target) == ("inside\n", "200 000", 0), scheme
    assert curl("-p", "-x", f"http://{at(near)}", target) == ("inside\n", "200 200", 0)


def test_auto_proxy_asks_everybody_for_credentials(world: World):
    """Also those whose protocol has none."""
    site = world.site("inside")
    proxy = world.start("-L", f"user:pass@{HERE}").listening()
    target = f"http://{at(site.address)}/"
    for scheme in ("http", "socks5h"):
        assert curl("-x", f"{scheme}://user:pass@{at(proxy)}", target) == ("inside\n", "200 000", 0)
        assert curl("-x", f"{scheme}://user:wrong@{at(proxy)}", target)[0] != "inside\n"
        assert curl("-x", f"{scheme}://{at(proxy)}", target)[0] != "inside\n"
    assert curl("-x", f"socks4a://{at(proxy)}", target)[2] == 97
    with pytest.raises(ssl.SSLError):
        visitor.connect(proxy, "localhost").close()


def test_tls_goes_by_its_server_name(world: World):
    """To port 443 of that host: here by a chain whose node knows nothing but the site."""
    certificate = certs.make(world.folder, "inside.example")
    site = world.site("inside", certificate)
    for kind in ("auto", "sni"):
        proxy = world.start("-L", f"{kind}://{HERE}", "-F", f"forward://{at(site.address)}")
        with visitor.Visitor(proxy.listening(), "inside.example", certificate.cert) as client:
            assert client.get("inside.example").text == "inside\n"
        proxy.log.wait(">-< inside.example:443$")
    with visitor.connect(proxy.listening()) as sock:
        sock.sendall(b"\x16\3\1\0\4\2\0\0\0")
        assert rest(sock)[:2] == b"\x15\3", "no hello: an alert"


def test_tls_to_the_proxy_itself_ends(world: World):
    """A name that leads back here is not followed for ever."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        free = sock.getsockname()
    for kind in ("auto", "sni"):
        daemon = world.start("-L", f"{kind}://{at(free)}", "-F", f"forward://{at(free)}")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            visitor.connect(daemon.listening(), "localhost").close()
        daemon.log.wait("^answer: ")
        daemon.stop()
        assert daemon.log.count("^answer: ") == 1
        assert daemon.log.count(">-< localhost:443$") <= 1


def test_plain_http_by_its_host(world: World):
    """What was sent as to the server itself, by who does not know that a proxy is in between."""
    site = world.site("inside")
    for kind in ("auto", "sni"):
        proxy = world.start("-L", f"{kind}://{HERE}").listening()
        assert visitor.get(proxy, at(site.address)).text == "inside\n"


def test_direct_is_no_node(world: World):
    site = world.site("inside")
    target = f"http://{at(site.address)}/"
    plain = world.start("-L", f"http://{HERE}", "-F", "direct://").listening()
    chosen = world.start(config=f"""
services:
- {{name: open, addr: "{HERE}", handler: {{type: http, chain: open}}, listener: {{type: tcp}}}}
- {{name: shut, addr: "{HERE}", handler: {{type: http, chain: shut}}, listener: {{type: tcp}}}}
chains:
- name: open
  hops:
  - nodes: [{{name: here, connector: {{type: direct}}, dialer: {{type: direct}}}}]
- name: shut
  hops:
  - nodes: [{{name: none, connector: {{type: virtual, metadata: {{action: reject}}}}, dialer: {{type: virtual}}}}]
""")
    assert curl("-x", f"http://{at(plain)}", target)[0] == "inside\n"
    assert curl("-x", f"http://{at(chosen.listening('open'))}", target)[0] == "inside\n"
    assert curl("-p", "-x", f"http://{at(chosen.listening('shut'))}", target)[1] == "000 502"


# ---- chains ---------------------------------------------------------------------------


def test_chain_of_everything(world: World):
    """Each hop by another protocol and another transport; nodes of a hop take turns, and a dead one is left out."""
    site, echo, dead = world.site("inside"), world.keep(datagrams.UdpServer()), world.dead_port()
    hops = [world.start("-L", f"{url}").listening() for url in (
        f"socks5+tls://user:pass@{HERE}?udp=true", f"http+ws://user:pass@{HERE}", f"relay+mtls://user:pass@{HERE}",
        f"socks5+mwss://user:pass@{HERE}?udp=true")]
    auth = "auth: {username: user, password: pass}"
    nodes = [f"""[{{name: n{i}, addr: "{at(where)}", connector: {{type: {connector}, {auth}}}, dialer: {{type: {dialer}}}}}]"""
             for i, (where, connector, dialer) in enumerate(zip(
                 hops, ("socks5", "http", "relay", "socks5"), ("tls", "ws", "mtls", "mwss")))]
    first = nodes[0][:-1] + f""", {{name: dead, addr: "{at(dead.address)}", connector: {{type: socks5}}}}]"""
    near = world.start(config=f"""
services:
- {{name: web, addr: "{HERE}", handler: {{type: auto, chain: all}}}}
- name: echo
  addr: "{HERE}"
  handler: {{type: udp, chain: all}}
  listener: {{type: udp, metadata: {{keepalive: true, ttl: 60s}}}}
  forwarder: {{nodes: [{{name: echo, addr: "{at(echo.address)}"}}]}}
chains:
- name: all
  hops:
  - {{name: first, selector: {{strategy: round, maxFails: 1, failTimeout: 60s}}, nodes: {first}}}
  - {{name: second, nodes: {nodes[1]}}}
  - {{name: third, nodes: {nodes[2]}}}
  - {{name: fourth, nodes: {nodes[3]}}}
""")
    web = near.listening("web")
    answers = [curl("-x", f"socks5h://{at(web)}", f"http://{at(site.address)}/")[0] for _ in range(4)]
    assert answers.count("inside\n") >= 3 and answers[-1] == "inside\n", answers
    datagrams.ask(near.listening("echo"), b"hello", b"hello")
    by_line = world.start("-L", f"http://{HERE}", *[w for url, where in zip(
        ("socks5+tls", "http+ws", "relay+mtls"), hops) for w in ("-F", f"{url}://user:pass@{at(where)}")]).listening()
    assert curl("-x", f"http://{at(by_line)}", f"http://{at(site.address)}/")[0] == "inside\n"


# ---- who visits -----------------------------------------------------------------------


PROXY1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4242 80\r\n"
PROXY2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x10\x92\0\x50"


def heads(world: World) -> tuple[Address, list[bytes]]:
    """A target that keeps the first line of each connection, which it echoes."""
    seen: list[bytes] = []

    def serve(conn: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\n"):
            block = conn.recv(1)
            if not block:
                break
            line += block
        seen.append(line)
        conn.sendall(line)
    return world.serve(serve).address, seen


@pytest.mark.parametrize("listener", ["tcp", "tls", "ws"])
def test_proxy_header_is_taken(world: World, listener: str):
    """In front of whatever the listener speaks, in both versions, or none; the target is told who visits."""
    target, seen = heads(world)
    daemon = world.start("-L", f"forward+{listener}://{HERE}/{at(target)}?proxyProtocol=1&handler.proxyProtocol=1")
    port = daemon.listening()
    for header, source in ((PROXY1, b"192.0.2.7"), (PROXY2, b"192.0.2.7"), (b"", b"127.0.0.1"),
                           (b"PROXY UNKNOWN\r\n", b"127.0.0.1")):
        count = len(seen)
        with socket.create_connection(port, timeout=PATIENCE) as sock:
            for i in range(len(header)):
                sock.sendall(header[i:i + 1])
            if listener == "tcp":
                sock.sendall(b"x")
            elif listener == "tls":
                tls = ssl.create_default_context()
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
                sock = tls.wrap_socket(sock)
                sock.sendall(b"x")
            else:
                sock.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
                assert exactly(sock, 12) == b"HTTP/1.1 101"
            until(lambda: len(seen) > count, "the target is reached")
            assert seen[-1].startswith(b"PROXY TCP4 " + source)
            sock.close()


def test_proxy_header_of_a_stranger(world: World):
    """Only those who are trusted may say who visits; what is no header is closed."""
    target, seen = heads(world)
    for trusted, source in (("127.0.0.0/8", b"PROXY TCP4 192.0.2.7 "), ("192.0.2.0/24", b"PROXY TCP4 127.0.0.1 ")):
        port = world.start("-L", f"tcp://{HERE}/{at(target)}?proxyProtocol=2&trustedProxies={trusted}"
                                 "&handler.proxyProtocol=1").listening()
        with visitor.connect(port) as sock:
            sock.sendall(PROXY1)
            assert exactly(sock, len(source)) == source
    bad = world.start("-L", f"tcp://{HERE}/{at(target)}?proxyProtocol=2")
    with visitor.connect(bad.listening()) as sock:
        sock.sendall(b"PROXY TCP4 nonsense\r\n")
        assert rest(sock) == b""
    bad.log.wait("^PROXY header: ")
    wrong = world.run("check", "-L", f"tcp://{HERE}/{at(target)}?proxyProtocol=1&trustedProxies=somebody")
    assert wrong.status != 0 and "trustedProxies" in wrong.log.text() + wrong.output()


def test_proxy_header_to_a_node(world: World):
    """In front of the node's own protocol; the next adit takes it, and so knows who visits."""
    site = world.site("inside")
    far = world.start("-L", f"http+tls://{HERE}?proxyProtocol=1")
    near = world.start("-L", f"http://{HERE}?proxyProtocol=1", "-F",
                       f"http+tls://{at(far.listening())}?proxyProtocol=2").listening()
    with visitor.connect(near) as sock:
        sock.sendall(PROXY1 + f"GET http://{at(site.address)}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert rest(sock).endswith(b"inside\n")
    assert far.log.wait(">-< ").fields["remote"] == "192.0.2.7:4242"
