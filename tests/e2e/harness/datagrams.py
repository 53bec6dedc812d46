"""UDP on loopback: who answers at the far end of a tunnel, and who asks at the near one."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Callable, Optional

from .daemon import Address
from .waiting import PATIENCE, until

LONGEST = 65507


def udp_socket(address: Optional[Address] = None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    if address:
        sock.bind(address)
    return sock


class UdpServer:
    """Answers each datagram with what answer makes of it, each element of a list as one datagram."""

    def __init__(self, answer: Callable[[bytes], "list[bytes]"] = lambda asked: [asked]) -> None:
        self._answer = answer
        self._sock = udp_socket(("127.0.0.1", 0))
        self.address: Address = self._sock.getsockname()
        self.sources: list[Address] = []
        self.received: list[bytes] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                asked, source = self._sock.recvfrom(1 << 16)
            except OSError:
                return
            if asked == b"" and source == self.address:
                return
            self.sources.append(source)
            self.received.append(asked)
            for answer in self._answer(asked):
                with contextlib.suppress(OSError):
                    self._sock.sendto(answer, source)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendto(b"", self.address)    # recvfrom does not hear of a close
        self._sock.close()


def named(name: str) -> UdpServer:
    """Says its name in front of what it was asked."""
    return UdpServer(lambda asked: [name.encode() + b":" + asked])


class UdpVisitor:
    """One source address, which asks to."""

    def __init__(self, to: Address) -> None:
        self._to = to
        self._sock = udp_socket(("127.0.0.1", 0))
        self._sock.settimeout(0.5)

    def send(self, asked: bytes) -> None:
        self._sock.sendto(asked, self._to)

    def hear(self, limit: float = 0.5) -> Optional[bytes]:
        """The next datagram that comes within limit seconds, or None."""
        self._sock.settimeout(limit)
        with contextlib.suppress(socket.timeout, ConnectionRefusedError):
            return self._sock.recv(1 << 16)
        return None

    def forget(self) -> None:
        """What has come and was not read."""
        while self.hear(0.01) is not None:
            pass

    def ask(self, asked: bytes, answer: Optional[bytes] = None, limit: float = PATIENCE) -> bytes:
        """Asks, again each half second as a client of UDP does, until answer (or any) comes."""
        def attempt() -> Optional[bytes]:
            self.send(asked)
            heard = self.hear()
            while heard is not None and answer is not None and heard != answer:
                heard = self.hear()
            return (b"\0" if heard == b"" else heard) if answer is None else (answer + b"\0" if heard == answer else None)
        found = until(attempt, f"an answer to {asked[:20]!r}", limit)
        return found if answer is None else answer

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> "UdpVisitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(to: Address, asked: bytes, answer: Optional[bytes] = None, limit: float = PATIENCE) -> bytes:
    """Asks from an address of its own."""
    with UdpVisitor(to) as visitor:
        return visitor.ask(asked, answer, limit)
