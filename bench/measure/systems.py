"""What is measured: each system is a row that says how it is started.

Text in commands and files may name in braces: {server} and {client} (programs), {hop}, {datagrams}, {nginx},
{folder} (the row's own), {cert} and {key}, {link} (the port between server and client), {entry} (the visitors'),
{backend}, {host}, {id}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, Mapping, Optional

from .process import program

HOST = "bench.localhost"
TUNNEL_ID = "4d21094e-b74c-4916-86c1-d9fa36ea677b"
TRANSPORTS = ("tcp", "tls", "quic")
MORE_TRANSPORTS = ("ws", "wss", "mtcp", "mtls", "mws", "h2c")


@dataclass(frozen=True)
class System:
    name: str
    kinds: frozenset[str]
    server: str = ""  # commands; without any, visitors go to the backend directly
    client: str = ""
    visitor: str = ""  # what holds the visitors' port, where that is not the server
    programs: Mapping[str, str] = field(default_factory=dict)  # {server} and {client}
    files: Mapping[str, str] = field(default_factory=dict)


ALL = frozenset({"bulk", "http", "memory", "start"})


# ---- references -----------------------------------------------------------------------

NGINX_PROXY = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream backend { server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:{entry} backlog=4096;
    location / {
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }
  }
}
"""


def references() -> Iterator[System]:
    yield System("direct", frozenset({"bulk", "http", "udp"}))
    yield System("hop-udp", frozenset({"udp"}), "{datagrams} hop {entry} {link}",
                 "{datagrams} hop {link} {backend}")
    for kind in ("splice", "rw"):
        yield System(f"hop-{kind}", frozenset({"bulk", "http"}), "{hop} %s {entry} {link}" % kind,
                     "{hop} %s {link} {backend}" % kind)
    yield System("hop-tls", frozenset({"bulk"}), "{hop} tls-out {entry} {link}",
                 "{hop} tls-in {link} {backend} {cert} {key}")
    if program("nginx"):
        yield System("nginx", frozenset({"http", "memory", "start"}),
                     "{nginx} -c {folder}/nginx.conf -e {folder}/nginx.err",
                     files={"nginx.conf": NGINX_PROXY})
        yield System("nginx-h2", frozenset({"http2"}), "{nginx} -c {folder}/nginx.conf -e {folder}/nginx.err",
                     files={"nginx.conf": NGINX_PROXY.replace("backlog=4096", "http2 backlog=4096")})


# ---- gost, and adit with gost's files -----------------------------------------------------

TUNNEL_SERVER = """
log: {level: error}
services:
- name: clients
  addr: 127.0.0.1:{link}
  handler:
    type: tunnel
    metadata: {entrypoint: '127.0.0.1:{entry}', tunnel: '{host}:{id}'}
  listener: {type: TRANSPORT, tls: {certFile: '{cert}', keyFile: '{key}'}}
"""

CLIENT_SERVICE = """
- name: NAME
  addr: ':0'
  handler: {type: rtcp}
  listener: {type: rtcp, chain: NAME}
  forwarder: {nodes: [{name: backend, addr: '127.0.0.1:{backend}'}]}
"""

CLIENT_CHAIN = """
- name: NAME
  hops:
  - name: NAME
    nodes:
    - name: server
      addr: 127.0.0.1:{link}
      connector: {type: tunnel, metadata: {tunnel.id: ID}}
      dialer: {type: TRANSPORT}
"""


def tunnel_client(transport: str, names: Mapping[str, str], connections: int = 0) -> str:
    """A client that binds each of these names with its tunnel id. connections: for each; 0: not said."""
    services = "".join(CLIENT_SERVICE.replace("NAME", name) for name in names)
    more = f", connections: {connections}" if connections else ""
    chains = "".join(CLIENT_CHAIN.replace("NAME", name).replace("ID", tunnel + more)
                     for name, tunnel in names.items())
    text = "log: {level: error}\nservices:" + services + "chains:" + chains
    return text.replace("TRANSPORT", transport)


UDP_VISITOR = """
log: {level: error}
services:
- name: visitor
  addr: 127.0.0.1:{entry}
  handler: {type: udp, chain: server}
  listener: {type: udp, metadata: {keepalive: true}}
  forwarder: {nodes: [{name: backend, addr: '{host}'}]}
chains:
""" + CLIENT_CHAIN.replace("NAME", "server").replace("ID", "{id}")


def udp_files(transport: str) -> dict[str, str]:
    """A tunnel that carries datagrams, and the visitor's side of it. The server's entry point has a port
    that nobody visits."""
    return {"server.yml": TUNNEL_SERVER.replace("TRANSPORT", transport).replace("{entry}", "0"),
            "client.yml": tunnel_client(transport, {"backend": TUNNEL_ID}).replace("rtcp", "rudp"),
            "visitor.yml": UDP_VISITOR.replace("TRANSPORT", transport)}


