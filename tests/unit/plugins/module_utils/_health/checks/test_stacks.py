"""Checks of stacks and their containers: verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import stacks as _stacks
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
    (check,) = _stacks.container(["traefik"], stacks, engine_for(stack, **changes))
    assert (check.id, check.verdict, check.reason) == ("container.traefik", expected, words)


@pytest.mark.parametrize(
    "changes, verdict, fix",
    [
        ({"health": "unhealthy"}, "degraded", "see 'docker logs traefik'"),
        # No converge of ours starts it.
        ({"state": "exited"}, "fail", "run 'docker restart traefik' on the guest"),
        ({"name": "other"}, "fail", "have it started by what makes it"),
    ],
)
def test_a_protected_container_of_somebody_else(applied, changes, verdict, fix):
    stack, _engine = applied
    (check,) = _stacks.container(["traefik"], {}, engine_for(stack, **changes))
    assert check.verdict == verdict and check.fix.startswith(fix)


def test_a_pin_that_another_image_took(applied):
    stack, engine = applied
    stacks = {"traefik": stack.record}
    assert [check.verdict for check in _stacks.pin(stacks, engine)] == ["ok"]
    assert [check.verdict for check in _stacks.pin(stacks, engine_for(stack, image_id="other"))] == ["fail"]
    assert _stacks.pin(stacks, engine._replace(containers=[])) == []


def test_a_stack_says_all_that_is_wrong_with_it():
    (check,) = _stacks.stack({"traefik": ["traefik.yml is missing", "container traefik is missing"]})
    assert (check.id, check.verdict) == ("stack.traefik", "fail")
    assert check.reason == "traefik.yml is missing; container traefik is missing"
    assert _stacks.stack({"traefik": []})[0].verdict == "ok"
