"""A registry that gives nothing, or stops in the middle: nothing on the guest changes, and it is told what helps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from runs import ROOT

BED = ROOT / "tests/bed"

pytestmark = pytest.mark.usefixtures("heals")


PUSH = """
import sys
from images import oci, publish
from lib.settings import CACHE, REGISTRY
_reference, programs, config = publish.STAND_INS["base_cloudflared_image"]
files = {path: (publish.HERE / name, 0o755) for path, name in programs.items()}
layers = [publish.python_layer(CACHE), oci.layer(files, {}), oci.layer({"/padding": (bytes(1 << 20), 0o644)}, {})]
built = oci.image(layers, {"Env": [publish.PATH], "Labels": publish.STAND_IN} | config)
print(publish.push(REGISTRY, sys.argv[1], built))
"""


def pushed(reference: str) -> str:
    """The pin of an image that no guest has: cloudflared's stand-in, with a layer that is large enough to stall."""
    command = [sys.executable, "-c", PUSH, reference]
    return subprocess.run(command, cwd=BED, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="module")
def newer() -> str:
    return pushed("cloudflare/cloudflared:2026.10.1")


def converge(play, pin: str, **more: int):
    run = play("site.yml", "--extra-vars", json.dumps({"base_cloudflared_image": pin} | more))
    return run, " ".join(run.output.split())


def test_a_rate_limit(guest, play, registry, newer):
    before = guest.ids(), guest.disk()
    registry("limited")
    run, output = converge(play, newer)
    assert run.status == 2
    told = f"image {newer} is not on the guest and can't be pulled: the registry's rate limit is reached (Error"
    assert told in output
    assert "log in to it on the guest with 'docker login', wait (Docker Hub counts the pulls" in output
    assert (guest.ids(), guest.disk()) == before
    last = guest.ledger()[-1]
    assert last["result"] == "failed" and told in last["error"]


def test_a_transfer_that_stalls(guest, play, registry, newer):
    before = guest.ids(), guest.disk()
    registry("stalled")
    run, output = converge(play, newer, base_cloudflared_pull_timeout=4)
    assert run.status == 2
    told = f"image {newer} is not on the guest and can't be pulled: nothing more of it came for 4 s; run this again"
    assert told in output
    assert (guest.ids(), guest.disk()) == before
    # The engine has given it up too, and starts anew when it is asked.
    registry("plain")
    run, output = converge(play, newer)
    assert run.status == 0, run.output
    assert guest.changed_since(before[0]) == {"cloudflared"}
    image = guest.run("docker inspect --format '{{.Config.Image}} {{.Image}}' cloudflared").split()
    assert image[0] == newer
    assert guest.run(f"docker image inspect --format '{{{{.Architecture}}}}' {image[1]}") == "amd64"


def test_a_private_registry_wants_its_login(guest, host, registry):
    """A login that is right is taken, a wrong one is not, and neither is anywhere afterwards."""
    pin = pushed("registry.felhom.test/felhom/another:1.0.0")
    registry("login")

    def pull(**login: str) -> dict:
        return host.ansible("felhom.base_infra.pinned_images", json.dumps({"images": [pin]} | login), check=False)

    login = {"registry": "registry.felhom.test", "username": "felhom-bed"}
    for given in ({}, login | {"password": "no-password-of-anybody"}):
        told = pull(**given)["msg"]
        assert told.startswith(f"image {pin} is not on the guest and can't be pulled: ")
        assert "no-password-of-anybody" not in told
    assert pull(**login, password="test-registry" + "-password")["pulled"] == [pin]
    assert guest.run("ls -A /root/.docker /run/felhom-base-infra-* 2>/dev/null || true") == ""
    guest.run(f"docker rmi {pin} {pin.partition('@')[0]}")