def tunnel_files(transport: str) -> dict[str, str]:
    return {"server.yml": TUNNEL_SERVER.replace("TRANSPORT", transport),
            "client.yml": tunnel_client(transport, {"backend": TUNNEL_ID})}


def gost_like(name: str, path: str) -> Iterator[System]:
    """adit or a gost: they take the same files."""
    programs = {"server": path, "client": path}
    commands = "{server} -C {folder}/server.yml", "{client} -C {folder}/client.yml"
    for transport in TRANSPORTS:
        more = {"sessions", "tunnels"} if transport == "tls" else {"sessions"}
        if name != "gost":
            more.add("http2")
        yield System(f"{name}-{transport}", ALL | more, *commands, programs=programs,
                     files=tunnel_files(transport))
        yield System(f"{name}-udp-{transport}", frozenset({"udp"}), *commands,
                     "{client} -C {folder}/visitor.yml", programs, udp_files(transport))
    for transport in MORE_TRANSPORTS:
        yield System(f"{name}-{transport}", frozenset({"bulk", "http"}), *commands,
                     programs=programs, files=tunnel_files(transport))


def auto(name: str, path: str) -> System:
    """adit's port of all transports, and its client that finds out which gets through."""
    return System(f"{name}-auto", frozenset({"start"}), "{server} -C {folder}/server.yml",
                  "{client} -C {folder}/client.yml", programs={"server": path, "client": path},
                  files=tunnel_files("auto"))


# ---- others, when their programs are in PATH ------------------------------------------------

FRP_SERVER = """
bindAddr = "127.0.0.1"
bindPort = {link}
quicBindPort = {link}
vhostHTTPPort = {entry}
transport.tls.certFile = "{cert}"
transport.tls.keyFile = "{key}"
log.level = "error"
"""

FRP_CLIENT = """
serverAddr = "127.0.0.1"
serverPort = {link}
loginFailExit = false
transport.protocol = "PROTOCOL"
transport.tls.enable = TLS
log.level = "error"
[[proxies]]
name = "backend"
type = "http"
customDomains = ["{host}"]
localIP = "127.0.0.1"
localPort = {backend}
"""

RATHOLE = """
[server]
bind_addr = "127.0.0.1:{link}"
default_token = "bench"
[server.services.backend]
bind_addr = "127.0.0.1:{entry}"
[client]
remote_addr = "127.0.0.1:{link}"
default_token = "bench"
[client.services.backend]
local_addr = "127.0.0.1:{backend}"
"""

REVERST_GROUPS = """
groups:
  localhost:
    hosts: ["{host}"]
"""


def both(server: str, client: str) -> Optional[dict[str, str]]:
    paths = {"server": program(server), "client": program(client)}
    return {k: v for k, v in paths.items() if v} if all(paths.values()) else None


def peers() -> Iterator[System]:
    gost, frp = program("gost"), both("frps", "frpc")
    rathole, reverst = program("rathole"), both("reverstd", "reverst")
    if gost:
        yield from gost_like("gost", gost)
    for transport in TRANSPORTS if frp else ():
        client = FRP_CLIENT.replace("PROTOCOL", "quic" if transport == "quic" else "tcp")
        yield System(f"frp-{transport}", ALL, "{server} -c {folder}/server.toml",
                     "{client} -c {folder}/client.toml", programs=frp,
                     files={"server.toml": FRP_SERVER,
                            "client.toml": client.replace("TLS", str(transport == "tls").lower())})
    if rathole:
        yield System("rathole-tcp", ALL, "{server} --server {folder}/both.toml",
                     "{client} --client {folder}/both.toml",
                     programs={"server": rathole, "client": rathole},
                     files={"both.toml": RATHOLE})
    if reverst:
        yield System("reverst-quic", ALL,
                     "{server} -l error -a 127.0.0.1:{link} -s 127.0.0.1:{entry} -n localhost "
                     "-g {folder}/groups.yml -k {key} -c {cert}",
                     "{client} http -l error -a 127.0.0.1:{link} -n localhost --insecure "
                     "http://127.0.0.1:{backend}", programs=reverst,
                     files={"groups.yml": REVERST_GROUPS})


def all_systems(adit: str, others: Mapping[str, str]) -> list[System]:
    """others: further builds of adit by name, measured in the same run."""
    systems = [*references()]
    for name, path in {"adit": adit, **others}.items():
        systems += [*gost_like(name, path), auto(name, path)]
    return systems + list(peers())
