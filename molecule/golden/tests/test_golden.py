"""A golden image: what it holds, what is found in it, and what becomes of its clones."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import runs

ROOT = Path(__file__).resolve().parents[3]
BED = ROOT / "tests/bed/bed"
CUSTOMER = ROOT / "tests/bed/customer"
MANIFEST = "/usr/share/felhom-base-infra/golden.json"
SBOM = "/usr/share/felhom-base-infra/sbom.cdx.json"
MIRROR = "/var/lib/felhom-base-infra/mirror.git"
CLONES = ["golden-a", "golden-b"]


def pins() -> list[str]:
    inventory = subprocess.run([BED, "inventory", "--list"], check=True, capture_output=True).stdout
    variables = json.loads(inventory)["guests"]["vars"]
    return sorted(value for name, value in variables.items() if name.endswith("_image") and "@sha256:" in value)


@pytest.fixture(scope="module", autouse=True)
def no_tick(host):
    """On a busy machine a run of the guest's own came between two bakes, and the second had its traces to remove."""
    host.check_output("systemctl stop felhom-base-infra.timer felhom-base-infra-fetch.timer")


def test_every_image_is_there_by_digest_and_by_tag(host):
    for pin in pins():
        name, _, digest = pin.partition("@")
        repository = name.rpartition(":")[0]
        by_tag = host.check_output(f"docker image inspect --format '{{{{.Id}}}}' {name}")
        by_digest = host.check_output(f"docker image inspect --format '{{{{.Id}}}}' {repository}@{digest}")
        assert by_tag == by_digest


