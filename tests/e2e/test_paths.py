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


@pytest.mark.peers
@pytest.mark.parametrize("change", CHANGES)
def test_download_goes_on_over_another_way(world: World, pair, change):
    if pair.client == "gost":
        pytest.skip("about our client")
    length, early = 48 << 20, 1 << 20
    with two_ways() as (near, far):
        tunnel = tunnel_id()
        server = world.start("-L", f"tunnel+quic://{SERVER}:0?entrypoint=127.0.0.1:0&tunnel=app.local:{tunnel}",
                             "-D", within=far.enter, name="server", program=pair.server)
        if pair.server == "gost":
            server.log.wait("^load items")      # its rules come after its ports
        site = world.keep(Inside(near.enter, "site"))
        client = world.client("quic", (SERVER, server.listening()[1]), tunnel, ("127.0.0.1", int(site.line())),
                              registered=False, within=near.enter, flags=["-D"], connections=1)
        client.log.wait(REGISTERED)
        visitor = world.keep(Inside(far.enter, "visit", *server.entrypoint(), f"/bytes/{length}", early))
        assert visitor.line() == "begun"
        near.run(*CHANGES[change].split())
        client.log.wait(r"^quic session: moved from 10\.1\.0\.2 to 10\.2\.0\.2")
        visitor.go_on()
        assert visitor.line() == f"{length} {body.digest(length)}"
        assert far.received("b1") > length / 3
        assert client.log.count(REGISTERED) == 1
        for daemon, program in ((client, pair.client), (server, pair.server)):
            assert daemon.stop() == 0 or program == "gost"
