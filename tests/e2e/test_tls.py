"""TLS: visitors routed by server name without being opened, and TLS between clients and server."""

from __future__ import annotations

import os
import socket
import ssl

import pytest

from harness import body, certs, visitor
from harness.certs import Certificate
from harness.waiting import PATIENCE, until
from harness.world import REGISTERED, TRANSPORTS, Tunnel, World, tunnel_id

SECURE = ("tls", "quic")


@pytest.fixture
def certificate(world: World) -> Certificate:
    return certs.make(world.folder, "a.example.com")


def publish_tls(world: World, transport: str, certificate: Certificate) -> Tunnel:
    tunnel = tunnel_id()
    server = world.server(transport, {".example.com": tunnel})
    world.client(transport, server.clients, tunnel, world.site("secure", certificate).address)
    return server


@pytest.mark.peers
@pytest.mark.short
@pytest.mark.threads
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_by_server_name_end_to_end(world: World, pair, transport, certificate):
    """The visitor verifies the site's own certificate: nothing between them could have made it."""
    server = publish_tls(world, transport, certificate)
    with visitor.Visitor(server.entry, "a.example.com", certificate.cert) as v:
        assert v.get("a.example.com").text == "secure\n"
        assert body.consume(v.start("a.example.com", "/bytes/1000000")) == (1000000, body.digest(1000000))


def test_server_name_is_compared_without_case(world: World, certificate):
    server = publish_tls(world, "tcp", certificate)
    with visitor.Visitor(server.entry, "A.EXAMPLE.com") as v:
        assert v.get("a.example.com").text == "secure\n"


@pytest.mark.short
@pytest.mark.parametrize("name", ["nobody.local", "example.org"])
def test_unknown_server_name_is_told_by_alert(world: World, certificate, name):
    """unrecognized_name, fatal (RFC 6066, 3)."""
    server = publish_tls(world, "tcp", certificate)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        visitor.connect(server.entry, name)


def test_known_name_without_client_is_refused_at_once(world: World):
    server = world.server("tcp", {"a.example.com": tunnel_id()})
    with pytest.raises((ssl.SSLError, ConnectionError)) as fault:
        visitor.connect(server.entry, "a.example.com")
    assert not isinstance(fault.value, TimeoutError)


def client_hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    session = tls.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("cut", ["bytes", "records"])
def test_client_hello_in_pieces(world: World, certificate, cut):
    """A ClientHello may come byte by byte, or spread over several records (RFC 8446, 5.1)."""
    hello = client_hello("a.example.com")
    if cut == "records":
        parts = [hello[5:45], hello[45:]]
        hello = b"".join(hello[:3] + len(p).to_bytes(2, "big") + p for p in parts)
    server = publish_tls(world, "tcp", certificate)
    with visitor.connect(server.entry) as sock:
        pieces = [hello[i:i + 1] for i in range(len(hello))] if cut == "bytes" else [hello]
        for piece in pieces:
            sock.sendall(piece)
        answer = sock.recv(5)
    assert answer[0] == 22, "a handshake record of the site, no alert"


