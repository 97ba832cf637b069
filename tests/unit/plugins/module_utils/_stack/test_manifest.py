"""The record of what was applied: absent, whole, or broken and said so in a line."""

from __future__ import annotations

import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the manifest belongs to root")


RECORD = {"project_dir": "/opt/docker/traefik", "wait": "healthy", "directories": {}, "files": {}, "services": {}}


def test_what_was_saved_is_loaded(tmp_path):
    _manifest.save(str(tmp_path / "state"), {"traefik": RECORD})
    assert _manifest.load(str(tmp_path / "state")) == {"traefik": RECORD}
    assert (tmp_path / "state/manifest.json").stat().st_mode & 0o777 == 0o600


def test_nothing_was_applied_yet(tmp_path):
    assert _manifest.load(str(tmp_path)) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"version": 2, "stacks": {}}', b'{"version": 1}', b"\xff", b"[" * 100000],
)
def test_a_broken_one_is_named_in_one_line(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(_manifest.ManifestError) as error:
        _manifest.load(str(tmp_path))
    assert str(tmp_path / "manifest.json") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "record",
    [{}, None, [], RECORD | {"project_dir": 1}, RECORD | {"files": []}, RECORD | {"services": {"traefik": {}}}],
)
def test_a_record_that_is_none_is_named(tmp_path, record):
    _manifest.save(str(tmp_path), {"traefik": record})
    with pytest.raises(_manifest.ManifestError, match="what it says of stack 'traefik' is not a record"):
        _manifest.load(str(tmp_path))
