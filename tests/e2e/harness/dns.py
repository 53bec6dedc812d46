"""A name server on a port of the kernel's choice, as good or as bad as a test wants it."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from typing import Mapping

from .daemon import Address
from .servers import Server

TYPE_A, CLASS_IN = 1, 1
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183


class DnsServer:
    """Answers for names with IPv4 addresses (RFC 1035, 4.1). silent: it does not answer at all; not knows:
    it has never heard of any name; cut: by UDP it says that its answer is too large. queries: all that it got."""

    def __init__(self, names: Mapping[str, str], at: Address = ("127.0.0.1", 0)) -> None:
        self.silent, self.knows, self.cut = False, True, False
        self.queries: list[bytes] = []
        self.asked = self.refused = 0
        self._names = {name.lower(): ipaddress.IPv4Address(ip).packed for name, ip in names.items()}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(at)
        self.address: Address = self._socket.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def answer(self, query: bytes) -> bytes:
        """What a server of its names says, whatever carries it; counted."""
        self.asked += 1
        self.queries.append(query)
        return self._answer(query)

    def serve_stream(self, conn: socket.socket) -> None:
        """For a servers.Server, also behind TLS: messages with their length in front (RFC 1035, 4.2.2)."""
        stream = conn.makefile("rb")
        while head := stream.read(2):
            answer = self.answer(stream.read(int.from_bytes(head, "big")))
            conn.sendall(len(answer).to_bytes(2, "big") + answer)

    def _run(self) -> None:
        while True:
            try:
                query, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            if not query:
                self._socket.close()
                return
            if self.silent:
                self.asked += 1
                continue
            answer = self.answer(query)
            if self.cut:        # RFC 1035, 4.1.1: TC, and nothing of the answer
                answer = answer[:2] + b"\x83\x80" + query[4:6] + bytes(6) + query[12:self._question(query)[1] + 4]
            self._socket.sendto(answer, sender)

    def _answer(self, query: bytes) -> bytes:
        name, end = self._question(query)
        kind = struct.unpack(">H", query[end:end + 2])[0]
        ip = self._names.get(name) if self.knows else None
        found = ip is not None and kind == TYPE_A
        self.refused += ip is None
        head = query[:2] + struct.pack(">HHHHH", ANSWER if ip else NO_SUCH_NAME, 1, found, 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, TYPE_A, CLASS_IN, 0, 4) + ip if found else b""
        return head + query[12:end + 4] + record

    @staticmethod
    def _question(query: bytes) -> tuple[str, int]:
        """The name asked for, and where it ends."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        return ".".join(labels).lower(), at + 1

    def close(self) -> None:
        # An empty datagram wakes the thread: a close would not.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.address)


class CutDnsServer(DnsServer):
    """One that says by UDP that its answers are too large, and gives them by TCP, at the same port."""

    def __init__(self, names: Mapping[str, str]) -> None:
        # Ports of UDP are free more often than those of TCP, which connections use as well.
        self._streams = Server(self.serve_stream)
        super().__init__(names, self._streams.address)
        self.cut = True

    def close(self) -> None:
        self._streams.close()
        super().close()
