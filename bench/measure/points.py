"""The measurements. Each takes a system that is not started yet and returns {point: {metric: value}}."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, Optional

from .process import Counter, Process, Void, listens, program, wait
from .running import Running
from .systems import HOST, tunnel_client

Point = dict[str, dict[str, float]]

CONNECTIONS = 64
RECOVERY_SECONDS = 120
BOUND = "create tunnel on"  # in the log of an adit and of a gost


@dataclass(frozen=True)
class Effort:
    """How long and how much."""

    seconds: float  # a point
    warm_up: float
    visitors: int
    clients: int
    tunnels: int


def load(r: Running, mode: str, *more: object) -> list[str]:
    return [r.site.load, mode, str(r.entry), HOST, *map(str, more)]


# ---- bulk ------------------------------------------------------------------------------------

def stream(r: Running, direction: str, streams: int, effort: Effort) -> dict[str, float]:
    """Endless bodies for a while: bytes and CPU seconds between the same two moments."""
    counter = Counter(r.folder / "load.stat")
    received = counter if direction == "down" else r.site.received
    visitors = Process(load(r, direction, streams, counter.path), r.folder / "load.log")
    try:
        time.sleep(effort.warm_up)
        n, cpu, begun = int(received), r.cpu(), time.monotonic()
        time.sleep(effort.seconds)
        n, cpu, took = int(received) - n, r.cpu() - cpu, time.monotonic() - begun
        if not visitors.runs():
            raise Void("the visitors ended: " + visitors.log.read_text().strip()[-200:])
    finally:
        visitors.stop()
    if not n:
        raise Void(f"{direction} x{streams}: no byte arrived")
    return {"Gbit/s": n * 8 / took / 1e9, "CPU s/GB": cpu / n * 1e9}


def bulk(r: Running, effort: Effort) -> Point:
    r.start()
    return {f"{direction} x{streams}": stream(r, direction, streams, effort)
            for direction in ("down", "up") for streams in (1, 8)}


# ---- datagrams ------------------------------------------------------------------------------

PACED = 10000  # a second
SIZES = (64, 1200)


def datagrams(r: Running, size: int, rate: int, effort: Effort) -> dict[str, float]:
    """A stream of datagrams of one sender: what arrives, and what that costs."""
    sent, arrived = Counter(r.folder / "sent.stat"), r.site.arrived
    sender = Process([r.site.datagrams, "send", str(r.entry), str(size), str(rate), str(sent.path)],
                     r.folder / "send.log")
    try:
        time.sleep(effort.warm_up)
        out, n, cpu, begun = int(sent), int(arrived), r.cpu(), time.monotonic()
        time.sleep(effort.seconds)
        out, n, cpu = int(sent) - out, int(arrived) - n, r.cpu() - cpu
        took = time.monotonic() - begun
        if not sender.runs():
            raise Void("the sender ended: " + sender.log.read_text().strip()[-200:])
    finally:
        sender.stop()
    if not n or not out:
        raise Void(f"no datagram of {size} bytes arrived")
    return {"datagrams/s": n / took, "CPU us/datagram": cpu / n * 1e6,
            "lost %": max(0.0, 100 * (1 - n / out))}


def udp(r: Running, effort: Effort) -> Point:
    r.start(udp=True)
    return {f"{size} B, {name}": datagrams(r, size, rate, effort)
            for size in SIZES for name, rate in ((f"{PACED} a second", PACED), ("flooded", 0))}


# ---- HTTP requests ---------------------------------------------------------------------------

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


def milliseconds(text: str) -> float:
    number = text.rstrip("mus")
    return float(number) * UNITS[text[len(number):]]


def search(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise Void("wrk said: " + text.strip()[-200:])
    return found.group(1)


def requests(r: Running, fields: list[str], effort: Effort) -> dict[str, float]:
    cpu = r.cpu()
    seconds = max(1, round(effort.seconds))
    done = subprocess.run(
        [program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H",
         f"Host: {HOST}", *fields, f"http://127.0.0.1:{r.entry}/"],
        capture_output=True, text=True, timeout=seconds + 60)
    cpu, text = r.cpu() - cpu, done.stdout + done.stderr
    n = int(search(r"(\d+) requests in", text))
    failed = re.search(r"(Non-2xx or 3xx responses|Socket errors): .*", text)
    if failed or not n:
        raise Void(failed.group(0) if failed else "no request was answered")
    return {"requests/s": float(search(r"Requests/sec:\s+([\d.]+)", text)),
            "CPU us/request": cpu / n * 1e6,
            "p50 ms": milliseconds(search(r"\n\s+50%\s+(\S+)", text)),
            "p99 ms": milliseconds(search(r"\n\s+99%\s+(\S+)", text))}


def http(r: Running, effort: Effort) -> Point:
    r.start()
    return {"keep-alive": requests(r, [], effort),
            "one per connection": requests(r, ["-H", "Connection: close"], effort)}


def h2load(r: Running, *words: str) -> str:
    done = subprocess.run(
        [program("h2load"), "-t1", *words, "-H", f":authority: {HOST}", f"http://127.0.0.1:{r.entry}/"],
        capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def http2(r: Running, effort: Effort) -> Point:
    """By prior knowledge: 10 connections of 32 streams."""
    r.start_server()
    wait(lambda: listens(r.entry) or listens(r.link), 2)
    r.start_client()
    if not wait(lambda: "status codes: 1 2xx" in h2load(r, "-n1", "-c1"), 10):
        raise Void("no answer: " + r.last_words())
    cpu, seconds = r.cpu(), max(1, round(effort.seconds))
    text = h2load(r, "-c10", "-m32", f"-D{seconds}")
    cpu = r.cpu() - cpu
    answered = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", text)
    if not answered or not int(answered.group(1)):
        raise Void("h2load said: " + text.strip()[-200:])
    n = int(answered.group(1))
    return {"10 x 32": {"requests/s": n / seconds, "CPU us/request": cpu / n * 1e6}}


# ---- memory ----------------------------------------------------------------------------------

def sides(r: Running, measure: Callable[[Process], float]) -> dict[str, float]:
    named = {"server": r.server, "client": r.client}
    return {name: measure(p) for name, p in named.items() if p}


def growth(before: dict[str, float], after: dict[str, float], n: int, unit: str) -> dict[str, float]:
    return {f"{name} {unit}": (after[name] - before[name]) / n / 1e3 for name in before}


def visitors(r: Running, effort: Effort, *more: str) -> dict[str, float]:
    """So many visitors that had one exchange each and wait."""
    before, cpu = sides(r, Process.resident), r.cpu()
    held = subprocess.Popen(load(r, "idle", effort.visitors, *more), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    try:
        seconds = held.stdout.readline()
        if not seconds:
            raise Void("visitors: " + held.stderr.read().strip()[-200:])
        cpu = r.cpu() - cpu
        time.sleep(effort.warm_up)
        after = sides(r, Process.resident)
    finally:
        held.send_signal(signal.SIGTERM)
        held.communicate()
    return {**growth(before, after, effort.visitors, "kB/visitor"),
            "opened/s": effort.visitors / float(seconds),
            "CPU us/visitor": cpu / effort.visitors * 1e6}


def memory(r: Running, effort: Effort) -> Point:
    r.start()
    time.sleep(effort.warm_up)
    idle = sides(r, lambda p: p.resident() / 1e6)
    point = {"idle": {f"{name} MB": value for name, value in idle.items()},
             "between requests": visitors(r, effort)}
    if r.client:
        r.restart()  # so that what the visitors before left in the heap hides nothing
        time.sleep(effort.warm_up)
        point["upgraded"] = visitors(r, effort, "upgrade")
    return point


# ---- sessions --------------------------------------------------------------------------------

REST_SECONDS = 35  # until a session that nobody uses is not watched closely any more


def tunnel_id(i: int) -> str:
    return "00000000-0000-4000-8000-%012x" % (i + 1)


def clients(r: Running, n: int, connections: int = 0) -> Process:
    """A second client, that binds so many tunnels, each by a session of its own."""
    transport = r.system.name.rpartition("-")[2]
    text = tunnel_client(transport, {f"n{i}": tunnel_id(i) for i in range(n)}, connections)
    for port, name in ((r.link, "{link}"), (r.site.sink_port, "{backend}")):
        text = text.replace(name, str(port))
    path = r.folder / "clients.yml"
    path.write_text(text.replace("level: error", "level: info"))
    return Process([r.system.programs["client"], "-C", str(path)], r.folder / "clients.log")


def bound(many: Process, n: int, effort: Effort) -> int:
    """How many sessions are bound, once each has one; a client may open several for one service."""
    if not wait(lambda: many.log.read_text().count(BOUND) >= n, 60 + n / 50, 0.1):
        raise Void(f"{many.log.read_text().count(BOUND)} of {n} were bound")
    time.sleep(effort.warm_up)
    return many.log.read_text().count(BOUND)


def at_rest(r: Running, many: Process, n: int, effort: Effort) -> float:
    """The server's share of a CPU while n sessions do nothing."""
    time.sleep(REST_SECONDS if n >= 100 else 0)
    cpu, begun = r.server.cpu(), time.monotonic()
    time.sleep(max(1.0, effort.seconds))
    cpu, took = r.server.cpu() - cpu, time.monotonic() - begun
    if not many.runs():
        raise Void("the clients ended: " + many.log.read_text().strip()[-200:])
    return cpu / took


