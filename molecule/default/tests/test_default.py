"""A fresh guest after its first converge, as a customer and an operator would see it."""

from __future__ import annotations

import json
import shlex

import pytest
from runs import GUEST
from waiting import wait_for

PROTECTED = ["traefik", "cloudflared", "felhom-controller", "filebrowser"]
CONTROLLER_FILE = "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml"


def inspect(host, *names):
    return json.loads(host.check_output("docker inspect " + " ".join(names)))


@pytest.mark.parametrize("name", PROTECTED)
def test_a_protected_container_runs_and_is_healthy(host, name):
    """The converge does not wait for the tunnel's connection."""

    def state() -> tuple[str, str]:
        found = inspect(host, name)[0]["State"]
        return found["Status"], found["Health"]["Status"]

    wait_for(lambda: state() == ("running", "healthy"), state)


def test_every_image_is_the_pinned_one(host):
    variables = host.ansible.get_variables()
    for container, variable in {
        "traefik": "base_traefik_image",
        "traefik-socket-proxy": "base_traefik_socket_proxy_image",
        "cloudflared": "base_cloudflared_image",
        "filebrowser": "base_filebrowser_image",
    }.items():
        image = inspect(host, container)[0]["Image"]
        digests = inspect(host, image)[0]["RepoDigests"]
        assert [digest.split("@")[1] for digest in digests] == [variables[variable].split("@")[1]]


@pytest.mark.parametrize(
    "path, mode, owner",
    [
        ("/opt/docker/traefik/docker-compose.yml", 0o644, 0),
        ("/opt/docker/traefik/traefik.yml", 0o644, 0),
        ("/opt/docker/traefik/dynamic/base.yml", 0o644, 0),
        ("/opt/docker/traefik/acme/acme.json", 0o600, 0),
        ("/opt/docker/traefik/secrets", 0o700, 0),
        ("/opt/docker/traefik/secrets/cf_dns_api_token", 0o400, 0),
        ("/opt/docker/cloudflared/secrets/tunnel_token", 0o400, 65532),
        ("/opt/docker/stacks/filebrowser/config/config.yaml", 0o400, 1000),
        ("/opt/docker/stacks/filebrowser/data", 0o700, 1000),
        ("/opt/docker/stacks/filebrowser/secrets/admin_password", 0o400, 0),
        ("/opt/docker/stacks/filebrowser/secrets/jwt_key", 0o400, 0),
        ("/var/lib/felhom-base-infra/manifest.json", 0o600, 0),
        ("/var/lib/felhom-base-infra/status.json", 0o644, 0),
    ],
)
def test_owner_and_mode(host, path, mode, owner):
    file = host.file(path)
    assert (oct(file.mode), file.uid, file.gid) == (oct(mode), owner, owner)


def test_nothing_lies_about(host):
    assert (
        host.check_output(
            "find / /tmp -xdev -name '*.felhom-base-infra.tmp' -o -xdev -name 'felhom-base-infra-*' -path '/tmp/*'"
        )
        == ""
    )


def test_the_customer_reaches_the_file_browser(browse, customer):
    assert browse(f"https://files.{customer['customer']['domain']}/")[0] == 200


def test_an_unknown_name_is_not_found(browse, customer):
    assert browse(f"https://unknown.{customer['customer']['domain']}/")[0] == 404


def test_plain_http_leads_to_https_with_path_and_query(browse, customer):
    url = f"files.{customer['customer']['domain']}/some/path?query=kept"
    assert browse(f"http://{url}") == (301, f"https://{url}")


def test_the_generated_password_opens_the_file_browser(host, customer, address):
    password = host.check_output("cat /opt/docker/stacks/filebrowser/secrets/admin_password").strip()
    name = f"files.{customer['customer']['domain']}"
    login = f"curl -sk --resolve {name}:443:127.0.0.1 -o /dev/null -w '%{{http_code}}' -X POST -H @- 'https://{name}/api/auth/login?username=admin'"
    for given, expected in ((password, "200"), ("admin", "401")):
        assert host.check_output(f"printf 'X-Password: %s' {shlex.quote(given)} | {login}") == expected


def test_check_mode_is_clean_and_touches_nothing(host, guest, play):
    before = guest.ids(), guest.disk()
    run = play("site.yml", "--check", "--diff")
    assert (run.status, run.changed) == (0, 0), run.output
    assert (guest.ids(), guest.disk()) == before


def test_health_says_ok_and_changes_nothing(host, guest, play):
    """Degraded only while the certificate is being issued, which takes a while after the first converge."""
    before = guest.ids(), guest.disk()

    def says_ok() -> bool:
        run = play("health.yml")
        assert (run.status, run.changed) == (0, 0), run.output
        return f"{GUEST}: ok" in run.output

    wait_for(says_ok)
    status = json.loads(host.file("/var/lib/felhom-base-infra/status.json").content_string)
    assert status["verdict"] == "ok", status
    assert {f"container.{name}" for name in PROTECTED} <= {check["id"] for check in status["checks"]}
    assert (guest.ids(), guest.disk()) == before


