"""The network in between, as bad as a test wants it: one proxy for TCP, one for UDP."""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Callable, Optional

from .daemon import Address
from .servers import Server, narrow, reset
from .waiting import until


# A link with a rate holds so many bytes of each TCP connection, and datagrams for so many seconds.
SLOW_BUFFER = 4096
SLOW_QUEUE = 2.0


class TcpProxy:
    """Carries connections to target, each at most rate bytes per second each way if that is not 0.
    block(): nothing moves, nobody is told. cut(): all are reset."""

    def __init__(self, target: Address, rate: int = 0) -> None:
        self.target = target
        self.rate = rate
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._server = Server(self._serve, SLOW_BUFFER if rate else 0)
        self.address = self._server.address

    def _serve(self, near: socket.socket) -> None:
        if self._refusing:
            reset(near)
            return
        far = socket.socket()
        if self.rate:
            narrow(far, SLOW_BUFFER)
        far.connect(self.target)
        pair = (near, far)
        self._pairs.add(pair)
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        back.start()
        self._carry(near, far)
        back.join()
        self._pairs.discard(pair)
        far.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                block = source.recv(SLOW_BUFFER // 2 if self.rate else 1 << 16)
                self._flowing.wait()
                if not block:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if self.rate:
                    time.sleep(len(block) / self.rate)
                sink.sendall(block)

    @property
    def connections(self) -> int:
        """How many were ever made."""
        return self._server.connections

    def block(self) -> None:
        self._flowing.clear()

    def unblock(self) -> None:
        self._flowing.set()

    def cut(self, refuse: bool = False) -> None:
        """Resets every connection; refuse: also all that come until allow()."""
        self._refusing = refuse
        for pair in list(self._pairs):
            for sock in pair:
                with contextlib.suppress(OSError):
                    # shutdown wakes the thread that reads; the RST goes with the close after it.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.shutdown(socket.SHUT_RDWR)

    def allow(self) -> None:
        self._refusing = False

    def close(self) -> None:
        self._flowing.set()
        self.cut(refuse=True)
        self._server.close()


Filter = Callable[[bytes, bool], bool]


class UdpProxy:
    """Carries datagrams to target, each sender by a socket of its own. passes(datagram, outbound) says
    which get through; block() lets none through. rate: bytes per second each way, behind a queue that
    drops what would have to wait for too long; 0: as fast as it can."""

    def __init__(self, target: Address, passes: Optional[Filter] = None, rate: int = 0,
                 listen: Address = ("127.0.0.1", 0)) -> None:
        self.target = target
        self.rate = rate
        self._queues: dict[bool, collections.deque[tuple[float, Callable[[], object]]]] = {
            True: collections.deque(), False: collections.deque()}
        self.passes = passes
        self.carried = 0
        self._blocked = False
        self._rebinding = False
        self._forgotten: list[socket.socket] = []
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._near.bind(listen)
        except OSError:
            self._near.close()
            raise
        self.address: Address = self._near.getsockname()
        self._far: dict[Address, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._near, selectors.EVENT_READ, None)
        self._waker, self._wake = socket.socketpair()
        self._selector.register(self._waker, selectors.EVENT_READ, self._waker)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._send_due()):
                if key.data is self._waker and self._waker.recv(1) == b"x":
                    return
                if key.data is self._waker:
                    self._rebind()
                    continue
                with contextlib.suppress(OSError):
                    if key.data is None:
                        datagram, sender = self._near.recvfrom(1 << 16)
                        if self._through(datagram, True):
                            self._forward(True, len(datagram), partial(self._socket_of(sender).send, datagram))
                    else:
                        datagram = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                        if self._through(datagram, False):
                            self._forward(False, len(datagram), partial(self._near.sendto, datagram, key.data))

    def _forward(self, outbound: bool, length: int, send: Callable[[], object]) -> None:
        if not self.rate:
            send()
            return
        now, queue = time.monotonic(), self._queues[outbound]
        due = max(now, queue[-1][0] if queue else 0) + length / self.rate
        if due - now <= SLOW_QUEUE:
            queue.append((due, send))

    def _send_due(self) -> Optional[float]:
        """Sends what has waited for its time; returns after how long there will be more."""
        now = time.monotonic()
        for queue in self._queues.values():
            while queue and queue[0][0] <= now:
                with contextlib.suppress(OSError):
                    queue.popleft()[1]()
        return min((max(0.0, q[0][0] - now) for q in self._queues.values() if q), default=None)

    def _socket_of(self, sender: Address) -> socket.socket:
        if sender not in self._far:
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.connect(self.target)
            self._far[sender] = far
            self._selector.register(far, selectors.EVENT_READ, sender)
        return self._far[sender]

    def _through(self, datagram: bytes, outbound: bool) -> bool:
        if self._blocked or (self.passes and not self.passes(datagram, outbound)):
            return False
        self.carried += 1
        return True

    def rebind(self) -> None:
        """Gives each sender another port towards the target, as a NAT does that forgot him."""
        self._rebinding = True
        self._wake.send(b"r")
        until(lambda: not self._rebinding, "the proxy has other ports")

    def _rebind(self) -> None:
        for sender, old in list(self._far.items()):
            del self._far[sender]
            self._selector.unregister(old)
            self._forgotten.append(old)     # still bound: what comes there is lost without a word
            self._socket_of(sender)
        self._rebinding = False

    def block(self) -> None:
        self._blocked = True

    def unblock(self) -> None:
        self._blocked = False

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for sock in (self._near, self._waker, self._wake, *self._far.values(), *self._forgotten):
            sock.close()
        self._selector.close()


class SlowLink:
    """The way to target as harness/slowlink.py makes it: delay seconds there and as many back, and rate
    bytes a second each way. kind: "tcp" or "udp"."""

    def __init__(self, kind: str, target: Address, delay: float, rate: float) -> None:
        script = Path(__file__).with_name("slowlink.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), kind, target[0], str(target[1]), str(delay), str(rate)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.address: Address = ("127.0.0.1", int(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
