"""Versions that are crossed on purpose or not at all."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import version_limits as _version_limits
from hypothesis import given, strategies as st

MIGRATION = {"service": "files", "at": "2.0.0", "floor": False, "do": "migrate first"}
FLOOR = {"service": "files", "at": "1.5", "floor": True, "do": "take a newer one"}
DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    "image, version",
    [
        ("traefik:v3.7.14" + DIGEST, (3, 7, 14)),
        ("gtstef/filebrowser:1.5.6-stable" + DIGEST, (1, 5, 6)),
        ("cloudflare/cloudflared:2026.10.0", (2026, 10, 0)),
        ("registry.test:5000/a/b:2.0.0-beta", (2, 0, 0)),
        ("registry.test:5000/a/b", None),
        ("filebrowser:latest", None),
        ("filebrowser", None),
        ("", None),
    ],
)
def test_the_version_of_an_image(image, version):
    assert _version_limits.version(image) == version


@pytest.mark.parametrize(
    "current, new, accepted, refused",
    [
        ("1.5.6-stable", "1.5.7-stable", [], ""),
        ("1.5.6-stable", "2.0.1-stable", [], "crosses 2.0.0; migrate first"),
        ("2.0.1-stable", "1.5.6-stable", [], "crosses 2.0.0; migrate first"),
        ("1.5.6-stable", "2.0.1-stable", ["2.0.0"], ""),
        ("1.5.6-stable", "2.0.1-stable", ["3.0.0"], "crosses 2.0.0; migrate first"),
        ("2.0.1-stable", "2.1.0-stable", [], ""),
        ("", "2.0.1-stable", [], ""),
        ("latest", "1.5.6-stable", [], ""),
        ("", "1.4.9-stable", [], "files:1.4.9-stable is older than 1.5; take a newer one"),
        ("1.5.6-stable", "stable", [], ""),
    ],
)
def test_a_gate(current, new, accepted, refused):
    images = {"files": f"files:{current}{DIGEST}"} if current else {}
    found = _version_limits.refusal([FLOOR, MIGRATION], accepted, images, {"files": f"files:{new}{DIGEST}"})
    assert found.endswith(refused) if refused else found == ""
    assert "\n" not in found and "sha256" not in found


@given(st.text())
def test_any_image_has_a_version_or_none(text):
    version = _version_limits.version(text)
    assert version is None or all(isinstance(part, int) for part in version)
