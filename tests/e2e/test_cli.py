"""The command line: what it prints, what it refuses, and with which exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.world import World, at

GOOD = """\
services:
- name: web
  addr: 127.0.0.1:0
  handler:
    type: tcp
  listener:
    type: tcp
  forwarder:
    nodes:
    - name: target
      addr: 127.0.0.1:9
"""


@pytest.mark.short
def test_version(world: World):
    daemon = world.run("-V")
    assert daemon.status == 0
    assert re.match(r"adit \d+\.\d+\.\d+", daemon.output())


@pytest.mark.short
@pytest.mark.parametrize("args", [("help",), ("-h",), ("--help",)])
def test_help(world: World, args):
    daemon = world.run(*args)
    assert daemon.status == 0
    text = daemon.output() + daemon.log.text()
    assert all(word in text for word in ("-L", "-F", "-C", "check", "list", "help"))


@pytest.mark.parametrize("kind, name, option", [
    ("listener", "quic", "maxIdleTimeout"),
    ("handler", "tunnel", "entrypoint"),
    ("connector", "tunnel", "tunnel.weight"),
    ("dialer", "tls", "handshakeTimeout"),
])
def test_help_of_a_plugin_shows_its_options(world: World, kind, name, option):
    daemon = world.run("help", kind, name)
    assert daemon.status == 0 and option in daemon.output()


def test_help_of_what_does_not_exist(world: World):
    daemon = world.run("help", "listener", "nonesuch")
    assert daemon.status == 2 and "nonesuch" in daemon.log.text()


@pytest.mark.short
def test_list(world: World):
    daemon = world.run("list")
    text = daemon.output()
    assert daemon.status == 0
    for kind, names in {"listener": "tcp tls quic rtcp", "handler": "tunnel rtcp tcp",
                        "connector": "tunnel", "dialer": "tcp tls quic"}.items():
        assert kind in text
        assert all(re.search(rf"\b{name}\b", text) for name in names.split())


def test_a_worker_for_each_core(world: World):
    def workers(*flags: str) -> int:
        daemon = world.start("-L", "tcp://127.0.0.1:0/127.0.0.1:9", *flags)
        daemon.listening("service-0")
        names = [path.read_text() for path in Path(f"/proc/{daemon.pid}/task").glob("*/comm")]
        return sum(re.fullmatch(r"adit/\d+\n", name) is not None for name in names)

    assert workers() == os.cpu_count()
    assert workers("--workers", "3") == 3


@pytest.mark.short
def test_json_is_a_configuration_too(world: World):
    """As a file, as an argument, and printed."""
    text = '{"services": [{"name": "web", "addr": "127.0.0.1:0", "handler": {"type": "tcp"}, ' \
           '"listener": {"type": "tcp"}, "forwarder": {"nodes": [{"addr": "127.0.0.1:9"}]}}]}'
    path = world.write("good.json", text)
    assert world.run("check", str(path)).status == 0
    assert world.run("check", text).status == 0
    printed = world.run("-C", str(path), "-O", "json")
    assert printed.status == 0
    assert json.loads(printed.output()) == json.loads(text)
    assert world.run("check", str(world.write("bad.json", text.replace('"tcp"', '"ptc"', 1)))).status == 2


def test_configuration_from_standard_input(world: World, programs: "dict[str, Path]"):
    def check(text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([programs["adit"], "check", "-"], input=text, capture_output=True, text=True,
                              timeout=60, check=False)

    assert check(GOOD).returncode == 0
    wrong = check(GOOD.replace("type: tcp", "type: nonesuch", 1))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("stdin:5:11: ")


@pytest.mark.short
def test_check_of_a_good_file(world: World):
    path = world.write("good.yaml", GOOD)
    daemon = world.run("check", str(path))
    assert daemon.status == 0
    assert daemon.log.count("listening on") == 0, "nothing is started"


BAD = [
    ("services: [\n", r":\d+:\d+: "),
    ("services:\n  - name: a\n\tbad: tab\n", r":3:\d+: "),
    (GOOD.replace("type: tcp", "type: nonesuch", 1), r":5:11: .*nonesuch"),
    (GOOD.replace("127.0.0.1:0", "127.0.0.1:99999"), r":3:9: .*99999"),
    (GOOD.replace("  handler:\n", "  handelr:\n"), r":4:3: .*handelr"),
    (GOOD.replace("  handler:\n    type: tcp", "  handler: tcp"), r":4:12: "),
    (GOOD.replace("type: tcp", "type: tcp\n    chain: nowhere", 1), r":6:12: .*nowhere"),
    (GOOD.replace("type: tcp", "type: tcp\n    metadata:\n      readTimeout: soon", 1), r":7:20: .*soon"),
    (GOOD + GOOD.replace("services:\n", ""), r":12:9: .*web"),
    (GOOD + "---\n" + GOOD, r":12:1: a second document"),
]


@pytest.mark.short
@pytest.mark.parametrize("text, said", BAD)
@pytest.mark.parametrize("args", [("check",), ("-C",)])
def test_wrong_file_is_refused_with_its_place(world: World, args, text, said):
    """FILE:LINE:COLUMN: what is wrong; exit status 2, whether checked or started."""
    path = world.write("bad.yaml", text)
    daemon = world.run(*args, str(path))
    assert daemon.status == 2
    assert re.search(r"bad\.yaml" + said, daemon.log.text())


def test_all_errors_are_told_at_once(world: World):
    text = GOOD.replace("type: tcp", "type: nonesuch", 1).replace("127.0.0.1:0", "127.0.0.1:99999")
    daemon = world.run("check", str(world.write("bad.yaml", text)))
    assert daemon.status == 2
    assert "99999" in daemon.log.text() and "nonesuch" in daemon.log.text()


@pytest.mark.parametrize("args, said", [
    (("-Z",), "-Z"),
    (("-stat-dir", "x"), '-stat-dir, did you mean "-state-dir"?'),
    (("chek",), 'chek, did you mean "check"?'),
    (("tcp://web:ab@:0",), "tcp://web:**@:0"),
    (("help", "listener", "qiuc"), 'no listener qiuc, did you mean "quic"?'),
    (("-L",), "-L"),
    (("-C", "/nonexistent.yaml"), "open /nonexistent.yaml: No such file or directory"),
    (("-C", "/no/such"), "open /no/such: No such file or directory"),
    (("-C", "/dev/null"), '/dev/null: unknown configuration format ""'),
    (("-L", "tunnel://:0?readTimeout=99999999999h"), ':25: expected 0s to 2562047h47m16.854775807s, not'),
    (("-L", "tunnel://:0?listener.entrypoint=:0"), ':13: this key belongs to the handler'),
    (("-L", "tunnel+tls://:0?ca=ca.pem"), ':20: caFile without a certFile'),
    (("-L", "tcp://127.0.0.1:0/127.0.0.1:%zz"), '":29: bad escape in the path'),
    (("-L", "tcp://127.0.0.1:0?ttl=%zz"), '":23: bad escape in a parameter'),
    (("-F", "tunnel://%zz:1", "-L", "rtcp://:0/127.0.0.1:1"), '":10: an escape in the host'),
    (("-L", "tcp://127.0.0.1:0?keepalive=1&keepalive=0"), '":31: parameter "keepalive" stands here twice'),
    (("-L", "tcp://127.0.0.1:99999"), "99999"),
    (("-L", "tcp://127.0.0.1:0", "-F", "tunnel://127.0.0.1:x"), "127.0.0.1:x"),
    (("-L", "rtcp://:0/127.0.0.1:1", "-F", "tunnel://127.0.0.1:1?tunnel.id=abc"), "abc"),
    (("-L", "tunnel://:0?tunnel=a.local:abc"), ':20: not a tunnel id (a UUID): "abc"'),
    (("-L", "tunnel://:0?entrypoint.trustedProxies=x"), ':39: expected an address or a network, not "x"'),
    (("-L", "tunnel://web:a/b@:0"), '":15: "/" ends the host; in a password it is written %2F'),
    (("-L", "tunnel//web:ab@:0"), '":7: no ":" before "//"'),
])
def test_wrong_arguments_are_refused(world: World, args, said):
    daemon = world.run(*args)
    assert daemon.status == 2
    assert said in daemon.log.text()


def test_bad_line_of_a_rules_file_is_told_with_its_place_once(world: World):
    world.write("rules.txt", "a.local ac74d9dd-3125-442a-a7c1-f9e49e05faca\nb.local\n")
    text = GOOD + "ingresses:\n- name: hosts\n  file:\n    path: rules.txt\n"
    daemon = world.run("check", str(world.write("rules.yaml", text)))
    assert daemon.status == 2
    assert re.fullmatch(
        r'\S*rules\.yaml:15:11: ingresses\[0\]: rules\.txt: line 2: expected "host tunnel-id"\n'
        r"   15 \|     path: rules\.txt\n      \|           \^", daemon.log.text())


@pytest.mark.short
@pytest.mark.parametrize("text, place", [
    ("", ":1:1: "), ("# nothing\n", ":2:1: "), ("services: []\n", ":1:11: services"),
    ("log:\n  level: info\n", ":1:1: services")])
def test_nothing_to_start_is_an_error(world: World, text, place):
    path = world.write("idle.yaml", text)
    for args in (("check",), ("-C",)):
        daemon = world.run(*args, str(path))
        assert daemon.status == 2
        assert re.match(r"\S*idle\.yaml" + place, daemon.log.text())
        assert "nothing would be started" in daemon.log.text()


def test_nothing_in_one_source_is_fine_where_another_has_services(world: World):
    empty, good = str(world.write("idle.yaml", "")), str(world.write("good.yaml", GOOD))
    assert world.run("check", "-C", empty, "-L", "tcp://127.0.0.1:0/127.0.0.1:9").status == 0
    assert world.run("check", empty, good).status == 0
    assert world.run("-C", empty, "-O", "yaml").status == 0, "printing starts nothing anyway"


def test_line_that_hides_another_in_a_rules_file_is_told(world: World):
    uuid = "ac74d9dd-3125-442a-a7c1-f9e49e05faca"
    rules = world.write("rules.txt", f"a.local {uuid}\n# ours\nA.local {uuid}\n")
    daemon = world.start(config=GOOD + "ingresses:\n- name: hosts\n  file:\n    path: rules.txt\n")
    daemon.listening("web")
    [said] = [e for e in daemon.log.events if e.level == "warn"]
    assert said.msg == f"{rules.name}: line 3 has the host of line 1, whose rule does not count"
    assert said.fields["ingress"] == "hosts"


def test_line_that_hides_another_in_a_password_file_is_told(world: World):
    users = world.write("users.txt", "ann one\n# ours\nbob two\nann three\n")
    daemon = world.start(config=GOOD.replace("type: tcp", "type: http\n    auther: ours", 1) +
                         "authers:\n- name: ours\n  file:\n    path: users.txt\n")
    daemon.listening("web")
    [said] = [e for e in daemon.log.events if e.level == "warn"]
    assert said.msg == f"{users.name}: line 4 has the user of line 1, whose password does not count"
    assert said.fields["auther"] == "ours"


UNMADE = """\
services:
- name: far
  addr: :0
  handler:
    type: rtcp
  listener:
    type: rtcp
