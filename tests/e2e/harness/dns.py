"""A name server on a port of the kernel's choice, as good or as bad as a test wants it."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from typing import Mapping

from .daemon import Address

TYPE_A, CLASS_IN = 1, 1
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183


class DnsServer:
    """Answers for names with IPv4 addresses (RFC 1035, 4.1). silent: it does not answer at all; not knows:
    it has never heard of any name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.silent, self.knows = False, True
        self.asked = self.refused = 0
        self._names = {name.lower(): ipaddress.IPv4Address(ip).packed for name, ip in names.items()}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: Address = self._socket.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                query, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            if not query:
                self._socket.close()
                return
            self.asked += 1
            if not self.silent:
                self._socket.sendto(self._answer(query), sender)

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
