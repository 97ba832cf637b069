"""Verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils import _health, _health_guest, _metrics, _task_health
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


def test_the_tunnel(applied):
    stack, _engine = applied
    (container,) = engine_for(stack).containers
    log = ["2026-11-24T00:00:00Z INF Starting tunnel", "2026-11-24T00:00:01Z ERR  Unable to establish", "no level"]
    said = _health.tunnel_error(log)
    assert said == "Unable to establish"
    assert _health.tunnel_error(["INF fine"]) == ""
    (check,) = _health.tunnel_check(container._replace(health="unhealthy"), said)
    assert check[:3] == ("tunnel", "degraded", "not connected to Cloudflare's edge: Unable to establish")
    assert [check.verdict for check in _health.tunnel_check(container, "")] == ["ok"]
    # Said by the container's own check.
    assert _health.tunnel_check(None, "") == _health.tunnel_check(container._replace(state="exited"), "") == []


def check_of(verdict):
    return _health.Check("id", verdict, f"is {verdict}", f"mend {verdict}")


@pytest.mark.parametrize(
    "ill, verdict, reason",
    [
        ({}, "ok", "tunnel, proxy, certificate, app: each hop answers"),
        ({"tunnel": "degraded"}, "degraded", "stops at the tunnel: is degraded"),
        ({"proxy": "fail"}, "fail", "stops at the proxy: is fail"),
        ({"certificate": "degraded"}, "degraded", "stops at the certificate: is degraded"),
        ({"app": "fail"}, "fail", "stops at the app: is fail"),
        ({"tunnel": "degraded", "app": "fail"}, "fail", "stops at the tunnel (beyond it also: app): is degraded"),
    ],
)
def test_the_probe_names_the_hop_that_fails(ill, verdict, reason):
    hops = {hop: [check_of("ok")] for hop in ("tunnel", "proxy", "certificate", "app")}
    hops |= {hop: [check_of("ok"), check_of(worse)] for hop, worse in ill.items()}
    check = _health.probe_check("files.example.test", hops)
    assert (check.id, check.verdict, check.reason) == ("probe.files.example.test", verdict, reason)


@pytest.mark.parametrize(
    "answer, proxy_is_alive, app_is_well, hop",
    [
        (200, True, True, "app"),
        (404, True, True, "proxy"),
        (404, True, False, "app"),
        (502, True, True, "app"),
        ("refused", False, False, "proxy"),
        ("timed out", True, False, "app"),
    ],
)
def test_whose_answer_it_is(answer, proxy_is_alive, app_is_well, hop):
    assert _health.answering_hop(answer, proxy_is_alive, app_is_well) == hop


GIB = 1 << 30


@pytest.mark.parametrize(
    "free, total, inodes, verdict, words",
    [
        (5 * GIB, 8 * GIB, (90, 100), "ok", "5.0 of 8.0 GiB free"),
        # Of a large disk a small share is still much.
        (3 * GIB, 100 * GIB, (90, 100), "ok", "3.0 of 100.0 GiB free"),
        (0.5 * GIB, 8 * GIB, (90, 100), "degraded", "nearly full: 0.5 of 8.0 GiB free, 90 of 100 inodes"),
        (0.1 * GIB, 8 * GIB, (90, 100), "fail", "full: 0.1 of 8.0 GiB free, 90 of 100 inodes"),
        (5 * GIB, 8 * GIB, (1, 100), "fail", "full: 5.0 of 8.0 GiB free, 1 of 100 inodes"),
        # ZFS and Btrfs do not count them.
        (5 * GIB, 8 * GIB, (0, 0), "ok", "5.0 of 8.0 GiB free"),
    ],
)
def test_a_disk(free, total, inodes, verdict, words):
    check = _health_guest.disk_check(_health_guest.Space("/", free, total, *inodes))
    assert (check.id, check.verdict, check.reason) == ("disk./", verdict, words)


@pytest.mark.parametrize(
    "newest, oldest, traefik, verdict",
    [
        ("1.45", "1.24", "traefik:v3.7.14@sha256:1", "ok"),
        ("1.52", "1.44", "traefik:v3.7.14@sha256:1", "ok"),
        ("1.52", "1.44", "traefik:v3.6.0@sha256:1", "fail"),
        ("1.45", "1.24", "traefik:v3.6.0@sha256:1", "ok"),
        ("1.52", "1.44", "", "ok"),
        ("1.41", "1.12", "traefik:v3.7.14@sha256:1", "degraded"),
        (None, None, "", "degraded"),
    ],
)
def test_the_engine_s_api(newest, oldest, traefik, verdict):
    version = {"ApiVersion": newest, "MinAPIVersion": oldest} if newest else {}
    assert _health_guest.engine_api_check(version, traefik).verdict == verdict


def test_metrics_for_node_exporter():
    report = {
        "verdict": "fail",
        "checks": [{"id": 'odd"\\\nid', "verdict": "fail", "reason": "", "fix": ""}],
        "facts": {
            "certificate": {"host": "files.example.test", "issuer": "CN=R11", "expires": 1800000000},
            "converged": {"time": 1790000000, "commit": "c0ffee", "result": "unchanged"},
        },
    }
    lines = _metrics.text(report, 1795000000).splitlines()
    assert 'felhom_base_infra_verdict{verdict="fail"} 1' in lines
    assert 'felhom_base_infra_verdict{verdict="ok"} 0' in lines
    assert 'felhom_base_infra_check{check="odd\\"\\\\\\nid",verdict="fail"} 1' in lines
    assert (
        'felhom_base_infra_certificate_expiry_timestamp_seconds{host="files.example.test",issuer="CN=R11"} 1800000000'
        in lines
    )
    assert 'felhom_base_infra_converged_timestamp_seconds{result="unchanged"} 1790000000' in lines
    assert "felhom_base_infra_health_timestamp_seconds 1795000000" in lines
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert {line.split()[2] for line in lines if line.startswith("# TYPE ")} == names
    bare = _metrics.text(report | {"facts": {"certificate": {}, "converged": {}}}, 1795000000)
    assert "certificate" not in bare and "converged" not in bare


def test_a_report_that_can_not_be_written_is_a_check(tmp_path):
    (tmp_path / "file").touch()
    params = {"run": {}, "state_dir": str(tmp_path), "status_file": str(tmp_path / "file/status.json")}
    (check,) = _task_health.record(params, [], {})
    assert (check.id, check.verdict) == ("report", "fail")
    assert check.reason == f"{tmp_path}/file: File exists"
