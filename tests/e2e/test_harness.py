"""The harness itself, without any daemon: what the other tests rely on must be able to fail."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from harness import body, certs, servers, visitor, websocket
from harness.daemon import Daemon, Event, address
from harness.proxies import TcpProxy, UdpProxy
from harness.site import Site
from harness.waiting import until


@pytest.fixture
def site():
    made = Site("alpha")
    yield made
    made.close()


def python(folder: Path, code: str) -> Daemon:
    return Daemon(Path(sys.executable), ["-c", code], folder, "python")


def test_blocks_tell_order_and_length():
    first, second, rest = body.blocks(2 * body.BLOCK + 5)
    assert len(rest) == 5 and first != second
    assert body.digest(2 * body.BLOCK + 5) == hashlib.sha256(first + second + rest).hexdigest()
    assert body.digest(2 * body.BLOCK + 5) != hashlib.sha256(second + first + rest).hexdigest()


def test_addresses_are_found_in_log_lines():
    assert address("listening on 127.0.0.1:8443/tcp") == ("127.0.0.1", 8443)
    assert address("entrypoint: [::1]:80") == ("::1", 80)


def test_log_lines_are_parsed_or_kept():
    event = Event.parse('{"level":"info","msg":"entrypoint: 127.0.0.1:1","service":"service-0"}')
    assert (event.level, event.msg, event.fields["service"]) == ("info", "entrypoint: 127.0.0.1:1", "service-0")
    assert Event.parse("==1==ERROR: AddressSanitizer: x").line.endswith("AddressSanitizer: x")


def test_until_says_what_it_waited_for():
    with pytest.raises(AssertionError, match="the moon"):
        until(lambda: False, "the moon", limit=0.05)


@pytest.mark.parametrize("code, said", [
    ("import sys; sys.exit(3)", "exit status 3"),
    ("import sys; print('==1==ERROR: LeakSanitizer: detected', file=sys.stderr)", "LeakSanitizer"),
    ("import sys; print('x.c:1:2: runtime error: shift', file=sys.stderr)", "runtime error"),
    ("""import sys; print('{"level":"fatal","msg":"no port"}', file=sys.stderr)""", "no port"),
])
def test_a_daemon_that_ends_badly_is_reported(tmp_path, code, said):
    daemon = python(tmp_path, code)
    daemon.wait()
    with pytest.raises(AssertionError, match=said):
        daemon.end()


def test_a_daemon_that_ignores_sigterm_is_reported_and_ended(tmp_path):
    daemon = python(tmp_path, "import signal, sys, time; signal.signal(15, signal.SIG_IGN);"
                              "print('{\"msg\":\"up\"}', file=sys.stderr, flush=True); time.sleep(60)")
    daemon.log.wait("^up$")
    with pytest.raises(AssertionError, match="still runs"):
        daemon.stop(limit=0.2)
    daemon.kill()
    daemon.end()
    assert not daemon.running


def test_site_answers_and_counts(site):
    with visitor.Visitor(site.address) as v:
        assert v.get("a.example").text == "alpha\n"
        first = v.get("a.example", "/echo?x=1", "POST", b"abc").json
        assert first["length"] == 3 and first["sha256"] == hashlib.sha256(b"abc").hexdigest()
        assert first["headers"]["host"] == "a.example" and first["target"] == "/echo?x=1"
        second = v.get("a.example", "/echo", "POST", iter([b"ab", b"c"])).json
        assert second["sha256"] == first["sha256"] and second["request"] == first["request"] + 1
        assert v.get("a.example", "/status/418").status == 418
    assert site.connections == 1 and len(site.requests) == 4


def test_site_bodies(site):
    for path in ("/bytes/200000", "/chunked/200000"):
        with visitor.Visitor(site.address) as v:
            assert body.consume(v.start("a", path)) == (200000, body.digest(200000))


def test_site_gate_streams(site):
    with visitor.Visitor(site.address) as v:
        response = v.start("a", "/gate")
        assert response.read(6) == b"first\n"
        site.gate.set()
        assert response.read() == b"last\n"


def test_site_cut_is_seen_as_cut(site):
    with visitor.Visitor(site.address) as v, pytest.raises(visitor.http.client.IncompleteRead):
        v.get("a", "/cut")


def test_tls_site_shows_its_certificate(tmp_path):
    made = certs.make(tmp_path, "a.example.com")
    site = Site("secure", made)
    try:
        with visitor.Visitor(site.address, "a.example.com", made.cert) as v:
            assert v.get("a.example.com").text == "secure\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            visitor.connect(site.address, "other.example.com", made.cert)
    finally:
        site.close()


def test_certificates_of_an_authority(tmp_path):
    ca = certs.make(tmp_path, "Root", ca=True)
    leaf = certs.make(tmp_path, "leaf.example", issuer=ca)
    site = Site("leaf", leaf)
    try:
        visitor.connect(site.address, "leaf.example", ca.cert).close()
        with pytest.raises(ssl.SSLCertVerificationError):
            visitor.connect(site.address, "leaf.example", certs.make(tmp_path, "Other").cert)
    finally:
        site.close()


def test_websocket_echo(site):
    ws = websocket.Client(visitor.connect(site.address), "a.example")
    for payload in (b"", b"x" * 125, b"y" * 126, b"z" * 70000):
        ws.send(payload)
        assert ws.receive() == (websocket.BINARY, payload)
    ws.close()


def test_half_close_and_reset_servers():
    echo, counter, angry = (servers.Server(f) for f in (servers.echo, servers.count_then_answer, servers.resetting))
    try:
        for server, expected in ((echo, b"hello"), (counter, b"5 bytes\n")):
            sock = visitor.connect(server.address)
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert visitor.read_to_end(sock) == expected
            sock.close()
        with visitor.connect(angry.address) as sock, pytest.raises(ConnectionResetError):
            sock.sendall(b"hello")
            visitor.read_to_end(sock)
    finally:
        for server in (echo, counter, angry):
            server.close()


def test_tcp_proxy_blocks_and_cuts():
    echo = servers.Server(servers.echo)
    proxy = TcpProxy(echo.address)
    try:
        sock = visitor.connect(proxy.address)
        sock.sendall(b"one")
        assert sock.recv(10) == b"one"
        proxy.block()
        sock.settimeout(0.2)
        sock.sendall(b"two")
        with pytest.raises(TimeoutError):
            sock.recv(10)
        proxy.unblock()
        sock.settimeout(5)
        assert sock.recv(10) == b"two"
        proxy.cut()
        try:
            assert sock.recv(10) == b""
        except ConnectionError:
            pass
        sock.close()
    finally:
        proxy.close()
        echo.close()


def test_udp_proxy_blocks_and_filters():
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind(("127.0.0.1", 0))
    far.settimeout(5)
    proxy = UdpProxy(far.getsockname(), passes=lambda datagram, outbound: datagram != b"drop me")
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(5)
    try:
        for datagram in (b"drop me", b"take me"):
            near.sendto(datagram, proxy.address)
        datagram, sender = far.recvfrom(100)
        assert datagram == b"take me" and proxy.carried == 1
        far.sendto(b"answer", sender)
        assert near.recv(100) == b"answer"
        proxy.block()
        near.sendto(b"lost", proxy.address)
        far.settimeout(0.2)
        with pytest.raises(TimeoutError):
            far.recv(100)
    finally:
        proxy.close()
        near.close()
        far.close()


SECOND_TRIES = """
from pathlib import Path
import pytest

