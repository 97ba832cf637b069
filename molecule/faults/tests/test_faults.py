"""Each fault ends in health, or in the old state and a clear report, and leaves alone what was right."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
import yaml
from waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
TOKEN_FILE = "/opt/docker/cloudflared/secrets/tunnel_token"


pytestmark = pytest.mark.usefixtures("heals")


@pytest.fixture
def domain(customer):
    return customer["customer"]["domain"]


@pytest.fixture
def pin(host):
    """The bed's pins by variable."""
    return host.ansible.get_variables()


def extra(**variables) -> tuple[str, str]:
    return "--extra-vars", json.dumps(variables)


def serves(browse, domain) -> bool:
    """Traefik learns of a new container after some seconds."""
    return wait_for(lambda: browse(f"https://files.{domain}/")[0] == 200)


def test_a_network_made_anew_under_running_containers(guest, play, browse, domain):
    guest.run(
        "for name in traefik cloudflared filebrowser; do docker network disconnect -f traefik-public $name; done;"
        "docker network rm traefik-public; docker network create traefik-public"
    )
    before = guest.ids()
    run = play("site.yml", "--diff")
    assert run.status == 0, run.output
    assert "container filebrowser is not attached to today's network traefik-public" in run.output
    assert guest.changed_since(before) == {"traefik", "cloudflared", "filebrowser"}
    assert serves(browse, domain)


def test_an_absent_image_and_no_registry(guest, play):
    image = "cloudflare/cloudflared:2026.10.0@sha256:" + "0" * 64
    guest.run("cp /etc/resolv.conf /run/resolv.conf; echo nameserver 127.0.0.1 > /etc/resolv.conf")
    before = guest.ids(), guest.disk()
    try:
        run = play("site.yml", *extra(base_cloudflared_image=image))
    finally:
        guest.run("cp /run/resolv.conf /etc/resolv.conf")
    assert run.status == 2
    assert f"image {image} is not on the guest and can't be pulled" in run.output.replace("\n        ", " ")
    assert (guest.ids(), guest.disk()) == before
    assert guest.ledger()[-1]["result"] == "failed" and image in guest.ledger()[-1]["error"]


def test_a_configuration_that_makes_traefik_exit(guest, play, browse, domain):
    disk = guest.disk()
    run = play("site.yml", *extra(base_traefik_acme_propagation={"delayBeforeChecks": "bogus"}))
    assert run.status == 2
    output = " ".join(run.output.split())
    assert "time: invalid duration" in output
    assert "traefik was rolled back to its last good generation and is healthy" in output
    assert guest.disk() == disk
    assert serves(browse, domain)


def test_a_configuration_of_which_file_browser_prints_the_secrets(guest, play, browse, domain):
    """What it ends at is shown by it with three lines above and below: the password and the key."""
    disk = guest.disk()
    secrets = guest.run("cat /opt/docker/stacks/filebrowser/secrets/*").split()
    run = play("site.yml", "-vvv", *extra(base_filebrowser_admin_username=["admin"]))
    assert run.status == 2
    output = " ".join(run.output.split())
    said = r"filebrowser says: error unmarshaling YAML data: \[\d+:\d+\] cannot unmarshal .{,50} field adminUsername"
    assert re.search(said, output), output
    assert "filebrowser was rolled back to its last good generation and is healthy" in output
    assert not [place for place, secret in enumerate(secrets) if secret[:12] in run.output]
    assert "adminPassword:" not in guest.ledger()[-1]["error"]
    assert guest.disk() == disk
    assert serves(browse, domain)


def test_a_pin_whose_health_never_comes(guest, play, pin, browse, domain):
    disk, before = guest.disk(), guest.ids()
    settings = extra(base_filebrowser_image=pin["felhom_controller_image"], base_filebrowser_wait_timeout=6)
    run = play("site.yml", *settings)
    assert run.status == 2
    output = " ".join(run.output.split())
    assert "stack filebrowser: not healthy after" in output
    assert "filebrowser was rolled back to its last good generation and is healthy" in output
    assert guest.disk() == disk
    assert guest.changed_since(before) == {"filebrowser"}
    assert serves(browse, domain)


