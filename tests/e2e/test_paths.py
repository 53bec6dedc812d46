"""A client whose machine has two ways to the server, and loses the one it uses: in networks of the tests' own."""

from __future__ import annotations

import contextlib
from typing import Iterator

import pytest

from harness import body, namespaces
from harness.inside import Inside
from harness.namespaces import Network
from harness.world import REGISTERED, World, tunnel_id

SERVER = "10.9.0.1"
# What the network does to the way over a0, which the client prefers.
CHANGES = {
    "link": "ip link set a0 down",
    "address": "ip address del 10.1.0.2/24 dev a0",
    "route": f"ip route del {SERVER} via 10.1.0.1",
}


@contextlib.contextmanager
def two_ways() -> Iterator[tuple[Network, Network]]:
    """The client's network and the server's: over a0 and b0, or over a1 and b1."""
    with namespaces.network() as near, namespaces.network(near.enter) as far:
        near.up()
        far.up()
        far.run("ip", "address", "add", f"{SERVER}/32", "dev", "lo")
        for n in range(2):
            near.join(far, f"a{n}", f"b{n}")
            near.run("ip", "address", "add", f"10.{n + 1}.0.2/24", "dev", f"a{n}")
            far.run("ip", "address", "add", f"10.{n + 1}.0.1/24", "dev", f"b{n}")
            near.run("ip", "link", "set", f"a{n}", "up")
            far.run("ip", "link", "set", f"b{n}", "up")
            near.run("ip", "route", "add", SERVER, "via", f"10.{n + 1}.0.1", "metric", str(10 * (n + 1)))
        yield near, far


class Download:
    """A visitor of the server's entry point who gets the body of a site behind the client, and has read the
    first early bytes of it."""

    def __init__(self, world: World, pair, ways: tuple[Network, Network], length: int, early: int) -> None:
        near, far = ways
        self.length = length
        tunnel = tunnel_id()
        self.server = world.start("-L", f"tunnel+quic://{SERVER}:0?entrypoint=127.0.0.1:0&tunnel=app.local:{tunnel}",
                                  "-D", within=far.enter, name="server", program=pair.server)
        if pair.server == "gost":
            self.server.log.wait("^load items")      # its rules come after its ports
        site = world.keep(Inside(near.enter, "site"))
        self.client = world.client("quic", (SERVER, self.server.listening()[1]), tunnel,
                                   ("127.0.0.1", int(site.line())), registered=False, within=near.enter,
                                   flags=["-D"], connections=1)
        self.client.log.wait(REGISTERED)
        self.visitor = world.keep(Inside(far.enter, "visit", *self.server.entrypoint(), f"/bytes/{length}", early))
        assert self.visitor.line() == "begun"

    def arrives(self) -> bool:
        self.visitor.go_on()
        return self.visitor.line() == f"{self.length} {body.digest(self.length)}"


@pytest.mark.peers
@pytest.mark.parametrize("change", CHANGES)
def test_download_goes_on_over_another_way(world: World, pair, change):
    if pair.client == "gost":
        pytest.skip("about our client")
    with two_ways() as (near, far):
        download = Download(world, pair, (near, far), 48 << 20, 1 << 20)
        near.run(*CHANGES[change].split())
        download.client.log.wait(r"^quic session: moved from 10\.1\.0\.2 to 10\.2\.0\.2")
        assert download.arrives()
        assert far.received("b1") > download.length / 3
        assert download.client.log.count(REGISTERED) == 1
        for daemon, program in ((download.client, pair.client), (download.server, pair.server)):
            assert daemon.stop() == 0 or program == "gost"


@pytest.mark.parametrize("narrow", ["near", "far"])
def test_way_that_is_narrower_than_it_looks(world: World, pair, narrow):
    """What is longer than the other end of the cable takes is lost without a word, in one direction."""
    with two_ways() as (near, far):
        near.run("ip", "link", "set", "a0", "mtu", "1400" if narrow == "near" else "9000")
        far.run("ip", "link", "set", "b0", "mtu", "1400" if narrow == "far" else "9000")
        download = Download(world, pair, (near, far), 8 << 20, 1 << 20)
        assert download.arrives()
        assert far.received("b0") > download.length
        for daemon in (download.client, download.server):
            assert daemon.stop() == 0