def test_http_and_tls_share_an_entry_point(world: World, certificate):
    rules = {"app.local": tunnel_id(), "a.example.com": tunnel_id()}
    server = world.server("tcp", rules)
    world.client("tcp", server.clients, rules["app.local"], world.site("plain").address)
    world.client("tcp", server.clients, rules["a.example.com"], world.site("secure", certificate).address)
    assert server.get("app.local").text == "plain\n"
    with visitor.Visitor(server.entry, "a.example.com", certificate.cert) as v:
        assert v.get("a.example.com").text == "secure\n"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_end_of_one_direction_crosses_the_tunnel(world: World, transport, certificate):
    """The visitor ends its direction; the site's answer after that still arrives whole."""
    site = world.site("secure", certificate)
    tunnel = tunnel_id()
    server = world.server(transport, {".example.com": tunnel})
    world.client(transport, server.clients, tunnel, site.address)
    sock = visitor.connect(server.entry, "a.example.com", certificate.cert)
    sock.sendall(b"GET /gate HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
    assert sock.recv(4) == b"HTTP"
    # Only the TCP direction ends; close_notify would make the site's TLS library end the other too.
    socket.socket.shutdown(sock, socket.SHUT_WR)
    site.gate.set()
    assert visitor.read_to_end(sock).endswith(b"last\n\r\n0\r\n\r\n")
    sock.close()


# ---- between client and server -----------------------------------------------


def files(**named: object) -> dict[str, str]:
    return {key: str(value) for key, value in named.items()}


@pytest.mark.peers
@pytest.mark.parametrize("transport", SECURE)
def test_server_is_verified(world: World, pair, transport):
    """secure=true: the server's certificate must be signed by caFile and name serverName."""
    ca = certs.make(world.folder, "Root", ca=True)
    cert = certs.make(world.folder, "tunnel.example", issuer=ca)
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, **files(certFile=cert.cert, keyFile=cert.key))
    site = world.site("alpha")
    for name, trust in (("other.example", ca), ("tunnel.example", cert)):
        if trust is cert:
            trust = certs.make(world.folder, "Other Root", ca=True)
        client = world.client(transport, server.clients, tunnel, site.address, registered=False, secure="true",
                              serverName=name, **files(caFile=trust.cert))
        client.log.wait(lambda e: e.level in ("warn", "error"))
        assert client.log.count(REGISTERED) == 0
        client.stop()
    world.client(transport, server.clients, tunnel, site.address, secure="true", serverName="tunnel.example",
                 **files(caFile=ca.cert))
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.peers
@pytest.mark.parametrize("transport", SECURE)
def test_mutual_tls(world: World, pair, transport):
    """With caFile a server takes only clients whose certificate that authority signed."""
    ca = certs.make(world.folder, "Root", ca=True)
    cert = certs.make(world.folder, "tunnel.example", issuer=ca)
    good = certs.make(world.folder, "client.example", issuer=ca)
    bad = certs.make(world.folder, "stranger.example")
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel},
                          **files(certFile=cert.cert, keyFile=cert.key, caFile=ca.cert))
    site = world.site("alpha")
    for own in ({}, files(certFile=bad.cert, keyFile=bad.key)):
        client = world.client(transport, server.clients, tunnel, site.address, registered=False, **own)
        client.log.wait(lambda e: e.level in ("warn", "error"))
        assert client.log.count(REGISTERED) == 0
        client.stop()
    assert server.get("app.local").status == 503
    world.client(transport, server.clients, tunnel, site.address, **files(certFile=good.cert, keyFile=good.key))
    assert server.get("app.local").text == "alpha\n"


@pytest.mark.parametrize("transport", SECURE)
def test_renewed_certificate_is_taken_without_restart(world: World, transport):
    """New connections see the new file; the tunnels that stand are not touched."""
    first = certs.make(world.folder, "tunnel.example", label="first")
    second = certs.make(world.folder, "tunnel.example", label="second")
    used = certs.make(world.folder, "tunnel.example", label="used")
    os.replace(first.key, used.key)
    os.link(first.cert, world.folder / "link.pem")
    os.replace(world.folder / "link.pem", used.cert)
    tunnel = tunnel_id()
    server = world.server(transport, {"app.local": tunnel}, **files(certFile=used.cert, keyFile=used.key))
    client = world.client(transport, server.clients, tunnel, world.site("alpha").address, secure="true",
                          serverName="tunnel.example", connections=1, **files(caFile=first.cert))
    os.replace(second.key, used.key)
    os.link(second.cert, world.folder / "link.pem")
    os.replace(world.folder / "link.pem", used.cert)

    def accepted() -> bool:
        late = world.client(transport, server.clients, tunnel, world.site("beta").address, registered=False,
                            secure="true", serverName="tunnel.example", **files(caFile=second.cert))
        event = late.log.wait(lambda e: e.msg.startswith("create tunnel") or e.level in ("warn", "error"))
        if event.level == "info":
            return True
        late.stop()
        return False

    until(accepted, "a client that trusts the new certificate alone", limit=2 * PATIENCE)
    assert client.log.count(REGISTERED) == 1, "the first client was never cut off"
    assert server.get("app.local").text in ("alpha\n", "beta\n")