def sessions(r: Running, effort: Effort) -> Point:
    """What each costs the server."""
    r.start()
    time.sleep(effort.warm_up)
    before, cpu = r.server.resident(), r.server.cpu()
    many = clients(r, effort.clients)
    try:
        n = bound(many, effort.clients, effort)
        after, cpu = r.server.resident(), r.server.cpu() - cpu
        idle = at_rest(r, many, effort.clients, effort)
    finally:
        many.stop()
    return {"sessions": {"server kB/session": (after - before) / n / 1e3,
                         "CPU us/session to bind": cpu / n * 1e6,
                         "CPU us/session/s at rest": idle / n * 1e6}}


def tunnels(r: Running, effort: Effort) -> Point:
    """What a server of many tunnels needs, each bound by one session."""
    r.start()
    begun = time.monotonic()
    many = clients(r, effort.tunnels, 1)
    try:
        bound(many, effort.tunnels, effort)
        took = time.monotonic() - begun
        idle = at_rest(r, many, effort.tunnels, effort)
        memory = r.server.resident() / 1e6
    finally:
        many.stop()
    return {f"{effort.tunnels} tunnels": {"server MB": memory, "s until all are bound": took,
                                          "server's CPU at rest, %": 100 * idle}}


# ---- start and recovery ------------------------------------------------------------------------

