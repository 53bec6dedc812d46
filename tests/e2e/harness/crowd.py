"""Many visitors in a process of their own:

    python3 crowd.py HOST PORT STUCK MOVING SECONDS PID...

MOVING visitors, each on a kept connection, ask for "/" again and again for SECONDS. They do that thrice: the
second time beside STUCK others, of which each has asked for a large answer, with a receive buffer of 4 KB,
and reads no more than its first byte. Prints the answers per second of each time, and the CPU seconds that
the processes PID spent for each answer, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time

ASK = b"GET / HTTP/1.1\r\nHost: app.local\r\n\r\n"
HOARD = b"GET /bytes/8388608 HTTP/1.1\r\nHost: app.local\r\n\r\n"


class Moving(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(ASK)

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, end, rest = self.seen.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.crowd.faults.append(head.decode())
            self.transport.abort()
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self.seen = b""
        self.crowd.answers += 1
        self.transport.write(ASK)

    def connection_lost(self, exc: object) -> None:
        if not self.crowd.over:
            self.crowd.faults.append(f"lost: {exc}")


class Crowd:
    def __init__(self, entry: tuple[str, int], pids: list[int]) -> None:
        self.entry, self.pids = entry, pids
        self.answers = 0
        self.over = False
        self.faults: list[str] = []
        self.stuck: list[socket.socket] = []

    async def hoard(self) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, self.entry)
        await loop.sock_sendall(sock, HOARD)
        await loop.sock_recv(sock, 1)       # it has begun
        self.stuck.append(sock)

    async def hoard_all(self, n: int) -> None:
        for _ in range(0, n, 50):
            await asyncio.gather(*(self.hoard() for _ in range(min(50, n - len(self.stuck)))))

    async def move(self, n: int, seconds: float) -> dict[str, float]:
        loop = asyncio.get_running_loop()
        self.over = False
        made = [await loop.create_connection(lambda: Moving(self), *self.entry) for _ in range(n)]
        await asyncio.sleep(0.5)
        before, spent, began = self.answers, self.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        answers = self.answers - before
        result = {"rate": answers / (time.monotonic() - began), "cost": (self.cpu() - spent) / max(1, answers)}
        self.over = True
        for transport, _ in made:
            transport.abort()
        await asyncio.sleep(0.2)        # connection_lost is called for each
        return result

    def cpu(self) -> float:
        ticks = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    host, port, stuck, moving, seconds, *pids = sys.argv[1:]
    crowd = Crowd((host, int(port)), [int(pid) for pid in pids])
    before = await crowd.move(int(moving), float(seconds))
    await crowd.hoard_all(int(stuck))
    beside = await crowd.move(int(moving), float(seconds))
    for sock in crowd.stuck:
        sock.close()
    after = await crowd.move(int(moving), float(seconds))
    print(json.dumps({"before": before, "beside": beside, "after": after,
                      "stuck": len(crowd.stuck), "faults": crowd.faults[:3]}))


asyncio.run(main())
