"""The one look at a guest that spares asking for each stack: it may say too much, never too little."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, files as _files
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    desired as _desired,
    generations as _generations,
    manifest as _manifest,
    survey as _survey,
)


@pytest.fixture
def guest(applied, shipped, monkeypatch):
    """A guest with the sample stack applied and recorded; returns a function that looks at it."""
    stack, engine = applied
    monkeypatch.setattr(_files.os, "chown", lambda *_args, **_options: None)
    monkeypatch.setattr(_files.os, "fchown", lambda *_args: None)
    state_dir = shipped["state_dir"]
    _manifest.save(state_dir, {stack.name: stack.record})

    def look(seen=engine):
        monkeypatch.setattr(_engine, "observe", lambda: seen)
        return _survey.survey(state_dir)

    look.stack, look.state_dir, look.engine = stack, state_dir, engine
    return look


def test_a_guest_that_is_right(guest):
    assert guest() == {
        "networks": ["traefik-public"],
        "stacks": {"traefik": {"rendering": "r" * 64, "reasons": []}},
    }


def test_a_file_that_differs(guest, tmp_path):
    (tmp_path / "traefik.yml").write_text("")
    assert guest()["stacks"]["traefik"]["reasons"] == ["traefik.yml has other content"]


def test_a_container_that_is_gone(guest):
    seen = guest.engine._replace(containers=[])
    assert guest(seen)["stacks"]["traefik"]["reasons"] == ["container traefik is missing"]


def test_what_a_killed_run_left(guest, tmp_path):
    (tmp_path / f".traefik.yml{_files.TEMPORARY}").touch()
    (reason,) = guest()["stacks"]["traefik"]["reasons"]
    assert "was left by a run that did not end" in reason


def test_a_change_that_nobody_saw_through(guest):
    _generations.save(guest.state_dir, "traefik", "next", {"record": guest.stack.record, "contents": {}})
    assert guest()["stacks"]["traefik"]["reasons"] == ["a run that applied it did not end"]


def test_no_engine(guest, monkeypatch):
    def refuse():
        raise _engine.EngineError("no answer")

    monkeypatch.setattr(_engine, "observe", refuse)
    assert _survey.survey(guest.state_dir) == {"networks": [], "stacks": {}}


def test_a_manifest_that_is_none(guest, tmp_path):
    (tmp_path / "state" / _manifest.NAME).write_text("{")
    assert guest()["stacks"] == {}


def test_a_rendering_is_known_again_in_another_run(shipped):
    def digest(code=b"code", **changes):
        params = shipped | changes
        return _desired.rendering_digest(params, code)

    other_run = {
        **shipped,
        "nonce": "fedcba9876543210",
        "contents": {
            path: text.replace(shipped["nonce"], "fedcba9876543210") for path, text in shipped["contents"].items()
        },
    }
    assert digest() == _desired.rendering_digest(other_run, b"code")
    assert digest() != digest(code=b"other")
    assert digest() != digest(secret_contents={"secrets/token": "another\n"})
    assert digest() != digest(wait="none")
