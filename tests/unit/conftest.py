"""What the unit tests share: a stack as the action plugin ships it, and the same one applied."""

from __future__ import annotations

import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _compose_file
from hypothesis import HealthCheck, settings
from sample import COMPOSE, NONCE, engine_for

# How long an example takes says how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def shipped(tmp_path):
    """The parameters of guest_apply's stack for a stack with a file of every kind."""
    compose = _compose_file.parse(COMPOSE, "docker-compose.yml.j2", "traefik", str(tmp_path), NONCE)

    def entry(path, **options):
        base = {
            "path": path,
            "mode": "0600",
            "uid": os.getuid(),
            "gid": os.getgid(),
            "create_only": False,
            "sensitive": False,
            "generate": None,
            "services": [],
        }
        return base | options

    marker = _desired.secret_marker(NONCE, "secrets/password")
    return {
        "name": "traefik",
        "project_dir": str(tmp_path),
        "state_dir": str(tmp_path / "state"),
        "nonce": NONCE,
        "rendering": "r" * 64,
        "wait": "healthy",
        "files": [
            entry("traefik.yml", services=["traefik"]),
            entry("dynamic.yml"),
            entry("acme.json", create_only=True),
            entry("secrets/password", create_only=True, generate=24),
            entry("config.yaml", services=["traefik"]),
            entry("secrets/token", sensitive=True, services=["traefik"]),
            entry(_desired.COMPOSE_FILE, mode="0644"),
        ],
        "directories": [
            {"path": "secrets", "mode": "0700", "uid": os.getuid(), "gid": os.getgid(), "services": ["traefik"]}
        ],
        "contents": {
            "traefik.yml": "ping: {}\n",
            "dynamic.yml": "tls: {}\n",
            "acme.json": "",
            "config.yaml": f"password: {marker}\n",
            _desired.COMPOSE_FILE: compose.text,
        },
        "secret_contents": {"secrets/token": "planted-secret\n"},
        "services": compose.services,
    }


@pytest.fixture
def applied(shipped, tmp_path):
    """The same stack after it was written to disk, and an engine that runs it."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    stack = _desired.resolve(shipped)
    for path, file in stack.files.items():
        target = tmp_path / path
        target.write_bytes(file.data)
        target.chmod(int(file.mode, 8))
    # The password is on the disk now; a second look must find it there instead of making another one.
    stack = _desired.resolve(shipped)
    return stack, engine_for(stack)
