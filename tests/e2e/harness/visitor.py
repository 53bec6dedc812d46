"""Whoever comes to a public entry point: plain requests, TLS with a server name, raw bytes."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, Union

from .daemon import Address
from .waiting import PATIENCE

Body = Union[bytes, Iterable[bytes], None]


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """One keep-alive connection to an entry point: over TLS for a server name, if given."""

    def __init__(self, entry: Address, server_name: Optional[str] = None, trust: Optional[Path] = None) -> None:
        self.sock = connect(entry, server_name, trust)
        self._http = http.client.HTTPConnection(*entry, timeout=PATIENCE)
        self._http.sock = self.sock
        # A connection that the other side ended must not be replaced behind the test's back.
        self._http.auto_open = 0

    def start(self, host: str, path: str = "/", method: str = "GET", body: Body = None,
              headers: Optional[Mapping[str, str]] = None) -> http.client.HTTPResponse:
        """Sends a request and returns its response, of which only the head was read."""
        fields = {"Host": host, **(headers or {})}
        chunked = body is not None and not isinstance(body, bytes) and "Content-Length" not in fields
        if chunked:
            fields["Transfer-Encoding"] = "chunked"
        self._http.request(method, path, body=body, headers=fields, encode_chunked=chunked)
        return self._http.getresponse()

    def get(self, host: str, path: str = "/", method: str = "GET", body: Body = None,
            headers: Optional[Mapping[str, str]] = None) -> Answer:
        response = self.start(host, path, method, body, headers)
        return Answer(response.status, response.headers, response.read())

    def close(self) -> None:
        self._http.close()
        self.sock.close()

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(entry: Address, server_name: Optional[str] = None, trust: Optional[Path] = None) -> socket.socket:
    """A connection, over TLS for server_name if given: verified against trust, or by nobody."""
    sock = socket.create_connection(entry, timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if server_name is None:
        return sock
    tls = ssl.create_default_context(cafile=trust)
    if trust is None:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    try:
        return tls.wrap_socket(sock, server_hostname=server_name)
    except BaseException:
        sock.close()
        raise


def get(entry: Address, host: str, path: str = "/", **more: Any) -> Answer:
    """One request on a connection of its own."""
    with Visitor(entry) as visitor:
        return visitor.get(host, path, **more)


def read_to_end(sock: socket.socket) -> bytes:
    """All that comes until the end of stream."""
    blocks: list[bytes] = []
    while True:
        block = sock.recv(1 << 16)
        if not block:
            return b"".join(blocks)
        blocks.append(block)


def ended(sock: socket.socket, within: float = 20) -> bytes:
    """Waits for the other side to end the connection; returns what it said before."""
    sock.settimeout(within)
    try:
        return read_to_end(sock)
    except (ConnectionError, ssl.SSLError):
        return b""
    except TimeoutError:
        raise AssertionError(f"still open after {within:g} s") from None
