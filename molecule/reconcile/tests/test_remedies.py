"""What a health check prints helps: a real guest is broken, the check says so, what it prints is done, and it is ok."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health import check as _check, preflight, registry
from healing import CONFIGURATION, STATE
from waiting import wait_for

CHECKS = {each.id: each for each in (*registry.CHECKS, *preflight.CHECKS)}
HOST = "files.acme.felhom.test"
FILES = "/opt/docker/stacks/filebrowser/files"
GOLDEN = "/usr/share/felhom-base-infra/golden.json"
CONTROLLER = (
    "docker run --detach --name felhom-controller --restart unless-stopped --volume felhom-controller-data:/data"
    " --volume /etc/felhom-bootstrap:/etc/felhom-bootstrap:ro --volume /var/run/docker.sock:/var/run/docker.sock"
    " {options} $(cat /run/controller-image)"
)
IS_GOLDEN = f"""
cp -p {GOLDEN} /run/golden.json
python3 - <<'END'
import hashlib, json, subprocess
found = json.load(open("{GOLDEN}"))
each = "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done"
keys = subprocess.check_output(each, shell=True).decode().splitlines()
digest = hashlib.sha256(open("/etc/machine-id").read().strip().encode()).hexdigest()
found["identity"] = {{"machine_id_sha256": digest, "ssh_host_keys": [line.split()[1] for line in keys]}}
json.dump(found, open("{GOLDEN}", "w"))
END
"""


# As its owner may do it in the browser: another password, and no folder any more.
CHANGED_IN_FILEBROWSER = """
python3 - <<'END'
import json, subprocess, urllib.parse, urllib.request
root = "/opt/docker/stacks/filebrowser"
shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
address = subprocess.check_output(["docker", "inspect", "--format", shown, "filebrowser"], text=True).strip()
password = urllib.parse.quote(open(f"{root}/secrets/admin_password").read().strip())

def ask(method, path, headers, body=None):
    request = urllib.request.Request(f"http://{address}:8080/api/{path}", body, headers, method=method)
    return urllib.request.urlopen(request).read().decode()

