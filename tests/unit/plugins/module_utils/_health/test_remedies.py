"""A certificate that the proxy did not get is asked for again: after a second look, then less and less often."""

from __future__ import annotations

import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    inspect as _inspect,
    remedies as _remedies,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import proxy as _proxy
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state

NOW = 1_800_000_000.0
SELF_SIGNED = {"host": "files.example", "issuer": "CN = TRAEFIK DEFAULT CERT", "expires": NOW + 300 * 86400}
GOOD = SELF_SIGNED | {"issuer": "CN = R11"}
OVERDUE = GOOD | {"expires": NOW + 10 * 86400}
REFUSED = "lookup acme.example on 127.0.0.11:53: server misbehaving"


class Guest:
    """A guest whose proxy says, one after the other, what it is given to say."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.now, self.said, self.ran = str(folder), NOW, [""], []
        monkeypatch.setattr(_paths, "STATE_DIR", self.folder)
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(_commands, "docker", lambda *words: self.ran.append(words))
        monkeypatch.setattr(_inspect, "Survey", lambda *_arguments, **_options: self)

    def sleep(self, seconds):
        self.now += seconds

    @property
    def served(self):
        said = self.said[0] if len(self.said) == 1 else self.said.pop(0)
        of = GOOD if said == "issued" else SELF_SIGNED
        return _proxy.Served(_proxy.Certificate(of["issuer"], of["expires"]), said=said)

    def heal(self, served=SELF_SIGNED, patience=60):
        return _remedies.heal({"patience": patience}, served)

    @property
    def tried(self):
        return _state.certificate(self.folder)


@pytest.fixture
def guest(tmp_path, monkeypatch):
    return Guest(tmp_path, monkeypatch)


@pytest.mark.parametrize("served", [SELF_SIGNED, OVERDUE])
def test_what_failed_is_asked_for_again_after_a_second_look(guest, served):
    guest.said = [REFUSED, REFUSED, "", "issued"]
    assert guest.heal(served)
    assert guest.ran == [("restart", "traefik")]
    assert guest.tried is None


def test_what_is_under_way_is_waited_for(guest):
    guest.said = ["", "", "issued"]
    assert guest.heal()
    assert (guest.ran, guest.tried) == ([], None)
    assert guest.now - NOW < 10


def test_what_does_not_come_is_left_to_a_later_run(guest):
    guest.heal()
    assert guest.ran == [] and guest.tried.number == 0
    guest.now = guest.tried.last + 299
    assert not guest.heal() and guest.ran == []
    guest.now = guest.tried.last + 300
    assert guest.heal() and guest.ran
    assert guest.tried.number == 1


def test_an_error_that_is_gone_at_the_second_look_was_none(guest):
    guest.said = [REFUSED, "issued"]
    assert guest.heal()
    assert (guest.ran, guest.tried) == ([], None)


def test_the_wait_ends_with_the_next_refusal(guest):
    guest.said = [REFUSED, REFUSED, "", REFUSED]
    assert guest.heal()
    assert guest.now - NOW < 20
    assert guest.tried.number == 1


def test_the_time_between_two_tries_doubles_up_to_six_hours(guest):
    guest.said = [REFUSED]
    guest.heal()
    waits = []
    for _number in range(9):
        before = guest.tried.last
        while not guest.heal():
            guest.now += 50
        waits.append(guest.tried.last - before)
    assert [round(wait / 300) for wait in waits] == [1, 2, 4, 8, 16, 32, 64, 72, 72]
    assert len(guest.ran) == 10


def test_a_certificate_ends_it(guest):
    guest.said = [REFUSED]
    guest.heal()
    assert not guest.heal(GOOD)
    assert guest.tried is None


def test_a_proxy_that_serves_nothing_is_another_checks(guest):
    assert not guest.heal({})
    assert guest.tried is None
    _state.set_certificate(guest.folder, _state.Tries(2, NOW - 3600))
    assert not guest.heal({})
    assert (guest.ran, guest.tried) == ([], (2, NOW))


def test_an_engine_that_refuses_is_no_traceback(guest, monkeypatch):
    def refuse(*_words):
        raise _commands.CommandError("no engine")

    monkeypatch.setattr(_commands, "docker", refuse)
    guest.said = [REFUSED]
    assert guest.heal()


def test_without_patience_nothing_is_waited_for(guest):
    guest.said = [REFUSED]
    guest.heal(patience=0)
    assert (guest.now, guest.ran, guest.tried) == (NOW, [], (0, NOW))
