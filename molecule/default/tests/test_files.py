"""The customer's files: who gets in, and what stays mounted whatever happens around it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
import yaml
from waiting import wait_for

COMPOSE_FILE = "/opt/docker/stacks/filebrowser/docker-compose.yml"
PASSWORD_FILE = "/opt/docker/stacks/filebrowser/secrets/admin_password"
KEY_FILE = "/opt/docker/stacks/filebrowser/secrets/jwt_key"


@pytest.fixture
def api(host, customer):
    """Ask FileBrowser through the proxy: status code and body."""
    name = f"files.{customer['customer']['domain']}"

    def ask(path: str, header: str, *options: str) -> tuple[int, str]:
        # The header comes by standard input: a password is nobody's business in the list of processes.
        command = f"curl -sk --resolve {name}:443:127.0.0.1 -w '\\n%{{http_code}}' -H @- {' '.join(options)} 'https://{name}/{path}'"

        def answer() -> tuple[int, str] | None:
            text, _newline, code = host.check_output(f"printf %s '{header}' | {command}").rpartition("\n")
            # The proxy learns of a new container after some seconds.
            return None if code in ("404", "502", "503", "504") else (int(code), text)

        return wait_for(answer)

    return ask


def log_in(host, api) -> str:
    password = host.file(PASSWORD_FILE).content_string.strip()
    code, token = api("api/auth/login?username=admin", f"X-Password: {password}", "-X POST")
    assert code == 200
    return token


def forged(key: str) -> str:
    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    head = encoded(b'{"alg":"HS256","typ":"JWT"}')
    head += "." + encoded(json.dumps({"belongsTo": 1, "exp": int(time.time()) + 600}).encode())
    return head + "." + encoded(hmac.new(key.encode(), head.encode(), hashlib.sha256).digest())


def test_a_restart_keeps_password_and_sessions(host, api):
    before = host.check_output(f"sha256sum {PASSWORD_FILE} {KEY_FILE}")
    token = log_in(host, api)
    host.check_output("docker restart filebrowser")
    assert api("api/resources?path=/&source=Files", f"Authorization: Bearer {token}")[0] == 200
    assert log_in(host, api)
    assert host.check_output(f"sha256sum {PASSWORD_FILE} {KEY_FILE}") == before


def test_a_token_signed_with_the_empty_key_is_refused(host, api):
    """Without a key of its own FileBrowser 1.x takes it after every restart."""
    assert api("api/resources?path=/&source=Files", f"Authorization: Bearer {forged('')}")[0] == 401
    key = host.file(KEY_FILE).content_string.strip()
    assert api("api/resources?path=/&source=Files", f"Authorization: Bearer {forged(key)}")[0] == 200


def test_mounts_that_the_controller_made_stay_for_ever(host, guest, play, api):
    """The controller rewrites the compose file when a disk is added: with its own, unpinned image and no hardening."""
    variables = host.ansible.get_variables()
    theirs = {
        "services": {
            "filebrowser": {
                "image": "gtstef/filebrowser:latest",
                "container_name": "filebrowser",
                "volumes": ["./data:/home/filebrowser/data", "/mnt/photos:/srv/photos", "/mnt/archive:/srv/archive:ro"],
            }
        }
    }
    original = host.file(COMPOSE_FILE).content_string
    host.check_output(
        "mkdir -p /mnt/photos /mnt/archive && touch /mnt/photos/summer.jpg && chown -R 1000:1000 /mnt/photos"
    )
    host.check_output(f"cat > {COMPOSE_FILE} <<'END'\n{yaml.safe_dump(theirs)}END")
    try:
        run = play("site.yml", "--diff")
        assert run.status == 0, run.output
        assert "-    image: gtstef/filebrowser:latest" in run.output

        def mounts() -> dict[str, bool]:
            service = yaml.safe_load(host.file(COMPOSE_FILE).content_string)["services"]["filebrowser"]
            assert service["image"] == variables["base_filebrowser_image"]
            return {entry["source"]: entry["read_only"] for entry in service["volumes"] if entry["source"][0] == "/"}

        assert mounts() == {"/mnt/photos": False, "/mnt/archive": True}
        ids = guest.ids()
        for _ in range(10):
            assert play("site.yml").changed == 0
        assert mounts() == {"/mnt/photos": False, "/mnt/archive": True}
        assert guest.ids() == ids
        token = log_in(host, api)
        code, listing = api("api/resources?path=/&source=photos", f"Authorization: Bearer {token}")
        assert (code, json.loads(listing)["files"]) == (200, [{"name": "summer.jpg"}])
    finally:
        host.check_output(f"cat > {COMPOSE_FILE} <<'END'\n{original}END")
        assert play("site.yml").status == 0
        host.check_output("rm -r /mnt/photos /mnt/archive")