token = ask("POST", "auth/login?username=admin", {"X-Password": password})
put = {"which": ["Scopes", "Password"], "data": {"scopes": [], "password": "changed-in-the-browser"}}
ask("PUT", "users?id=1", {"Authorization": f"Bearer {token}", "X-Password": password}, json.dumps(put).encode())
END
"""


def options_of(fixes: dict[str, str]) -> str:
    """What a person does for a controller that was started by hand: as the fixes say."""
    options = " ".join(re.search(r"^add (.+) to the 'docker run'", fixes[check])[1] for check in PRINTED)
    return f"docker rm --force felhom-controller; {CONTROLLER.format(options=options)}"


PRINTED = ("controller_hostname", "stack_paths")


@dataclass
class Broken:
    """How something is broken, what is then said, by check, and what a person does of it."""

    do: str
    said: dict[str, str]
    person: str | Callable[[dict[str, str]], str] = ""
    options: tuple[str, ...] = ()
    cleanup: str = "true"


BROKEN = {
    "paused, not itself, record cut short": Broken(
        f"felhom-base-infra pause 1h; truncate -s 100 {STATE}/manifest.json; {IS_GOLDEN}",
        {
            "pause": "paused until",
            "identity.machine-id": "has the golden image's",
            "identity.ssh-host-keys": "has the golden image's",
            "manifest": "not a readable JSON file",
        },
        cleanup=f"cp -p /run/golden.json {GOLDEN}",
    ),
    "record gone, controller stopped, tunnel cut": Broken(
        f"rm {STATE}/manifest.json; docker stop --time 0 felhom-controller;"
        " for each in tcp udp; do iptables -I FORWARD -p $each --dport 7844 -j REJECT; done;"
        " docker restart cloudflared",
        {
            "stacks": "nothing has been applied",
            "container.felhom-controller": "(exited)",
            "tunnel": "not connected to Cloudflare's edge",
        },
        person="for each in tcp udp; do iptables -D FORWARD -p $each --dport 7844 -j REJECT; done",
    ),
    "containers, network and files": Broken(
        "docker rm --force filebrowser; docker stop traefik; echo edited >> /opt/docker/traefik/traefik.yml;"
        " docker create --name filebrowser --network none --label com.docker.compose.project=filebrowser"
        " --label com.docker.compose.service=filebrowser --label com.docker.compose.oneoff=False"
        " --label com.docker.compose.container-number=1 --label com.docker.compose.config-hash=0"
        " $(docker inspect --format '{{.Image}}' traefik);"
        " for name in traefik cloudflared; do docker network disconnect --force traefik-public $name; done;"
        " docker network rm traefik-public",
        {
            "container.traefik": "(exited)",
            "pin.filebrowser": "runs another image",
            "network.traefik-public": "does not exist",
            "stack.traefik": "traefik.yml has other content",
            f"proxy.https.{HOST}": "no answer from the proxy",
            f"proxy.http.{HOST}": "no answer from the proxy",
            f"probe.{HOST}": "stops at the ",
        },
    ),
    "a folder of another user": Broken(
        f"chown 0:0 {FILES}; chmod 700 {FILES}",
        {f"access.{FILES}": "may not read and write it: it belongs to 0:0, mode 0700"},
    ),
    "a folder that is mounted read-only": Broken(
        f"mount --bind {FILES} {FILES}; mount -o remount,bind,ro {FILES}; docker restart filebrowser",
        {f"access.{FILES}": "mounted read-only"},
        person=f"mount -o remount,bind,rw {FILES}; docker restart filebrowser",
        cleanup=f"umount {FILES}; docker restart filebrowser",
    ),
    "a certificate and a wrong token": Broken(
        "docker stop traefik; : > /opt/docker/traefik/acme/acme.json;"
        " printf wrong > /opt/docker/traefik/secrets/cf_dns_api_token; docker start traefik",
        {f"certificate.{HOST}": "no certificate was issued yet"},
        person="felhom-base-infra converge",
    ),
    "an account that was changed in FileBrowser": Broken(
        CHANGED_IN_FILEBROWSER,
        {
            "filebrowser.login": "admin is not let in with the password in secrets/admin_password",
            "filebrowser.source.Files": "admin has no access to it",
        },
    ),
    "a configuration that is half written": Broken(
        f"cp -p {CONFIGURATION} /run/whole.yaml; truncate -s 60 {CONFIGURATION};"
        " systemctl start felhom-base-infra.service; true",
        {"converge": "the last converge failed"},
        person=f"cat /run/whole.yaml > {CONFIGURATION}",
    ),
    # A small file system where the engine's is, which only a stopped engine bears.
    "a full disk": Broken(
        "systemctl stop docker.socket docker.service; mkdir -p /run/volumes;"
        " mount --bind /var/lib/docker/volumes /run/volumes; mount -t tmpfs -o size=16m tmpfs /var/lib/docker;"
        " mkdir /var/lib/docker/volumes; mount --bind /run/volumes /var/lib/docker/volumes;"
        " dd if=/dev/zero of=/var/lib/docker/filler bs=4k status=none; true",
        {"disk./var/lib/docker": "full: 0.0 of 0.0 GiB free"},
        person="rm /var/lib/docker/filler",
        cleanup="umount /var/lib/docker/volumes /var/lib/docker /run/volumes; systemctl start docker",
    ),
    "the engine stopped": Broken(
        "systemctl stop docker.socket docker.service", {"engine": "no answer from the Docker engine"}
    ),
    "a controller started by hand": Broken(
        "docker inspect --format '{{.Image}}' felhom-controller > /run/controller-image;"
        f" docker rm --force felhom-controller; {CONTROLLER.format(options='')}",
        {
            "controller_hostname": "not the customer's id acme-0001",
            "stack_paths": "is not there for the controller",
            "stack_probe": "a stack did not read what the controller wrote",
        },
        person=options_of,
        options=("-e", "base_health_probe=true"),
        cleanup="docker rm --force felhom-controller; "
        + CONTROLLER.format(options="--hostname acme-0001 --volume /opt/docker:/opt/docker"),
    ),
}
OF_THEIR_OWN = {"configuration", "report"}  # tests, below
NOT_BROKEN = {
    "golden": "an image that the golden image promised and lacks takes another bake, which is the scenario golden's",
    "engine.api": "the bed's engines are all of one version; tests/unit has the older and the newer",
    "nesting": "a feature of the guest that its node gives: another guest, on another kernel",
    "keyctl": "a feature of the guest that its node gives: another guest, on another kernel",
    "storage": "an engine with another storage driver has none of the guest's images",
    "compose": "the fix installs a Debian package, and no guest of the bed reaches Debian",
    "disk": "of the bake: the bed's guests have the room of the machine they run on",
    "time": "a guest has its node's clock",
}


def pattern(words: str) -> str:
    """What a check's words look like with the guest's own in them."""
    return re.sub(r"\\{\w+\\}", ".+", re.escape(words))


def declared(check_id: str) -> _check.Declared:
    # disk.PATH is a guest's, disk the bake's.
    return next(each for each in CHECKS.values() if re.fullmatch(pattern(each.id), check_id))


def remedy(check: dict[str, str]) -> str:
    """Of which kind the fix is that a check printed."""
    kinds = {
        outcome.remedy.kind
        for outcome in declared(check["id"]).outcomes.values()
        if outcome.verdict == check["verdict"] and re.fullmatch(pattern(outcome.remedy.text), check["fix"])
    }
    assert len(kinds) == 1, check
    return kinds.pop()


def test_every_check_is_broken_here_or_there_is_a_reason():
    named = {declared(check_id).id for broken in BROKEN.values() for check_id in broken.said} | OF_THEIR_OWN
    assert named & NOT_BROKEN.keys() == set()
    assert named | NOT_BROKEN.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_printed_helps(guest, heal, play, name):
    broken = BROKEN[name]

    def wrong() -> dict[str, dict[str, str]]:
        play("health.yml", *broken.options)
        return {check["id"]: check for check in heal.status()["checks"] if check["verdict"] != "ok"}

    def are_said() -> dict[str, dict[str, str]]:
        found = wrong()
        return (
            found if all(words in found.get(each, {}).get("reason", "") for each, words in broken.said.items()) else {}
        )

    guest.run(f"bash -c {shlex.quote(broken.do)}")
    try:
        found = wait_for(are_said, lambda: heal.status()["checks"])
        printed = {each: found[each] for each in broken.said}
        kinds = {each: remedy(check) for each, check in printed.items()}
        commands = [
            re.match("run '([^']+)'", printed[each]["fix"])[1] for each in kinds if kinds[each] == _check.COMMAND
        ]
        for command in dict.fromkeys(commands):
            guest.run(f"bash -c {shlex.quote(command)}")
        if broken.person:
            fixes = {each: check["fix"] for each, check in printed.items()}
            guest.run(broken.person if isinstance(broken.person, str) else broken.person(fixes))
        if _check.CONVERGED in kinds.values():
            heal.now()
        wait_for(lambda: not broken.said.keys() & wrong().keys(), wrong)
    finally:
        guest.run(broken.cleanup)
    heal.now()


def test_a_guest_waits_for_its_configuration_and_then_does_not(guest):
    """This very guest, before the first test."""
    said = [entry["verdict"] for entry in guest.ledger()]
    assert said[0] == "waiting" and "waiting" not in said[-1:]


def test_a_report_that_can_not_be_written(guest, play):
    folder = "/run/small"
    guest.run(
        f"mkdir {folder}; mount -t tmpfs -o size=64k tmpfs {folder};"
        f" dd if=/dev/zero of={folder}/filler bs=4k status=none; true"
    )
    try:
        run = play("health.yml", "-e", f"base_health_metrics_dir={folder}")
        assert run.status == 2 and "No space left on device" in run.output
        assert "fix: make room on the guest's disk" in run.output
        guest.run(f"rm {folder}/filler")
        run = play("health.yml", "-e", f"base_health_metrics_dir={folder}")
        assert run.status == 0 and "No space left on device" not in run.output, run.output
    finally:
        guest.run(f"umount {folder}; rmdir {folder}")
