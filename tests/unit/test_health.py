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
        ({"state": "restarting"}, "healthy", "fail", "Protected container not running: traefik (restarting)"),
        ({"state": "restarting"}, "none", "degraded", "Protected container restarting: traefik"),
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


PRINTED = "issuer=CN = Pebble Intermediate CA 1a2b3c\nnotAfter=Nov 23 12:00:00 2031 GMT\n"
EXPIRES = 1953201600


def test_a_certificate_as_openssl_prints_it():
    assert _health.parse_certificate(PRINTED) == ("CN = Pebble Intermediate CA 1a2b3c", EXPIRES)


@pytest.mark.parametrize("text", ["", "issuer=CN = x\n", "issuer=x\nnotAfter=yesterday\n"])
def test_a_certificate_that_openssl_could_not_read(text):
    with pytest.raises(ValueError):
        _health.parse_certificate(text)


@pytest.mark.parametrize(
    "issuer, days, why, verdict, words",
    [
        ("CN = R11", 60, "", "ok", "valid for 60 days, issued by CN = R11"),
        ("CN = R11", 60, "an old error", "ok", "valid for 60 days, issued by CN = R11"),
        ("CN = R11", 10, "9109: Invalid", "degraded", "not renewed, 10 days left: 9109: Invalid"),
        ("CN = R11", -2, "", "fail", "the certificate expired 2 days ago"),
        ("CN = TRAEFIK DEFAULT CERT", 300, "", "degraded", "no certificate was issued yet"),
        ("CN = TRAEFIK DEFAULT CERT", 300, "9109: Invalid", "degraded", "no certificate was issued yet: 9109: Invalid"),
    ],
)
def test_a_certificate(issuer, days, why, verdict, words):
    certificate = _health.Certificate(issuer, 1000000 + days * 86400)
    check = _health.certificate_check("files.example", certificate, 1000000, why)
    assert (check.id, check.verdict, check.reason) == ("certificate.files.example", verdict, words)


def test_what_traefik_says_of_a_certificate():
    # Recorded from Traefik 3.7.15, shortened.
    error = (
        '{"level":"error","providerName":"cloudflare.acme","acmeCA":"https://ca.felhom.test:14000/dir",'
        '"error":"unable to generate a certificate: [status code 403] 9109:\\nInvalid access token",'
        '"message":"Unable to obtain ACME certificate for domains"}'
    )
    assert _health.issuance_error([error, "no json", '{"level":"error","message":"other"}', "[]"]) == (
        "unable to generate a certificate: [status code 403] 9109: Invalid access token"
    )
    assert _health.issuance_error([]) == ""
    long = '{"level":"error","acmeCA":"x","error":"' + "x" * 1000 + ' 9109: Invalid access token"}'
    assert _health.issuance_error([long]).endswith("x 9109: Invalid access token")
    assert len(_health.issuance_error([long])) < 500
