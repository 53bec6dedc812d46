"""A client of HTTP/2 over TCP, by prior knowledge: frames by hand, HPACK by libnghttp2's codec."""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import struct
from typing import Iterator, NamedTuple, Optional, Union

from .daemon import Address
from .waiting import PATIENCE

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW = (1 << 31) - 1
FRAME = 16384


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


class Nv(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_uint8)), ("value", ctypes.POINTER(ctypes.c_uint8)),
                ("name_len", ctypes.c_size_t), ("value_len", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


class Inflater:
    EMIT, FINAL = 2, 1

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(ctypes.util.find_library("nghttp2") or "libnghttp2.so.14")
        self._it = ctypes.c_void_p()
        assert self._lib.nghttp2_hd_inflate_new(ctypes.byref(self._it)) == 0

    def fields(self, block: bytes) -> Iterator[tuple[str, str]]:
        left = block
        while True:
            nv, flags = Nv(), ctypes.c_int()
            n = self._lib.nghttp2_hd_inflate_hd2(self._it, ctypes.byref(nv), ctypes.byref(flags), left,
                                                 ctypes.c_size_t(len(left)), 1)
            assert n >= 0, f"HPACK: {n}"
            left = left[n:]
            if flags.value & self.EMIT:
                yield (ctypes.string_at(nv.name, nv.name_len).decode(),
                       ctypes.string_at(nv.value, nv.value_len).decode())
            if flags.value & self.FINAL:
                self._lib.nghttp2_hd_inflate_end_headers(self._it)
                return

    def close(self) -> None:
        self._lib.nghttp2_hd_inflate_del(self._it)


def literal(text: str) -> bytes:
    """RFC 7541, 5.2, without Huffman."""
    raw, head, rest = text.encode(), b"", len(text.encode())
    if rest < 127:
        return bytes([rest]) + raw
    rest -= 127
    while rest >= 128:
        head += bytes([rest % 128 + 128])
        rest //= 128
    return b"\x7f" + head + bytes([rest]) + raw


class Stream:
    """What came on one stream."""
    def __init__(self, number: int) -> None:
        self.number = number
        self.heads: list[dict[str, str]] = []
        self.body = bytearray()
        self.ended = False
        self.reset: Optional[int] = None
        self.window = 65535

    @property
    def status(self) -> int:
        return int(self.heads[0][":status"])


class Http2:
    def __init__(self, to: Address) -> None:
        self._sock = socket.create_connection(to, PATIENCE)
        self._inflater = Inflater()
        self._streams: dict[int, Stream] = {}
        self._window = 65535
        self._initial = 65535
        self._got = b""
        self.goaway: Optional[int] = None
        self._sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS, 0, 0, struct.pack("!HI", 4, WINDOW))
        self.send(WINDOW_UPDATE, 0, 0, struct.pack("!I", WINDOW - 65535))

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()
        self._inflater.close()

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self._sock.sendall(struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload)

    def ask(self, authority: str, path: str = "/", method: str = "GET", content: Optional[bytes] = None,
            more: bool = False, **fields: str) -> Stream:
        """A request, whole unless there is more of it to come."""
        stream = Stream(2 * len(self._streams) + 1)
        stream.window = self._initial
        self._streams[stream.number] = stream
        head = {":method": method, ":scheme": "http", ":authority": authority, ":path": path, **fields}
        block = b"".join(b"\0" + literal(name) + literal(value) for name, value in head.items())
        self.send(HEADERS, END_HEADERS | (0 if content or more else END_STREAM), stream.number, block)
        if content:
            self.put(stream, content, more)
        return stream

    def put(self, stream: Stream, content: bytes, more: bool = True) -> None:
        at = 0
        while at < len(content):
            room = min(self._window, stream.window, FRAME, len(content) - at)
            if room <= 0:
                self.take()
                continue
            last = at + room == len(content) and not more
            self.send(DATA, END_STREAM if last else 0, stream.number, content[at:at + room])
            at += room
            self._window -= room
            stream.window -= room

    def cancel(self, stream: Stream) -> None:
        self.send(RST_STREAM, 0, stream.number, struct.pack("!I", 8))

    def _exactly(self, n: int) -> bytes:
        while len(self._got) < n:
            piece = self._sock.recv(1 << 16)
            if not piece:
                raise ConnectionError("the connection has ended")
            self._got += piece
        taken, self._got = self._got[:n], self._got[n:]
        return taken

    def take(self) -> Frame:
        """The next frame, and what it means."""
        head = self._exactly(9)
        kind, flags, number = struct.unpack("!BBI", head[3:])
        frame = Frame(kind, flags, number, self._exactly(int.from_bytes(head[:3], "big")))
        stream = self._streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            self._settings(frame.payload)
        elif kind == PING and not flags & ACK:
            self.send(PING, ACK, 0, frame.payload)
        elif kind == GOAWAY:
            self.goaway = struct.unpack("!I", frame.payload[4:8])[0]
        elif kind == WINDOW_UPDATE:
            self._widen(stream, struct.unpack("!I", frame.payload)[0])
        elif kind == HEADERS:
            fields = dict(self._inflater.fields(frame.payload))
            if stream:
                stream.heads.append(fields)
        elif kind == DATA and stream:
            stream.body += frame.payload
        elif kind == RST_STREAM and stream:
            stream.reset = struct.unpack("!I", frame.payload)[0]
        if stream and (kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM):
            stream.ended = True
        return frame

    def _settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack("!HI", payload):
            if name == 4:
                for stream in self._streams.values():
                    stream.window += value - self._initial
                self._initial = value
        self.send(SETTINGS, ACK, 0)

    def _widen(self, stream: Union[Stream, None], by: int) -> None:
        if stream:
            stream.window += by
        else:
            self._window += by

    def finish(self, stream: Stream) -> Stream:
        """Takes frames until that stream has ended."""
        while not stream.ended:
            self.take()
        return stream

    def read(self, stream: Stream, n: int) -> bytes:
        """The next n bytes of its body, which are taken off."""
        while len(stream.body) < n and not stream.ended:
            self.take()
        taken = bytes(stream.body[:n])
        del stream.body[:n]
        return taken

    def until(self, stream: Stream, body: bytes) -> None:
        while bytes(stream.body) != body:
            self.take()
