"""From the values of all rounds to tables, and to what must be reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Iterator, Optional

# kind -> system -> point -> metric -> the value of each round
Results = dict[str, dict[str, dict[str, dict[str, list[float]]]]]


def add(results: Results, kind: str, system: str, point: dict[str, dict[str, float]]) -> None:
    rows = results.setdefault(kind, {}).setdefault(system, {})
    for name, metrics in point.items():
        for metric, value in metrics.items():
            rows.setdefault(name, {}).setdefault(metric, []).append(value)


def short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(values: list[float]) -> str:
    if not values:
        return "-"
    text = short(statistics.median(values))
    return f"{text} [{short(min(values))}-{short(max(values))}]" if len(values) > 1 else text


def union(lists: Iterator[list[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in lists for name in names))


def table(kind: str, point: str, systems: dict) -> Iterator[str]:
    rows = {name: points[point] for name, points in systems.items() if point in points}
    metrics = union(list(row) for row in rows.values())
    yield f"\n**{kind}: {point}**\n"
    yield "| system | " + " | ".join(metrics) + " |"
    yield "|---" * (len(metrics) + 1) + "|"
    for name, row in rows.items():
        yield f"| {name} | " + " | ".join(cell(row.get(m, [])) for m in metrics) + " |"


# ---- what must be reached ------------------------------------------------------------------

@dataclass(frozen=True)
class Limit:
    """A metric of ours against the same of another system in the same run, or against a number."""

    kind: str
    point: str
    metric: str
    system: str
    most: float
    against: Optional[str] = None  # then the value is a ratio
    least: bool = False  # most is a least


def limits() -> Iterator[Limit]:
    bulk = {"tcp": ("hop-rw", 1.3), "tls": ("hop-tls", 1.25), "quic": ("hop-rw", 2.6)}
    sessions = {"tcp": 5, "tls": 40, "quic": 60}
    for transport, (hop, most) in bulk.items():
        ours = f"adit-{transport}"
        for direction in ("down", "up"):
            yield Limit("bulk", f"{direction} x1", "CPU s/GB", ours, most, hop)
        yield Limit("http", "keep-alive", "CPU us/request", ours, 3.5, "nginx")
        yield Limit("http", "keep-alive", "requests/s", ours, 0.35, "nginx", least=True)
        yield Limit("http", "keep-alive", "p99 ms", ours, 3.0, "nginx")
        yield Limit("http", "one per connection", "CPU us/request", ours, 3.5, "nginx")
        yield Limit("http2", "10 x 32", "CPU us/request", ours, 3.5, "nginx-h2")
        for side in ("server", "client"):
            yield Limit("memory", "idle", f"{side} MB", ours, 10)
            yield Limit("memory", "between requests", f"{side} kB/visitor", ours, 3)
            yield Limit("memory", "upgraded", f"{side} kB/visitor", ours, 3)
        yield Limit("sessions", "sessions", "server kB/session", ours, sessions[transport])
        yield Limit("start", "client to first answer", "ms", ours, 50)
        for size, most in ((64, 0.9), (1200, 1.2)):
            yield Limit("udp", f"{size} B, flooded", "CPU us/datagram", f"adit-udp-{transport}", most,
                        "hop-udp")
    for direction in ("down", "up"):
        yield Limit("bulk", f"{direction} x1", "CPU s/GB", "adit-ws", 1.6, "hop-rw")
    yield Limit("tunnels", "10000 tunnels", "server MB", "adit-tls", 500)
    yield Limit("start", "client to first answer", "ms", "adit-auto", 1.2, "adit-quic")


def value(limit: Limit, results: Results) -> Optional[float]:
    def median(system: str) -> Optional[float]:
        values = results.get(limit.kind, {}).get(system, {}).get(limit.point, {}).get(limit.metric)
        return statistics.median(values) if values else None

    ours, other = median(limit.system), median(limit.against) if limit.against else 1.0
    return ours / other if ours is not None and other else None


def lost(results: Results, factor: float) -> Iterator[str]:
    """What misses its limit by more than that."""
    for limit in limits():
        found = value(limit, results)
        if found is None:
            continue
        if found * factor < limit.most if limit.least else found > limit.most * factor:
            yield f"{limit.system}, {limit.kind}: {limit.point}, {limit.metric}: {short(found)}"


def verdicts(results: Results) -> Iterator[str]:
    yield "| system | point | figure | measured | limit | |"
    yield "|---|---|---|---|---|---|"
    for limit in limits():
        found = value(limit, results)
        if found is None:
            continue
        met = found >= limit.most if limit.least else found <= limit.most
        figure = f"{limit.metric} / {limit.against}'s" if limit.against else limit.metric
        bound = f"{'>=' if limit.least else '<='} {limit.most:g}"
        yield (f"| {limit.system} | {limit.kind}: {limit.point} | {figure} | {short(found)} | "
               f"{bound} | {'met' if met else '**missed**'} |")


def markdown(document: dict) -> str:
    results, skipped = document["results"], document["skipped"]
    lines = [f"Measured {document['time']}: adit {document['version']}, {document['machine']}; "
             f"median [lowest-highest] of {document['rounds']} rounds.\n", *verdicts(results)]
    for kind, systems in results.items():
        for point in union(list(points) for points in systems.values()):
            lines += table(kind, point, systems)
    lines += [f"\nNot measured: {reason}" for reason in skipped]
    return "\n".join(lines) + "\n"
