"""Servers on loopback for the far end of a tunnel, one thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Callable, Optional

from .daemon import Address


class Server:
    """Accepts on a port of the kernel's choice and runs serve for each connection in its own thread."""

    def __init__(self, serve: Callable[[socket.socket], None], buffer: int = 0) -> None:
        """buffer: the size of each kernel buffer of its connections; 0: as usual."""
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        if buffer:
            narrow(self._listener, buffer)
        self.address: Address = self._listener.getsockname()
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    conn.close()
                    return
                self.connections += 1
                self._open.add(conn)
            threading.Thread(target=self._run, args=(conn,), daemon=True).start()

    def _run(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._serve(conn)
        with self._lock:
            self._open.discard(conn)
        conn.close()

    def close(self) -> None:
        """Stops listening and ends every connection."""
        with self._lock:
            self._closed = True
            conns = list(self._open)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conn in conns:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)


def narrow(sock: socket.socket, buffer: int) -> None:
    """Small kernel buffers, so that a queue stands with who sends; before it connects or listens."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)


def reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def echo(conn: socket.socket) -> None:
    """Sends back what comes, and the end once the other side has ended."""
    while True:
        block = conn.recv(1 << 16)
        if not block:
            conn.shutdown(socket.SHUT_WR)
            return
        conn.sendall(block)


def count_then_answer(conn: socket.socket) -> None:
    """Reads to the end of stream and only then answers: needs a half-close that crosses the tunnel."""
    total = 0
    while True:
        block = conn.recv(1 << 16)
        if not block:
            break
        total += len(block)
    conn.sendall(b"%d bytes\n" % total)


def resetting(conn: socket.socket) -> None:
    """Reads once, then resets the connection."""
    conn.recv(1 << 16)
    reset(conn)


def silent(conn: socket.socket) -> None:
    """Reads and never says a word, until the other side ends."""
    while conn.recv(1 << 16):
        pass


class DeadPort:
    """A port that refuses: bound, never listening, so that nobody else gets it meanwhile."""

    def __init__(self) -> None:
        self._sock: Optional[socket.socket] = socket.socket()
        self._sock.bind(("127.0.0.1", 0))
        self.address: Address = self._sock.getsockname()

    def close(self) -> None:
        if self._sock:
            self._sock.close()
