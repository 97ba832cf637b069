"""What a clone may have of its golden image."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import identity as _identity
from sample import IMAGE

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


# What is whole but for the keys, of which there are none that can be compared.
KEYS = [json.dumps(IMAGE | {"identity": {"ssh_host_keys": keys}}) for keys in (5, "x", [["x"]], None)]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"identity": {}}', '{"identity": {}, "pins": 1}', "[" * 5000, *KEYS]
)
def test_a_broken_manifest_is_none(tmp_path, content):
    (tmp_path / "golden.json").write_text(content)
    assert _identity.golden(str(tmp_path / "golden.json")) == {}
    (tmp_path / "golden.json").write_text(json.dumps(IMAGE))
    assert _identity.golden(str(tmp_path / "golden.json")) == IMAGE
