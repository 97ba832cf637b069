"""Checks of stacks and their containers: verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    stacks as _stacks,
)
from sample import engine_for


@pytest.mark.parametrize(
    "changes, wait, expected, words",
    [
        ({}, "healthy", "ok", "running, healthy"),
        ({"health": ""}, "healthy", "ok", "running"),
        ({"health": "starting"}, "healthy", "degraded", "Protected container starting: traefik"),
        ({"health": "unhealthy"}, "healthy", "fail", "Protected container unhealthy: traefik"),
        ({"health": "unhealthy"}, "none", "degraded", "Protected container unhealthy: traefik"),
        ({"state": "restarting"}, "healthy", "fail", "Protected container not running: traefik (restarting)"),
        ({"state": "restarting"}, "none", "degraded", "Protected container restarting: traefik"),
        ({"state": "exited"}, "healthy", "fail", "Protected container not running: traefik (exited)"),
        ({"name": "other"}, "healthy", "fail", "Protected container not running: traefik (there is none)"),
    ],
)
def test_a_protected_container(applied, changes, wait, expected, words):
    stack, _engine = applied
    stacks = {"traefik": stack.record | {"wait": wait}}
    (check,) = _stacks.container_checks(["traefik"], stacks, engine_for(stack, **changes))
    assert (check.id, check.verdict, check.reason) == ("container.traefik", expected, words)


def test_a_protected_container_of_somebody_else(applied):
    stack, _engine = applied
    (check,) = _stacks.container_checks(["traefik"], {}, engine_for(stack, health="unhealthy"))
    assert check.verdict == "degraded"


def test_a_pin_that_another_image_took(applied):
    stack, engine = applied
    stacks = {"traefik": stack.record}
    assert [check.verdict for check in _stacks.pin_checks(stacks, engine)] == ["ok"]
    assert [check.verdict for check in _stacks.pin_checks(stacks, engine_for(stack, image_id="other"))] == ["fail"]
    assert _stacks.pin_checks(stacks, engine._replace(containers=[])) == []


def test_a_stack_says_all_that_is_wrong_with_it(applied, tmp_path):
    stack, engine = applied
    (tmp_path / "traefik.yml").unlink()
    (check,) = _stacks.stack_checks({"traefik": stack.record}, engine._replace(containers=[]))
    assert check.verdict == "fail"
    assert check.reason == "traefik.yml is missing; container traefik is missing"
