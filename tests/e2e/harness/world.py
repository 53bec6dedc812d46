"""A test's world: everything it started, in one folder, ended and judged when it is over."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Protocol, Sequence, TypeVar, Union
from urllib.parse import quote

from .certs import Certificate
from .daemon import Address, Daemon
from .proxies import SlowLink, TcpProxy, UdpProxy
from .servers import DeadPort, Server
from .site import Site
from .waiting import until
from . import visitor

TRANSPORTS = ("tcp", "tls", "quic")
# What a client logs when the server has taken it.
REGISTERED = r"^create tunnel on .* OK"


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


@dataclass(frozen=True)
class Pair:
    """Which program is the server and which the client: "adit" or "gost"."""

    server: str
    client: str

    def __str__(self) -> str:
        return f"{self.server}<{self.client}"


@dataclass
class Tunnel:
    """A server and what is needed to reach it."""

    daemon: Daemon
    clients: Address
    entry: Address

    def get(self, host: str, path: str = "/", **more: Any) -> visitor.Answer:
        return visitor.get(self.entry, host, path, **more)


class World:
    def __init__(self, programs: Mapping[str, Path], folder: Path, pair: Pair) -> None:
        self.folder = folder
        self.pair = pair
        self._programs = programs
        self._daemons: list[Daemon] = []
        self._things: list[Closable] = []
        self._servers: list[Daemon] = []

    def keep(self, thing: C) -> C:
        """Closes thing at the end."""
        self._things.append(thing)
        return thing

    def site(self, name: str = "site", certificate: Optional[Certificate] = None) -> Site:
        return self.keep(Site(name, certificate))

    def serve(self, how: Any) -> Server:
        return self.keep(Server(how))

    def dead_port(self) -> DeadPort:
        return self.keep(DeadPort())

    def tcp_proxy(self, target: Address, rate: int = 0) -> TcpProxy:
        return self.keep(TcpProxy(target, rate))

    def udp_proxy(self, target: Address, rate: int = 0) -> UdpProxy:
        return self.keep(UdpProxy(target, rate=rate))

    def link_proxy(self, transport: str, target: Address, rate: int = 0) -> Union[TcpProxy, UdpProxy]:
        """A proxy for what carries transport. rate: bytes per second each way; 0: as fast as it can."""
        return self.udp_proxy(target, rate) if transport == "quic" else self.tcp_proxy(target, rate)

    @property
    def instrumented(self) -> bool:
        """Whether the adit under test has a sanitizer in it, which says nothing about speed and memory."""
        program = self._programs["adit"].read_bytes()
        return b"__asan_init" in program or b"__tsan_init" in program

    def slow_link(self, transport: str, target: Address, delay: float, rate: float) -> SlowLink:
        """A long and narrow way for what carries transport."""
        return self.keep(SlowLink("udp" if transport == "quic" else "tcp", target, delay, rate))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *args: str, program: str = "adit", config: Optional[str] = None, name: str = "",
              within: Sequence[str] = ()) -> Daemon:
        """Starts a program with arguments, a configuration as YAML text, or both. within: a command that
        runs it (harness.namespaces)."""
        name = name or f"{program}-{len(self._daemons)}"
        words = list(args)
        if config is not None:
            words += ["-C", str(self.write(f"{name}.yaml", config))]
        daemon = Daemon(self._programs[program], words, self.folder, name, within)
        # A gost that is stopped right after its start is ended by the signal itself: not ours to judge.
        daemon.must_end_well = program == "adit"
        self._daemons.append(daemon)
        return daemon

    def run(self, *args: str) -> Daemon:
        """Runs adit to its end, which the caller judges."""
        daemon = self.start(*args)
        daemon.must_end_well = False
        daemon.wait()
        return daemon

    def server(self, transport: str, rules: Mapping[str, str], listen: Address = ("127.0.0.1", 0),
               entry: Address = ("127.0.0.1", 0), user: str = "", flags: Sequence[str] = (),
               **options: Any) -> Tunnel:
        """A tunnel server by command line. options: more of its query, "_" for "."."""
        query = {"entrypoint": at(entry), "tunnel": ",".join(f"{h}:{t}" for h, t in rules.items())}
        url = f"tunnel+{transport}://{user and user + '@'}{at(listen)}?{query_of(query, options)}"
        daemon = self.start("-L", url, *flags, *(["-D"] if self.pair.server == "gost" else []),
                            program=self.pair.server, name=self._name("server"))
        self._servers.append(daemon)
        if rules and self.pair.server == "gost":
            daemon.log.wait("^load items")      # its rules come after its ports
        return Tunnel(daemon, daemon.listening(), daemon.entrypoint())

    def client(self, transport: str, server: Address, tunnel: str, target: Address, user: str = "",
               registered: bool = True, within: Sequence[str] = (), flags: Sequence[str] = (),
               **options: Any) -> Daemon:
        """A tunnel client by command line; returns once the server has taken it, if registered."""
        query = query_of({"tunnel.id": tunnel}, options)
        daemon = self.start(
            "-L", f"rtcp://:0/{at(target)}",
            "-F", f"tunnel+{transport}://{user and user + '@'}{at(server)}?{query}",
            *flags,
            program=self.pair.client, name=self._name("client"), within=within)
        if registered:
            self.wait_registered(daemon)
        return daemon

    def wait_registered(self, client: Daemon) -> None:
        """Returns once the server has taken it: a gost answers a client before it counts it in, and says at
        level debug when it has."""
        connector = client.log.wait(REGISTERED).msg.partition("connector=")[2].partition(",")[0]
        if self.pair.server == "gost":
            counted = rf"connector={connector}, .* established$"
            until(lambda: any(s.log.count(counted) for s in self._servers), "the server counted the client in")

    def _name(self, role: str) -> str:
        return f"{role}-{len(self._daemons)}"

    def end(self) -> None:
        """Ends everything, the last started first; fails with the first thing that was not right."""
        faults = []
        for daemon in reversed(self._daemons):
            try:
                daemon.end()
            except AssertionError as fault:
                faults.append(str(fault))
        for thing in reversed(self._things):
            thing.close()
        if faults:
            raise AssertionError("\n".join(faults))


def at(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def query_of(first: Mapping[str, str], more: Mapping[str, Any]) -> str:
    values = {**first, **{k.replace("_", "."): str(v) for k, v in more.items()}}
    return "&".join(f"{k}={quote(v, safe=':,.$/*-')}" for k, v in values.items())


def publish(world: World, transport: str, site: Site, host: str = "app.local", **options: Any) -> Tunnel:
    """The usual world: a server with one rule, and a client that gives it site as host."""
    tunnel = tunnel_id()
    server = world.server(transport, {host: tunnel}, **options)
    world.client(transport, server.clients, tunnel, site.address)
    return server


def tunnel_id() -> str:
    return str(uuid.uuid4())


def reachable(tunnel: Tunnel, host: str, limit: float = 20) -> visitor.Answer:
    """The first answer 200 for host: for after a restart, where refusals in between are right."""
    def ask() -> Optional[visitor.Answer]:
        try:
            answer = tunnel.get(host)
        except (OSError, visitor.http.client.HTTPException):
            return None
        return answer if answer.status == 200 else None
    found = until(ask, f"{host} answers 200", limit)
    assert found is not None
    return found
