"""A system while it runs, and the backends that all of them stand before."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Optional

from .process import Counter, Process, Void, free_port, listens, program, wait
from .systems import HOST, TUNNEL_ID, System

ANSWER_SECONDS = 0.1

NGINX_BACKEND = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server { listen 127.0.0.1:{port} backlog=4096; location / { return 200 "BODY"; } }
}
"""


def certificate(folder: Path) -> dict[str, str]:
    """One for all: ECDSA P-256, signed by itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                    "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,DNS:{HOST}",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return {"cert": str(cert), "key": str(key)}


class Site:
    """What is shared: the folder, the programs, the backends. The sink takes and gives endless bodies, nginx
    answers small requests with a body of 128 bytes."""

    def __init__(self, folder: Path, build: Path) -> None:
        self.folder = folder
        self.load = str(build / "bench/bench-load")
        self.datagrams = str(build / "bench/bench-datagrams")
        self.fields = {"hop": str(build / "bench/bench-hop"), "nginx": program("nginx") or "",
                       "datagrams": self.datagrams,
                       "host": HOST, "id": TUNNEL_ID, **certificate(folder)}
        self.received, self.arrived = Counter(folder / "sink.stat"), Counter(folder / "arrived.stat")
        self.sink_port, self.nginx_port = free_port(), free_port()
        self._processes = [Process([self.load, "sink", str(self.sink_port),
                                    str(self.received.path)], folder / "sink.log"),
                           Process([self.datagrams, "sink", str(self.sink_port),
                                    str(self.arrived.path)], folder / "datagrams.log")]
        if self.fields["nginx"]:
            self._start_nginx()
        if not wait(lambda: listens(self.sink_port), 5):
            raise SystemExit("the sink does not listen: see " + str(folder))

    def _start_nginx(self) -> None:
        folder = self.folder / "backend"
        folder.mkdir()
        text = NGINX_BACKEND.replace("{folder}", str(folder)).replace("BODY", "x" * 127 + "\\n")
        (folder / "nginx.conf").write_text(text.replace("{port}", str(self.nginx_port)))
        self._processes.append(Process([self.fields["nginx"], "-c", str(folder / "nginx.conf"),
                                        "-e", str(folder / "nginx.err")], folder / "nginx.log"))
        if not wait(lambda: listens(self.nginx_port), 5):
            raise SystemExit("nginx does not listen: see " + str(folder))

    def close(self) -> None:
        for process in self._processes:
            process.stop()


class Running:
    """One system with its processes, in a folder of its own. To be used in a with statement."""

    def __init__(self, site: Site, system: System, backend: int) -> None:
        self.site, self.system = site, system
        self.folder = site.folder / system.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.link, self.entry = free_port(), free_port() if system.server else backend
        self._fields = {**site.fields, **system.programs, "folder": str(self.folder),
                        "link": str(self.link), "entry": str(self.entry),
                        "backend": str(backend)}
        self.server: Optional[Process] = None
        self.client: Optional[Process] = None
        self.visitor: Optional[Process] = None
        for name, text in system.files.items():
            (self.folder / name).write_text(self._fill(text))

    def _fill(self, text: str) -> str:
        names = "|".join(self._fields)
        return re.sub(r"\{(%s)\}" % names, lambda m: self._fields[m.group(1)], text)

    def _start(self, command: str, log: str) -> Optional[Process]:
        return Process(self._fill(command).split(), self.folder / log) if command else None

    def start_server(self) -> None:
        self.server = self._start(self.system.server, "server.log")

    def start_client(self) -> None:
        self.client = self._start(self.system.client, "client.log")

    def start(self, udp: bool = False) -> Running:
        """Until a request, or a datagram, gets its answer."""
        self.start_server()
        wait(lambda: listens(self.entry) or listens(self.link), 0.2 if udp else 2)
        self.start_client()
        self.visitor = self._start(self.system.visitor, "visitor.log")
        if not wait(self.echoes if udp else self.answers, 10):
            raise Void("no answer: " + self.last_words())
        return self

    def __enter__(self) -> Running:
        return self

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        for process in self.processes():
            process.stop()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def processes(self) -> list[Process]:
        return [p for p in (self.visitor, self.client, self.server) if p]

    def cpu(self) -> float:
        return sum(p.cpu() for p in self.processes())

    def last_words(self) -> str:
        for process in self.processes():
            text = process.log.read_text(errors="replace").strip()
            if text:
                return text.splitlines()[-1][:200]
        return "nothing in its log"

    def answers(self) -> bool:
        """Whether a request gets its answer now."""
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.entry), ANSWER_SECONDS) as s:
                s.settimeout(ANSWER_SECONDS)
                s.sendall(request.encode())
                return b" 200 " in s.recv(4096)
        except OSError:
            return False

    def echoes(self) -> bool:
        """Whether a datagram gets there, and its answer back."""
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as s:
                s.settimeout(ANSWER_SECONDS)
                s.connect(("127.0.0.1", self.entry))
                s.send(b"here")
                return s.recv(16) == b"here"
        except OSError:
            return False
