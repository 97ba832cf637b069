"""Waiting for stacks together: who is well, who is lost, and when that is known."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import wait as _wait
from sample import engine_for


class Time:
    """A clock that only sleeping moves."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def story(monkeypatch, applied):
    """Tells the wait what the engine says from which second on; returns what is lost and after how many seconds."""
    stack, _engine_now = applied

    def tell(*chapters, wait="healthy", timeout=60, healthy_before=()):
        clock = Time()
        monkeypatch.setattr(_wait, "time", clock)

        def observe():
            _start, changes = [chapter for chapter in chapters if chapter[0] <= clock.now - 1000.0][-1]
            return engine_for(stack, **changes)

        monkeypatch.setattr(_engine, "observe", observe)
        record = stack.record | {"wait": wait}
        lost = _wait.wait({"traefik": {"record": record, "wait_timeout": timeout}}, set(healthy_before))
        return lost, clock.now - 1000.0

    return tell


STARTING = {"health": "starting"}
EXITED = {"state": "exited", "health": ""}
WELL = {}


def test_well_at_once(story):
    assert story((0, WELL)) == ({}, 0)


def test_well_as_soon_as_the_first_check_passed(story):
    lost, seconds = story((0, STARTING), (5, WELL))
    assert not lost and 5 <= seconds < 5.5


def test_health_that_never_comes(story):
    lost, seconds = story((0, STARTING), timeout=10)
    assert lost == {"traefik": "not healthy after 10 s: traefik"} and 10 <= seconds < 11


def test_an_exit_is_known_long_before_the_time_is_over(story):
    lost, seconds = story((0, STARTING), (2, EXITED))
    assert lost == {"traefik": "container traefik is exited"} and 7 <= seconds < 8


def test_one_restart_is_forgiven(story):
    lost, seconds = story((0, STARTING), (1, {"state": "restarting", "health": ""}), (3, STARTING), (8, WELL))
    assert not lost and seconds >= 8


def test_a_crash_loop_is_not(story):
    loop = [(second, STARTING if second % 2 else EXITED) for second in range(0, 30)]
    lost, seconds = story(*loop, timeout=20)
    assert "traefik" in lost and seconds <= 21


def test_running_is_enough_where_health_is_not_waited_for(story):
    assert story((0, STARTING), wait="running") == ({}, 0)
    assert story((0, {"health": "unhealthy"}), wait="none") == ({}, 0)


def test_what_was_well_must_become_well_again(story):
    was_well = {"traefik/traefik"}
    assert story((0, STARTING), (5, WELL), wait="none", healthy_before=was_well)[0] == {}
    lost, _seconds = story((0, STARTING), wait="none", timeout=10, healthy_before=was_well)
    assert lost == {"traefik": "not healthy after 10 s: traefik"}


def test_what_is_well_by_name(applied):
    stack, engine = applied
    stacks = {"traefik": stack.record}
    assert _wait.healthy_services(stacks, engine) == ["traefik/traefik"]
    assert _wait.healthy_services({}, engine) == []
    for changes in (EXITED, STARTING, {"health": "unhealthy"}, {"service": "other"}):
        assert _wait.healthy_services(stacks, engine_for(stack, **changes)) == []
