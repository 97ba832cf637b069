"""What preflight is told by the engine, the docker program and the disk."""

from __future__ import annotations

import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import preflight as _preflight
from ansible_collections.felhom.base_infra.plugins.modules import guest_preflight_info

VERSION = {"Version": "26.1.5+dfsg1", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """An engine and a docker program that answer. Returns how to give the program another answer."""
    answers = {"/version": VERSION, "/info": {"Driver": "overlay2", "DockerRootDir": str(tmp_path)}}
    monkeypatch.setattr(_engine, "get", answers.__getitem__)
    monkeypatch.setattr(_preflight, "probe_proc", lambda: (0, ""))
    monkeypatch.setattr(_preflight, "probe_keyctl", lambda: 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def docker(script):
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)

    docker('[ "$*" = "compose version --short" ] && echo 2.26.1-4')
    return docker


def checks_of(result):
    return {check["id"]: check for check in result["checks"]}


def test_a_guest_that_can(guest, execute):
    result = execute(guest_preflight_info.main, {"minimum_free_mb": 1})
    assert (result["verdict"], result["changed"]) == ("ok", False)
    assert checks_of(result)["compose"]["reason"] == "2.26.1-4"
    assert result["table"].splitlines()[0] == f"{os.uname().nodename}: ok"


def test_too_little_room_and_a_clock_that_is_slow(guest, execute):
    result = execute(guest_preflight_info.main, {"minimum_free_mb": 1 << 40, "not_before": 1 << 40})
    assert result["verdict"] == "fail"
    assert {name for name, check in checks_of(result).items() if check["verdict"] == "fail"} == {"disk", "time"}


def test_no_engine(guest, execute, monkeypatch):
    def none(_path):
        raise _engine.EngineError("no answer from the Docker engine")

    monkeypatch.setattr(_engine, "get", none)
    checks = checks_of(execute(guest_preflight_info.main, {"minimum_free_mb": 1}))
    assert (checks["engine"]["verdict"], checks["engine"]["reason"]) == ("fail", "no answer from the Docker engine")


@pytest.mark.parametrize(
    "script",
    [
        # Docker 26.1 without the plugin.
        "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1",
        # Older ones take it for an option of their own, and say how they are used.
        "printf 'unknown flag: --short\\n\\nUsage:  docker [OPTIONS] COMMAND\\n'; exit 125",
    ],
)
def test_a_docker_without_compose(guest, execute, script):
    guest(script)
    check = checks_of(execute(guest_preflight_info.main, {"minimum_free_mb": 1}))["compose"]
    assert (check["verdict"], check["reason"]) == ("fail", "there is no 'docker compose'")
