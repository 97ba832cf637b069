"""Compose in a process of its own."""

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import compose as _compose


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker program of which a test says what it does."""
    monkeypatch.setattr(_paths, "RUNTIME", str(tmp_path / "run"))
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def does(script):
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/log\n{script}\n')
        program.chmod(0o755)

    does("")
    does.log = tmp_path / "log"
    return does


def test_it_is_told_to_pull_nothing_and_to_remove_what_is_no_service(docker):
    _compose.start("web", "/opt/web", [])
    assert _compose.result("web") == ""
    assert docker.log.read_text().splitlines() == [
        "compose --ansi never --project-name web --project-directory /opt/web --file /opt/web/docker-compose.yml "
        "up --detach --pull never --remove-orphans"
    ]


def test_services_that_it_would_leave_alone_are_made_anew_first(docker):
    _compose.start("web", "/opt/web", ["a", "b"])
    assert _compose.result("web") == ""
    first, second = docker.log.read_text().splitlines()
    assert first.endswith("up --detach --pull never --force-recreate --no-deps -- a b")
    assert second.endswith("--remove-orphans")


def test_what_is_done_at_its_end_is_waited_for(docker, tmp_path):
    done = tmp_path / "done"

    def slowly() -> None:
        time.sleep(0.3)
        done.touch()

    _compose.start("web", "/opt/web", [], slowly)
    assert _compose.result("web") == "" and done.exists()


def test_its_last_line_is_the_reason(docker):
    docker("echo ' Container a  Starting' >&2; echo 'Error response from daemon: no' >&2; exit 1")
    _compose.start("web", "/opt/web", [])
    assert _compose.result("web") == "Error response from daemon: no"


def test_a_run_that_was_killed_is_no_success(docker):
    docker("kill -9 $PPID")
    _compose.start("web", "/opt/web", [])
    assert _compose.result("web") == "Compose was ended by something before it was done"


def test_a_second_run_waits_for_the_first(docker):
    docker(f"sleep 0.5; echo done >> {docker.log}")
    _compose.start("web", "/opt/web", [])
    _compose.start("web", "/opt/web", [])
    assert _compose.result("web") == ""
    assert [line[:4] for line in docker.log.read_text().splitlines()] == ["comp", "done", "comp", "done"]


def test_one_that_does_not_end_is_told(docker, monkeypatch, tmp_path):
    monkeypatch.setattr(_compose, "LIMIT", 0.1)
    docker(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    _compose.start("web", "/opt/web", [])
    try:
        assert _compose.result("web") == "Compose did not end within 0 s"
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_what_was_never_started_has_nothing_wrong(docker):
    assert _compose.result("web") == ""