def test_what_was_broken_is_mended_and_no_secret_is_seen_on_the_way(host, guest, play, customer):
    """Files and a container are gone; the converge says what differs and shows no secret anywhere."""
    host.check_output(
        "docker rm --force cloudflared; rm -r /opt/docker/cloudflared/secrets /opt/docker/traefik/secrets"
    )
    host.check_output("echo bogus >> /opt/docker/stacks/filebrowser/config/config.yaml")
    unhurt = inspect(host, "traefik-socket-proxy")[0]["Id"]

    run = play("site.yml", "-vvv", "--diff")
    assert run.status == 0, run.output
    assert "container cloudflared is missing" in run.output
    assert "config/config.yaml has other content" in run.output
    assert inspect(host, "traefik-socket-proxy")[0]["Id"] == unhurt
    assert play("site.yml").changed == 0

    secrets = customer["secrets"] + [
        host.check_output(f"cat /opt/docker/stacks/filebrowser/secrets/{name}").strip()
        for name in ("admin_password", "jwt_key")
    ]
    names = host.check_output("docker ps --all --quiet").split()
    places = {
        "the run's output": run.output,
        "the journal": host.check_output("journalctl --no-pager --output=cat"),
        "docker inspect": host.check_output("docker inspect " + " ".join(names)),
        "command lines": host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
        "container logs": "".join(host.check_output(f"docker logs {name} 2>&1") for name in names),
        "status.json": host.file("/var/lib/felhom-base-infra/status.json").content_string,
    }
    # The places hold what belongs there, so that an empty answer is not taken for a clean one.
    assert all(len(text) > 100 for text in places.values())
    found = [
        (place, number) for place, text in places.items() for number, secret in enumerate(secrets) if secret in text
    ]
    assert found == []


@pytest.mark.parametrize(
    "break_it, message",
    [
        ("head -c 90 FILE.good > FILE", "controller.yaml"),
        ("truncate -s 0 FILE", "controller.yaml"),
        ("(cat FILE.good; echo 'customer: {}') > FILE", "controller.yaml"),
        (
            "sed 's/cf_tunnel_token: .*/cf_tunnel_token: bm90LWEtdG9rZW4=/' FILE.good > FILE",
            "infrastructure.cf_tunnel_token",
        ),
        ("sed 's/domain: .*/domain: not-a-domain/' FILE.good > FILE", "customer.domain"),
    ],
)
def test_a_bad_controller_file_changes_nothing_and_is_named(host, guest, play, customer, break_it, message):
    before = guest.ids(), guest.disk()
    host.check_output(f"cp -p {CONTROLLER_FILE} {CONTROLLER_FILE}.good")
    try:
        host.check_output(break_it.replace("FILE", CONTROLLER_FILE))
        run = play("site.yml")
    finally:
        host.check_output(f"mv {CONTROLLER_FILE}.good {CONTROLLER_FILE}")
    assert run.status == 2, run.output
    assert message in run.output
    assert "Traceback" not in run.output
    assert not any(secret in run.output for secret in customer["secrets"])
    assert (guest.ids(), guest.disk()) == before


@pytest.mark.parametrize(
    "given, message",
    [
        ("base_traefik_loglevel=DEBUG", "did you mean base_traefik_log_level?"),
        ("guest_config_controler_file=/nowhere", "did you mean guest_config_controller_file?"),
        ("base_health_patence=0", "did you mean base_health_patience?"),
        ("base_health_patience=long", "base_health_patience"),
        (
            "base_cloudflared_tunnel_token=not-a-secret-token",
            "found a text of 18 characters that is not base64 of JSON",
        ),
        (
            '{"guest_config_storage_paths": [{"path": "/mnt", "options": {"createUserDirr": true}}]}',
            "found the unknown key createUserDirr in the options of /mnt",
        ),
        # FileBrowser would end at it, and be brought back after a minute.
        (
            '{"base_filebrowser_storage_paths": [{"path": "/a", "name":"A","options": {"rules": [{"viewable": 1}]}}]}',
            "found a number for the option rules[0].viewable of /a; expected true or false",
        ),
    ],
)
def test_a_variable_that_would_be_ignored_or_can_not_be_changes_nothing(guest, play, given, message):
    before = guest.ids(), guest.disk()
    run = play("site.yml", "--extra-vars", given)
    assert run.status == 2, run.output
    assert message in " ".join(run.output.split())
    assert "not-a-secret" not in run.output
    assert (guest.ids(), guest.disk()) == before
    assert not guest.host.file("/run/felhom-base-infra/lock").exists


def test_a_guest_that_lost_its_configuration_is_left_as_it_is(host, guest, play):
    before = guest.ids()
    host.check_output(f"mv {CONTROLLER_FILE} {CONTROLLER_FILE}.good")
    try:
        run = play("site.yml")
    finally:
        host.check_output(f"mv {CONTROLLER_FILE}.good {CONTROLLER_FILE}")
    assert (run.status, run.changed) == (2, 0), run.output
    assert "expected what this guest was converged with before" in " ".join(run.output.split())
    assert guest.ids() == before
    # And is right again with it.
    assert play("site.yml").status == 0