def test_the_image_says_what_it_holds(host):
    manifest = json.loads(host.file(MANIFEST).content_string)
    assert manifest["pins"] == pins()
    assert manifest["commit"] == host.check_output(f"git -C {MIRROR} rev-parse main")
    assert manifest["commit"] == subprocess.check_output(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()
    assert manifest["packages"]["docker.io"] == host.package("docker.io").version
    assert len(manifest["identity"]["ssh_host_keys"]) == 3


def test_its_bill_of_materials(host):
    components = json.loads(host.file(SBOM).content_string)["components"]
    images = [f"{part['name']}:{part['version']}" for part in components if part["type"] == "container"]
    assert sorted(images) == pins()
    packages = host.check_output("dpkg-query --show --showformat '${Package} ${Version}\n'").splitlines()
    listed = {f"{part['name']} {part['version']}" for part in components if part.get("purl", "").startswith("pkg:deb/")}
    assert listed == set(packages)


def test_nothing_is_left_of_the_machine_it_was_made_on(host):
    assert host.file("/etc/machine-id").content_string == ""
    assert host.file("/etc/hostname").content_string == "felhom-golden\n"
    assert host.check_output("ls /etc/ssh/ssh_host_* 2>/dev/null || true") == ""
    assert (
        host.check_output("docker ps --all --quiet; docker volume ls --quiet; ls -A /opt/docker 2>/dev/null || true")
        == ""
    )
    assert host.file("/var/lib/felhom-base-infra/never-booted").exists


# Run in the guest with the secret on standard input: how to plant it, how to take it away, and what the audit calls it.
PLANTED = {
    "a file": ("cat > /opt/notes", "rm /opt/notes", "/opt/notes: hub password at byte 0"),
    "an environment file": (
        "printf 'HUB_PASSWORD=%s\n' \"$(cat)\" > /etc/default/felhom",
        "rm /etc/default/felhom",
        "/etc/default/felhom: hub password at byte 13",
    ),
    "a shell history": (
        "printf 'curl -u bed:%s hub\n' \"$(cat)\" > /root/.bash_history",
        "rm /root/.bash_history",
        "/root/.bash_history: hub password at byte 12",
    ),
    "a login of Docker's": (
        "mkdir -p /root/.docker;"
        ' printf \'{"au%s": {"r": {"auth": "%s"}}}\' ths "$(printf "bed:%s" "$(cat)" | base64 -w0)"'
        " > /root/.docker/config.json",
        "rm -r /root/.docker",
        "/root/.docker/config.json: hub password",
    ),
    "an image's layer": (
        "docker create --name planted {image}"
        " && docker cp - planted:/ < <(cat > /tmp/leak; tar -C /tmp -c leak; rm /tmp/leak)"
        " && docker commit planted planted:layer && docker rm planted",
        "docker rmi planted:layer",
        "/leak: hub password at byte 0",
    ),
    "an image's settings": (
        'docker create --name planted --env "PASSWORD=$(cat)" {image}'
        " && docker commit planted planted:settings && docker rm planted",
        "docker rmi planted:settings",
        "/var/lib/docker/image/overlay2/imagedb/content/sha256/",
    ),
    "the history of the mirror": (
        f"export GIT_DIR={MIRROR};"
        " export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x;"
        " git rev-parse main > /root/main; blob=$(git hash-object -w --stdin);"
        ' tree=$(printf "100644 blob $blob\tnotes\n" | git mktree);'
        " git update-ref refs/heads/main $(git commit-tree -m x -p main $tree);"
        " git update-ref refs/heads/main $(git commit-tree -m undone -p main main~1^{tree})",
        f"cd {MIRROR}; git update-ref refs/heads/main $(cat /root/main); rm /root/main; git gc --quiet --prune=now",
        f"{MIRROR}: blob",
    ),
}


# What nobody knew of: how it is left, how it is taken away, and what the audit calls it.
LEFT = [
    ("docker volume create leftover", "docker volume rm leftover", "volume leftover: left in the engine"),
    ("docker network create leftover", "docker network rm leftover", "network leftover: left in the engine"),
    ("mkdir -p /opt/docker/traefik", "rm -r /opt/docker", "/opt/docker/traefik: left by a customer"),
    (
        "printf -- '-----BEGIN %s-----\\nMIIEvQIBADANBgkqhkiG9w0B\\n' 'PRIVATE KEY' > /root/key.pem",
        "rm /root/key.pem",
        "/root/key.pem: private key at byte 0",
    ),
]


@pytest.fixture(scope="module")
def audited(host, play, customer):
    """A bake of an image in which all of it lies. One audit reads the whole disk."""
    secret = customer["secrets"][2]
    try:
        for plant, _remove, _told in PLANTED.values():
            script = plant.replace("{image}", shlex.quote(pins()[0].partition("@")[0]))
            host.check_output(f"printf %s {shlex.quote(secret)} | bash -c {shlex.quote(script)}")
        for leave, _remove, _told in LEFT:
            host.check_output(leave)
        known = {"golden_image_known_secrets": {"hub password": secret}}
        start = "--start-at-task=Audit the image before the seal"
        run = play("bake.yml", start, "--extra-vars", json.dumps(known), "-vvv")
    finally:
        removed = [host.run(remove).rc for _do, remove, _told in [*PLANTED.values(), *LEFT]]
    assert not any(removed)
    return run


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_secret_is_found_and_fails_the_bake(audited, customer, place):
    assert audited.status == 2, audited.output
    said = " ".join(audited.output.split())
    assert PLANTED[place][2] in said
    assert "hub password" in said
    assert customer["secrets"][2] not in audited.output


@pytest.mark.parametrize("left, remove, told", LEFT)
def test_what_nobody_knew_of_is_found_too(audited, left, remove, told):
    assert audited.status == 2, audited.output
    assert told in " ".join(audited.output.split())


def test_an_interrupted_bake_is_finished_by_the_next(host, play):
    host.check_output("docker rmi --force $(docker images --quiet); rm -r /var/lib/felhom-base-infra")
    command = ["ansible-playbook", "-i", "inventories/demo", "playbooks/bake.yml", "-e", "base_infra_hosts=golden"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as bake:
        for line in bake.stdout:
            if "base_cloudflared : Pull" in line:
                bake.send_signal(signal.SIGKILL)
    assert bake.returncode == -signal.SIGKILL
    assert play("bake.yml").status == 0
    again = play("bake.yml")
    assert again.changed == 0, again.output
    test_every_image_is_there_by_digest_and_by_tag(host)


def in_guest(name: str, script: str) -> str:
    """What a script prints in a guest that was not there when testinfra read the inventory."""
    done = subprocess.run([BED, "shell", name, "sh", "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def clones():
    """Two clones without registry and name server. The golden one is stopped for them."""
    subprocess.run([BED, "down", *CLONES], check=True)
    for name in CLONES:
        subprocess.run([BED, "clone", "golden", name, "--offline"], check=True)
    yield CLONES
    subprocess.run([BED, "down", *CLONES], check=True)
    subprocess.run([BED, "start", "golden"], check=True)


@pytest.mark.parametrize(
    "looked_at",
    [
        "cat /etc/machine-id",
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        "hostname",
        "docker info --format '{{.ID}}'",
    ],
)
def test_clones_are_machines_of_their_own(clones, looked_at):
    seen = {name: in_guest(name, looked_at) for name in clones}
    assert all(seen.values()), seen
    assert len(set(seen.values())) == len(clones), seen


def test_clones_come_up_without_a_registry(clones):
    for name in clones:
        for step in ("provision", "configure"):
            subprocess.run([CUSTOMER, step, name], check=True)
    run = runs.run("-i", "inventories/demo", "playbooks/site.yml", "-e", f"base_infra_hosts={','.join(clones)}")
    assert run.status == 0, run.output
    for name in clones:
        status = json.loads(in_guest(name, "cat /var/lib/felhom-base-infra/status.json"))
        wrong = {check["id"]: check["verdict"] for check in status["checks"] if check["verdict"] != "ok"}
        # All need the world outside.
        host = "files.acme.felhom.test"
        assert wrong.keys() <= {"container.cloudflared", "tunnel", f"certificate.{host}", f"probe.{host}"}, status
        assert set(wrong.values()) == {"degraded"}, status
        curl = f"curl -sk --resolve {host}:443:127.0.0.1 -o /dev/null -w '%{{http_code}}' https://{host}/"
        assert in_guest(name, curl) == "200"
