"""What a browser, the tunnel, and somebody who means harm get from the proxy."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable

import pytest
from waiting import ANSWER, wait_for

ACME_FILE = "/opt/docker/traefik/acme/acme.json"
STATUS_FILE = "/var/lib/felhom-base-infra/status.json"


def names(certificate: dict) -> set[str]:
    return {name for _kind, name in certificate["subjectAltName"]}


def certificate_check(host) -> dict:
    checks = json.loads(host.file(STATUS_FILE).content_string)["checks"]
    return next(check for check in checks if check["id"].startswith("certificate."))


def test_a_certificate_is_issued_for_the_domain_and_all_names_below_it(host, served, customer):
    domain = customer["customer"]["domain"]
    certificate = served(f"files.{domain}")
    assert names(certificate) == {domain, f"*.{domain}"}
    assert "Pebble" in str(certificate["issuer"])
    assert served(f"anything.{domain}")["serialNumber"] == certificate["serialNumber"]
    file = host.file(ACME_FILE)
    assert (oct(file.mode), file.uid) == (oct(0o600), 0)


def test_the_certificate_survives_converges_changes_rollbacks_and_the_stack_s_removal(host, play, served, customer):
    name = f"files.{customer['customer']['domain']}"
    serial = served(name)["serialNumber"]
    assert play("site.yml", "--extra-vars", "base_traefik_log_level=WARN").status == 0
    assert served(name)["serialNumber"] == serial
    assert play("rollback.yml", "--extra-vars", '{"base_infra_rollback_stacks": ["traefik"]}').status == 0
    assert served(name)["serialNumber"] == serial
    without = {"base_traefik_state": "absent", "base_health_must_be_well": False, "base_health_patience": 0}
    gone = play("site.yml", "--extra-vars", json.dumps(without))
    assert gone.status == 0, gone.output
    assert not host.file("/opt/docker/traefik/docker-compose.yml").exists
    assert play("site.yml").status == 0
    assert served(name)["serialNumber"] == serial
    # The converge looked when the proxy may not have read its certificates yet.
    assert play("health.yml").status == 0
    assert certificate_check(host)["verdict"] == "ok"


def test_a_wrong_token_is_told_and_stops_nothing(host, play, browse, customer):
    domain = customer["customer"]["domain"]
    # Stopped, or it would get another certificate with the good token before the converge brings the wrong one.
    host.check_output(f"docker stop traefik; cp -a {ACME_FILE} /run/acme.json; : > {ACME_FILE}")
    try:
        assert play("site.yml", "--extra-vars", "guest_config_cf_api_token=revoked-token-of-the-tests").status == 0

        def refusal() -> dict | None:
            assert play("health.yml").status == 0
            check = certificate_check(host)
            return check if "9109: Invalid access token" in check["reason"] else None

        check = wait_for(refusal, lambda: certificate_check(host))
        assert check["verdict"] == "degraded"
        assert "revoked-token" not in str(check)
        assert browse(f"https://files.{domain}/")[0] == 200
    finally:
        host.check_output(f"docker stop traefik; cp -a /run/acme.json {ACME_FILE}; rm /run/acme.json")
        assert play("site.yml").status == 0


def test_another_token_is_used_for_the_next_certificate(play, served, customer):
    """A domain more needs a certificate more, which only the new token gets."""
    settings = {
        "guest_config_cf_api_token": "test-customers" + "-api-token-rotated",
        "base_traefik_extra_domains": ["extra.felhom.test"],
    }
    assert play("site.yml", "--extra-vars", json.dumps(settings)).status == 0
    assert names(served("www.extra.felhom.test")) == {"extra.felhom.test", "*.extra.felhom.test"}
    assert names(served(f"files.{customer['customer']['domain']}"))
    assert play("site.yml").status == 0


def test_every_answer_bears_the_security_headers(ask, customer):
    headers = ask(f"https://files.{customer['customer']['domain']}/")
    assert "strict-transport-security: max-age=31536000" in headers
    assert "x-content-type-options: nosniff" in headers
    assert "x-frame-options: sameorigin" in headers
    assert "referrer-policy: strict-origin-when-cross-origin" in headers


@pytest.mark.parametrize("version, accepted", [("tls1_1", False), ("tls1_2", True), ("tls1_3", True)])
def test_old_tls_is_refused(address, version, accepted):
    command = f"openssl s_client -{version} -cipher ALL:@SECLEVEL=0 -connect {address}:443 -servername x </dev/null"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode == 0) == accepted, done.stderr


def test_the_dashboard_is_closed_until_somebody_may_see_it(ask, play, customer):
    url = f"https://traefik.{customer['customer']['domain']}/dashboard/"

    def wait_for_answer(status: int, *options: str) -> None:
        # The proxy learns of a router, and that it is gone, after some seconds.
        wait_for(lambda: f" {status}" in ask(url, *options).partition("\n")[0])

    wait_for_answer(404)
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "-salt", "bedsalt0", "the password"], check=True, capture_output=True, text=True
    ).stdout.strip()
    settings = json.dumps({"base_traefik_dashboard_users": [f"ops:{hashed}"]})
    run = play("site.yml", "--diff", "--extra-vars", settings)
    assert run.status == 0, run.output
    assert hashed not in run.output
    wait_for_answer(401)
    assert " 401" in ask(url, "--user", "ops:another password").splitlines()[0]
    assert " 200" in ask(url, "--user", "ops:the password").splitlines()[0]
    assert play("site.yml").status == 0
    wait_for_answer(404)


TUNNEL = """
import http.client, json, sys
for method, path, headers in json.loads(sys.argv[1]):
    connection = http.client.HTTPConnection("traefik", 8880, timeout=int(sys.argv[2]))
    connection.request(method, path, headers={"X-Forwarded-Proto": "https"} | headers)
    answer = connection.getresponse()
    answer.read()
    print(json.dumps([answer.status, dict(answer.getheaders())]))