def test_a_stack_that_fails_goes_back_alone_when_the_others_are_well(guest, play, pin):
    before = guest.ids()
    settings = extra(
        base_traefik_log_level="WARN",
        base_filebrowser_image=pin["felhom_controller_image"],
        base_filebrowser_wait_timeout=6,
    )
    run = play("site.yml", *settings)
    assert run.status == 2
    output = " ".join(run.output.split())
    assert (
        "filebrowser was rolled back to its last good generation and is healthy, traefik is on its new generation"
        in output
    )
    assert guest.changed_since(before) == {"traefik", "filebrowser"}
    assert 'level: "WARN"' in guest.run("cat /opt/docker/traefik/traefik.yml")
    assert guest.ledger()[-1]["result"] == "failed"


def test_all_go_back_when_the_whole_would_be_worse(guest, play):
    """What the first stack's change breaks is not itself, but a neighbour that nobody touched."""
    playbook = "../molecule/faults/set/site.yml"
    assert play(playbook).status == 0
    before, disk = guest.ids(), guest.disk()
    run = play(playbook, *extra(set_port=8001, set_is_well=False))
    assert run.status == 2
    output = " ".join(run.output.split())
    assert "with it the whole is worse than before: follower/follower" in output
    assert "failing was rolled back to its last good generation and is healthy" in output
    assert "leader was rolled back to its last good generation and is healthy" in output
    assert guest.disk() == disk
    assert guest.changed_since(before) == {"leader", "failing"}
    assert play(playbook, *extra(set_state="absent")).status == 0


def test_a_tunnel_that_was_up_must_come_up_again(guest, play, pin):
    """Its health is the world outside; but that world was well a moment ago."""
    disk = guest.disk()
    health = "docker inspect --format '{{.State.Health.Status}}' cloudflared"
    wait_for(lambda: guest.run(health) == "healthy")
    # A program that ends at once: the engine waits longer before each start of one that does not run for ten seconds.
    run = play("site.yml", *extra(base_cloudflared_image=pin["base_traefik_socket_proxy_image"]))
    assert run.status == 2
    output = " ".join(run.output.split())
    assert "stack cloudflared: container cloudflared is restarting" in output
    assert "cloudflared was rolled back to its last good generation and is healthy" in output
    assert guest.disk() == disk


@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_a_file_that_compose_rejects(guest, play, mode):
    before = guest.ids(), guest.disk()
    run = play("site.yml", *mode, *extra(base_filebrowser_memory_limit="lots"))
    assert run.status == 2
    assert "Compose does not accept the new docker-compose.yml" in " ".join(run.output.split())
    assert (guest.ids(), guest.disk()) == before


@pytest.mark.parametrize("mode", [[], ["--check"]])
@pytest.mark.parametrize(
    "variable, image, words",
    [
        (
            "base_filebrowser_image",
            "gtstef/filebrowser:2.1.0-stable",
            "crosses 2.0.0; FileBrowser 2 keeps its database",
        ),
        ("base_traefik_image", "traefik:v3.6.0", "traefik:v3.6.0 is older than 3.6.7"),
    ],
)
def test_a_version_that_a_pin_alone_does_not_reach(guest, play, mode, variable, image, words):
    before = guest.ids(), guest.disk()
    run = play("site.yml", *mode, *extra(**{variable: f"{image}@sha256:{'0' * 64}"}))
    assert run.status == 2
    assert words in " ".join(run.output.split())
    assert (guest.ids(), guest.disk()) == before


def test_data_of_another_user(guest, play):
    """What a FileBrowser that ran as root left can't be written by one that does not."""
    folder = "/opt/docker/stacks/filebrowser/data"
    guest.run(f"touch {folder}/old.db")
    before = guest.ids(), guest.disk()
    try:
        run = play("site.yml", *extra(base_filebrowser_memory_limit="2g"))
        assert run.status == 2
        output = " ".join(run.output.split())
        assert f"{folder}/old.db does not belong to user 1000" in output
        assert f"chown -R 1000:1000 {folder}" in output
        assert (guest.ids(), guest.disk()) == before
    finally:
        guest.run(f"rm {folder}/old.db")


