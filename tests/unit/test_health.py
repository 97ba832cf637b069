"""Verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils import _health
from sample import engine_for


@pytest.mark.parametrize(
    "changes, wait, expected, words",
    [
        ({}, "healthy", "ok", "running, healthy"),
        ({"health": ""}, "healthy", "ok", "running"),
        ({"health": "starting"}, "healthy", "degraded", "Protected container starting: traefik"),
        ({"health": "unhealthy"}, "healthy", "fail", "Protected container unhealthy: traefik"),
        ({"health": "unhealthy"}, "none", "degraded", "Protected container unhealthy: traefik"),
        ({"state": "exited"}, "healthy", "fail", "Protected container not running: traefik (exited)"),
        ({"name": "other"}, "healthy", "fail", "Protected container not running: traefik (there is none)"),
    ],
)
def test_a_protected_container(applied, changes, wait, expected, words):
    stack, _engine = applied
    stacks = {"traefik": stack.record | {"wait": wait}}
    (check,) = _health.container_checks(["traefik"], stacks, engine_for(stack, **changes))
    assert (check.id, check.verdict, check.reason) == ("container.traefik", expected, words)


def test_a_protected_container_of_somebody_else(applied):
    stack, _engine = applied
    (check,) = _health.container_checks(["traefik"], {}, engine_for(stack, health="unhealthy"))
    assert check.verdict == "degraded"


def test_a_pin_that_another_image_took(applied):
    stack, engine = applied
    stacks = {"traefik": stack.record}
    assert [check.verdict for check in _health.pin_checks(stacks, engine)] == ["ok"]
    assert [check.verdict for check in _health.pin_checks(stacks, engine_for(stack, image_id="other"))] == ["fail"]
    assert _health.pin_checks(stacks, engine._replace(containers=[])) == []


def test_a_stack_says_all_that_is_wrong_with_it(applied, tmp_path):
    stack, engine = applied
    (tmp_path / "traefik.yml").unlink()
    (check,) = _health.stack_checks({"traefik": stack.record}, engine._replace(containers=[]))
    assert check.verdict == "fail"
    assert check.reason == "traefik.yml is missing; container traefik is missing"


@pytest.mark.parametrize(
    "answer, expected",
    [(200, "ok"), (302, "ok"), (401, "ok"), (404, "fail"), (502, "fail"), (504, "fail"), ("refused", "fail")],
)
def test_what_the_proxy_answers(answer, expected):
    assert _health.proxy_check("files.example.test", answer).verdict == expected


@pytest.mark.parametrize(
    "answer, location, expected",
    [
        (301, "https://files.example.test/a?b=c", "ok"),
        (308, "https://files.example.test/a?b=c", "ok"),
        (301, "https://files.example.test/", "fail"),
        (301, "http://files.example.test/a?b=c", "fail"),
        (301, None, "fail"),
        (200, None, "fail"),
        ("refused", None, "fail"),
    ],
)
def test_the_redirect(answer, location, expected):
    assert _health.redirect_check("files.example.test", answer, location).verdict == expected


def test_the_worst_check_is_the_verdict():
    def verdict(*verdicts):
        return _health.verdict([_health.Check("id", value, "", "") for value in verdicts])

    assert verdict() == "ok"
    assert verdict("ok", "degraded") == "degraded"
    assert verdict("fail", "ok", "degraded", "waiting") == "fail"


def test_the_table_names_the_guest_and_the_fix():
    checks = [_health.Check("a.b", "ok", "fine", ""), _health.Check("c", "fail", "broken", "mend it")]
    assert _health.table("guest", checks).splitlines() == [
        "guest: fail",
        "  ok        a.b  fine",
        "  fail      c    broken",
        "                 fix: mend it",
    ]
