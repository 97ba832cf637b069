"""A change whose run was cut off is settled by the guest."""

from __future__ import annotations

import json

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, lock as _lock
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import (
    apply as _apply,
    guard as _guard,
    settle as _settle,
)

RUN = _lock.Holder("ops@control, process 1", 1, "elsewhere")


@pytest.fixture
def left_alone(guest, monkeypatch):
    """A guest with a change that nobody settles. The guard of its own process is left waiting, this one has no time."""
    _apply.apply(guest.module, guest.params)
    monkeypatch.setattr(_guard, "PATIENCE", 0.05)
    monkeypatch.setattr(_guard, "_POLL", 0.01)
    return guest


def guard(guest, change=None):
    _guard.settle_if_left_alone("traefik", change or guest.params["nonce"], RUN)


def test_a_healthy_change_is_kept_and_the_ledger_says_so(left_alone):
    _lock.take(RUN)
    guard(left_alone)
    assert left_alone.generation("good") and left_alone.generation("next") is None
    (line,) = (left_alone.folder / "state/ledger.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["result"], entry["stacks"]["traefik"]["state"]) == ("failed", "kept")
    assert entry["error"].startswith("ops@control, process 1 changed traefik and gave no sign")
    assert _lock.held() is None


def test_it_leaves_alone_what_another_run_has_in_its_hands(left_alone):
    _lock.take(_lock.Holder("root@other, process 7", 7, "another"))
    guard(left_alone)
    assert left_alone.generation("next")


def test_the_lock_of_a_run_that_did_not_come_to_its_end_is_given_back(left_alone):
    _settle.settle(left_alone.module, {"stacks": ["traefik"], "run": left_alone.params["run"]})
    _lock.take(RUN)
    guard(left_alone)
    assert _lock.held() is None
    assert not (left_alone.folder / "state/ledger.jsonl").exists()


def test_a_change_without_compose_is_guarded_too(left_alone, monkeypatch):
    """Only its files are new, and so the only trace of it is the journal."""
    _settle.settle(left_alone.module, {"stacks": ["traefik"], "run": left_alone.params["run"]})
    watched = []
    monkeypatch.setattr(_commands, "run_detached", lambda work, **_options: watched.append(work))
    left_alone.params["contents"]["dynamic.yml"] = "tls: {options: {}}\n"
    assert _apply.apply(left_alone.module, left_alone.params)["pending"]
    (work,) = watched
    work()
    assert left_alone.generation("next") is None


def test_it_leaves_alone_another_change(left_alone):
    guard(left_alone, "another change")
    assert left_alone.generation("next")
