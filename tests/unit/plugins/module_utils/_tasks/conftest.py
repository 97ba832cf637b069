"""A guest that is real but for its edges: its engine's answers, and a docker program that notes what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    desired as _desired,
    generations as _generations,
    manifest as _manifest,
    wait as _wait,
)
from sample import engine_for

DOCKER = """#!/bin/sh
echo "$*" >> "{folder}/docker.log"
case "$*" in *"$(cat "{folder}/fails" 2>/dev/null || echo @@@)"*) echo "Error: planted" >&2; exit 1;; esac
case "$*" in *" up "*) cp "{folder}/docker-compose.yml" "{folder}/up.yml";; esac
"""
RUN = {"name": "ops@control, process 1", "process": 1, "namespace": "elsewhere"}


class Guest:
    """What a task sees and leaves."""

    def __init__(self, folder: Path, shipped: dict[str, Any]) -> None:
        self.folder = folder
        self.params = shipped | {
            "state": "present",
            "settle": False,
            "foreign": "adopt",
            "program": "",
            "run": RUN,
            "wait_timeout": 1,
            "pull_timeout": 1,
            "gates": [],
            "accepted_gates": [],
            "replaces_units": [],
            "inherits": [],
            "bind_sources": [],
            "external_networks": ["traefik-public"],
            "external_volumes": [],
        }
        for entry in self.params["files"] + self.params["directories"]:
            entry |= {"owner": str(entry["uid"]), "group": str(entry["gid"])}
        for entry in self.params["directories"]:
            entry["owned_content"] = False
        self.check_mode = False
        # No container until Compose made one, of the file that was there then.
        self.engine = engine_for(_desired.resolve(shipped))
        self.container = self.engine.containers[0]
        self.engine = self.engine._replace(containers=[])
        self.becomes: dict[str, Any] = {}

    @property
    def module(self) -> Any:
        return SimpleNamespace(
            check_mode=self.check_mode, _diff=True, warn=lambda _text: None, run_command=self.command
        )

    def command(self, words: list[str], **_options: Any) -> tuple[int, str, str]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def observe(self) -> _engine.Engine:
        made = self.folder / "up.yml"
        if not made.exists():
            return self.engine
        labels = yaml.safe_load(made.read_text())["services"]["traefik"]["labels"]
        return self.engine._replace(containers=[self.container._replace(labels=labels, **self.becomes)])

    def told(self) -> str:
        """What docker was told."""
        log = self.folder / "docker.log"
        return log.read_text() if log.exists() else ""

    def fail(self, words: str) -> None:
        (self.folder / "fails").write_text(words)

    def generation(self, name: str) -> dict[str, Any] | None:
        return _generations.load(_paths.STATE_DIR, "traefik", name)

    def recorded(self) -> dict[str, Any]:
        return _manifest.load(_paths.STATE_DIR)


@pytest.fixture
def guest(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "chown", lambda *_args, **_options: None)
    monkeypatch.setattr(os, "fchown", lambda *_args, **_options: None)
    monkeypatch.setattr(_paths, "STATE_DIR", shipped["state_dir"])
    monkeypatch.setattr(_paths, "RUNTIME", str(tmp_path / "run"))
    monkeypatch.setattr(_wait, "_PATIENCE", 0.2)
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    guest = Guest(tmp_path, shipped)
    monkeypatch.setattr(_engine, "observe", guest.observe)
    monkeypatch.setattr(_engine, "started", lambda *_args: 0.0)
    monkeypatch.setattr(_engine, "log_lines", lambda *_args: ["a line of the container"])
    yield guest
    # What waits for a change to be settled has nothing to wait for any more.
    for name in ("state", "run"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
