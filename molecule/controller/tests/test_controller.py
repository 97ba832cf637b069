"""A controller of the old way is told by health, taken over with its data, and given back: a test after the other."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STATE = "/var/lib/felhom-base-infra"
OURS = ("-e", "base_infra_runs_controller=true")
PROBE = ("-e", "base_health_probe=true")
OLD_UNIT = "felhom-bootstrap.service"
HOSTNAME = "docker inspect --format '{{.Config.Hostname}}' felhom-controller"
# As the controller does it: its own copy of the compose file, and paths that mean the guest's to the engine.
APP = (
    "docker exec felhom-controller felhom-controller write-app {0};"
    " root=/proc/$(docker inspect --format '{{{{.State.Pid}}}}' felhom-controller)/root;"
    " IMAGE=$(docker inspect --format '{{{{.Image}}}}' traefik) docker compose --project-name {0}"
    " --project-directory /opt/docker/stacks/{0} --file $root/opt/docker/stacks/{0}/docker-compose.yml"
    " up --no-log-prefix --abort-on-container-exit 2>&1"
)


@pytest.fixture
def told(guest):
    """What the last health check said of the controller, by check."""

    def look() -> dict[str, tuple[str, str, str]]:
        checks = json.loads(guest.run(f"cat {STATE}/status.json"))["checks"]
        return {check["id"]: (check["verdict"], check["reason"], check["fix"]) for check in checks}

    return look


def verdicts(told: dict[str, tuple[str, str, str]]) -> list[str]:
    return [told[check][0] for check in ("controller_hostname", "stack_paths", "stack_probe")]


def data(guest) -> str:
    """All that is in the controller's volume."""
    return guest.run("cd /var/lib/docker/volumes/felhom-controller-data/_data; find . -type f | sort | xargs sha256sum")


def nothing_is_left_of_the_probe(guest) -> bool:
    names = guest.run("docker ps --all --format '{{.Names}}'; find / -xdev -name felhom-base-infra-probe; true")
    return "probe" not in names


def test_the_old_way_is_told_and_left_alone(guest, play, told, customer):
    before = guest.ids()["felhom-controller"]
    run = play("site.yml")
    assert run.status == 0, run.output
    assert guest.ids()["felhom-controller"] == before
    assert guest.run(f"systemctl is-enabled {OLD_UNIT}") == "enabled"
    name = customer["customer"]["id"]
    verdict, reason, fix = told()["controller_hostname"]
    assert (verdict, reason) == (
        "degraded",
        f"reports the host name {guest.run(HOSTNAME)}, not the customer's id {name}",
    )
    assert f"add --hostname {name} to the 'docker run'" in fix
    verdict, reason, fix = told()["stack_paths"]
    assert verdict == "degraded" and "/opt/docker/stacks (stacks) is not there for the controller" in reason
    assert "--volume /opt/docker/stacks:/opt/docker/stacks" in fix
    assert "stack_probe" not in told()
    print(run.output)


def test_an_app_of_the_old_way_finds_nothing(guest, play, told):
    app = guest.host.run(APP.format("before"))
    assert "hello from before" not in app.stdout and "No such file" in app.stdout
    run = play("health.yml", *PROBE)
    assert run.status == 2
    verdict, reason, _fix = told()["stack_probe"]
    assert verdict == "fail" and reason.startswith("a stack did not read what the controller wrote")
    assert "No such file" in reason
    paths = told()["stack_paths"][1]
    assert "/opt/docker/stacks (stacks) is another folder for the controller" in paths
    empty = "/opt/docker/stacks/before/data (before) is an empty folder that the engine made"
    assert empty in paths
    assert nothing_is_left_of_the_probe(guest)
    print(run.output)


def test_check_mode_takes_nothing_over(guest, play):
    before = guest.ids()
    run = play("site.yml", "--check", "--diff", *OURS)
    assert run.status == 0 and run.changed == 1, run.output
    assert f"unit {OLD_UNIT} is enabled" in run.output
    assert guest.ids() == before
    assert guest.run(f"systemctl is-enabled {OLD_UNIT}") == "enabled"