def elapsed_ms(begun: float, condition: Callable[[], bool], seconds: float) -> float:
    if not wait(condition, seconds, 0.001):
        raise Void(f"not within {seconds:.0f} s")
    return (time.monotonic() - begun) * 1e3


def start(r: Running, effort: Effort) -> Point:
    begun = time.monotonic()
    r.start_server()
    point = {"server listens": {"ms": elapsed_ms(
        begun, lambda: listens(r.entry) or listens(r.link), 10)}}
    if not r.system.client:
        return point
    begun = time.monotonic()
    r.start_client()
    point["client to first answer"] = {"ms": elapsed_ms(begun, r.answers, 30)}
    time.sleep(effort.warm_up)
    r.server.kill()
    time.sleep(0.5)
    begun = time.monotonic()
    r.start_server()
    point["server killed, restart to answer"] = {"ms": elapsed_ms(
        begun, r.answers, RECOVERY_SECONDS)}
    return point


@dataclass(frozen=True)
class Kind:
    measure: Callable[[Running, Effort], Point]
    needs: Optional[str] = None  # a program
    backend: str = "sink"


KINDS = {
    "bulk": Kind(bulk),
    "udp": Kind(udp),
    "http": Kind(http, needs="wrk", backend="nginx"),
    "http2": Kind(http2, needs="h2load", backend="nginx"),
    "memory": Kind(memory),
    "sessions": Kind(sessions),
    "tunnels": Kind(tunnels),
    "start": Kind(start),
}
