"""One run at a time on a guest."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock, paths as _paths
from hypothesis import example, given, strategies as st

FAR = _lock.Holder("root@ops, process 7", 7, "another kernel pid:[1]")


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setattr(_paths, "RUNTIME", str(tmp_path / "run"))


@pytest.fixture
def me():
    return _lock.myself("me", os.getpid())


def test_one_has_it_until_it_is_given_back(me):
    assert _lock.holder() == ""
    assert _lock.take(FAR) is None
    assert _lock.take(FAR) is None
    assert _lock.take(me) == FAR
    assert _lock.holder() == FAR.name
    assert not _lock.give_back(me)
    assert _lock.give_back(FAR)
    assert not _lock.give_back(FAR)
    assert _lock.take(me) is None


def test_who_is_seen_to_be_gone_has_it_no_more(me):
    with subprocess.Popen(["true"]) as process:
        dead = _lock.myself("dead", process.pid)
    assert _lock.is_gone(dead) and not _lock.is_gone(me) and not _lock.is_gone(FAR)
    assert _lock.take(dead) is None
    assert _lock.holder() == ""
    assert _lock.take(me) is None


def test_who_asks_may_have_seen_it_gone(me):
    assert _lock.take(FAR) is None
    assert _lock.take(me, FAR._replace(process=8)) == FAR
    assert _lock.take(me, FAR) is None


def test_a_lease_ends(me, monkeypatch):
    assert _lock.take(FAR) is None
    later = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert _lock.holder() == ""
    assert _lock.take(me) is None


def test_anybody_may_void_it_by_hand():
    _lock.take(FAR)
    assert _lock.give_back(None)
    assert _lock.holder() == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"until": 1}', '{"until": "x"}'])
def test_a_broken_lock_is_nobody_s(tmp_path, me, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").write_text(content)
    assert _lock.holder() == ""
    assert _lock.take(me) is None


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats(), st.just([]))
            for key in ("name", "process", "namespace", "until")
        },
    )
)
@example({"name": "x", "process": 1, "namespace": "x", "until": 10**400})
@example({"name": "x", "process": float("inf"), "namespace": "x", "until": 10**9})
def test_a_lease_of_any_content_is_one_or_none(content):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(_paths, "RUNTIME", folder):
        Path(folder, "lock").write_text(json.dumps(content))
        assert isinstance(_lock.holder(), str)


@given(st.one_of(st.binary(max_size=60), st.just(b"[" * 5000)))
def test_a_broken_lease_is_none(content):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(_paths, "RUNTIME", folder):
        Path(folder, "lock").write_bytes(content)
        assert _lock.holder() == ""
        assert _lock.take(FAR) is None
