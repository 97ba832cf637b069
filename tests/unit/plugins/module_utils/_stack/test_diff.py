"""What is shown of a difference, and that no secret is."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    desired as _desired,
    diff as _diff,
    drift as _drift,
)


def test_the_diff_of_a_fresh_guest_shows_every_file_and_no_secret(shipped, tmp_path):
    stack = _desired.resolve(shipped)
    entries = _diff.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    assert {entry["after_header"] for entry in entries} == {str(tmp_path / path) for path in [*stack.files, "secrets"]}
    shown = "".join(entry["before"] + entry["after"] for entry in entries)
    password = stack.files["secrets/password"].data.decode().strip()
    assert "ping: {}" in shown
    assert "planted-secret" not in shown
    assert password not in shown


def test_the_diff_of_a_changed_secret_shows_two_fingerprints(applied, shipped):
    shipped["secret_contents"]["secrets/token"] = "another-secret\n"
    stack = _desired.resolve(shipped)
    entries = _diff.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    token = next(entry for entry in entries if "token" in entry["after_header"])
    assert token["before"] != token["after"]
    assert "secret" not in (token["before"] + token["after"]).replace("content not shown", "")


def test_what_was_changed_by_hand_is_shown_and_what_was_never_ours_is_not(applied, tmp_path):
    stack, _engine = applied
    (tmp_path / _desired.COMPOSE_FILE).write_text("TUNNEL_TOKEN: somebody-put-it-there")
    reasons = _drift.file_reasons(stack.record)
    (ours,) = _diff.diff(stack, reasons, stack.record["files"])
    (foreign,) = _diff.diff(stack, reasons, {})
    assert "somebody-put-it-there" in ours["before"]
    assert "somebody-put-it-there" not in foreign["before"]
    assert foreign["before"] != foreign["after"]


def test_certificates_do_not_show_when_only_their_mode_is_wrong(applied, tmp_path):
    stack, _engine = applied
    (tmp_path / "acme.json").write_text("PRIVATE KEY")
    (tmp_path / "acme.json").chmod(0o644)
    (entry,) = _diff.diff(stack, _drift.file_reasons(stack.record), stack.record["files"])
    assert "0644" in entry["before"] and "0600" in entry["after"]
    assert "PRIVATE" not in entry["before"] + entry["after"]
