"""Brings one bed's network up, with its images but no guests, and prints what it is then, for test_real.py.

real.py local         answers as the Hub, and runs the same for a bed on a machine that reaches it
real.py real WORLD    finds the Hub at the name server WORLD, is up, and is down again
real.py ask SERVER    what a guest gets for the names of the Hub
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from lib import network
from lib.settings import BRIDGE, CACHE, GATEWAY, GUESTS, HOME, KEYS, NETWORK, PINS, RUN

NAMES = [network.HUB, network.TOKENS, network.BLOBS, network.EDGES[0], network.PRIVATE]


@contextlib.contextmanager
def machine() -> Iterator[list[str]]:
    """A machine on the bed's bridge, without more than a network: what to put before a command."""
    sleeping = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    own = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{sleeping.pid}/ns/net") == own:
        pass
    inside = ["nsenter", f"--net=/proc/{sleeping.pid}/ns/net"]
    plug = f"m{sleeping.pid}"
    for command in (
        ["ip", "link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", str(sleeping.pid)],
        ["ip", "link", "set", plug, "master", BRIDGE, "up"],
        [*inside, "ip", "link", "set", "lo", "up"],
        [*inside, "ip", "link", "set", "eth0", "up"],
        [*inside, "ip", "address", "add", f"{NETWORK[11]}/{NETWORK.prefixlen}", "dev", "eth0"],
        [*inside, "ip", "route", "add", "default", "via", GATEWAY],
    ):
        subprocess.run(command, check=True)
    yield inside
    sleeping.kill()
    sleeping.wait()


def ask(server: str) -> dict[str, str]:
    """The addresses that a name server gives, "" for none."""
    found = {}
    for name in NAMES:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.settimeout(5)
            asked.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1", (server, 53))
            answer = asked.recv(512)
        found[name] = socket.inet_ntoa(answer[-4:]) if answer[7] else ""
    return found


def rules() -> str:
    return subprocess.run(["iptables", "-t", "nat", "-S"], check=True, capture_output=True, text=True).stdout


def main(branch: str, world: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for folder in (CACHE, GUESTS, RUN, KEYS):
        folder.mkdir(parents=True, exist_ok=True)
    if branch == "real":
        found["the Hub was found"] = network.hub_is_real()
    os.environ["FELHOM_BED_HUB"] = branch
    network.up()
    assert network.publish_images().wait() == 0
    network.keep_pins()
    # Once more, as each bed command does.
    network.up()
    repositories = CACHE / "registry/docker/registry/v2/repositories"
    with machine() as inside:

        def asked(server: str) -> dict[str, str]:
            command = [*inside, sys.executable, __file__, "ask", server]
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

        found |= {
            "names": asked(GATEWAY),
            "pins": sorted(json.loads(PINS.read_text())),
            "of a guest": sorted(network.variables()["reconcile_variables"]),
            "repositories": sorted(str(path.relative_to(repositories)) for path in repositories.glob("*/*")),
            "rules": rules(),
            "edge": (RUN / "edge.pid").exists(),
        }
        if branch == "local":
            home = str(HOME.parent / "bed")
            other = {"FELHOM_BED_HOME": home, "FELHOM_BED_BRIDGE": "fbbed", "FELHOM_BED_NET": "10.41.2.0/24"}
            other |= {"SSL_CERT_FILE": str(KEYS / "ca.crt")}
            del os.environ["FELHOM_BED_HUB"]
            command = [*inside, sys.executable, __file__, "real", GATEWAY]
            done = subprocess.run(command, env=os.environ | other, check=True, stdout=subprocess.PIPE)
            return {"world": found, "bed": json.loads(done.stdout)}
        found["the world, through the way out"] = asked(world)
    network.down()
    return found | {"rules after": rules()}


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[2]) if sys.argv[1] == "ask" else main(*sys.argv[1:])))
