"""HTTP/2 in the clear, as far as tests need it: frames, and a server that says its name."""

from __future__ import annotations

import socket
from typing import NamedTuple

from .daemon import Address
from .servers import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, GOAWAY = 0, 1, 4, 7
ACK, END_STREAM, END_HEADERS = 1, 1, 4


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def request(stream: int, host: str, path: str = "/") -> bytes:
    """A GET: indexed fields, and literal ones that go into no table (RFC 7541, 6)."""
    block = b"\x82\x86\x01" + bytes([len(host)]) + host.encode() + b"\x04" + bytes([len(path)]) + path.encode()
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block)


def exactly(sock: socket.socket, n: int) -> bytes:
    block = sock.recv(n, socket.MSG_WAITALL) if n else b""
    if len(block) < n:
        raise EOFError
    return block


def take(sock: socket.socket) -> Frame:
    head = exactly(sock, 9)
    return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), exactly(sock, int.from_bytes(head[:3], "big")))


class H2Site:
    """Answers each request with its name. seen: whatever came, of all connections."""

    def __init__(self, name: str) -> None:
        self.seen: list[Frame] = []
        self._body = name.encode()
        self._server = Server(self._serve)
        self.address: Address = self._server.address

    def _serve(self, sock: socket.socket) -> None:
        assert exactly(sock, len(PREFACE)) == PREFACE
        sock.sendall(frame(SETTINGS))
        while True:
            got = take(sock)
            self.seen.append(got)
            if got.kind == SETTINGS and not got.flags & ACK:
                sock.sendall(frame(SETTINGS, ACK))
            if got.flags & END_STREAM and got.kind in (HEADERS, DATA):
                sock.sendall(frame(HEADERS, END_HEADERS, got.stream, b"\x88") +
                             frame(DATA, END_STREAM, got.stream, self._body))

    @property
    def requests(self) -> int:
        return sum(f.kind == HEADERS for f in self.seen)

    def close(self) -> None:
        self._server.close()
