"""What an image says of itself, and what is taken from it."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import sbom as _sbom
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, identity as _identity
from ansible_collections.felhom.base_infra.plugins.modules import golden_seal

DIGEST = "sha256:" + "1" * 64
OWN = {"machine_id_sha256": "a" * 64, "ssh_host_keys": ["SHA256:x"]}
NONE = {"machine_id_sha256": "", "ssh_host_keys": []}
GIVEN = {"commit": "c" * 40, "hostname": "felhom-golden", "built": 1_800_000_000}
HELD = golden_seal.Held([f"traefik:v3.7.15@{DIGEST}"], {"docker.io": "26.1.5"})


def test_pins_are_what_has_both_a_digest_and_a_tag():
    by_digest = {f"traefik@{DIGEST}": "1", f"other@{DIGEST}": "2", f"ghcr.io:5000/a/b@{DIGEST}": "3"}
    by_tag = {"traefik:v3": "1", "traefik:old": "9", "copy:v3": "1", "ghcr.io:5000/a/b:v1": "3"}
    assert golden_seal.pins(by_digest, by_tag) == [f"ghcr.io:5000/a/b:v1@{DIGEST}", f"traefik:v3@{DIGEST}"]


def test_an_image_that_was_sealed_keeps_what_is_recorded():
    first = golden_seal.plan_manifest({}, GIVEN, HELD, OWN)
    assert (first["identity"], first["built"]) == (OWN, GIVEN["built"])
    later = GIVEN | {"built": GIVEN["built"] + 60}
    assert golden_seal.plan_manifest(first, later, HELD, NONE) == first
    newer = golden_seal.plan_manifest(first, later | {"commit": "d" * 40}, HELD, NONE)
    assert (newer["identity"], newer["built"]) == (OWN, later["built"])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 5000])
def test_a_broken_record_is_none(tmp_path, content):
    (tmp_path / "golden.json").write_text(content)
    assert golden_seal.read_manifest(str(tmp_path / "golden.json")) == {}
    assert golden_seal.read_manifest(str(tmp_path / "none")) == {}


@pytest.fixture
def image(tmp_path, monkeypatch):
    """An image that was worked on, all of it below a folder."""
    for name in (
        "etc/ssh",
        "root",
        "var/lib/felhom-base-infra/checkout/x",
        "tmp/ansible-now",
        "tmp/mine",
        "share",
        "var/lib/dbus",
    ):
        (tmp_path / name).mkdir(parents=True)
    for name in ("etc", "var/lib/dbus"):
        (tmp_path / name / "machine-id").write_text("0" * 32 + "\n")
    for name in ("etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub", "root/.bash_history"):
        (tmp_path / name).write_text("x")
    (tmp_path / "tmp/link").symlink_to(tmp_path / "share")
    for name in ("_IDENTITY", "_TRACES", "_KEPT"):
        monkeypatch.setattr(golden_seal, name, tuple(f"{tmp_path}{path}" for path in getattr(golden_seal, name)))
    monkeypatch.setattr(_identity, "MACHINE_ID", str(tmp_path / "etc/machine-id"))
    monkeypatch.setattr(_identity, "DBUS_ID", str(tmp_path / "var/lib/dbus/machine-id"))
    monkeypatch.setattr(_identity, "HOST_KEYS", f"{tmp_path}/etc/ssh/ssh_host_*_key")
    monkeypatch.setattr(_engine, "tagged_images", lambda: ({f"traefik@{DIGEST}": "1"}, {"traefik:v3": "1"}))
    monkeypatch.setattr(golden_seal, "packages", lambda _module: [_sbom.Package("docker.io", "26.1.5", "amd64")])
    monkeypatch.setattr(golden_seal, "empty_logs", lambda _module: None)
    monkeypatch.setattr(golden_seal, "HOSTNAME", str(tmp_path / "etc/hostname"))
    return tmp_path


def arguments(image):
    return GIVEN | {
        "packages": ["docker.io"],
        "manifest": f"{image}/share/golden.json",
        "sbom": f"{image}/share/sbom.cdx.json",
        "stamp": f"{image}/var/lib/felhom-base-infra/never-booted",
    }


LEFT = ["root/.bash_history", "tmp/link", "tmp/mine", "var/lib/felhom-base-infra/checkout"]
KEYS = ["etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"]


def test_sealed(image, execute):
    result = execute(golden_seal.main, arguments(image))
    assert {os.path.relpath(path, image) for path in result["removed"]} == {*KEYS, *LEFT}
    assert result["changed"] and result["manifest"]["pins"] == [f"traefik:v3@{DIGEST}"]
    assert json.loads((image / "share/golden.json").read_text()) == result["manifest"]
    assert result["manifest"]["identity"]["machine_id_sha256"]
    assert (image / "etc/machine-id").read_text() == "" and (image / "etc/hostname").read_text() == "felhom-golden\n"
    assert not any((image / name).exists() for name in [*KEYS[1:], *LEFT])
    # What a link leads to, and what executes this, stay.
    assert (image / "share").is_dir() and (image / "tmp/ansible-now").is_dir()
    again = execute(golden_seal.main, arguments(image) | {"built": GIVEN["built"] + 60})
    assert (again["changed"], again["removed"], again["manifest"]) == (False, [], result["manifest"])


def test_check_mode_says_it_and_removes_nothing(image, execute):
    before = sorted(image.rglob("*"))
    result = execute(golden_seal.main, arguments(image), check=True)
    assert result["changed"] and f"{image}/tmp/mine" in result["removed"]
    assert sorted(image.rglob("*")) == before and (image / "etc/machine-id").read_text()


def test_no_engine_no_seal(image, execute, monkeypatch):
    def none():
        raise _engine.EngineError("no answer from the Docker engine")

    monkeypatch.setattr(_engine, "tagged_images", none)
    result = execute(golden_seal.main, arguments(image))
    assert result["failed"] and result["msg"] == "no answer from the Docker engine; the image is not sealed"
    assert (image / "etc/ssh/ssh_host_ed25519_key").exists()