- name: near
  addr: 127.0.0.1:0
  observer: some
  handler:
    type: tunnel
    auther: users
    metadata:
      entrypoints:
      - addr: 127.0.0.1:0
      - addr: 127.0.0.1:http
  listener:
    type: tls
    tls: {certFile: none.pem, keyFile: none.key}
observers:
- name: some
# none is made in this build
authers:
- name: users
  file:
    path: none.users
chains:
- name: out
  hops:
  - name: only
    nodes:
    - addr: 127.0.0.1:1
      connector:
        type: tunnel
      dialer:
        type: tls
        tls:
          secure: true
          caFile: none.ca
"""
UNMADE_SAID = """\
:7:5: services[0].listener: listener rtcp needs a chain (-F)
    7 |     type: rtcp
      |     ^
:10:13: services[1].observer: observer is not available in this build
   10 |   observer: some
      |             ^
:17:15: services[1].handler.metadata: entrypoints[1].addr: not an address: "127.0.0.1:http"
   17 |       - addr: 127.0.0.1:http
      |               ^
:20:21: services[1].listener: tls: none.pem: No such file or directory
   20 |     tls: {certFile: none.pem, keyFile: none.key}
      |                     ^
:27:11: authers[0]: none.users: No such file or directory
   27 |     path: none.users
      |           ^
