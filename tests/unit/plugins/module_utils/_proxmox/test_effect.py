"""When a name that is configured comes into effect in a guest, and what is done for that."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import effect as _effect, plan as _plan
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Inside,
    Problem,
    Unusable,
)

RUNNING = Container(101, "pve1", "acme.example.org", running=True)
STOPPED = Container(101, "pve1", "acme.example.org")
STALE = Inside("felhom-golden", "felhom-golden", False)
RIGHT = Inside("acme.example.org", "acme", False)
IGNORED = Inside("felhom-golden", "by-hand", True)
ALWAYS, NEVER = _plan.Window(0, 1440), None


class Fake:
    """A way to the guests by which one calls itself as it is told; fails says at which call that ends."""

    def __init__(self, inside, method="pct", fails=""):
        self.method, self.now, self.fails, self.calls = method, inside, fails, []

    def called(self, name):
        self.calls.append(name)
        if self.fails == name:
            raise Problem("pct said nothing")

    def inside(self, _guest):
        assert self.method == "pct"
        self.called("inside")
        return self.now

    def rename_inside(self, guest, ignored):
        assert self.method == "pct"
        self.called("rename_inside")
        self.now = Inside(guest.name, self.now.file if ignored else _plan._names.short(guest.name), ignored)

    def restart(self, guest):
        self.called("restart")
        if self.method == "pct":
            self.now = Inside(guest.name, self.now.file if self.now.ignored else "acme", self.now.ignored)

    @property
    def writes(self):
        return [name for name in self.calls if name != "inside"]


def take(client, how, guest=RUNNING, written=True, window=ALWAYS, check=False):
    return _effect.take_effect(client, guest, written, _effect.Policy(how, window, check))


def effective(effect):
    return effect.legs["running"]["effective"], effect.legs["file"]["effective"]


@pytest.mark.parametrize("inside, expected", [(STALE, ("next start", "next start")), (RIGHT, ("now", "now"))])
def test_report_only_looks(inside, expected):
    client = Fake(inside)
    effect = take(client, "report")
    assert effective(effect) == expected
    assert (effect.done, effect.problem, effect.note, client.writes) == ([], "", "", [])


def test_renamed_inside():
    client = Fake(STALE)
    effect = take(client, "rename")
    assert (effect.done, client.writes) == (["renamed inside"], ["rename_inside"])
    assert effective(effect) == ("now", "now") and effect.problem == ""


def test_a_file_alone_is_reason_enough_to_rename_inside():
    effect = take(Fake(Inside("acme.example.org", "felhom-golden", False)), "rename")
    assert effect.done == ["renamed inside"] and effective(effect) == ("now", "now")


def test_a_guest_that_does_not_take_the_name():
    client = Fake(STALE)
    client.rename_inside = lambda _guest, _ignored: None
    effect = take(client, "rename")
    assert effect.problem == "was renamed inside, but still calls itself otherwise"
    assert effective(effect) == ("next start", "next start")


@pytest.mark.parametrize("how", ["rename", "restart"])
def test_what_is_right_is_left_alone(how):
    client = Fake(RIGHT)
    effect = take(client, how)
    assert (effect.done, client.writes) == ([], [])


@pytest.mark.parametrize("how", ["report", "rename", "restart"])
def test_a_stopped_guest_has_the_name_at_its_next_start(how):
    client = Fake(STALE)
    effect = take(client, how, guest=STOPPED)
    assert client.calls == [] and effect.done == [] and effective(effect) == ("next start", "next start")


def test_restarted_within_the_window():
    client = Fake(STALE)
    effect = take(client, "restart")
    assert (effect.done, client.writes, effect.note) == (["restarted"], ["restart"], "")
    assert effective(effect) == ("now", "now")


@pytest.mark.parametrize("minute, restarts", [(119, False), (120, True), (269, True), (270, False)])
def test_the_window_is_the_node_s_own_time(monkeypatch, minute, restarts):
    clock = _effect.time.struct_time((2026, 11, 25, minute // 60, minute % 60, 0, 2, 329, 0))
    monkeypatch.setattr(_effect.time, "localtime", lambda: clock)
    client = Fake(STALE)
    effect = take(client, "restart", window=_plan.parse_window("02:00-04:30"))
    assert client.writes == (["restart"] if restarts else [])
    assert effect.note == ("" if restarts else "is to be restarted, outside of the window")
    assert effective(effect) == (("now", "now") if restarts else ("next start", "next start"))


def test_no_window_is_never():
    client = Fake(STALE)
    effect = take(client, "restart", window=NEVER)
    assert client.writes == [] and effect.note == "is to be restarted, outside of the window"


@pytest.mark.parametrize("how, done", [("rename", "renamed inside"), ("restart", "restarted")])
def test_check_mode_says_it_and_does_nothing(how, done):
    client = Fake(STALE)
    effect = take(client, how, check=True)
    assert (effect.done, client.writes) == ([done], [])
    assert effective(effect) == ("next start", "next start")


def test_a_file_that_proxmox_is_not_to_write():
    client = Fake(IGNORED)
    effect = take(client, "rename")
    assert effective(effect) == ("now", "never") and effect.problem == ""
    assert effect.note == "has /etc/.pve-ignore.hostname, so Proxmox never writes its /etc/hostname"
    assert client.now.file == "by-hand"


def test_two_notes_are_both_said():
    effect = take(Fake(IGNORED), "restart", window=NEVER)
    assert effect.note.split("; ") == [
        "is to be restarted, outside of the window",
        "has /etc/.pve-ignore.hostname, so Proxmox never writes its /etc/hostname",
    ]


@pytest.mark.parametrize("written, expected", [(True, "next start"), (False, "unknown")])
def test_by_the_api_a_guest_is_not_looked_into(written, expected):
    client = Fake(None, method="api")
    effect = take(client, "report", written=written)
    assert client.calls == [] and effective(effect) == (expected, expected)


def test_by_the_api_only_a_name_that_was_just_written_is_stale():
    client = Fake(None, method="api")
    effect = take(client, "restart")
    assert (effect.done, client.writes, effective(effect)) == (["restarted"], ["restart"], ("now", "now"))
    assert effect.legs["running"]["name"] == "acme.example.org"
    client = Fake(None, method="api")
    assert take(client, "restart", written=False).done == [] and client.writes == []


@pytest.mark.parametrize("fails, how", [("inside", "report"), ("rename_inside", "rename"), ("restart", "restart")])
def test_a_guest_that_fails_is_its_own_problem(fails, how):
    effect = take(Fake(STALE, fails=fails), how)
    assert effect.problem == "pct said nothing"
    assert effective(effect) == ("next start", "next start")


def test_a_node_that_fails_is_too():
    client = Fake(STALE)

    def unusable(_guest):
        raise Unusable("pve-cluster does not run")

    client.inside = unusable
    assert take(client, "report", written=False).problem == "pve-cluster does not run"


def test_a_guest_that_stopped_since_it_was_listed():
    client = Fake(None)
    effect = take(client, "rename", written=False)
    assert (effect.done, client.writes, effective(effect)) == ([], [], ("unknown", "unknown"))