def test_a_missing_storage_path(guest, play):
    before = guest.ids(), guest.disk()
    run = play("site.yml", *extra(guest_config_storage_paths=["/mnt/not-there"]))
    assert run.status == 2
    assert "/mnt/not-there does not exist and a service mounts it" in " ".join(run.output.split())
    assert (guest.ids(), guest.disk()) == before


def other_token() -> str:
    parts = {"a": "b" * 32, "t": "99999999-8888-4777-8666-555555555555", "s": base64.b64encode(b"another").decode()}
    return base64.b64encode(json.dumps(parts).encode()).decode()


def test_a_full_disk(guest, play):
    folder = "/opt/docker/cloudflared"
    before = guest.ids(), guest.disk()
    guest.run(
        f"mkdir /run/kept && cp -a {folder}/. /run/kept && mount -t tmpfs -o size=64k,mode=755 tmpfs {folder} &&"
        f"cp -a /run/kept/. {folder} && ! dd if=/dev/zero of={folder}/full bs=4k 2>/dev/null"
    )
    try:
        run = play("site.yml", *extra(guest_config_cf_tunnel_token=other_token()))
        left = guest.run(f"find {folder} -name '*.tmp'")
        guest.run(f"rm {folder}/full")
        after = guest.ids(), guest.disk()
    finally:
        guest.run(f"umount {folder}; rm -r /run/kept")
    assert run.status == 2
    assert "No space left on device; nothing was changed" in " ".join(run.output.split())
    assert left == ""
    assert after == before


def test_a_container_of_the_same_name_started_by_hand(guest, play, pin):
    guest.run(f"docker rm -f cloudflared; docker run -d --name cloudflared {pin['felhom_controller_image']}")
    before = guest.ids()
    run = play("site.yml")
    assert run.status == 2
    assert "container name cloudflared is taken by" in run.output
    assert guest.ids() == before

    run = play("site.yml", *extra(base_cloudflared_foreign="replace"))
    assert run.status == 0, run.output
    aside = f"cloudflared-displaced-{before['cloudflared'][:8]}"
    assert guest.ids()[aside] == before["cloudflared"]
    guest.run(f"docker rm -f {aside}")


def test_the_same_program_started_by_hand_is_adopted(guest, play, pin):
    guest.run(f"docker rm -f filebrowser; docker run -d --name filebrowser {pin['base_filebrowser_image']}")
    by_hand = guest.ids()["filebrowser"]
    assert play("site.yml").status == 0
    assert guest.ids()[f"filebrowser-displaced-{by_hand[:8]}"] == by_hand
    guest.run(f"docker rm -f filebrowser-displaced-{by_hand[:8]}")


def test_a_stack_removed_by_hand(guest, play):
    before = guest.ids()
    token = guest.run(f"sha256sum {TOKEN_FILE}")
    guest.run("docker rm -f cloudflared; rm -r /opt/docker/cloudflared")
    assert play("site.yml").status == 0
    assert guest.changed_since(before) == {"cloudflared"}
    assert guest.run(f"sha256sum {TOKEN_FILE}") == token


def test_a_folder_deleted_under_its_container(guest, play):
    before = guest.ids()
    guest.run("rm -r /opt/docker/traefik/dynamic")
    assert play("site.yml").status == 0
    assert guest.changed_since(before) == {"traefik"}
    assert guest.run("docker exec traefik ls /etc/traefik/dynamic") == "base.yml"


def test_a_changed_secret_recreates_its_one_service(guest, play):
    before = guest.ids()
    run = play("site.yml", "--diff", *extra(guest_config_cf_api_token="another-api-token-of-the-tests"))
    assert run.status == 0, run.output
    assert guest.changed_since(before) == {"traefik"}
    assert "another-api-token" not in run.output
    assert run.output.count("content not shown, SHA-256 begins with") == 2
    assert guest.ledger()[-1]["stacks"]["traefik"]["recreated"] == ["traefik"]


