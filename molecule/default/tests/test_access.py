"""A folder that FileBrowser's user can't write, as the customer meets it: it is said, and what is said helps."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from waiting import wait_for

STATUS_FILE = "/var/lib/felhom-base-infra/status.json"
PASSWORD_FILE = "/opt/docker/stacks/filebrowser/secrets/admin_password"
COMPOSE_FILE = "/opt/docker/stacks/filebrowser/docker-compose.yml"
DISK = "/mnt/a disk"


@pytest.fixture
def ask(host, customer):
    """The status of FileBrowser's answer through the proxy."""
    name = f"files.{customer['customer']['domain']}"
    curl = f"curl -sk --resolve {name}:443:127.0.0.1 -H @-"

    def once(header: str, path: str, *options: str) -> tuple[str, str]:
        command = f"{curl} -w '\\n%{{http_code}}' {' '.join(options)} {shlex.quote(f'https://{name}/{path}')}"
        body, _newline, code = host.check_output(f"printf %s {shlex.quote(header)} | {command}").rpartition("\n")
        return code, body

    def log_in() -> str:
        password = host.check_output(f"cat {PASSWORD_FILE}").strip()
        code, body = once(f"X-Password: {password}", "api/auth/login?username=admin", "-X POST")
        return body if code == "200" else ""

    # The proxy learns of a new container after some seconds, and lets one address log in five times a minute.
    token = wait_for(log_in)
    return lambda path, *options: once(f"Authorization: Bearer {token}", path, *options)[0]


@pytest.fixture
def disk(host, play):
    """A folder of root's, as a new disk is, among the customer's."""
    host.check_output(f"mkdir -m 755 '{DISK}'")
    original = host.file(COMPOSE_FILE).content_string
    run = play("site.yml", "--extra-vars", json.dumps({"guest_config_storage_paths": [{"path": DISK, "name": "Disk"}]}))
    yield run
    # What is mounted stays for ever.
    host.check_output(f"cat > {COMPOSE_FILE} <<'END'\n{original}END")
    assert play("site.yml").status == 0
    host.check_output(f"rm -r '{DISK}'")


def test_a_folder_of_another_user_is_named_with_what_mends_it(host, play, disk, ask):
    assert disk.status == 0, disk.output
    listing, upload = "api/resources?path=/&source=Disk", "api/resources?path=/new.txt&source=Disk"
    assert ask(listing) == "200"
    assert ask(upload, "-X POST --data-binary text") == "500"

    def said() -> dict:
        checks = json.loads(host.file(STATUS_FILE).content_string)["checks"]
        return next(check for check in checks if check["id"] == f"access.{DISK}")

    assert said()["verdict"] == "degraded"
    assert said()["reason"] == "FileBrowser's user 1000:1000 may not write it: it belongs to 0:0, mode 0755"
    host.check_output(re.match("run '([^']+)' on the guest", said()["fix"])[1])
    assert ask(upload, "-X POST --data-binary text") == "200"
    assert play("health.yml").status == 0
    assert said()["verdict"] == "ok"
