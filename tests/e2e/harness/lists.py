"""Where lists are kept: a web server and a Redis of the test's own, which misbehave as told."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from typing import Callable, Optional, Union

from .certs import Certificate
from .daemon import Address
from .servers import Server


class ListServer:
    """Answers every request with `status` and `text`, or as `answer` does. What was asked is in `requests`:
    method, target, and the fields in lower case; what was posted, in `posted`."""

    def __init__(self, text: str = "", certificate: Optional[Certificate] = None) -> None:
        self.text = text
        self.status = 200
        self.fields: dict[str, str] = {}
        self.answer: Optional[Callable[[http.server.BaseHTTPRequestHandler], None]] = None
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.posted: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket.listen(128)  # http.server lets 5 wait
        self._server.daemon_threads = True
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate.cert, certificate.key)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True,
                                                  do_handshake_on_connect=False)
        self.address: Address = ("127.0.0.1", self._server.server_port)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        lists = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 30

            def do_GET(self) -> None:
                lists.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                if lists.answer:
                    lists.answer(self)
                    return
                body = lists.text.encode()
                self.send_response(lists.status)
                for name, value in lists.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET

            def do_POST(self) -> None:
                lists.posted.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


WRONGTYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
Value = Union[str, dict[str, str], set[str], list[str]]


class Redis(Server):
    """What is needed of one: AUTH, SELECT, HGETALL, SMEMBERS, LRANGE, GET, and SADD, LPUSH, ZINCRBY. raw: sent
    instead of the answer to a reading."""

    def __init__(self, password: str = "", username: str = "default",
                 certificate: Optional[Certificate] = None) -> None:
        self.values: dict[tuple[int, str], Value] = {}
        self.raw: Optional[bytes] = None
        self.commands: list[list[str]] = []
        self._login = (username, password)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._tls and certificate:
            self._tls.load_cert_chain(certificate.cert, certificate.key)
        super().__init__(self._serve_client)

    def _serve_client(self, conn: socket.socket) -> None:
        db, known = 0, not self._login[1]
        if self._tls:
            conn = self._tls.wrap_socket(conn, server_side=True)
        stream = conn.makefile("rwb")
        while True:
            line = stream.readline()
            if not line:
                return
            words = [self._word(stream) for _ in range(int(line[1:]))]
            self.commands.append(words)
            if words[0] == "AUTH":
                known = (words[1:] if len(words) == 3 else ["default", *words[1:]]) == list(self._login)
                stream.write(b"+OK\r\n" if known else b"-WRONGPASS no " + words[-1].encode() + b"\r\n")
            elif not known:
                stream.write(b"-NOAUTH Authentication required.\r\n")
            elif words[0] == "SELECT":
                db = int(words[1])
                stream.write(b"+OK\r\n")
            elif self.raw is not None:
                stream.write(self.raw)
            elif words[0] in ("SADD", "LPUSH", "ZINCRBY"):
                stream.write(self._add(words[0], (db, words[1]), words[-1]))
            else:
                stream.write(self._read(words[0], self.values.get((db, words[1]))))
            stream.flush()

    @staticmethod
    def _word(stream: object) -> str:
        size = int(stream.readline()[1:])   # type: ignore[attr-defined]
        return stream.read(size + 2)[:-2].decode()   # type: ignore[attr-defined]

    def _add(self, command: str, key: tuple[int, str], text: str) -> bytes:
        kind = {"SADD": set, "LPUSH": list, "ZINCRBY": dict}[command]
        value = self.values.setdefault(key, kind())
        if not isinstance(value, kind):
            return WRONGTYPE
        if isinstance(value, dict):
            value[text] = str(int(value.get(text, "0")) + 1)
            return bulk(value[text])
        if isinstance(value, list):
            value.insert(0, text)
        elif isinstance(value, set):
            value.add(text)
        return b":%d\r\n" % len(value)

    @staticmethod
    def _read(command: str, value: Optional[Value]) -> bytes:
        kind = {"HGETALL": dict, "SMEMBERS": set, "LRANGE": list, "GET": str}[command]
        if value is not None and not isinstance(value, kind):
            return WRONGTYPE
        if kind is str:
            return bulk(value) if isinstance(value, str) else b"$-1\r\n"
        items = [word for pair in value.items() for word in pair] if isinstance(value, dict) else list(value or ())
        return b"*%d\r\n" % len(items) + b"".join(map(bulk, items))


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())
