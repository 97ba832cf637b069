"""What a clone may have of its golden image, and what health says of the guest itself."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils import _health_guest, _identity, _reconcile
from sample import engine_for

IMAGE = {
    "identity": {"machine_id_sha256": "a", "ssh_host_keys": ["SHA256:x", "SHA256:y"]},
    "hostname": "felhom-golden",
    "pins": ["traefik:v3.7.14@sha256:" + "0" * 64],
    "built": 1767225600,
    "commit": "c" * 40,
}
OTHER = {"machine_id_sha256": "b", "ssh_host_keys": ["SHA256:z"]}


@pytest.mark.parametrize(
    "own, image, hostname, expected",
    [
        (OTHER, IMAGE, "acme", []),
        (IMAGE["identity"], {}, "felhom-golden", []),
        (OTHER, IMAGE, "felhom-golden", ["hostname"]),
        (OTHER | {"ssh_host_keys": ["SHA256:z", "SHA256:y"]}, IMAGE, "acme", ["ssh-host-keys"]),
        (IMAGE["identity"], IMAGE, "felhom-golden", ["machine-id", "ssh-host-keys", "hostname"]),
        ({"machine_id_sha256": "", "ssh_host_keys": []}, IMAGE | {"identity": {"machine_id_sha256": ""}}, "acme", []),
    ],
)
def test_what_is_shared(own, image, hostname, expected):
    assert _identity.shared(own, image, hostname) == expected


def test_fingerprints_are_those_of_ssh_keygen(tmp_path, monkeypatch):
    key = tmp_path / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    printed = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True).stdout
    (tmp_path / "ssh_host_broken_key.pub").write_text("ssh-ed25519\n")
    (tmp_path / "machine-id").write_text("uninitialized\n")
    monkeypatch.setattr(_identity, "HOST_KEYS", str(tmp_path / "ssh_host_*_key"))
    monkeypatch.setattr(_identity, "MACHINE_ID", str(tmp_path / "machine-id"))
    assert _identity.identity() == {"machine_id_sha256": "", "ssh_host_keys": [printed.split()[1]]}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"identity": {}}', '{"identity": {}, "pins": 1}'])
def test_a_broken_manifest_is_none(tmp_path, content):
    (tmp_path / "golden.json").write_text(content)
    assert _identity.golden(str(tmp_path / "golden.json")) == {}
    (tmp_path / "golden.json").write_text(json.dumps(IMAGE))
    assert _identity.golden(str(tmp_path / "golden.json")) == IMAGE


def test_a_shared_identity_is_told():
    checks = _health_guest.identity_checks(["machine-id", "ssh-host-keys", "hostname"])
    assert [check.verdict for check in checks] == ["degraded", "fail", "degraded"]
    assert all(check.fix for check in checks)


def test_the_image(applied):
    stack, engine = applied
    (there,) = {service["image"] for service in stack.record["services"].values()}
    assert _health_guest.golden_check({}, engine, True) == []
    (check,) = _health_guest.golden_check(IMAGE | {"pins": [there]}, engine, True)
    assert (check.verdict, check.reason) == ("ok", "baked 2026-01-01T00:00:00Z at commit cccccccccccc")
    (check,) = _health_guest.golden_check(IMAGE, engine_for(stack), True)
    assert check.verdict == "degraded" and IMAGE["pins"][0] in check.reason
    # Later the images that an upgrade left behind may be gone.
    assert _health_guest.golden_check(IMAGE, engine, False)[0].verdict == "ok"


def test_a_pause_and_a_failure_are_told():
    (check,) = _health_guest.pause_check(_reconcile.Pause(0.0, 1767225600.0))
    assert (check.id, check.verdict) == ("pause", "degraded")
    assert "2026-01-01T00:00:00Z" in check.reason
    assert _health_guest.pause_check(None) == []
    (check,) = _health_guest.converge_check("no image")
    assert (check.id, check.verdict, check.reason) == ("converge", "degraded", "the last converge failed: no image")
    assert _health_guest.converge_check("") == []
