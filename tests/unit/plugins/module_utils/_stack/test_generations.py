"""Generations: what is applied, what was well, what was well before that, and what a killed run leaves of them."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import failpoints as _failpoints
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    generations as _generations,
    manifest as _manifest,
)
from hypothesis import given, strategies as st


@pytest.fixture(autouse=True)
def owned_by_the_tester(monkeypatch):
    """Root's files are made as whoever runs the tests."""
    monkeypatch.setattr(os, "chown", lambda *_args, **_options: None)
    monkeypatch.setattr(os, "fchown", lambda *_args, **_options: None)


def generation(root, **texts):
    """A generation of a stack with these files."""
    files = {
        path: {"sha256": text, "mode": "0600", "uid": os.getuid(), "gid": os.getgid(), "create_only": False}
        for path, text in texts.items()
    }
    record = {"project_dir": str(root), "wait": "healthy", "directories": {}, "files": files, "services": {}}
    return {"record": record, "contents": texts}


def names(state):
    return {
        name: found["contents"] if (found := _generations.load(str(state), "web", name)) else None
        for name in ("next", "good", "previous", "rejected")
    }


def apply(state, root, **texts):
    _generations.save(str(state), "web", _generations.NEXT, generation(root, **texts))
    _generations.commit(str(state), ["web"])


def test_what_was_well_is_kept_until_the_next_is_and_one_longer(tmp_path):
    for text in ("one", "two", "three"):
        apply(tmp_path, tmp_path, a=text)
    assert names(tmp_path) == {"next": None, "good": {"a": "three"}, "previous": {"a": "two"}, "rejected": None}
    assert _manifest.load(str(tmp_path))["web"]["files"]["a"]["sha256"] == "three"


def test_a_repair_keeps_the_way_back(tmp_path):
    for text in ("one", "two", "two"):
        apply(tmp_path, tmp_path, a=text)
    assert names(tmp_path)["previous"] == {"a": "one"}


def test_what_is_not_well_replaces_nothing(tmp_path):
    apply(tmp_path, tmp_path, a="one")
    _generations.save(str(tmp_path), "web", _generations.NEXT, generation(tmp_path, a="bad"))
    _generations.reject(str(tmp_path), "web")
    _generations.commit(str(tmp_path), ["web"])
    assert names(tmp_path) == {"next": None, "good": {"a": "one"}, "previous": None, "rejected": {"a": "bad"}}


def test_a_removed_stack_can_come_back(tmp_path):
    apply(tmp_path, tmp_path, a="one")
    _generations.forget(str(tmp_path), "web")
    assert names(tmp_path)["previous"] == {"a": "one"}
    assert "web" not in _manifest.load(str(tmp_path))


def test_only_root_sees_them(tmp_path):
    apply(tmp_path / "state", tmp_path, a="one")
    folder = tmp_path / "state/generations"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "web", folder / "web/good.json")] == [
        0o700,
        0o700,
        0o600,
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"record": {}}', b"\xff\xfe", b"null"])
def test_a_generation_that_is_none(tmp_path, content):
    apply(tmp_path, tmp_path, a="one")
    (tmp_path / "generations/web/good.json").write_bytes(content)
    assert names(tmp_path)["good"] is None


def test_a_commit_that_was_cut_short_is_finished_by_the_next(tmp_path, monkeypatch):
    """The process dies between the rename and the manifest."""
    apply(tmp_path, tmp_path, a="one")

    def die(_moment):
        raise KeyboardInterrupt

    monkeypatch.setattr(_failpoints, "failpoint", die)
    with pytest.raises(KeyboardInterrupt):
        apply(tmp_path, tmp_path, a="two")
    monkeypatch.undo()
    apply(tmp_path, tmp_path, a="two")
    assert names(tmp_path) == {"next": None, "good": {"a": "two"}, "previous": {"a": "one"}, "rejected": None}
    assert _manifest.load(str(tmp_path))["web"]["files"]["a"]["sha256"] == "two"


def test_the_files_go_back(tmp_path):
    was, became = generation(tmp_path, a="one", b="gone in two"), generation(tmp_path, a="two", c="new in two")
    _generations.write_files(became, None)
    _generations.write_files(was, became)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "one", "b": "gone in two"}


@given(st.text(), st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(tmp_path_factory, first, second):
    state = tmp_path_factory.mktemp("state")
    texts = {"a": first, "b": second}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        _generations.save(str(state), "web", _generations.NEXT, generation(state, **texts))
    found = _generations.load(str(state), "web", _generations.NEXT)
    assert found["contents"] == texts == json.loads(json.dumps(found["contents"]))
