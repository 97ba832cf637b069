"""What a stack should be on a guest: secrets made there, digests, diffs that show no secret."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils import _drift, _files, _generations, _stack
from sample import NONCE


def test_a_generated_secret_is_made_once_and_put_into_what_names_it(applied, shipped, tmp_path):
    stack, _engine = applied
    password = (tmp_path / "secrets/password").read_text().strip()
    assert len(password) == 32
    assert stack.files["config.yaml"].data.decode() == f"password: {json.dumps(password)}\n"
    assert _stack.resolve(shipped).files["secrets/password"].data == stack.files["secrets/password"].data


def test_a_value_that_looks_like_a_marker_of_another_run_stays_what_it_is(shipped):
    forged = "password: " + _stack.secret_marker("another-nonce", "secrets/password")
    shipped["contents"]["dynamic.yml"] = forged
    assert _stack.resolve(shipped).files["dynamic.yml"].data.decode() == forged


def test_no_marker_is_left_in_any_file(applied):
    stack, _engine = applied
    assert all(NONCE.encode() not in file.data for file in stack.files.values())


def test_only_files_a_service_reads_change_its_digest(applied, shipped):
    before, _engine = applied

    def digest():
        return _stack.resolve(shipped).record["services"]["traefik"]["digest"]

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


def test_the_diff_of_a_fresh_guest_shows_every_file_and_no_secret(shipped, tmp_path):
    stack = _stack.resolve(shipped)
    entries = _stack.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    assert {entry["after_header"] for entry in entries} == {str(tmp_path / path) for path in [*stack.files, "secrets"]}
    shown = "".join(entry["before"] + entry["after"] for entry in entries)
    password = stack.files["secrets/password"].data.decode().strip()
    assert "ping: {}" in shown
    assert "planted-secret" not in shown
    assert password not in shown


def test_the_diff_of_a_changed_secret_shows_two_fingerprints(applied, shipped):
    shipped["secret_contents"]["secrets/token"] = "another-secret\n"
    stack = _stack.resolve(shipped)
    entries = _stack.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    token = next(entry for entry in entries if "token" in entry["after_header"])
    assert token["before"] != token["after"]
    assert "secret" not in (token["before"] + token["after"]).replace("content not shown", "")


def test_what_was_changed_by_hand_is_shown_and_what_was_never_ours_is_not(applied, tmp_path):
    stack, _engine = applied
    (tmp_path / _stack.COMPOSE_FILE).write_text("TUNNEL_TOKEN: somebody-put-it-there")
    reasons = _drift.file_reasons(stack.record)
    (ours,) = _stack.diff(stack, reasons, stack.record["files"])
    (foreign,) = _stack.diff(stack, reasons, {})
    assert "somebody-put-it-there" in ours["before"]
    assert "somebody-put-it-there" not in foreign["before"]
    assert foreign["before"] != foreign["after"]


def test_a_generated_secret_that_lost_its_content_is_not_used(applied, shipped, tmp_path):
    (tmp_path / "secrets/password").write_text("\n")
    with pytest.raises(_stack.EmptySecret, match="secrets/password: found an empty file"):
        _stack.resolve(shipped)


def test_certificates_do_not_show_when_only_their_mode_is_wrong(applied, tmp_path):
    stack, _engine = applied
    (tmp_path / "acme.json").write_text("PRIVATE KEY")
    (tmp_path / "acme.json").chmod(0o644)
    (entry,) = _stack.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    assert "0644" in entry["before"] and "0600" in entry["after"]
    assert "PRIVATE" not in entry["before"] + entry["after"]


def test_a_file_no_longer_declared_is_stale_unless_it_was_made_once(applied, shipped):
    before, _engine = applied
    shipped["files"] = [entry for entry in shipped["files"] if entry["path"] not in ("dynamic.yml", "acme.json")]
    after = _stack.resolve(shipped)
    assert [reason.subject for reason in _stack.stale_reasons(after, before.record)] == ["dynamic.yml"]
    assert _stack.stale_reasons(after, None) == []


def test_a_service_is_recreated_when_its_mount_was_deleted_under_it(applied, shipped, tmp_path):
    stack, engine = applied
    for path in (tmp_path / "secrets").iterdir():
        path.unlink()
    (tmp_path / "secrets").rmdir()
    reasons = _drift.file_reasons(stack.record) + _drift.engine_reasons("traefik", stack.record, engine)
    assert _stack.services_to_recreate(shipped, reasons, set()) == ["traefik"]
    gone = engine._replace(containers=[])
    reasons = _drift.file_reasons(stack.record) + _drift.engine_reasons("traefik", stack.record, gone)
    assert _stack.services_to_recreate(shipped, reasons, set()) == []


def test_what_a_killed_run_left_is_found_wherever_it_wrote(applied, shipped, tmp_path):
    stack, _engine = applied
    state = shipped["state_dir"]
    assert _drift.leftover_reasons(stack.name, stack.record, state) == []
    left = [
        f"{folder}/.name{_files.TEMPORARY}"
        for folder in (tmp_path, tmp_path / "secrets", state, _generations.folder(state, stack.name))
    ]
    for path in left:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    assert {reason.subject for reason in _drift.leftover_reasons(stack.name, stack.record, state)} == set(left)
