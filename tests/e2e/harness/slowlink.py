"""A long and narrow way between two programs, in a process of its own so that no test's thread delays it:

    python3 slowlink.py {tcp|udp} HOST PORT DELAY RATE

carries what comes to the port that it prints. Each direction takes RATE bytes a second, and each byte
DELAY seconds. TCP: who sends faster is made to wait, as by any full queue. UDP: the queue in front of the
narrow place holds 100 ms, and what comes then is lost.
"""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import sys
import time

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
QUEUE_SECONDS = 0.1
BLOCK = 1 << 16
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


class Narrow:
    """When what is sent now comes out at the other end."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self.rate = delay, rate
        self.free_at = 0.0

    def full(self, now: float) -> bool:
        return self.free_at - now > QUEUE_SECONDS

    def arrival(self, now: float, length: int) -> float:
        self.free_at = max(now, self.free_at) + length / self.rate
        return self.free_at + self.delay


class Direction:
    """Of a TCP connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, delay: float, rate: float) -> None:
        self.source, self.sink = source, sink
        self.narrow = Narrow(delay, rate)
        self.under_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self.ended = self.blocked = self.done = False

    def wants_read(self, now: float) -> bool:
        return not self.ended and not self.narrow.full(now)

    def read(self, now: float) -> None:
        block = b""
        with contextlib.suppress(ConnectionError):
            block = self.source.recv(BLOCK)
        self.ended = not block
        self.under_way.append((self.narrow.arrival(now, len(block)), block))

    def write(self, now: float) -> None:
        while self.under_way and self.under_way[0][0] <= now:
            due, block = self.under_way[0]
            if not block:
                self.done = True
                with contextlib.suppress(OSError):
                    self.sink.shutdown(socket.SHUT_WR)
                self.under_way.clear()
                return
            try:
                sent = self.sink.send(block)
            except BlockingIOError:
                self.blocked = True
                return
            except ConnectionError:
                sent = len(block)
            self.under_way.popleft()
            if sent < len(block):
                self.under_way.appendleft((due, block[sent:]))
        self.blocked = False


class TcpLink:
    def __init__(self, target: tuple[str, int], delay: float, rate: float) -> None:
        self.target, self.delay, self.rate = target, delay, rate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.directions: list[Direction] = []

    def accept(self) -> None:
        near, _ = self.listener.accept()
        far = socket.create_connection(self.target)
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.directions += [Direction(near, far, self.delay, self.rate),
                            Direction(far, near, self.delay, self.rate)]

    def wanted(self, now: float) -> dict[socket.socket, int]:
        """What to wait for, anew each time: there are few connections."""
        wanted: dict[socket.socket, int] = collections.defaultdict(int)
        wanted[self.listener] = READ
        for d in self.directions:
            if d.wants_read(now):
                wanted[d.source] |= READ
            if d.blocked:
                wanted[d.sink] |= WRITE
        return wanted

    def next_due(self, now: float) -> float:
        times = [d.under_way[0][0] for d in self.directions if d.under_way and not d.blocked]
        times += [d.narrow.free_at - QUEUE_SECONDS for d in self.directions if d.narrow.full(now)]
        return min(times, default=now + 1)

    def run(self) -> None:
        while True:
            now = time.monotonic()
            with selectors.DefaultSelector() as selector:
                for sock, events in self.wanted(now).items():
                    selector.register(sock, events)
                ready = {key.fileobj for key, events in selector.select(max(0.0, self.next_due(now) - now))
                         if events & READ}
            if self.listener in ready:
                self.accept()
            now = time.monotonic()
            for d in self.directions:
                if d.source in ready and d.wants_read(now):
                    d.read(now)
                d.write(now)
            over = [d for d in self.directions if d.done]
            for d in over:
                if all(other.done for other in self.directions if other.source is d.sink):
                    self.forget(d)

    def forget(self, d: Direction) -> None:
        self.directions = [o for o in self.directions if o.source not in (d.source, d.sink)]
        d.source.close()
        d.sink.close()


class UdpLink:
    def __init__(self, target: tuple[str, int], delay: float, rate: float) -> None:
        self.target, self.delay, self.rate = target, delay, rate
        self.near = self.socket()
        self.near.bind(("127.0.0.1", 0))
        self.address = self.near.getsockname()
        self.far: dict[tuple[str, int], socket.socket] = {}
        self.ways = {True: Narrow(delay, rate), False: Narrow(delay, rate)}
        self.under_way: dict[bool, collections.deque] = {
            True: collections.deque(), False: collections.deque()}
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.near, READ)

    @staticmethod
    def socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        for option, force in ((socket.SO_RCVBUF, SO_RCVBUFFORCE), (socket.SO_SNDBUF, SO_SNDBUFFORCE)):
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, 4 << 20)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        return sock

    def far_of(self, sender: tuple[str, int]) -> socket.socket:
        if sender not in self.far:
            sock = self.socket()
            sock.connect(self.target)
            self.far[sender] = sock
            self.selector.register(sock, READ, sender)
        return self.far[sender]

    def read(self, sock: socket.socket, peer: object) -> None:
        outbound = sock is self.near
        for _ in range(64):
            try:
                datagram, sender = sock.recvfrom(BLOCK)
            except (BlockingIOError, ConnectionError):
                return
            now = time.monotonic()
            if self.ways[outbound].full(now):
                continue
            due = self.ways[outbound].arrival(now, len(datagram))
            self.under_way[outbound].append((due, datagram, sender if outbound else peer))

    def write(self, outbound: bool, now: float) -> None:
        queue = self.under_way[outbound]
        while queue and queue[0][0] <= now:
            _, datagram, peer = queue.popleft()
            with contextlib.suppress(OSError):
                if outbound:
                    self.far_of(peer).send(datagram)
                else:
                    self.near.sendto(datagram, peer)

    def run(self) -> None:
        while True:
            now = time.monotonic()
            due = min((q[0][0] for q in self.under_way.values() if q), default=now + 1)
            for key, _ in self.selector.select(max(0.0, due - now)):
                self.read(key.fileobj, key.data)
            now = time.monotonic()
            self.write(True, now)
            self.write(False, now)


def main() -> None:
    kind, host, port, delay, rate = sys.argv[1:]
    link = (TcpLink if kind == "tcp" else UdpLink)((host, int(port)), float(delay), float(rate))
    print(link.address[1], flush=True)
    link.run()


if __name__ == "__main__":
    main()