:40:19: chains[0].hops[0].nodes[0].dialer: tls: none.ca: No such file or directory
   40 |           caFile: none.ca
      |                   ^"""


@pytest.mark.short
@pytest.mark.parametrize("args", [("check",), ("-C",)])
def test_what_cannot_be_made_is_told_with_its_place_at_once(world: World, args):
    """It reads well, and what it asks for is not there: said as any other mistake, nothing started."""
    path = world.write("unmade.yaml", UNMADE)
    daemon = world.run(*args, str(path))
    assert daemon.status == 2
    assert daemon.log.text() == UNMADE_SAID.replace("\n:", f"\n{path}:").replace(":7:5", f"{path}:7:5", 1)


@pytest.mark.parametrize("args, said", [
    (("-L", "rtcp://:0/127.0.0.1:1"), '-L "rtcp://:0/127.0.0.1:1":1: listener rtcp needs a chain (-F)'),
    (("-L", "tls://127.0.0.1:0/127.0.0.1:1?certFile=no.pem&keyFile=no.key"),
     ':40: tls: no.pem: No such file or directory'),
    (("-L", "tcp://127.0.0.1:0/127.0.0.1:1", "-L", "tcp://127.0.0.1:0/127.0.0.1:1?preUp=3s"),
     '?preUp=3s":37: preUp is not available in this build'),
    (("-L", "rtcp://:0/127.0.0.1:1", "-F", "tunnel+tls://127.0.0.1:1?tunnel.id="
      "ac74d9dd-3125-442a-a7c1-f9e49e05faca&secure=true&caFile=no.ca"), ':92: tls: no.ca: No such file or directory'),
])
def test_what_cannot_be_made_of_arguments_is_told_with_its_place(world: World, args, said):
    daemon = world.run(*args)
    assert daemon.status == 2
    assert said in daemon.log.text()


def test_port_in_use_is_fatal(world: World):
    taken = world.serve(lambda conn: None)
    url = f"tcp://{at(taken.address)}/127.0.0.1:9"
    daemon = world.run("-L", url)
    assert daemon.status == 1
    fatal = [e for e in daemon.log.events if e.level == "fatal"]
    assert [e.msg.split(": ")[:2] for e in fatal] == [[f'-L "{url}":7', f"listen tcp {at(taken.address)}"]]
    assert fatal[0].fields["line"] == url


@pytest.mark.parametrize("check", [("check",), ("-C",)])
def test_one_address_twice_is_refused_with_both_places(world: World, check):
    path = world.write("twice.yaml", """\
