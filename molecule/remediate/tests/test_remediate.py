"""Whatever is done to a guest, it heals itself: nothing lost, and no service touched that was right."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time

import pytest
from healing import CONFIGURATION, ROOT, STATE, wait_for

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
        "echo '# edited' >> /opt/docker/traefik/traefik.yml; sleep 1; docker restart traefik",
        {"traefik"},
    ),
    "compose file emptied": (": > /opt/docker/traefik/docker-compose.yml", set()),
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


def test_it_configured_itself(guest, browse, customer, heal):
    """Nobody ran a playbook on it: the units did, at the start and when the configuration came."""
    entries = guest.ledger()
    assert entries[0]["trigger"] == "gate: the guest has just started"
    assert entries[0]["result"] == "waiting"
    assert {entry["result"] for entry in entries} <= {"waiting", "changed", "unchanged"}
    # The first of them, when the second came before the run had read any.
    assert any("bootstrap.json appeared" in entry["trigger"] for entry in entries)
    assert not guest.host.file(f"{STATE}/never-booted").exists
    heal.by_itself()
    assert browse(f"https://files.{customer['customer']['domain']}/") == (200, "")


def test_the_units(guest):
    units = guest.run("ls /etc/systemd/system/felhom-base-infra*").split()
    assert len(units) == 5
    checked = guest.host.run(f"systemd-analyze verify {' '.join(units)}")
    assert (checked.rc, checked.stdout + checked.stderr) == (0, "")
    assert guest.run("systemctl is-system-running") == "running"


def test_the_timers_tick_again(guest):
    """Five minutes after a run that the gate held back, and an hour after the start."""
    guest.run("systemctl start felhom-base-infra.service")
    now = int(guest.run("date +%s"))
    timers = {timer["unit"]: timer for timer in json.loads(guest.run("systemctl list-timers --all --output json"))}
    assert 240 < timers["felhom-base-infra.timer"]["next"] / 1e6 - now <= 370
    assert 0 < timers["felhom-base-infra-fetch.timer"]["next"] / 1e6 - now <= 2 * 3600


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
    wait_for(lambda: guest.run(unhealthy) == "unhealthy", 150)
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
    guest.run("systemctl start --no-block felhom-base-infra.service; sleep 2")
    assert heal.is_at_work()
    subprocess.run([BED, "stop", "remediate"], check=True)
    subprocess.run([BED, "start", "remediate"], check=True)
    heal.by_itself()
    assert guest.changed_since(before) == {"traefik", "filebrowser"}
    assert any(entry["trigger"] == "gate: the guest has just started" for entry in guest.ledger()[-2:])


def test_a_token_is_rotated(guest, heal, customer):
    before = guest.ids()
    settings = {key: value for key, value in customer["customer"].items() if key != "id"}
    # A last letter that stands for bits which base64 leaves out, or another one: the token stays of its shape.
    other = subprocess.run(
        ["python3", "-c", "import base64,json,sys; t=json.loads(base64.b64decode(sys.stdin.read()));"
         " t['s']=base64.b64encode(b'another secret of the customer!!').decode();"
         " print(base64.b64encode(json.dumps(t).encode()).decode(), end='')"],
        input=settings["cf_tunnel_token"], text=True, check=True, capture_output=True,
    ).stdout  # fmt: skip
    for token in (other, settings["cf_tunnel_token"]):
        start = time.monotonic()
        configure(settings | {"cf_tunnel_token": token})
        wait_for(lambda: heal.gate()[0] == 0 or heal.is_at_work(), 10)
        heal.by_itself(start)
        assert guest.run("cat /opt/docker/cloudflared/secrets/tunnel_token") == token
        assert guest.changed_since(before) == {"cloudflared"}
        before = guest.ids()
    journal = guest.run("journalctl --no-pager --output cat")
    assert other not in journal and settings["cf_tunnel_token"] not in journal


def configure(settings: dict) -> None:
    subprocess.run(
        [BED, "shell", "remediate", "docker", "exec", "-i", "felhom-controller", "felhom-controller", "configure"],
        input=json.dumps(settings),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_a_configuration_that_is_half_written(guest, heal):
    before, disk = guest.ids(), guest.disk()
    lines = len(guest.ledger())
    # In the middle of the domain.
    guest.run(f"cp -p {CONFIGURATION} /run/whole.yaml; truncate -s 60 {CONFIGURATION}")
    wait_for(lambda: len(guest.ledger()) > lines and not heal.is_at_work(), 60)
    entry = guest.ledger()[-1]
    assert entry["result"] == "failed"
    assert entry["error"].startswith(f"{CONFIGURATION}: ") and "Nothing was changed" in entry["error"]
    assert (guest.ids(), guest.disk()) == (before, disk)
    assert "failed 1 times in a row" in heal.gate()[1]
    assert any(check["id"] == "converge" and CONFIGURATION in check["reason"] for check in heal.status()["checks"])
    guest.run(f"cat /run/whole.yaml > {CONFIGURATION}")
    heal.by_itself()
    assert (guest.ids(), guest.disk()) == (before, disk)


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
        assert code == 10 and said.startswith("failed 1 times in a row, to be tried at ") and image in said
        assert guest.changed_since(before) == {"cloudflared"}
    finally:
        guest.run("cp /run/resolv.conf /etc/resolv.conf")
    # The engine, as every program in Go, looks at that file every five seconds only.
    time.sleep(6)
    # As if five minutes had passed.
    guest.run(f"sed -i -E 's/(\"last\": )([0-9.]+)/\\11.0/' {STATE}/failures.json")
    heal.now()
    assert guest.changed_since(before) == {"cloudflared"}
    assert not guest.host.file(f"{STATE}/failures.json").exists


def test_a_full_disk(guest, heal):
    """The state folder's: of a few pages, all taken."""
    before, disk = guest.ids(), guest.disk()
    guest.run(
        f"cp -a {STATE} /run/kept; mount -t tmpfs -o size=12m,mode=0755 tmpfs {STATE}; cp -a /run/kept/. {STATE};"
        f" dd if=/dev/zero of={STATE}/filler bs=4k status=none; echo edited >> /opt/docker/traefik/traefik.yml; true"
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


def test_two_at_once(guest, heal, play):
    """The guest's own unit and an operator: one after the other, and both end well."""
    before, lines = guest.ids(), len(guest.ledger())
    guest.run("docker rm --force filebrowser")
    guest.run("systemctl start --no-block felhom-base-infra.service")
    run = play("site.yml")
    assert run.status == 0, run.output
    heal.by_itself()
    assert guest.changed_since(before) == {"filebrowser"}
    entries = guest.ledger()[lines:]
    # Who was first, and whether the other one still found something to look at, is chance.
    assert {entry["trigger"].partition(":")[0] for entry in entries} in ({"gate", "operator"}, {"operator"})
    assert len(entries) <= 2
    assert [entry["result"] for entry in entries].count("changed") == 1


def test_two_by_hand(guest, heal):
    """They would check out into the same folder."""
    lines = len(guest.ledger())
    guest.run(
        "felhom-base-infra converge > /run/one 2>&1 & felhom-base-infra converge > /run/two 2>&1 && wait $!",
    )
    assert guest.run("cat /run/one /run/two").count("another converge is at work on this guest") == 1
    assert [entry["result"] for entry in guest.ledger()[lines:]] == ["unchanged", "unchanged"]
    heal.by_itself()


def test_a_lock_of_somebody_who_is_gone(guest, heal, play):
    """A run of this machine that was killed: the guest can't know, the next run of this machine does."""
    with subprocess.Popen(["true"]) as process:
        pass
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        namespace = f"{stream.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    held = {"name": "root@here, process 1", "process": process.pid, "namespace": namespace, "until": 10**12}
    guest.run(f"printf %s {shlex.quote(json.dumps(held))} > /run/felhom-base-infra/lock")
    assert heal.gate() == (10, "root@here, process 1 is at work on this guest")
    assert play("site.yml").status == 0
    assert heal.gate() == (10, "nothing to do")


def test_a_lock_of_somebody_far_away(guest, heal, play):
    held = {"name": "root@far, process 1", "process": 1, "namespace": "another", "until": 10**12}
    guest.run(f"printf %s {shlex.quote(json.dumps(held))} > /run/felhom-base-infra/lock")
    run = play("site.yml", "-e", json.dumps({"guest_config_lock_timeout": 1}))
    assert run.status == 2
    assert "another run is at work on this guest: root@far, process 1" in " ".join(run.output.split())
    assert guest.run("felhom-base-infra unlock") == "was locked by root@far, process 1"
    heal.now()


def test_a_pause(guest, heal):
    before = guest.ids()
    guest.run("felhom-base-infra pause 1h; docker rm --force cloudflared")
    guest.run("systemctl start felhom-base-infra.service")
    assert heal.gate()[1].startswith("paused until ")
    assert "cloudflared" not in guest.ids()
    assert heal.verdict() == "fail"
    assert any(check["id"] == "pause" and check["verdict"] == "degraded" for check in heal.status()["checks"])
    guest.run("felhom-base-infra pause 2s; sleep 2")
    heal.now()
    assert guest.changed_since(before) == {"cloudflared"}


@pytest.mark.parametrize("words", ["pause 8d", "pause soon", "explode", ""])
def test_commands_that_are_none(guest, words):
    done = guest.host.run(f"felhom-base-infra {words}")
    assert done.rc == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("usage: ")


def test_an_edited_checkout_is_made_anew(guest, heal):
    disk = guest.disk()
    guest.run(f"echo '- broken' >> {CHECKOUT}/playbooks/site.yml")
    guest.run("felhom-base-infra converge")
    assert guest.run(f"git -C {CHECKOUT} status --porcelain") == ""
    heal.by_itself()
    assert guest.disk() == disk


def test_one_truth(guest, heal, play):
    """What an operator renders from afar is, byte for byte, what the guest renders for itself."""
    disk = guest.disk()
    assert play("site.yml").changed == 0
    kept = ("*/data/*", "*/acme/*", "*/admin_password", "*/jwt_key")
    guest.run(f"find /opt/docker -type f {' '.join(f'! -path {shlex.quote(path)}' for path in kept)} -delete")
    run = play("site.yml")
    assert run.status == 0, run.output
    assert guest.disk() == disk
    heal.by_itself()


def test_what_a_guest_is_told_of_itself(guest, play):
    """An operator whose inventory does not have it brings the commit and leaves it, but on request."""
    settings = "/etc/felhom-base-infra/settings.json"
    library = "/usr/local/lib/felhom-base-infra/current"
    before = guest.run(f"cat {settings} {INVENTORY}")
    guest.run(f'sed -i -E \'s|("(reconcile_)?url": )""|\\1"file:///root/upstream"|\' {settings} {INVENTORY}')
    told = guest.run(f"cat {settings} {INVENTORY}")
    commit = guest.run(f"readlink {library}; rm {library}")
    run = play("site.yml")
    assert run.status == 0, run.output
    assert guest.run(f"readlink {library}") == commit
    assert guest.run(f"cat {settings} {INVENTORY}") == told != before

    run = play("site.yml", "--extra-vars", "base_infra_reconfigure=true")
    assert run.status == 0, run.output
    assert guest.run(f"cat {settings} {INVENTORY}") == before


def test_new_commits(guest, heal):
    """Fetched, taken over by ansible-pull, and no way back to older ones."""
    upstream = "/root/upstream"
    settings = "/etc/felhom-base-infra/settings.json"
    head = guest.run(f"git -C {STATE}/mirror.git rev-parse main")
    git = f"git -C {upstream} -c user.name=x -c user.email=x@x"
    guest.run(f"cp {settings} /run/settings.json; git clone --quiet {STATE}/mirror.git {upstream}")
    # As an operator's inventory would have it; the guest's own run with a new commit writes the settings again.
    guest.run(f"cp {INVENTORY} /run/inventory.json")
    guest.run(f'sed -i -E \'s|("(reconcile_)?url": )""|\\1"file://{upstream}"|\' {settings} {INVENTORY}')
    try:
        inventory = guest.run(f"cat {INVENTORY}")
        guest.run(f"{git} commit --quiet --allow-empty --message new")
        new = guest.run(f"git -C {upstream} rev-parse HEAD")
        guest.run("systemctl start felhom-base-infra-fetch.service")
        assert heal.gate() == (0, f"converge needed: the mirror is at commit {new[:12]}, applied is {head[:12]}")
        heal.now()
        assert guest.run(f"git -C {CHECKOUT} rev-parse HEAD") == new
        assert guest.run("readlink /usr/local/lib/felhom-base-infra/current") == new
        assert guest.run(f"cat {INVENTORY}") == inventory

        guest.run(f"{git} reset --quiet --hard HEAD~1; {git} commit --quiet --allow-empty --message rewritten")
        assert guest.host.run("systemctl start felhom-base-infra-fetch.service").rc != 0
        said = guest.run("journalctl --unit felhom-base-infra-fetch.service --no-pager --output cat --lines 5")
        assert f"has another history than {new[:12]}" in said
        assert heal.gate() == (10, "nothing to do")

        guest.run(f"rm -r {upstream}; systemctl start felhom-base-infra-fetch.service")
        assert "nothing fetched" in guest.run(
            "journalctl --unit felhom-base-infra-fetch.service --no-pager --output cat --lines 3"
        )
    finally:
        guest.run(f"cp /run/settings.json {settings}; cp /run/inventory.json {INVENTORY}; rm -rf {upstream}")
        guest.run("systemctl reset-failed")


def test_another_customer(guest, heal):
    """A clone of a customer's guest instead of the golden one."""
    disk = guest.disk()
    files = "/etc/felhom-bootstrap/bootstrap.json"
    guest.run(f"cp -p {files} /run/; cp -p {CONFIGURATION} /run/whole.yaml; felhom-base-infra pause 10m")
    guest.run(f"sed -i s/acme-0001/other-0002/ {files} {CONFIGURATION}")
    try:
        assert guest.host.run("felhom-base-infra converge").rc != 0
        assert "this guest was converged for customer acme-0001" in guest.ledger()[-1]["error"]
        assert guest.disk() == disk
    finally:
        guest.run(f"cat /run/bootstrap.json > {files}; cat /run/whole.yaml > {CONFIGURATION}; felhom-base-infra resume")
    heal.now()


def test_a_clone_that_is_still_the_golden_one(guest, heal):
    """Somebody copied the disk and nothing else: identity of the image, and its first boot still to come."""
    golden = json.loads(guest.run("cat /usr/share/felhom-base-infra/golden.json"))
    guest.run(
        "cp -p /usr/share/felhom-base-infra/golden.json /run/;"
        " python3 - <<'END'\n"
        "import hashlib, json, subprocess\n"
        "path = '/usr/share/felhom-base-infra/golden.json'\n"
        "found = json.load(open(path))\n"
        "each = 'for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done'\n"
        "keys = subprocess.check_output(each, shell=True)\n"
        "found['identity'] = {'machine_id_sha256': hashlib.sha256(open('/etc/machine-id').read().strip().encode())"
        ".hexdigest(), 'ssh_host_keys': [line.split()[1] for line in keys.decode().splitlines()]}\n"
        "json.dump(found, open(path, 'w'))\n"
        "END\n"
        f"touch {STATE}/never-booted"
    )
    machine_id, keys = guest.run("cat /etc/machine-id"), guest.run("cat /etc/ssh/ssh_host_*_key.pub")
    assert heal.verdict() == "fail"
    told = {check["id"] for check in heal.status()["checks"] if check["verdict"] != "ok"}
    assert {"identity.machine-id", "identity.ssh-host-keys"} <= told
    guest.run("felhom-base-infra converge")
    assert guest.run("cat /etc/machine-id") != machine_id
    assert guest.run("cat /etc/ssh/ssh_host_*_key.pub") != keys
    assert golden["hostname"] == "felhom-golden"
    heal.by_itself()
    guest.run("cp -p /run/golden.json /usr/share/felhom-base-infra/golden.json")


def test_no_secret_is_told(guest, customer):
    journal = guest.run("journalctl --no-pager --output cat")
    for secret in customer["secrets"]:
        assert secret not in journal
