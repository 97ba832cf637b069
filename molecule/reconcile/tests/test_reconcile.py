"""The guest's own loop: it configures itself, waits, is paused, follows commits, and never runs twice at once."""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import pytest
from healing import CONFIGURATION, STATE
from runs import ROOT
from waiting import wait_for

BED = ROOT / "tests/bed/bed"
INVENTORY = "/etc/felhom-base-infra/inventory.json"
CHECKOUT = f"{STATE}/checkout/ansible_collections/felhom/base_infra"
ALL = {"traefik", "cloudflared", "filebrowser"}
IMAGE = "docker inspect --format '{{{{.Config.Image}}}}' {0}"


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
    assert guest.run("systemctl is-enabled felhom-base-infra.timer felhom-base-infra-fetch.timer") == "enabled\nenabled"
    # The tests stop the timer.
    before = int(guest.run("date +%s; systemctl start felhom-base-infra.timer felhom-base-infra.service"))
    after = int(guest.run("date +%s"))
    timers = {timer["unit"]: timer for timer in json.loads(guest.run("systemctl list-timers --all --output json"))}
    next_tick, next_fetch = (timers[f"felhom-base-infra{name}.timer"]["next"] / 1e6 for name in ("", "-fetch"))
    assert before + 300 <= next_tick <= after + 370
    assert before < next_fetch <= after + 2 * 3600


def test_a_configuration_that_is_half_written(guest, heal):
    before, disk = guest.ids(), guest.disk()
    lines = len(guest.ledger())
    # In the middle of the domain.
    guest.run(f"cp -p {CONFIGURATION} /run/whole.yaml; truncate -s 60 {CONFIGURATION}")
    wait_for(lambda: len(guest.ledger()) > lines and not heal.is_at_work(), heal.why)
    entry = guest.ledger()[-1]
    assert entry["result"] == "failed"
    assert entry["error"].startswith(f"{CONFIGURATION}: ") and "Nothing was changed" in entry["error"]
    assert (guest.ids(), guest.disk()) == (before, disk)
    assert "failed once" in heal.gate()[1]
    assert any(check["id"] == "converge" and CONFIGURATION in check["reason"] for check in heal.status()["checks"])
    guest.run(f"cat /run/whole.yaml > {CONFIGURATION}")
    heal.by_itself()
    assert (guest.ids(), guest.disk()) == (before, disk)


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
    guest.run("felhom-base-infra pause 2s")
    wait_for(lambda: not heal.gate()[1].startswith("paused until "))
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