services:
- name: one
  addr: 127.0.0.1:4430
  handler: {type: tunnel, metadata: {entrypoint: "127.0.0.1:8080"}}
  listener: {type: quic}
- name: two
  addr: 127.0.0.1:8080
  handler: {type: tunnel}
  listener: {type: tls}
- name: three
  addr: ":04430"
  handler: {type: tunnel}
  listener: {type: quic, tls: {certFile: none.pem, keyFile: none.key}}
- name: four
  addr: 127.0.0.1:4430
  handler: {type: tunnel, metadata: {entrypoint: "[::ffff:127.0.0.1]:8080"}}
""")
    daemon = world.run(*check, str(path))
    said = re.findall(r"twice\.yaml:(\d+:\d+): (\S+) (\S+) (\S+) is taken by (\S+) \S+twice\.yaml:(\d+:\d+)",
                      daemon.log.text())
    assert daemon.status == 2
    assert said == [
        ("7:9", "services[1].addr:", "tcp", "127.0.0.1:8080", "services[0].handler.metadata.entrypoint,", "4:50"),
        ("11:9", "services[2].addr:", "udp", ":04430", "services[0].addr,", "3:9"),
        ("16:50", "services[3].handler.metadata.entrypoint:", "tcp", "[::ffff:127.0.0.1]:8080",
         "services[0].handler.metadata.entrypoint,", "4:50"),
    ]
    assert "none.pem: No such file or directory" in daemon.log.text(), "nor does one mistake hide the other"


def test_one_address_twice_in_arguments_is_refused_with_both_places(world: World):
    daemon = world.run("-L", "tunnel+tls://127.0.0.1:4430", "-L", "tunnel://:4430?entrypoint=127.0.0.1:4430")
    assert daemon.status == 2
    assert ('-L "tunnel://:4430?entrypoint=127.0.0.1:4430":27: tcp 127.0.0.1:4430 is taken by '
            '-L "tunnel+tls://127.0.0.1:4430":14\n') in daemon.log.text()


def test_all_ports_in_use_are_told(world: World):
    """Those of the entry points too, each with its place in the file."""
    one, two = (at(world.serve(lambda conn: None).address) for _ in range(2))
    text = GOOD.replace("127.0.0.1:0", one) + f"""\
- name: tunnels
  addr: 127.0.0.1:0
  handler:
    type: tunnel
    metadata:
      entrypoints:
      - addr: {two}
  listener:
    type: tcp
"""
    daemon = world.run("-C", str(world.write("taken.yaml", text)))
    assert daemon.status == 1
    fatal = [e for e in daemon.log.events if e.level == "fatal"]
    assert [re.sub(r".*(:\d+:\d+: \S+ ).*", r"\1", e.msg) for e in fatal] == [
        ":3:9: services[0].addr: ", ":18:15: services[1].handler.metadata: "]
    assert one in fatal[0].msg and two in fatal[1].msg
    assert [e.fields["line"] for e in fatal] == [f"  addr: {one}", f"      - addr: {two}"]


def test_merged_configuration_is_printed(world: World):
    """-O shows what -L and -F mean and starts nothing; what it prints is a configuration again."""
    daemon = world.run("-L", "rtcp://:0/127.0.0.1:9", "-F", "tunnel+quic://127.0.0.1:8443?tunnel.weight=3",
                 "-O", "yaml")
    assert daemon.status == 0
    printed = daemon.output()
    assert "tunnel.weight" in printed and "type: quic" in printed
    assert world.run("check", str(world.write("printed.yaml", printed))).status == 0


def test_file_and_command_line_add_up(world: World):
    site = world.site("alpha")
    daemon = world.start("-L", f"tcp://127.0.0.1:0/{at(site.address)}",
                         config=GOOD.replace("name: web", "name: from-file"))
    assert daemon.listening("service-0") != daemon.listening("from-file")