def test_a_fact_cache_keeps_nothing_of_an_earlier_run(guest, play, tmp_path):
    cache = {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path)}
    settings = extra(base_traefik_log_level="WARN")
    for result in ("changed", "unchanged"):
        run = play("site.yml", *settings, **cache)
        assert run.status == 0, run.output
        assert guest.ledger()[-1]["result"] == result
        assert guest.ledger()[-1]["stacks"]["traefik"]["changed"] == (result == "changed")
    assert run.changed == 0


def test_a_changed_dynamic_file_recreates_nothing_and_is_picked_up(guest, play, ask, domain):
    headers = {"customResponseHeaders": {"X-Dynamic": "yes"}}
    before = guest.ids()
    assert "x-dynamic" not in ask(f"https://files.{domain}/")
    assert play("site.yml", *extra(base_traefik_security_headers=headers)).status == 0
    assert guest.ids() == before
    wait_for(lambda: "x-dynamic: yes" in ask(f"https://files.{domain}/"))


def test_an_operators_own_dynamic_file_stays(guest, play):
    own = "/opt/docker/traefik/dynamic/own.yml"
    guest.run(f"echo 'http: {{}}' > {own}; rm /opt/docker/traefik/dynamic/base.yml")
    assert play("site.yml").status == 0
    assert guest.host.file(own).exists
    guest.run(f"rm {own}")


def test_a_rollback_returns_and_a_second_one_undoes_it(guest, play):
    def level():
        return yaml.safe_load(guest.run("cat /opt/docker/traefik/traefik.yml"))["log"]["level"]

    secrets = guest.run("sha256sum /opt/docker/stacks/filebrowser/secrets/* /opt/docker/traefik/acme/acme.json")
    assert play("site.yml", *extra(base_traefik_log_level="WARN")).status == 0
    only = extra(base_infra_rollback_stacks=["traefik"])
    assert play("rollback.yml", "--check", *only).changed == 1
    assert level() == "WARN"
    run = play("rollback.yml", *only)
    assert (run.status, run.changed) == (0, 1), run.output
    assert level() == "INFO"
    assert play("rollback.yml", *only).status == 0
    assert level() == "WARN"
    assert guest.run("sha256sum /opt/docker/stacks/filebrowser/secrets/* /opt/docker/traefik/acme/acme.json") == secrets


def test_a_rollback_without_an_earlier_generation_says_so(guest, play):
    run = play("rollback.yml", *extra(base_infra_rollback_stacks=["cloudflared", "nonesuch"]))
    assert run.status == 2
    assert "no earlier generation of" in run.output and "nonesuch" in run.output


def test_hostile_values_arrive_as_they_are_and_the_stack_can_be_removed(guest, play):
    playbook = "../molecule/faults/hostile/site.yml"
    run = play(playbook)
    assert run.status == 0, run.output
    values = yaml.safe_load((ROOT / "molecule/faults/hostile/site.yml").read_text())[0]["vars"]["hostile_values"]
    values = ["{{ x }}" if value.startswith("{{") else value for value in values]
    inspected = json.loads(guest.run("docker inspect hostile"))[0]["Config"]
    environment = dict(line.split("=", 1) for line in inspected["Env"])
    assert [environment[f"VALUE_{number}"] for number in range(len(values))] == values
    assert inspected["Labels"]["hostile"] == "$HOME"
    assert json.loads(guest.run("cat /opt/docker/hostile/values.json")) == values
    assert play(playbook).changed == 0

    assert play(playbook, "--check", *extra(hostile_state="absent")).changed == 1
    assert play(playbook, *extra(hostile_state="absent")).status == 0
    assert "hostile" not in guest.ids()
    assert guest.run("find /opt/docker/hostile -type f") == ""
    assert play(playbook, *extra(hostile_state="absent")).changed == 0
