"""What health says of the guest itself: verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import (
    engine as _engine,
    guest as _guest,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from sample import IMAGE, engine_for

GIB = 1 << 30


@pytest.mark.parametrize(
    "free, total, inodes, verdict, words",
    [
        (5 * GIB, 8 * GIB, (90, 100), "ok", "5.0 of 8.0 GiB free"),
        # Of a large disk a small share is still much.
        (3 * GIB, 100 * GIB, (90, 100), "ok", "3.0 of 100.0 GiB free"),
        (0.5 * GIB, 8 * GIB, (90, 100), "degraded", "nearly full: 0.5 of 8.0 GiB free, 90 of 100 inodes"),
        (0.1 * GIB, 8 * GIB, (90, 100), "fail", "full: 0.1 of 8.0 GiB free, 90 of 100 inodes"),
        (5 * GIB, 8 * GIB, (1, 100), "fail", "full: 5.0 of 8.0 GiB free, 1 of 100 inodes"),
        # ZFS and Btrfs do not count them.
        (5 * GIB, 8 * GIB, (0, 0), "ok", "5.0 of 8.0 GiB free"),
    ],
)
def test_a_disk(free, total, inodes, verdict, words):
    (check,) = _guest.disk([_guest.Space("/", free, total, *inodes)])
    assert (check.id, check.verdict, check.reason) == ("disk./", verdict, words)


@pytest.mark.parametrize(
    "newest, oldest, traefik, verdict",
    [
        ("1.45", "1.24", "traefik:v3.7.14@sha256:1", "ok"),
        ("1.52", "1.44", "traefik:v3.7.14@sha256:1", "ok"),
        ("1.52", "1.44", "traefik:v3.6.0@sha256:1", "fail"),
        ("1.45", "1.24", "traefik:v3.6.0@sha256:1", "ok"),
        ("1.52", "1.44", "", "ok"),
        # Compose refuses the start_interval of every stack.
        ("1.43", "1.12", "traefik:v3.7.14@sha256:1", "fail"),
        (None, None, "", "fail"),
    ],
)
def test_the_engine_s_api(newest, oldest, traefik, verdict):
    version = {"ApiVersion": newest, "MinAPIVersion": oldest} if newest else {}
    (check,) = _engine.api(version, traefik)
    assert (check.id, check.verdict) == ("engine.api", verdict)


def test_a_shared_identity():
    checks = _guest.identity(["machine-id", "ssh-host-keys", "hostname"])
    assert [(check.id, check.verdict) for check in checks] == [
        ("identity.machine-id", "degraded"),
        ("identity.ssh-host-keys", "fail"),
        ("identity.hostname", "degraded"),
    ]
    assert all(check.fix for check in checks)


def test_the_image(applied):
    stack, engine = applied
    (there,) = {service["image"] for service in stack.record["services"].values()}
    assert _guest.golden({}, engine, True) == []
    (check,) = _guest.golden(IMAGE | {"pins": [there]}, engine, True)
    assert (check.verdict, check.reason) == ("ok", "baked 2026-01-01T00:00:00Z at commit cccccccccccc")
    (check,) = _guest.golden(IMAGE, engine_for(stack), True)
    assert check.verdict == "degraded" and IMAGE["pins"][0] in check.reason
    # Later the images that an upgrade left behind may be gone.
    assert _guest.golden(IMAGE, engine, False)[0].verdict == "ok"


def test_a_pause_and_a_failure():
    (check,) = _guest.pause(_state.Pause(0.0, 1767225600.0))
    assert (check.id, check.verdict) == ("pause", "degraded")
    assert "2026-01-01T00:00:00Z" in check.reason
    assert _guest.pause(None) == []
    (check,) = _guest.converge("no image")
    assert (check.id, check.verdict, check.reason) == ("converge", "degraded", "the last converge failed: no image")
    assert _guest.converge("") == []
