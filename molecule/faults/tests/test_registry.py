"""A registry that gives nothing, or stops in the middle: nothing on the guest changes, and it is told what helps."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from healing import GUEST, ROOT

BED = ROOT / "tests/bed"
STATE = "/var/lib/felhom-base-infra"

pytestmark = pytest.mark.usefixtures("heals")


@pytest.fixture
def registry():
    """Say how the registries answer this guest; no other one notices."""

    def answers(*states: str) -> None:
        subprocess.run([BED / "bed", "hub", GUEST, *states], check=True)

    yield answers
    answers("plain")


@pytest.fixture(scope="module")
def newer() -> str:
    """The pin of a cloudflared that no guest has: the stand-in, and a layer that is large enough to stall."""
    script = """
from pathlib import Path
from images import oci, publish
from lib.settings import CACHE, REGISTRY
reference, programs, config = publish.STAND_INS["base_cloudflared_image"]
files = {path: (publish.HERE / name, 0o755) for path, name in programs.items()}
layers = [publish.python_layer(CACHE), oci.layer(files, {}), oci.layer({"/padding": (bytes(1 << 20), 0o644)}, {})]
built = oci.image(layers, {"Env": [publish.PATH], "Labels": publish.STAND_IN} | config)
print(publish.push(REGISTRY, "cloudflare/cloudflared:2026.10.1", built))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=BED, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def converge(play, pin: str):
    variables = {"base_cloudflared_image": pin, "base_cloudflared_pull_timeout": 4}
    run = play("site.yml", "--extra-vars", json.dumps(variables))
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


def test_a_guest_of_its_own_waits_longer_each_time(guest, registry, host):
    """It asks again in 5 minutes, then in 10: a registry that counts pulls is not asked more the less it gives."""
    pin = host.ansible.get_variables()["base_cloudflared_image"]
    guest.run(f"docker rm --force cloudflared && docker rmi {pin} {pin.partition('@')[0]}")
    registry("limited")
    before, disk = guest.ids(), guest.disk()
    for number, wait in (1, 300), (2, 600):
        # As if the wait were over; the timer's own tick does the same.
        guest.run(f"sed -i -E 's/(\"last\": )([0-9.]+)/\\11.0/' {STATE}/failures.json 2>/dev/null || true")
        assert guest.host.run("systemctl start felhom-base-infra.service").rc
        failed = json.loads(guest.run(f"cat {STATE}/failures.json"))
        assert failed["number"] == number
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(failed["last"] + wait))
        assert f"failed {number} times in a row, to be tried at {until}" in guest.run("felhom-base-infra status")
        assert "the registry's rate limit is reached" in guest.ledger()[-1]["error"]
    # Its next tick asks nobody.
    lines = len(guest.ledger())
    guest.run("systemctl start felhom-base-infra.service")
    assert len(guest.ledger()) == lines
    assert (guest.ids(), guest.disk()) == (before, disk)


def test_a_transfer_that_stalls(guest, play, registry, newer):
    before = guest.ids(), guest.disk()
    registry("stalled")
    start = time.monotonic()
    run, output = converge(play, newer)
    assert run.status == 2
    assert time.monotonic() - start < 60
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
    """A login that is right is taken, checked, and nowhere afterwards."""
    pin = host.ansible.get_variables()["felhom_controller_image"]
    guest.run(f"docker rmi {pin} {pin.partition('@')[0]} 2>/dev/null || true")
    registry("login")

    def pull(password: str) -> dict:
        options = f"images={pin} registry=registry.felhom.test username=felhom-bed password={password}"
        return host.ansible("felhom.base_infra.pinned_images", options, check=False)

    with pytest.raises(host.ansible.AnsibleException) as refused:
        pull("wrong")
    assert "can't be pulled: " in str(refused.value) and "wrong" not in refused.value.result["msg"]
    assert pull("test-registry" + "-password")["pulled"] == [pin]
    assert not guest.host.file("/root/.docker/config.json").exists
    guest.run(f"docker rmi {pin} {pin.partition('@')[0]}")
