"""A real process under test: started with arguments or a configuration, watched by its log, ended and
judged at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence

from .waiting import PATIENCE

Address = tuple[str, int]

# What a sanitizer prints before anything else of a report.
REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


@dataclass
class Event:
    """One line of a log. What is no JSON object (a sanitizer's report, usage) has level "" only."""

    line: str
    level: str = ""
    msg: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, line: str) -> "Event":
        try:
            fields = json.loads(line)
        except ValueError:
            return cls(line)
        if not isinstance(fields, dict):
            return cls(line)
        return cls(line, str(fields.get("level", "")), str(fields.get("msg", "")), fields)


class Log:
    """The standard error of a process, read as it comes; a copy stays in the test's folder."""

    def __init__(self, stream: Any, copy: Path) -> None:
        self.events: list[Event] = []
        self.ended = False
        self._more = threading.Condition()
        self._copy = open(copy, "w")
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._copy.write(line)
            with self._more:
                self.events.append(Event.parse(line.rstrip("\n")))
                self._more.notify_all()
        stream.close()
        self._copy.close()
        with self._more:
            self.ended = True
            self._more.notify_all()

    def wait(self, match: "str | Callable[[Event], bool]", since: int = 0, limit: float = PATIENCE) -> Event:
        """The first event from number since on that matches: a function, or a pattern in its message."""
        test = match if callable(match) else lambda e, p=re.compile(match): bool(p.search(e.msg))
        seen = since
        end = time.monotonic() + limit
        with self._more:
            while True:
                for event in self.events[seen:]:
                    if test(event):
                        return event
                seen = len(self.events)
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "the process ended" if self.ended else f"not within {limit:g} s"
                    raise AssertionError(f"{why}: log line {match}\n{self.text()}")
                self._more.wait(left)

    def mark(self) -> int:
        """The number of the next event: what wait(since=) takes."""
        return len(self.events)

    def count(self, pattern: str) -> int:
        return sum(1 for e in self.events if re.search(pattern, e.msg))

    def join(self) -> None:
        self._reader.join(PATIENCE)

    def text(self) -> str:
        return "\n".join(e.line for e in self.events)


def address(text: str) -> Address:
    """The last HOST:PORT in text, as "listening on 127.0.0.1:8443/tcp" has it."""
    host, port = re.findall(r"([0-9.]+|\[[0-9a-f:]+\]):(\d+)", text)[-1]
    return host.strip("[]"), int(port)


class Daemon:
    """One running program. Its folder is its working directory and its home."""

    def __init__(self, program: Path, args: list[str], folder: Path, name: str,
                 within: Sequence[str] = ()) -> None:
        self.program, self.args, self.folder, self.name = program, args, folder, name
        self.must_end_well = True
        self._out = open(folder / f"{name}.out", "wb+")
        self._process = subprocess.Popen(
            [*within, str(program), *args],
            cwd=folder,
            env={**os.environ, **SANITIZERS, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.log = Log(self._process.stderr, folder / f"{name}.log")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def status(self) -> Optional[int]:
        return self._process.poll()

    def listening(self, service: str = "service-0") -> Address:
        """Where a service listens. Waits for its line in the log."""
        event = self.log.wait(
            lambda e: e.msg.startswith("listening on ") and e.fields.get("service") == service
        )
        return address(event.msg)

    def entrypoint(self, service: str = "service-0") -> Address:
        """Where the public entry point of a tunnel service listens."""
        event = self.log.wait(
            lambda e: e.msg.startswith("entrypoint: ") and e.fields.get("service") == service
        )
        return address(event.msg)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def resident(self) -> int:
        """Bytes of its memory that are in use, kernel buffers not among them."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"^VmRSS:\s+(\d+) kB", text, re.M)[0]) << 10

    def freeze(self) -> None:
        """Stops it where it stands; its kernel goes on without it. The signal only asks: it stands once each
        of its threads does."""
        self.send(signal.SIGSTOP)
        end = time.monotonic() + PATIENCE
        while any(state != "T" for state in self._thread_states()):
            assert time.monotonic() < end, f"{self.name} does not stop"
            time.sleep(0.001)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it as a crash would; what it leaves behind is not judged."""
        self.must_end_well = False
        self._end_group()
        self._process.wait(PATIENCE)

    def wait(self, limit: float = PATIENCE) -> int:
        """Its exit status, once it has ended by itself."""
        try:
            status = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {limit:g} s\n{self.log.text()}") from None
        self.log.join()
        return status

    def stop(self, limit: float = PATIENCE) -> int:
        """SIGTERM, then its exit status."""
        if self.running:
            self.thaw()
            self.send(signal.SIGTERM)
        return self.wait(limit)

    def output(self) -> str:
        self._out.flush()
        self._out.seek(0)
        return self._out.read().decode(errors="replace")

    def end(self) -> None:
        """Ends it if it still runs and fails if anything about it was not as it should be."""
        try:
            if self.running:
                self.stop()
        finally:
            self._end_group()
            self._process.wait(PATIENCE)
            self.log.join()
        faults = [e.line for e in self.log.events if REPORT.search(e.line)]
        if self.must_end_well and self.status != 0:
            faults.insert(0, f"exit status {self.status}")
        if self.must_end_well:
            faults += [e.line for e in self.log.events if e.level == "fatal"]
        self._out.close()
        if faults:
            raise AssertionError(f"{self.name}: {faults[0]}\n{self.log.text()}")

    def _thread_states(self) -> Iterator[str]:
        """The state letter of each thread, of proc(5): "T" is stopped."""
        for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            yield stat.read_text().rpartition(")")[2].split()[0]

    def _end_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
