"""A SOCKS 5 proxy as RFC 1928 has it and no more, for UDP ASSOCIATE alone."""

from __future__ import annotations

import contextlib
import socket
import threading

from .daemon import Address
from .datagrams import udp_socket
from .servers import Server


def _exactly(conn: socket.socket, n: int) -> bytes:
    block = conn.recv(n, socket.MSG_WAITALL) if n else b""
    if len(block) < n:
        raise EOFError
    return block


def _address(conn: socket.socket) -> None:
    kind = _exactly(conn, 1)[0]
    _exactly(conn, 2 + {1: 4, 3: _exactly(conn, 1)[0] if kind == 3 else 0, 4: 16}[kind])


class SocksRelay:
    """Answers that it takes datagrams at 0.0.0.0. Before each that it brings back the client is sent two that
    he is not to take: a fragment, and one that comes from elsewhere."""

    def __init__(self) -> None:
        self.commands: list[int] = []
        self._controls: set[socket.socket] = set()
        self._server = Server(self._serve)
        self.address: Address = self._server.address

    def _serve(self, control: socket.socket) -> None:
        _exactly(control, _exactly(control, 2)[1])
        control.sendall(b"\5\0")
        command = _exactly(control, 3)[1]
        _address(control)
        self.commands.append(command)
        if command != 3:
            control.sendall(b"\5\7\0\1" + bytes(6))
            return
        relay = udp_socket(("127.0.0.1", 0))
        control.sendall(b"\5\0\0\1" + bytes(4) + relay.getsockname()[1].to_bytes(2, "big"))
        self._controls.add(control)
        carrier = threading.Thread(target=self._carry, args=(relay,), daemon=True)
        carrier.start()
        with contextlib.suppress(OSError):
            while control.recv(1):
                pass
        self._controls.discard(control)
        with udp_socket() as last:
            last.sendto(b"", relay.getsockname())
        carrier.join()
        relay.close()

    @staticmethod
    def _carry(relay: socket.socket) -> None:
        client = None
        while True:
            datagram, source = relay.recvfrom(1 << 16)
            if not datagram:
                return
            client = client or source
            if source == client:
                assert datagram[:4] == b"\0\0\0\1", datagram
                relay.sendto(datagram[10:], (socket.inet_ntoa(datagram[4:8]), int.from_bytes(datagram[8:10], "big")))
                continue
            head = b"\1" + socket.inet_aton(source[0]) + source[1].to_bytes(2, "big")
            relay.sendto(b"\0\0\1" + head + b"fragment", client)
            with udp_socket(("127.0.0.1", 0)) as stranger:
                stranger.sendto(b"\0\0\0" + head + b"stranger", client)
            relay.sendto(b"\0\0\0" + head + datagram, client)

    def drop(self) -> None:
        """Ends every association by its connection."""
        for control in list(self._controls):
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
