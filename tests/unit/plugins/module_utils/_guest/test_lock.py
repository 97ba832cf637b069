"""One run at a time on a guest."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock, paths as _paths

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