"""


@pytest.fixture
def tunnel(host, customer) -> Callable:
    """Ask as cloudflared does: plain HTTP to the unpublished entry, with the headers that Cloudflare's edge sends.

    Requests are a method, a path and headers each; answers a status and headers.
    """
    image = host.ansible.get_variables()["felhom_controller_image"]
    name = {"Host": f"files.{customer['customer']['domain']}"}

    def through(*requests: tuple[str, str, dict]) -> list[tuple[int, dict]]:
        given = json.dumps([(method, path, name | headers) for method, path, headers in requests])
        script = f"{shlex.quote(TUNNEL)} {shlex.quote(given)} {ANSWER}"
        inside = f"docker run --rm --network traefik-public --entrypoint python3 {image} -c {script}"
        return [tuple(json.loads(line)) for line in host.check_output(inside).splitlines()]

    return through


def test_the_tunnel_gets_through_without_redirect_and_keeps_who_asked(host, tunnel):
    """cloudflared speaks plain HTTP to the unpublished entry and says who asked; port 80 would redirect it for ever."""
    assert tunnel(("GET", "/", {"X-Forwarded-For": "203.0.113.9"}))[0][0] == 200
    # 7: refused.
    assert host.run(f"curl -s --max-time {ANSWER} http://127.0.0.1:8880/").rc == 7
    wait_for(lambda: "203.0.113.9" in host.check_output("docker logs --tail 20 filebrowser 2>&1"))


@pytest.mark.parametrize("name, status", [("files", 200), ("unknown", 404)])
def test_browsers_are_told_to_stay_with_https_by_every_answer(ask, customer, tunnel, name, status):
    """Also by the proxy's own, and through the tunnel, where the proxy itself sees no HTTPS."""
    full = f"{name}.{customer['customer']['domain']}"
    direct = ask(f"https://{full}/").lower()
    assert f" {status}" in direct.splitlines()[0]
    assert "strict-transport-security: max-age=31536000" in direct
    ((answered, headers),) = tunnel(("GET", "/", {"Host": full}))
    assert (answered, headers.get("Strict-Transport-Security")) == (status, "max-age=31536000")


LOGIN = "/api/auth/login?username=admin"


@pytest.mark.parametrize("way", ["tunnel", "direct"])
def test_a_stranger_s_wrong_passwords_lock_nobody_out(host, ask, customer, tunnel, way):
    """FileBrowser counts tries for a user name from everywhere, and by address for whoever the sender claims to be."""
    # As after a quiet quarter of an hour.
    host.check_output("docker restart filebrowser")
    wait_for(lambda: tunnel(("GET", "/", {}))[0][0] == 200)
    claims = [f"198.51.100.{number}" for number in range(50)]
    if way == "tunnel":
        # What the stranger says, and after it what Cloudflare knows; then half of the tries without a lie.
        said = [f"{claim}, 203.0.113.66" for claim in claims[:25]] + 25 * ["203.0.113.66"]
        answers = tunnel(*(("POST", LOGIN, {"X-Password": "wrong", "X-Forwarded-For": by}) for by in said))
        statuses = [str(status) for status, _headers in answers]
    else:
        url = f"https://files.{customer['customer']['domain']}{LOGIN}"
        tries = (ask(url, "-XPOST", "-HX-Password: wrong", f"-HX-Forwarded-For: {by}") for by in claims)
        statuses = [answer.split()[1] for answer in tries]
    assert set(statuses) == {"401", "429"}
    assert statuses.count("401") <= 8
    password = host.check_output("cat /opt/docker/stacks/filebrowser/secrets/admin_password").strip()
    ((owner, _headers),) = tunnel(("POST", LOGIN, {"X-Password": password, "X-Forwarded-For": "203.0.113.7"}))
    assert owner == 200
    assert "198.51.100." not in host.check_output("docker logs filebrowser 2>&1")


@pytest.mark.parametrize(
    "request_, answered",
    [
        ("http://socket-proxy:2375/v1.41/containers/json", True),
        ("http://socket-proxy:2375/v1.41/images/json", False),
        ("--post-data={} http://socket-proxy:2375/v1.41/containers/create", False),
        ("--post-data= http://socket-proxy:2375/v1.41/containers/filebrowser/restart", False),
    ],
)
def test_traefik_may_read_containers_and_nothing_more(host, request_, answered):
    done = host.run(f"docker exec traefik wget -q -O - {request_}")
    assert (done.rc == 0) == answered, done.stdout + done.stderr
    if not answered:
        assert "403" in done.stderr or "405" in done.stderr, done.stderr
