"""What `cmake --install` puts where, and that it works from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.pages import EXAMPLES, ROOT
from harness.world import Pair, World

HEADERS = sorted(p.name for p in (ROOT / "include" / "adit").glob("*.h"))


@pytest.fixture(scope="module")
def staged(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix, inside a folder that took the place of the root."""
    build, cmake = programs["adit"].parent, shutil.which("cmake")
    if not cmake or not (build / "cmake_install.cmake").exists():
        pytest.skip(f"nothing to install from: no cmake, or {build} is no build folder")
    root = tmp_path_factory.mktemp("root")
    subprocess.run([cmake, "--install", build], env={**os.environ, "DESTDIR": str(root)}, check=True,
                   stdout=subprocess.DEVNULL)
    prefix = re.search(r"^CMAKE_INSTALL_PREFIX:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M)
    assert prefix
    return root / prefix[1].lstrip("/")


@pytest.mark.short
def test_everything_has_its_place(staged: Path):
    installed = {p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file()}
    assert installed == {
        "bin/adit",
        "share/man/man1/adit.1",
        "lib/systemd/system/adit.service",
        "lib/sysusers.d/adit.conf",
        *(f"share/doc/adit/examples/{p.name}" for p in EXAMPLES.iterdir()),
        *(f"include/adit/{name}" for name in HEADERS),
    }


@pytest.mark.short
def test_the_unit_names_the_installed_program(staged: Path):
    unit = (staged / "lib/systemd/system/adit.service").read_text()
    named = set(re.findall(r"^Exec(?:Start|StartPre)=(\S+)", unit, re.M))
    assert len(named) == 1 and str(staged).endswith(str(Path(named.pop()).parents[1]))


@pytest.mark.short
def test_the_installed_program_runs(staged: Path, tmp_path: Path):
    world = World({"adit": staged / "bin" / "adit"}, tmp_path, Pair("adit", "adit"))
    world.start("-L", "tcp://127.0.0.1:0/127.0.0.1:9").listening()
    world.end()


@pytest.mark.parametrize("compiler, standard", [("cc", "c11"), ("c++", "c++11")])
@pytest.mark.parametrize("header", HEADERS)
def test_a_public_header_stands_alone(staged: Path, tmp_path: Path, compiler: str, standard: str, header: str):
    """Against nothing but the installed headers and the C library, with its extensions off."""
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    source = tmp_path / ("use.c" if compiler == "cc" else "use.cc")
    source.write_text(f"#include <adit/{header}>\nint main() {{ return 0; }}\n")
    subprocess.run([compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                    f"-I{staged / 'include'}", source], check=True)
