"""Many visitors at once."""

from __future__ import annotations

import collections
import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional

from . import visitor
from .daemon import Address
from .waiting import PATIENCE


def at_once(n: int, work: Callable[[int], None], limit: float = 120) -> None:
    """Runs work(0) to work(n - 1) in threads; fails if one of them does or does not come to an end."""
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit)
        assert not thread.is_alive(), "a visitor never came to an end"
    if faults:
        raise faults[0]


class Load:
    """Visitors that ask for one page again and again until stop(), each time on a new connection, or (keep)
    on the same one until they are told that it ends."""

    def __init__(self, entry: Address, host: str, visitors: int = 4, keep: bool = False) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self._entry, self._host, self._keep = entry, host, keep
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(visitors)]
        for thread in self._threads:
            thread.start()

    def _visit(self) -> None:
        kept: Optional[visitor.Visitor] = None
        while not self._stop.is_set():
            try:
                kept = kept or visitor.Visitor(self._entry)
                answer = kept.get(self._host)
                outcome = answer.text if answer.status == 200 else str(answer.status)
                goes_on = self._keep and answer.headers.get("Connection") != "close"
            except (OSError, visitor.http.client.HTTPException):
                outcome, goes_on = "cut", False
                self._stop.wait(0.01)
            if kept and not goes_on:
                kept.close()
                kept = None
            with self._lock:
                self.outcomes[outcome] += 1
        if kept:
            kept.close()

    def count(self, outcome: str) -> int:
        with self._lock:
            return self.outcomes[outcome]

    def stop(self) -> "collections.Counter[str]":
        """Ends the visitors: what they got, by the text of a 200, the status of others, or "cut"."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes


@dataclass(frozen=True)
class Visit:
    """One request: when it began and ended (time.time()), and what came of it."""

    began: float
    ended: float
    outcome: str


class Arrivals:
    """Visitors that come at a steady rate, each on a connection of its own, however long the ones before
    have to wait; until stop()."""

    def __init__(self, entry: Address, host: str, rate: float = 40, path: str = "/") -> None:
        self._entry, self._host, self._path = entry, host, path
        self._lock = threading.Lock()
        self._visits: list[Visit] = []
        self._under_way: list[threading.Thread] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._arrive, args=(1 / rate,), daemon=True)
        self._thread.start()

    def _arrive(self, gap: float) -> None:
        while not self._stop.wait(gap):
            visit = threading.Thread(target=self._visit, daemon=True)
            self._under_way = [t for t in self._under_way if t.is_alive()] + [visit]
            visit.start()

    def _visit(self) -> None:
        began = time.time()
        try:
            answer = visitor.get(self._entry, self._host, self._path)
            outcome = answer.text if answer.status == 200 else str(answer.status)
        except (OSError, visitor.http.client.HTTPException):
            outcome = "cut"
        with self._lock:
            self._visits.append(Visit(began, time.time(), outcome))

    def since(self, moment: float) -> list[Visit]:
        """Those that began at that time or later and have ended."""
        with self._lock:
            return [v for v in self._visits if v.began >= moment]

    def count(self, outcome: str, since: float = 0) -> int:
        return sum(v.outcome == outcome for v in self.since(since))

    def stop(self) -> list[Visit]:
        """Waits for those under way to end; all that ever came."""
        self._stop.set()
        self._thread.join()
        for visit in self._under_way:
            visit.join(2 * PATIENCE)
            assert not visit.is_alive(), "a visitor never came to an end"
        return self._visits
