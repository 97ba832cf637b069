"""What a stack should be on a guest: secrets made there, digests, stale files."""

from __future__ import annotations

import json

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    desired as _desired,
    drift as _drift,
)
from sample import NONCE


def test_a_generated_secret_is_made_once_and_put_into_what_names_it(applied, shipped, tmp_path):
    stack, _engine = applied
    password = (tmp_path / "secrets/password").read_text().strip()
    assert len(password) == 32
    assert stack.files["config.yaml"].data.decode() == f"password: {json.dumps(password)}\n"
    assert _desired.resolve(shipped).files["secrets/password"].data == stack.files["secrets/password"].data


def test_a_value_that_looks_like_a_marker_of_another_run_stays_what_it_is(shipped):
    forged = "password: " + _desired.secret_marker("another-nonce", "secrets/password")
    shipped["contents"]["dynamic.yml"] = forged
    assert _desired.resolve(shipped).files["dynamic.yml"].data.decode() == forged


def test_no_marker_is_left_in_any_file(applied):
    stack, _engine = applied
    assert all(NONCE.encode() not in file.data for file in stack.files.values())


def test_only_files_a_service_reads_change_its_digest(applied, shipped):
    before, _engine = applied

    def digest():
        return _desired.resolve(shipped).record["services"]["traefik"]["digest"]

    shipped["contents"]["dynamic.yml"] = "tls: {options: {}}\n"
    assert digest() == before.record["services"]["traefik"]["digest"]
    shipped["secret_contents"]["secrets/token"] = "another-secret\n"
    assert digest() != before.record["services"]["traefik"]["digest"]


def test_the_record_is_plain_json_without_any_content(applied):
    stack, _engine = applied
    text = json.dumps(stack.record)
    assert json.loads(text) == stack.record
    assert "planted-secret" not in text
    assert stack.record["files"]["acme.json"]["sha256"] is None


def test_a_generated_secret_that_lost_its_content_is_not_used(applied, shipped, tmp_path):
    (tmp_path / "secrets/password").write_text("\n")
    with pytest.raises(_desired.BadSecret, match="secrets/password: found an empty file"):
        _desired.resolve(shipped)


def test_a_generated_secret_that_is_no_text_is_not_used(applied, shipped, tmp_path):
    (tmp_path / "secrets/password").write_bytes(b"caf\xe9-from-latin-1")
    with pytest.raises(_desired.BadSecret, match="secrets/password: found bytes that are not UTF-8"):
        _desired.resolve(shipped)


def test_another_text_for_a_generated_secret_is_a_difference_that_is_applied(applied, shipped, tmp_path):
    """The gate sees it by the record, and the next rendering has it."""
    stack, _engine = applied
    assert _drift.file_reasons(stack.record) == []
    (tmp_path / "secrets/password").write_text("written-by-somebody\n")
    (reason,) = _drift.file_reasons(stack.record)
    assert (reason.kind, reason.subject) == ("file_content", "secrets/password")
    new = _desired.resolve(shipped)
    # The digest of what the service reads stands in the Compose file.
    assert {reason.subject for reason in _drift.file_reasons(new.record)} == {"config.yaml", "docker-compose.yml"}
    assert b"written-by-somebody" in new.files["config.yaml"].data


def test_a_file_no_longer_declared_is_stale_unless_it_was_made_once(applied, shipped):
    before, _engine = applied
    shipped["files"] = [entry for entry in shipped["files"] if entry["path"] not in ("dynamic.yml", "acme.json")]
    after = _desired.resolve(shipped)
    assert [reason.subject for reason in _desired.stale_reasons(after, before.record)] == ["dynamic.yml"]
    assert _desired.stale_reasons(after, None) == []


def test_a_service_is_recreated_when_its_mount_was_deleted_under_it(applied, shipped, tmp_path):
    stack, engine = applied
    for path in (tmp_path / "secrets").iterdir():
        path.unlink()
    (tmp_path / "secrets").rmdir()
    reasons = _drift.file_reasons(stack.record) + _drift.engine_reasons("traefik", stack.record, engine)
    assert _desired.services_to_recreate(shipped, reasons, set()) == ["traefik"]
    gone = engine._replace(containers=[])
    reasons = _drift.file_reasons(stack.record) + _drift.engine_reasons("traefik", stack.record, gone)
    assert _desired.services_to_recreate(shipped, reasons, set()) == []
