"""The site for a crowd (crowd.py), in a process of its own: "/" is answered with 2 bytes, all else with
8 MiB. Prints its port. Its kernel buffers are small: a thousand that wait would fill what all connections
of the machine may have together (tcp_mem), and then the kernel itself drops packets.
"""

from __future__ import annotations

import asyncio
import socket

SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"
BLOCK = bytes(1 << 16)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET / "):
                writer.write(SMALL)
                continue
            writer.write(HEAD)
            for _ in range(8388608 // len(BLOCK)):
                writer.write(BLOCK)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(serve, sock=listener, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
