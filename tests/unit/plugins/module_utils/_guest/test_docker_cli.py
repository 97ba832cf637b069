"""Pulling: what Docker says is told in one line with what helps, and a transfer that stands still is given up."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import docker_cli as _docker_cli

PIN = "traefik:v3.7.15@sha256:" + "0" * 64
WHY = f"image {PIN} is not on the guest and can't be pulled: "


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A `docker` of a few lines of shell, which notes its arguments."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(script: str):
        program = tmp_path / "docker"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        return tmp_path / "asked"

    return write


def done(_command):
    return 0, "", ""


DENIED = (
    "Error response from daemon: pull access denied for hello, repository does not exist or may require 'docker "
    "login': denied: requested access to the resource is denied"
)
LIMITED = (
    "Error response from daemon: toomanyrequests: You have reached your unauthenticated pull rate limit. "
    "https://www.docker.com/increase-rate-limit"
)


# As Docker 26.1 of Debian 13 printed them in a guest of the test bed.
@pytest.mark.parametrize(
    "said, told",
    [
        (DENIED, DENIED),
        (
            LIMITED,
            f"the registry's rate limit is reached ({LIMITED}); log in to it on the guest with 'docker login', wait "
            "(Docker Hub counts the pulls of the last 6 hours), or use a golden image that has it (playbooks/bake.yml)",
        ),
    ],
)
def test_a_pull_that_fails_says_why(docker, said, told):
    docker(f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    with pytest.raises(_docker_cli.PullError) as failed:
        _docker_cli.pull(done, PIN, 5)
    assert str(failed.value) == WHY + told


def test_a_transfer_that_stands_still_is_given_up(docker, tmp_path):
    docker(f"echo $$ > {tmp_path}/pid; printf '1.05MB/186MB\\r'; exec sleep 60")
    start = time.monotonic()
    with pytest.raises(_docker_cli.PullError) as failed:
        _docker_cli.pull(done, PIN, 0.3)
    assert time.monotonic() - start < 5
    assert str(failed.value) == (
        WHY + "nothing more of it came for 0.3 s; run this again when the registry is in reach"
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_slow_one_is_waited_for(docker):
    """Longer in all than it may be silent: what counts is that something comes."""
    asked = docker("test -t 1 || exit 9; for part in 1 2 3 4 5 6; do sleep 0.2; printf '%s MB/186 MB\\r' $part; done")
    _docker_cli.pull(done, PIN, 0.9)
    assert asked.read_text() == f"pull {PIN}\n"


def test_a_login_is_in_a_folder_for_the_pull_only(docker, monkeypatch, tmp_path):
    monkeypatch.setattr(_docker_cli.tempfile, "mkdtemp", lambda **_options: str(tmp_path / "login"))
    (tmp_path / "login").mkdir()
    asked = docker("grep -q registry.test $2/config.json")
    with _docker_cli.Credential("registry.test", "name", "password") as config:
        _docker_cli.pull(done, PIN, 5, config)
    assert asked.read_text() == f"--config {tmp_path}/login pull {PIN}\n"
    assert not (tmp_path / "login").exists()


def test_a_pulled_image_gets_its_tag(docker):
    docker("")
    asked = []

    def run(words):
        asked.append(words)
        return 0, "", ""

    _docker_cli.pull(run, f"ghcr.io/felhom/{PIN}", 5)
    digest = PIN.partition("@")[2]
    assert asked == [["docker", "tag", f"ghcr.io/felhom/traefik@{digest}", "ghcr.io/felhom/traefik:v3.7.15"]]


def test_an_image_that_can_not_be_given_its_tag():
    # As Docker 26.1 printed it.
    said = f"Error response from daemon: No such image: traefik@sha256:{'0' * 64}\n"
    with pytest.raises(_docker_cli.PullError) as failed:
        _docker_cli.tag(lambda _words: (1, "", said), PIN)
    assert str(failed.value) == f"image {PIN} can't be given its tag: {said.strip()}"


def test_only_root_reads_a_login():
    with _docker_cli.Credential("registry.test", "name", "password") as folder:
        assert os.stat(folder).st_mode & 0o777 == 0o700
        assert os.stat(os.path.join(folder, "config.json")).st_mode & 0o777 == 0o600
