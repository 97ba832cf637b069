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
            # The proxy learns of a new container after some seconds; FileBrowser lets ten log ins a minute in.
            return None if code in ("404", "429", "502", "503", "504") else (int(code), text)

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


def webdav(host, customer, source: str, token: str) -> str:
    """The status of a WebDAV client's first question, through the proxy; its password is a token."""
    name = f"files.{customer['customer']['domain']}"
    login = base64.b64encode(f"admin:{token}".encode()).decode()
    ask = f"curl -sk --resolve {name}:443:127.0.0.1 -X PROPFIND -H @- -o /dev/null -w '%{{http_code}}'"
    return host.check_output(f"printf 'Authorization: Basic %s' {login} | {ask} 'https://{name}/dav/{source}/'")


def shown(api, token: str) -> list[str]:
    """What the customer sees beside the files: the links to folders."""
    _code, text = api("api/users?id=self", f"Authorization: Bearer {token}")
    return [link["name"] for link in json.loads(text)["sidebarLinks"] if link["category"] == "source"]


def test_tokens_of_the_first_day_survive(host, play, api, customer):
    """The process that makes the database signs with a key that dies with it."""
    host.check_output("docker rm --force filebrowser && rm -r /opt/docker/stacks/filebrowser/data/*")
    assert play("site.yml").status == 0
    token = log_in(host, api)
    host.check_output("docker restart filebrowser")
    assert api("api/resources?path=/&source=Files", f"Authorization: Bearer {token}")[0] == 200
    assert webdav(host, customer, "Files", token) == "207"


def storage(*paths: str) -> tuple[str, str]:
    return "-e", json.dumps({"guest_config_storage_paths": list(paths)})


def test_a_disk_that_is_swapped_locks_nobody_out(host, play, api, customer):
    """One link to a folder that is gone would keep FileBrowser from setting anything of the account."""
    old, original = host.file(PASSWORD_FILE).content_string.strip(), host.file(COMPOSE_FILE).content_string
    folders = ("/mnt/books", "/mnt/films", "/mnt/songs")
    host.check_output(f"mkdir {' '.join(folders)} && chown 1000:1000 {' '.join(folders)}")
    try:
        assert play("site.yml", *storage("/mnt/books", "/mnt/films")).status == 0
        assert shown(api, log_in(host, api)) == ["books", "films"]
        host.check_output(f"echo another-password > {PASSWORD_FILE}")
        run = play("site.yml", *storage("/mnt/books", "/mnt/songs"))
        assert run.status == 0, run.output
        token = log_in(host, api)
        for folder in ("books", "songs"):
            assert api(f"api/resources?path=/&source={folder}", f"Authorization: Bearer {token}")[0] == 200
            upload = f"api/resources?path=/new.txt&source={folder}"
            assert api(upload, f"Authorization: Bearer {token}", "-X POST --data content")[0] == 200
            assert webdav(host, customer, folder, token) == "207"
        assert shown(api, token) == ["books", "songs"]
        assert play("site.yml", *storage("/mnt/books", "/mnt/songs")).changed == 0
        # One that is only taken away leaves nothing over which a later change falls.
        assert play("site.yml", *storage("/mnt/songs")).status == 0
        assert shown(api, log_in(host, api)) == ["songs"]
    finally:
        # What is mounted stays.
        host.check_output(f"echo {old} > {PASSWORD_FILE}; cat > {COMPOSE_FILE} <<'END'\n{original}END")
        assert play("site.yml").status == 0
        host.check_output(f"rm -r {' '.join(folders)}")
    assert shown(api, log_in(host, api)) == ["Files"]


def test_a_new_password_is_applied(host, play, api):
    old = host.file(PASSWORD_FILE).content_string.strip()
    try:
        host.check_output(f"echo 'Grüße # von \"hier\"' > {PASSWORD_FILE}")
        run = play("site.yml", "--diff")
        assert run.status == 0 and run.changed > 0, run.output
        assert "Grüße" not in run.output
        new = "X-Password: Gr%C3%BC%C3%9Fe%20%23%20von%20%22hier%22"
        assert api("api/auth/login?username=admin", new, "-X POST")[0] == 200
        assert api("api/auth/login?username=admin", f"X-Password: {old}", "-X POST")[0] == 401
        assert play("site.yml").changed == 0
    finally:
        host.check_output(f"echo {old} > {PASSWORD_FILE}")
        assert play("site.yml").status == 0
    assert log_in(host, api)


def test_a_password_that_would_not_be_taken_is_refused_before_anything(host, guest, play, api):
    """FileBrowser would go on with the old one and say so in its log only."""
    old, before = host.file(PASSWORD_FILE).content_string.strip(), guest.ids()
    try:
        host.check_output(f"echo hunter2hunt > {PASSWORD_FILE}")
        for mode in ([], ["--check"]):
            run = play("site.yml", *mode)
            assert run.status == 2
            words = "secrets/admin_password: found a password shorter than 12 bytes, which FileBrowser does not take"
            assert words in " ".join(run.output.split()) and "hunter2hunt" not in run.output
        assert guest.ids() == before
        assert api("api/auth/login?username=admin", f"X-Password: {old}", "-X POST")[0] == 200
    finally:
        host.check_output(f"echo {old} > {PASSWORD_FILE}")
    assert play("site.yml").status == 0


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