MARK = Path(__file__).with_suffix(".mark")


def second(name):
    mark = MARK.with_name(name)
    done = mark.exists()
    mark.touch()
    return done


@pytest.fixture
def world():
    yield
    assert second("world"), "ended badly"


def test_slow_once():
    assert second("slow"), "too late"


def test_slow_always():
    assert False


def test_slow_once_and_ended_badly(world):
    assert second("bad"), "too late"


def test_fine(tmp_path):
    pass
"""


def test_only_what_a_test_itself_expected_is_tried_again(tmp_path):
    """Of these, one fails at its first try alone; the others are not saved by a second."""
    (tmp_path / "test_tries.py").write_text(SECOND_TRIES)
    run = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest",
                          "-rA", f"--rootdir={tmp_path}", "-c", "/dev/null", str(tmp_path)],
                         cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60)
    ended = set(re.findall(r"^(PASSED|FAILED|ERROR) \S*::(\w+)", run.stdout, re.M))
    assert ended == {("PASSED", "test_slow_once"), ("FAILED", "test_slow_always"), ("PASSED", "test_fine"),
                     ("FAILED", "test_slow_once_and_ended_badly"), ("ERROR", "test_slow_once_and_ended_badly")}
    assert "tried again" in run.stdout and "too late" in run.stdout


def test_a_frozen_daemon_stands_still(tmp_path):
    daemon = python(tmp_path, "import time\nwhile True: time.sleep(0.001)")
    daemon.freeze()
    assert set(daemon._thread_states()) == {"T"}
    daemon.kill()
    daemon.end()
