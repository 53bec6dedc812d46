"""The HTTP/1.1 site behind the tunnel. Every answer names the site; requests and connections are
counted, so that a test sees what really reached it.

    /                 the site's name
    /echo             JSON: method, target, headers, length and SHA-256 of the body, which connection and
                      which request of it
    /bytes/N          body.blocks(N) with Content-Length
    /chunked/N        the same, chunked
    /status/N         that status
    /gate             "first\\n", then waits until the test opens Site.gate, then "last\\n" (chunked)
    /progress         (POST) counts the body's bytes in Site.received as they come
    /cut              promises 1000 bytes, sends 10 and ends the connection
    /hangup           ends the connection without an answer
    /silent           no answer until the visitor or the site gives up
    /ws               a WebSocket that echoes
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import socket
import ssl
import threading
from typing import Any, Iterator, Optional

from . import body, websocket
from .certs import Certificate
from .daemon import Address
from .waiting import PATIENCE


class Site:
    def __init__(self, name: str, certificate: Optional[Certificate] = None) -> None:
        self.name = name
        self.gate = threading.Event()
        self.received = 0
        self.requests: list[str] = []
        self.connections = 0
        self._counting = threading.Lock()
        self._server = _Server(self)
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate.cert, certificate.key)
            # The handshake is left to the connection's own thread: one visitor must not hold up the rest.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address: Address = ("127.0.0.1", self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def count_connection(self) -> int:
        with self._counting:
            self.connections += 1
            return self.connections

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__(("127.0.0.1", 0), _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that goes away is no event; what matters a test sees at its own end."""


class _Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.site = self.server.site
        self.connection_number = self.site.count_connection()
        self.requests_here = 0
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _answer(self) -> None:
        self.requests_here += 1
        self.site.requests.append(f"{self.command} {self.path}")
        action, _, argument = self.path.partition("?")[0].strip("/").partition("/")
        method = getattr(self, f"_{action or 'name'}", None)
        if method is None:
            self._send(404, b"no such page\n")
        else:
            method(argument)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer

    def _send(self, status: int, content: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> Iterator[bytes]:
        """The request's body in pieces, as they come."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                if size:
                    yield self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            piece = self.rfile.read1(min(left, body.BLOCK))
            if not piece:
                raise ConnectionError("the request's body was cut")
            left -= len(piece)
            yield piece

    def _name(self, _: str) -> None:
        self._send(200, f"{self.site.name}\n".encode())

    def _echo(self, _: str) -> None:
        sha, length = hashlib.sha256(), 0
        for piece in self._body():
            sha.update(piece)
            length += len(piece)
        self._send(200, json.dumps({
            "site": self.site.name, "method": self.command, "target": self.path,
            "headers": {k.lower(): v for k, v in self.headers.items()},
            "length": length, "sha256": sha.hexdigest(),
            "connection": self.connection_number, "request": self.requests_here,
        }).encode(), "application/json")

    def _bytes(self, length: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", length)
        self.end_headers()
        for block in body.blocks(int(length)):
            self.wfile.write(block)

    def _chunked(self, length: str) -> None:
        self._chunks(body.blocks(int(length)))

    def _gate(self, _: str) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"first\n"
            if not self.site.gate.wait(PATIENCE):
                raise ConnectionError("the gate was never opened")
            yield b"last\n"
        self._chunks(pieces())

    def _chunks(self, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _progress(self, _: str) -> None:
        for piece in self._body():
            self.site.received += len(piece)
        self._send(200, b"%d\n" % self.site.received)

    def _status(self, status: str) -> None:
        self._send(int(status), f"status {status}\n".encode())

    def _cut(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"0123456789")
        self.close_connection = True

    def _hangup(self, _: str) -> None:
        self.close_connection = True

    def _silent(self, _: str) -> None:
        self.rfile.read(1)
        self.close_connection = True

    def _ws(self, _: str) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", websocket.accept_key(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(EOFError):
            while True:
                opcode, payload = websocket.decode(self.rfile)
                self.wfile.write(websocket.encode(opcode, payload, masked=False))
                if opcode == websocket.CLOSE:
                    return

    def log_message(self, *_: object) -> None:
        pass
