"""scripts/setup on systems that are not there: apt, pkg-config and the rest are scripts of the test's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TOOLS = "awk basename bash cat cut dirname env grep head mkdir mktemp mv rm sed sort tail tr".split()

MODULES = {
    "gnutls": "3.7.9", "libevent_core": "2.1.12", "yaml-0.1": "0.2.5", "uuid": "2.38", "libnghttp2": "1.52.0",
    "libxcrypt": "4.4.33",
    "libpcre2-8": "10.42", "jansson": "2.14", "libngtcp2": "1.11.0", "libngtcp2_crypto_gnutls": "1.11.0", "libnghttp3": "1.8.0", "cmocka": "1.1.7",
    "libllhttp": "9.2.1",
}
PACKAGES = {
    "libgnutls28-dev": "3.7.9-2", "libevent-dev": "2.1.12-stable-8", "libyaml-dev": "0.2.5-1", "uuid-dev": "2.38.1-5",
    "libnghttp2-dev": "1.52.0-1+deb12u3", "libpcre2-dev": "10.42-1", "libjansson-dev": "2.14-2", "libcrypt-dev": "1:4.4.33-2",
    "libngtcp2-dev": "1.11.0-1", "libngtcp2-crypto-gnutls-dev": "1.11.0-1", "libnghttp3-dev": "1.8.0-1",
    "libcmocka-dev": "1.1.7-1", "libllhttp-dev": "9.2.1-1", "gcc": "4:12.2.0-3", "clang": "1:14.0-55", "curl": "7.88.1-10",
}

PKG_CONFIG = """
case $1 in
--version) echo 1.8.1 ;;
--exists) grep -q "^$2 " "$WORLD/modules" ;;
--atleast-version=*)
    have=$(sed -n "s/^$2 //p" "$WORLD/modules" | tail -n 1); [ -n "$have" ] || exit 1
    [ "$(printf '%s\\n' "$have" "${1#*=}" | sort -V | head -n 1)" = "${1#*=}" ] ;;
esac
"""
APT_CACHE = """
case $1 in
policy) sed -n "s/^$2 \\([^ ]*\\).*/  Candidate: \\1/p" "$WORLD/archive" ;;
madison) sed -n "s/^$2 //p" "$WORLD/archive" | tr ' ' '\\n' | sed "s/.*/ $2 | & | archive/" ;;
esac
"""
# What is installed is there afterwards.
APT_GET = """
echo "$*" >>"$WORLD/calls"
case " $* " in
*" install "*) cat "$WORLD/installs" >>"$WORLD/modules" ;;
*" download "*) exit 100 ;;
esac
"""
TEE = """
echo "tee $*" >>"$WORLD/calls"
cat
[ ! -e "$WORLD/backports" ] || cat "$WORLD/backports" >"$WORLD/archive"
"""


@dataclass
class System:
    """A machine as scripts/setup sees it."""

    folder: Path
    codename: str = "trixie"
    modules: dict[str, str] = field(default_factory=lambda: dict(MODULES))
    archive: dict[str, str] = field(default_factory=lambda: dict(PACKAGES))
    installs: dict[str, str] = field(default_factory=dict)
    uid: int = 0

    def __post_init__(self) -> None:
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        shutil.copytree(SCRIPTS, self.folder / "tree" / "scripts")
        for name in TOOLS:
            path = shutil.which(name)
            assert path, name
            (self.bin / name).symlink_to(path)
        for name in ("gcc", "ninja", "curl", "openssl", "python3", "clang"):
            self.fake(name, "echo 99.9")
        self.fake("cmake", "echo cmake version 3.28.0")
        self.fake("pkg-config", PKG_CONFIG)
        self.fake("apt-cache", APT_CACHE)
        self.fake("apt-get", APT_GET)
        self.fake("tee", TEE)

    def fake(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def without(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink()

    def setup(self, *args: str) -> "subprocess.CompletedProcess[str]":
        for name, rows in (("modules", self.modules), ("archive", self.archive), ("installs", self.installs)):
            (self.folder / name).write_text("".join(f"{k} {v}\n" for k, v in rows.items()))
        (self.folder / "os-release").write_text(f"VERSION_CODENAME={self.codename}\n")
        self.fake("id", f"echo {self.uid}")
        return subprocess.run(
            ["/bin/bash", str(self.folder / "tree/scripts/setup"), *args], capture_output=True, text=True, timeout=60,
            check=False, stdin=subprocess.DEVNULL,
            env={"PATH": str(self.bin), "WORLD": str(self.folder), "OS_RELEASE": str(self.folder / "os-release")})

    @property
    def calls(self) -> str:
        path = self.folder / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_nothing_is_done_where_all_is_there(system: System):
    system.uid = 1000
    done = system.setup("--demo")
    assert (done.returncode, done.stdout, done.stderr, system.calls) == (0, "", "", "")


def test_what_is_missing_is_installed(system: System):
    for name in ("libngtcp2", "libnghttp3"):
        system.installs[name] = system.modules.pop(name)
    done = system.setup("--demo")
    assert done.returncode == 0, done.stderr
    update, install = system.calls.splitlines()
    assert update.endswith("update")
    assert install.endswith("--no-install-recommends install libngtcp2-dev libnghttp3-dev")


def test_an_older_version_is_not_enough(system: System):
    system.modules["libngtcp2"] = "1.2.0"
    system.installs["libngtcp2"] = "1.11.0"
    done = system.setup("--demo")
    assert "libngtcp2 (libngtcp2-dev >= 1.11)" in done.stdout
    assert "install libngtcp2-dev" in system.calls


@pytest.mark.parametrize("version, says", [("0.12.1+dfsg-1", "is 0.12.1+dfsg-1"), (None, "is not there")])
def test_what_the_archive_lacks_is_named_and_nothing_is_installed(system: System, version, says):
    system.codename = "noble"
    del system.modules["libngtcp2"], system.modules["libnghttp3"]
    if version:
        system.archive["libngtcp2-dev"] = version
    else:
        del system.archive["libngtcp2-dev"]
    done = system.setup("--demo")
    assert done.returncode == 1
    assert f"libngtcp2 >= 1.11: libngtcp2-dev {says}\n" in done.stderr
    assert "libnghttp3" not in done.stderr
    assert "nothing was installed" in done.stderr
    assert " install " not in system.calls


def test_debian_12_gets_ngtcp2_from_backports(system: System):
    system.codename = "bookworm"
    del system.modules["libngtcp2"]
    system.installs["libngtcp2"] = "1.11.0"
    old = system.archive["libngtcp2-dev"] = "0.12.1+dfsg-1"
    more = {**system.archive, "libngtcp2-dev": f"{old} 1.11.0-1~bpo12+1"}
    (system.folder / "backports").write_text("".join(f"{k} {v}\n" for k, v in more.items()))
    done = system.setup("--demo")
    assert done.returncode == 0, done.stderr
    assert "tee /etc/apt/sources.list.d/bookworm-backports.list" in system.calls
    assert "install libngtcp2-dev/bookworm-backports" in system.calls
    assert system.calls.index("tee ") < system.calls.index("install ")


def test_backports_are_added_to_debian_12_only(system: System):
    system.codename = "noble"
    del system.modules["libngtcp2"]
    system.archive["libngtcp2-dev"] = "0.12.1"
    assert system.setup("--demo").returncode == 1
    assert "tee" not in system.calls


def test_a_system_without_apt_is_told_what_to_install(system: System):
    system.without("apt-get")
    system.modules["gnutls"] = "3.6.0"
    done = system.setup("--demo")
    assert done.returncode == 1
    assert "no apt here; install by hand: gnutls (libgnutls28-dev >= 3.7.2)\n" in done.stderr


def test_without_rights_it_is_said_what_to_install(system: System):
    system.uid = 1000
    del system.modules["cmocka"]
    done = system.setup("--demo")
    assert done.returncode == 1
    assert "neither root nor sudo; install by hand: cmocka (libcmocka-dev >= 1.1.5)\n" in done.stderr
    assert system.calls == ""


def test_an_installation_that_did_not_help_is_a_failure(system: System):
    del system.modules["libngtcp2"]
    done = system.setup("--demo")
    assert done.returncode == 1
    assert "still missing after the installation: libngtcp2 1.11 libngtcp2-dev\n" in done.stderr


def test_an_old_cmake_is_not_enough(system: System):
    system.without("apt-get")
    system.fake("cmake", "echo cmake version 3.22.1")
    assert "cmake (cmake >= 3.25)" in system.setup("--demo").stderr


def test_wrong_usage(system: System):
    done = system.setup("--frobnicate")
    assert done.returncode == 1
    assert done.stderr == "setup: usage: scripts/setup [--demo|--bench]\n"


def test_demo_that_is_kept_goes_on(programs: dict[str, Path], tmp_path: Path):
    done = subprocess.run([SCRIPTS / "demo", "--keep"], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "ADIT": str(programs["adit"]), "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    kept = re.search(r"\(processes ([\d ]+), files in (\S+)\)", done.stdout)
    again = re.search(r"fetch again +(curl .*)", done.stdout)
    assert kept and again, done.stdout
    try:
        fetched = subprocess.run(["/bin/sh", "-c", f"{again[1]} --fail --silent --max-time 20"], capture_output=True,
                                 text=True, timeout=60, check=False)
        assert fetched.returncode == 0 and "app.local" in fetched.stdout
    finally:
        for process in map(int, kept[1].split()):
            os.kill(process, signal.SIGTERM)
    assert Path(kept[2]).is_dir() and list(Path(kept[2]).glob("*.log"))
