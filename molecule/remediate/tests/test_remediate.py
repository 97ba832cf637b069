"""Whatever is done to a guest, it heals itself: nothing lost, and no service touched that was right."""

from __future__ import annotations

import json
import shlex
import subprocess
import time

import pytest
from healing import STATE
from runs import GUEST, ROOT
from waiting import LIMIT, wait_for

BED = ROOT / "tests/bed/bed"
INVENTORY = "/etc/felhom-base-infra/inventory.json"
CHECKOUT = f"{STATE}/checkout/ansible_collections/felhom/base_infra"
ALL = {"traefik", "cloudflared", "filebrowser"}
IMAGE = "docker inspect --format '{{{{.Config.Image}}}}' {0}"

# What is done, and the containers that may be others afterwards.
FAULTS = {
    "container killed": ("docker kill filebrowser", set()),
    "container removed": ("docker rm --force filebrowser", {"filebrowser"}),
    "container stopped": ("docker stop traefik", set()),
    "container paused": ("docker pause cloudflared", {"cloudflared"}),
    "all containers removed": (
        "docker rm --force traefik traefik-socket-proxy cloudflared filebrowser",
        ALL | {"traefik-socket-proxy"},
    ),
    "network removed": (
        "for name in traefik cloudflared filebrowser; do docker network disconnect --force traefik-public $name; done;"
        " docker network rm traefik-public",
        ALL,
    ),
    "network made anew": (
        "for name in traefik cloudflared filebrowser; do docker network disconnect --force traefik-public $name; done;"
        " docker network rm traefik-public; docker network create traefik-public",
        ALL,
    ),
    "stack folder removed": ("rm -r /opt/docker/cloudflared", {"cloudflared"}),
    "file edited": ("echo '# edited' >> /opt/docker/traefik/traefik.yml", set()),
    # What it does now is not what is in the file any more.
    "file edited, service restarted": (
        "echo '# edited' >> /opt/docker/traefik/traefik.yml; docker restart traefik",
        {"traefik"},
    ),
    "compose file emptied": (": > /opt/docker/traefik/docker-compose.yml", set()),
    # The tunnel is to come back all the same, and the folders are to stay.
    "file browser's compose file emptied": (
        ": > /opt/docker/stacks/filebrowser/docker-compose.yml; docker rm --force cloudflared",
        {"cloudflared"},
    ),
    "file browser's compose file of NUL bytes": (
        "head -c 3000 /dev/zero > /opt/docker/stacks/filebrowser/docker-compose.yml; docker rm --force cloudflared",
        {"cloudflared"},
    ),
    "wrong mode of a secret": ("chmod 0644 /opt/docker/cloudflared/secrets/tunnel_token", set()),
    "acme.json open to all": ("chmod 0644 /opt/docker/traefik/acme/acme.json", set()),
    "another image under the tag": (
        "docker tag $(docker inspect --format '{{.Image}}' cloudflared) traefik:$(docker inspect --format"
        " '{{.Config.Image}}' traefik | sed 's/.*:\\(v[0-9.]*\\)@.*/\\1/'); docker rm --force traefik",
        {"traefik"},
    ),
    "image gone": (
        "image=$(docker inspect --format '{{.Config.Image}}' cloudflared); docker rm --force cloudflared;"
        " docker rmi --force ${image%%@*} ${image%%:*}@${image##*@}",
        {"cloudflared"},
    ),
    "state folder removed": (f"rm -r {STATE}", set()),
    "manifest cut short": (f"truncate -s 100 {STATE}/manifest.json", set()),
    "mirror corrupted": (
        f"find {STATE}/mirror.git/objects -type f -exec truncate -s 10 {{}} +; rm -f {STATE}/mirror.git/packed-refs"
        f" {STATE}/mirror.git/refs/heads/main",
        set(),
    ),
    "clock set back a year": (
        # A guest has its node's clock. A record from the future is what one finds after that.
        f'sed -i -E \'s/("time": )([0-9]+)/echo "\\1$((\\2+31536000))"/e\' {STATE}/manifest.json',
        set(),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_heals(guest, heal, fault):
    do, may_change = FAULTS[fault]
    before, disk, lines = guest.ids(), guest.disk(), len(guest.ledger())
    images = {name: guest.run(IMAGE.format(name)) for name in sorted(ALL)}
    guest.run(f"bash -ec {shlex.quote(do)}")
    assert heal.gate()[0] == 0
    heal.now()
    assert guest.changed_since(before) <= may_change
    assert guest.disk() == disk
    assert {name: guest.run(IMAGE.format(name)) for name in sorted(ALL)} == images
    told = guest.ledger()[0 if "state folder" in fault else lines :]
    assert told and told[-1]["trigger"].startswith("gate: ") and told[-1]["result"] in ("changed", "unchanged")


def test_an_unhealthy_container(guest, heal):
    before = guest.ids()
    guest.run("kill -STOP $(docker inspect --format '{{.State.Pid}}' filebrowser)")
    unhealthy = "docker inspect --format '{{.State.Health.Status}}' filebrowser"
    wait_for(lambda: guest.run(unhealthy) == "unhealthy")
    heal.now()
    assert guest.changed_since(before) == {"filebrowser"}


def test_the_engine_is_killed(guest, heal):
    before = guest.ids()
    guest.run("systemctl kill --kill-whom=main --signal KILL docker.service")
    heal.now()
    assert guest.changed_since(before) == set()


def test_a_restart_in_the_middle_of_a_converge(guest, heal):
    before = guest.ids()
    guest.run("docker rm --force traefik filebrowser")
    at_work = "until [ -e /run/felhom-base-infra/lock ]; do sleep 0.1; done"
    guest.run(f"systemctl start --no-block felhom-base-infra.service; timeout {LIMIT} sh -c '{at_work}'")
    assert heal.is_at_work()
    subprocess.run([BED, "stop", GUEST], check=True)
    subprocess.run([BED, "start", GUEST], check=True)
    heal.by_itself()
    assert guest.changed_since(before) == {"traefik", "filebrowser"}
    assert any(entry["trigger"] == "gate: the guest has just started" for entry in guest.ledger()[-2:])


def test_a_token_is_rotated(guest, heal, customer, tunnel):
    before = guest.ids()
    settings = {key: value for key, value in customer["customer"].items() if key != "id"}
    other = customer["rotated_token"]
    # At Cloudflare first, which leaves alone what is connected.
    for at_cloudflare, token in (("rotated", other), ("plain", settings["cf_tunnel_token"])):
        tunnel.secret(at_cloudflare)
        start, lines = time.monotonic(), len(guest.ledger())
        configure(settings | {"cf_tunnel_token": token})
        wait_for(lambda lines=lines: len(guest.ledger()) > lines, heal.why)
        heal.by_itself(start)
        assert guest.run("cat /opt/docker/cloudflared/secrets/tunnel_token") == token
        assert guest.changed_since(before) == {"cloudflared"}
        before = guest.ids()
    journal = guest.run("journalctl --no-pager --output cat")
    assert other not in journal and settings["cf_tunnel_token"] not in journal


def configure(settings: dict) -> None:
    subprocess.run(
        [BED, "shell", GUEST, "docker", "exec", "-i", "felhom-controller", "felhom-controller", "configure"],
        input=json.dumps(settings),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_no_image_and_no_registry(guest, heal):
    """Told, not looped: the next tries come later and later, and the one with a registry heals."""
    image = guest.run(IMAGE.format("cloudflared"))
    tag, _, digest = image.partition("@")
    before = guest.ids()
    guest.run("cp /etc/resolv.conf /run/resolv.conf; echo nameserver 127.0.0.1 > /etc/resolv.conf")
    try:
        guest.run(f"docker rm --force cloudflared; docker rmi --force {tag} {tag.rpartition(':')[0]}@{digest}")
        assert guest.host.run("systemctl start felhom-base-infra.service").rc != 0
        assert f"image {image} is not on the guest and can't be pulled" in guest.ledger()[-1]["error"]
        lines = len(guest.ledger())
        assert guest.host.run("systemctl start felhom-base-infra.service").rc == 0
        assert len(guest.ledger()) == lines
        code, said = heal.gate()
        assert code == 10 and said.startswith("failed once; next try at ") and image in said
        assert guest.changed_since(before) == {"cloudflared"}
    finally:
        guest.run("cp /run/resolv.conf /etc/resolv.conf")
    # The engine, as every program in Go, looks at that file every five seconds only.
    wait_for(lambda: guest.host.run(f"docker pull --quiet {guest.run(IMAGE.format('filebrowser'))}").rc == 0)
    # As if five minutes had passed.
    guest.run(f"sed -i -E 's/(\"last\": )([0-9.]+)/\\11.0/' {STATE}/failures.json")
    heal.now()
    assert guest.changed_since(before) == {"cloudflared"}
    assert not guest.host.file(f"{STATE}/failures.json").exists


def test_a_network_that_comes_after_the_proxy(guest, heal):
    """Traefik asks for a certificate once, and its container keeps the name servers that it was started with."""
    guest.run("cp /etc/resolv.conf /run/resolv.conf; echo nameserver 127.0.0.1 > /etc/resolv.conf")
    try:
        guest.run("docker stop traefik; : > /opt/docker/traefik/acme/acme.json; docker start traefik")
        before = guest.ids()
        guest.run("felhom-base-infra converge")
        (check,) = [each for each in heal.status()["checks"] if each["id"].startswith("certificate.")]
        assert "no certificate was issued yet, asked for again 1 time: " in check["reason"]
        assert heal.gate() == (10, "nothing to do")
    finally:
        guest.run("cp /run/resolv.conf /etc/resolv.conf")
    # As if five minutes had passed.
    guest.run(f"sed -i -E 's/(\"last\": )([0-9.]+)/\\11.0/' {STATE}/certificate.json")
    assert heal.gate() == (0, "converge needed: the certificate is to be asked for again")
    heal.now()
    assert guest.changed_since(before) == set()
    assert not guest.host.file(f"{STATE}/certificate.json").exists


def test_a_full_disk(guest, heal):
    """The state folder's."""
    before, disk = guest.ids(), guest.disk()
    guest.run(
        f"cp -a {STATE} /run/kept && mount -t tmpfs -o size=48m,mode=0755 tmpfs {STATE} && cp -a /run/kept/. {STATE} &&"
        f" ! dd if=/dev/zero of={STATE}/filler bs=4k status=none && echo edited >> /opt/docker/traefik/traefik.yml"
    )
    try:
        assert guest.host.run("systemctl start felhom-base-infra.service").rc != 0
        assert guest.changed_since(before) == set()
        said = guest.run("journalctl --unit felhom-base-infra.service --no-pager --output cat --lines 60")
        assert "No space left on device" in said
        guest.run(f"rm {STATE}/filler")
        heal.now()
        assert (guest.ids(), guest.disk()) == (before, disk)
    finally:
        guest.run(f"umount {STATE}; rm -r /run/kept")
    heal.now()


def test_no_secret_is_told(guest, customer):
    journal = guest.run("journalctl --no-pager --output cat")
    for secret in customer["secrets"]:
        assert secret not in journal
