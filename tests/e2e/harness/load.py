"""Many visitors at once."""

from __future__ import annotations

import collections
import threading
from typing import Callable

from . import visitor
from .daemon import Address


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
    """Visitors that ask for one page again and again until stop(), each time on a new connection."""

    def __init__(self, entry: Address, host: str, visitors: int = 4) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self._entry, self._host = entry, host
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(visitors)]
        for thread in self._threads:
            thread.start()

    def _visit(self) -> None:
        while not self._stop.is_set():
            try:
                answer = visitor.get(self._entry, self._host)
                outcome = answer.text if answer.status == 200 else str(answer.status)
            except (OSError, visitor.http.client.HTTPException):
                outcome = "cut"
                self._stop.wait(0.01)
            with self._lock:
                self.outcomes[outcome] += 1

    def count(self, outcome: str) -> int:
        with self._lock:
            return self.outcomes[outcome]

    def stop(self) -> "collections.Counter[str]":
        """Ends the visitors: what they got, by the text of a 200, the status of others, or "cut"."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes
