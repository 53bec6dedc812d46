"""As much of RFC 6455 as an echo test needs: the handshake, and unfragmented frames."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct

from .body import Readable

TEXT, BINARY, CLOSE = 1, 2, 8


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def encode(opcode: int, payload: bytes, masked: bool) -> bytes:
    length = len(payload)
    mark = 0x80 if masked else 0
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([mark | length])
    elif length < 1 << 16:
        head += bytes([mark | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def decode(stream: Readable) -> tuple[int, bytes]:
    """The next frame: its opcode and payload. EOFError where the stream ends."""
    first, second = _exactly(stream, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", _exactly(stream, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", _exactly(stream, 8))
    mask = _exactly(stream, 4) if second & 0x80 else b"\0\0\0\0"
    return first & 0x0F, _masked(_exactly(stream, length), mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    pad = mask * (len(payload) // 4 + 1)
    size = len(payload)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")


def _exactly(stream: Readable, length: int) -> bytes:
    read = stream.read(length)
    if len(read) != length:
        raise EOFError("the stream ended within a frame")
    return read


class Client:
    """The client's end of a WebSocket over a connected socket, which it then owns."""

    def __init__(self, sock: socket.socket, host: str, path: str = "/ws") -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self._sock = sock
        self._stream = sock.makefile("rb")
        status = self._stream.readline()
        fields = {}
        for line in iter(self._stream.readline, b"\r\n"):
            if not line:
                break
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        if b" 101 " not in status or fields.get("sec-websocket-accept") != accept_key(key):
            raise AssertionError(f"no WebSocket: {status!r} {fields}")

    def send(self, payload: bytes, opcode: int = BINARY) -> None:
        self._sock.sendall(encode(opcode, payload, masked=True))

    def receive(self) -> tuple[int, bytes]:
        return decode(self._stream)

    def close(self) -> None:
        self._stream.close()
        self._sock.close()
