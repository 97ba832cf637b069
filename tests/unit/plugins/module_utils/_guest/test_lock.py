"""One run at a time on a guest."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock

FAR = _lock.Holder("root@ops, process 7", 7, "another kernel pid:[1]")


@pytest.fixture
def me():
    return _lock.myself("me", os.getpid())


def test_one_has_it_until_it_is_given_back(tmp_path, me):
    folder = str(tmp_path / "run")
    assert _lock.holder(folder) == ""
    assert _lock.take(FAR, folder=folder) is None
    assert _lock.take(FAR, folder=folder) is None
    assert _lock.take(me, folder=folder) == FAR
    assert _lock.holder(folder) == FAR.name
    assert not _lock.give_back(me, folder)
    assert _lock.give_back(FAR, folder)
    assert not _lock.give_back(FAR, folder)
    assert _lock.take(me, folder=folder) is None


def test_who_is_seen_to_be_gone_has_it_no_more(tmp_path, me):
    folder = str(tmp_path)
    with subprocess.Popen(["true"]) as process:
        dead = _lock.myself("dead", process.pid)
    assert _lock.is_gone(dead) and not _lock.is_gone(me) and not _lock.is_gone(FAR)
    assert _lock.take(dead, folder=folder) is None
    assert _lock.holder(folder) == ""
    assert _lock.take(me, folder=folder) is None


def test_who_asks_may_have_seen_it_gone(tmp_path, me):
    folder = str(tmp_path)
    assert _lock.take(FAR, folder=folder) is None
    assert _lock.take(me, FAR._replace(process=8), folder) == FAR
    assert _lock.take(me, FAR, folder) is None


def test_a_lease_ends(tmp_path, me, monkeypatch):
    folder = str(tmp_path)
    assert _lock.take(FAR, folder=folder) is None
    later = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert _lock.holder(folder) == ""
    assert _lock.take(me, folder=folder) is None


def test_anybody_may_void_it_by_hand(tmp_path):
    folder = str(tmp_path)
    _lock.take(FAR, folder=folder)
    assert _lock.give_back(None, folder)
    assert _lock.holder(folder) == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"until": 1}', '{"until": "x"}'])
def test_a_broken_lock_is_nobody_s(tmp_path, me, content):
    (tmp_path / "lock").write_text(content)
    assert _lock.holder(str(tmp_path)) == ""
    assert _lock.take(me, folder=str(tmp_path)) is None
