"""Options and fixtures of the end-to-end tests.

    python3 -m pytest tests/e2e --adit=build/asan/adit          one daemon with itself
    python3 -m pytest tests/e2e --gost=PATH --peers=gost        with a real gost on either side
    python3 -m pytest tests/e2e --gost=PATH --peers=self        gost with itself: is the harness right?
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
from _pytest.runner import runtestprotocol

from harness.world import Pair, World

PEERS = {
    "adit": [Pair("adit", "adit")],
    "gost": [Pair("adit", "gost"), Pair("gost", "adit")],
    "self": [Pair("gost", "gost")],
}
# The exit status that CTest takes for "skipped" (SKIP_RETURN_CODE in tests/CMakeLists.txt).
SKIPPED = 77


# (Name, what failed) of each test that was tried again.
TRIED_AGAIN: pytest.StashKey[list[tuple[str, str]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRIED_AGAIN] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--adit", default=os.environ.get("ADIT", ""), help="the daemon under test (or $ADIT)")
    parser.addoption("--gost", default=os.environ.get("ADIT_GOST", ""),
                     help="a gost 3 (or $ADIT_GOST; else the one in PATH)")
    parser.addoption("--long", action="store_true", help="also what takes minutes")
    parser.addoption("--peers", default="adit", choices=sorted(PEERS), help="who talks to whom")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With other peers than adit alone only the tests run that are about both; the long ones when asked for."""
    peers, long = config.getoption("peers") != "adit", config.getoption("long")
    chosen = [i for i in items if not (peers and not i.get_closest_marker("peers"))
              and not (i.get_closest_marker("long") and not long)]
    config.hook.pytest_deselected(items=[i for i in items if i not in chosen])
    items[:] = chosen


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", PEERS[metafunc.config.getoption("peers")], ids=str)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that skipped all it had is told apart from one that passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    if exitstatus == 0 and stats.get("skipped") and not stats.get("passed"):
        session.exitstatus = SKIPPED


def pytest_runtest_protocol(item: pytest.Item, nextitem: Optional[pytest.Item]) -> bool:
    """A test that measures time on a machine that others use is judged by its second try, if all that failed
    is what the test itself expected. A daemon that ended badly, leaked or was reported by a sanitizer fails
    the end of the world (the teardown) and with it the test, at the first try."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if [r.when for r in reports if r.failed] == ["call"]:
        item.config.stash[TRIED_AGAIN].append((item.nodeid, reports[1].longreprtext))
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, text in terminalreporter.config.stash[TRIED_AGAIN]:
        terminalreporter.section(f"tried again: {name}")
        terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Where each program is that could be found."""
    asked = {name: request.config.getoption(name) for name in ("adit", "gost")}
    asked["gost"] = asked["gost"] or shutil.which("gost") or ""
    found = {name: Path(path).resolve() for name, path in asked.items() if path}
    for name, path in found.items():
        if not os.access(path, os.X_OK):
            pytest.exit(f"{name}: {path} is no program", returncode=2)
    return found


@pytest.fixture
def world(request: pytest.FixtureRequest, programs: dict[str, Path], tmp_path: Path) -> Iterator[World]:
    """What a test starts things in. Its end is part of the test."""
    pair = request.getfixturevalue("pair") if "pair" in request.fixturenames else PEERS["adit"][0]
    for name in {pair.server, pair.client} - set(programs):
        if name == "gost":
            pytest.skip("no gost here: put one in PATH or name it by ADIT_GOST")
        pytest.fail("no adit: --adit=PATH or ADIT")
    world = World(programs, tmp_path, pair)
    yield world
    world.end()