def test_one_that_does_not_become_well_gives_the_place_back(guest, play):
    before, kept = guest.ids(), data(guest)
    ill = {"felhom_controller_health_command": ["felhom-controller", "explode"], "felhom_controller_wait_timeout": 3}
    run = play("site.yml", *OURS, "-e", json.dumps(ill))
    told = re.search(r"not healthy after (\d+) s: felhom-controller", " ".join(run.output.split()))
    # The last look before the time is over takes its own time.
    assert run.status == 2 and told and int(told[1]) >= 3, run.output
    assert (guest.ids(), data(guest)) == (before, kept)
    assert guest.run("docker inspect --format '{{.State.Running}}' felhom-controller") == "true"
    assert guest.run(f"systemctl is-enabled {OLD_UNIT}; systemctl is-active {OLD_UNIT}") == "enabled\nactive"


def test_it_is_taken_over(guest, play, told, customer):
    before, kept, name = guest.ids(), data(guest), guest.run(HOSTNAME)
    run = play("site.yml", *OURS)
    assert run.status == 0, run.output
    assert guest.run(HOSTNAME) == customer["customer"]["id"] != name
    assert data(guest) == kept
    aside = f"felhom-controller-displaced-{before['felhom-controller'][:8]}"
    assert guest.changed_since(before) == {"felhom-controller", aside}
    assert guest.ids()[aside] == before["felhom-controller"]
    assert guest.host.run(f"systemctl is-enabled {OLD_UNIT}").stdout.strip() == "disabled"
    assert verdicts(told()) == ["ok", "ok", "ok"]
    # The app's files, which were in the old controller's container only.
    assert guest.run("cat /opt/docker/stacks/before/data/hello") == "hello from before"
    print(run.output)


def test_it_stays(guest, play):
    before = guest.ids()
    run = play("site.yml", *OURS)
    assert (run.status, run.changed) == (0, 0), run.output
    assert guest.ids() == before


def test_an_app_finds_what_the_controller_wrote(guest, play, told):
    assert "hello from after" in guest.run(APP.format("after"))
    run = play("health.yml", *PROBE, *OURS)
    assert run.status == 0, run.output
    assert verdicts(told()) == ["ok", "ok", "ok"]
    assert nothing_is_left_of_the_probe(guest)
    print(run.output)


def test_the_old_unit_does_not_come_back(guest, play, told):
    guest.run(f"systemctl enable {OLD_UNIT}")
    assert play("health.yml").status == 2
    assert told()["stack.felhom-controller"][1] == f"unit {OLD_UNIT} is enabled and starts what the stack replaces"
    before = guest.ids()
    assert play("site.yml", *OURS).status == 0
    assert guest.host.run(f"systemctl is-enabled {OLD_UNIT}").stdout.strip() == "disabled"
    assert guest.changed_since(before) == set()


def test_the_way_back(guest, play):
    kept = data(guest)
    (aside, was) = next(item for item in guest.ids().items() if item[0].startswith("felhom-controller-displaced-"))
    run = play("site.yml", *OURS, "-e", "felhom_controller_state=absent")
    assert run.status == 0, run.output
    assert guest.ids()["felhom-controller"] == was and aside not in guest.ids()
    assert guest.run("docker inspect --format '{{.State.Running}}' felhom-controller") == "true"
    assert guest.run(f"systemctl is-enabled {OLD_UNIT}") == "enabled"
    assert data(guest) == kept
    assert play("site.yml").changed == 0


def test_a_fresh_guest_gets_it_before_its_configuration(guest, play, told, customer):
    """It is what fetches the configuration."""
    guest.run(
        f"systemctl disable --now {OLD_UNIT}; docker rm --force felhom-controller;"
        f" docker volume rm felhom-controller-data; rm -r {STATE}"
    )
    run = play("site.yml", *OURS)
    assert run.status == 0 and "controller: waiting" in run.output, run.output
    assert guest.run(HOSTNAME) == customer["customer"]["id"]
    run = play("site.yml", *OURS)
    assert (run.status, run.changed) == (0, 0), run.output
    subprocess.run([ROOT / "tests/bed/customer", "configure", "controller"], check=True)
    run = play("site.yml", *OURS)
    assert run.status == 0, run.output
    assert [told()[check][0] for check in ("controller_hostname", "stack_paths")] == ["ok", "ok"]
