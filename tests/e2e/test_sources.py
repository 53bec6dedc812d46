"""What CONTRIBUTING.md says of the sources and a compiler does not check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.pages import ROOT

COLUMNS = 100
PLUGINS = ("listeners/", "handlers/", "connectors/", "dialers/", "ingress/")
# What a folder's files may include of ours, itself aside: the first that matches counts.
MAY_INCLUDE = {
    "include/adit/": (),
    "core/wire/": ("adit/",),
    "core/runtime/": ("adit/",),
    "core/config/": ("adit/", "core/wire/"),
    "core/conn/ws": ("adit/", "core/runtime/", "core/wire/", "core/conn/", "core/http/"),  # it begins as HTTP/1.1
    "core/conn/": ("adit/", "core/runtime/", "core/wire/"),
    "core/mux/": ("adit/", "core/runtime/", "core/wire/", "core/conn/"),
    "core/http/h2": ("adit/", "core/runtime/", "core/wire/", "core/conn/", "core/http/",
                     "core/mux/h2/"),  # its session is the transport's
    "core/http/h3": ("adit/", "core/runtime/", "core/wire/", "core/conn/", "core/http/",
                     "core/mux/"),  # it goes over a session of QUIC
    "core/http/": ("adit/", "core/runtime/", "core/wire/", "core/conn/"),
    "core/source/": ("adit/", "core/runtime/", "core/wire/", "core/conn/", "core/config/", "core/http/"),
    "core/identity/": ("adit/", "core/runtime/", "core/wire/", "core/config/", "core/source/"),
    "core/tunnel/": ("adit/", "core/runtime/", "core/wire/", "core/conn/", "core/config/", "core/identity/", "core/mux/",
                     "core/http/", "core/source/"),
    "core/": ("adit/", "core/"),
    **{folder: ("adit/", "core/") for folder in PLUGINS},
    "plugins/": ("adit/", "core/"),
    "cmd/": ("adit/", "core/", "plugins/"),
}


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git, or no repository")
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_lines_fit():
    wide = [f"{name_of(path)}:{number}" for path in sources()
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if len(line.expandtabs(8)) > COLUMNS]
    assert wide == []


def test_includes_point_one_way():
    wrong = []
    for path in sources():
        name = name_of(path)
        folder = next((f for f in MAY_INCLUDE if name.startswith(f)), None)
        if folder is None:
            continue
        itself = "adit/" if folder == "include/adit/" else folder
        for included in re.findall(r'^#\s*include [<"]([^>"]+)[>"]', path.read_text(), re.M):
            ours = included.startswith(("adit/", *MAY_INCLUDE))
            if ours and not included.startswith((itself, *MAY_INCLUDE[folder])):
                wrong.append(f"{name} includes {included}")
    assert wrong == []


def test_plugins_have_no_headers():
    """The only thing a plugin exports is its table: another one has nothing to include."""
    assert [name_of(p) for p in sources() if p.suffix == ".h" and name_of(p).startswith(PLUGINS)] == []


def test_guards_of_headers():
    """One form, and each its own: two headers with the same guard hide each other."""
    guards: dict[str, str] = {}
    for path in sources():
        if path.suffix != ".h":
            continue
        found = re.search(r"^#ifndef (ADIT_\w+_H)\n#define \1$", path.read_text(), re.M)
        assert found, name_of(path)
        assert found[1] not in guards, (name_of(path), guards[found[1]])
        guards[found[1]] = name_of(path)
