"""Checks of the way in: verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health import check as _check
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import proxy as _proxy
from sample import REGISTERED, TUNNEL_LOGS, engine_for


@pytest.mark.parametrize(
    "answer, expected",
    [(200, "ok"), (302, "ok"), (401, "ok"), (404, "fail"), (502, "fail"), (504, "fail"), ("refused", "fail")],
)
def test_what_the_proxy_answers(answer, expected):
    (check,) = _proxy.https("files.example.test", _proxy.Answers(answer))
    assert (check.id, check.verdict) == ("proxy.https.files.example.test", expected)


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
    (check,) = _proxy.http("files.example.test", _proxy.Answers(200, b"", answer, location))
    assert (check.id, check.verdict) == ("proxy.http.files.example.test", expected)


PRINTED = "issuer=CN = Pebble Intermediate CA 1a2b3c\nnotAfter=Nov 23 12:00:00 2031 GMT\n"
EXPIRES = 1953201600


def test_a_certificate_as_openssl_prints_it():
    assert _proxy.parse_certificate(PRINTED) == ("CN = Pebble Intermediate CA 1a2b3c", EXPIRES)


@pytest.mark.parametrize("text", ["", "issuer=CN = x\n", "issuer=x\nnotAfter=yesterday\n"])
def test_a_certificate_that_openssl_could_not_read(text):
    with pytest.raises(ValueError):
        _proxy.parse_certificate(text)


@pytest.mark.parametrize(
    "issuer, days, why, verdict, words",
    [
        ("CN = R11", 60, "", "ok", "valid for 60 days, issued by CN = R11"),
        ("CN = R11", 10, "9109: Invalid", "degraded", "not renewed, 10 days left: 9109: Invalid"),
        ("CN = R11", -2, "", "fail", "the certificate expired 2 days ago"),
        ("CN = TRAEFIK DEFAULT CERT", 300, "", "degraded", "no certificate was issued yet"),
        ("CN = TRAEFIK DEFAULT CERT", 300, "9109: Invalid", "degraded", "no certificate was issued yet: 9109: Invalid"),
    ],
)
def test_a_certificate(issuer, days, why, verdict, words):
    certificate = _proxy.Certificate(issuer, 1000000 + days * 86400)
    (check,) = _proxy.certificate("files.example", _proxy.Served(certificate, said=why), 1000000, 0)
    assert (check.id, check.verdict, check.reason) == ("certificate.files.example", verdict, words)


def test_what_traefik_says_of_a_certificate():
    # Recorded from Traefik 3.7.15, shortened.
    error = (
        '{"level":"error","providerName":"cloudflare.acme","acmeCA":"https://ca.felhom.test:14000/dir",'
        '"error":"unable to generate a certificate: [status code 403] 9109:\\nInvalid access token",'
        '"message":"Unable to obtain ACME certificate for domains"}'
    )
    assert _proxy.issuance_error([error, "no json", '{"level":"error","message":"other"}', "[]"]) == (
        "unable to generate a certificate: [status code 403] 9109: Invalid access token"
    )
    assert _proxy.issuance_error([]) == ""
    long = '{"level":"error","acmeCA":"x","error":"' + "x" * 1000 + ' 9109: Invalid access token"}'
    assert _proxy.issuance_error([long]).endswith("x 9109: Invalid access token")
    assert len(_proxy.issuance_error([long])) < 500


@pytest.fixture
def container(applied):
    stack, _engine = applied
    (found,) = engine_for(stack).containers
    return found


@pytest.mark.parametrize(
    "outcome, health, reason, fix",
    [
        ("refused", "starting", "refuses the tunnel's token: Unauthorized: Invalid tunnel secret", "cf_tunnel_token"),
        ("ended", "starting", "answers and ends each registration", "cf_tunnel_token"),
        ("no_udp", "starting", "UDP to port 7844 is blocked", "base_cloudflared_protocol: http2"),
        ("late", "healthy", "connected to Cloudflare's edge over HTTP/2: UDP", "base_cloudflared_protocol: http2"),
        ("apart", "unhealthy", "not connected to Cloudflare's edge: Unable to establish connection", "port 7844"),
    ],
)
def test_what_is_wrong_with_the_tunnel(container, outcome, health, reason, fix):
    (check,) = _proxy.tunnel(container._replace(health=health), TUNNEL_LOGS[outcome])
    assert (check.id, check.verdict) == ("tunnel", "degraded")
    assert reason in check.reason and fix in check.fix


@pytest.mark.parametrize("outcome", ["refused", "ended", "no_udp", "apart"])
def test_a_tunnel_that_is_connected_is_well_whatever_was_before(container, outcome):
    assert [check.verdict for check in _proxy.tunnel(container, TUNNEL_LOGS[outcome])] == ["ok"]


def test_a_tunnel_that_does_not_run_is_another_check_s(container):
    assert _proxy.tunnel(None, []) == _proxy.tunnel(container._replace(state="exited"), []) == []


@pytest.mark.parametrize(
    "log, outcome",
    [
        ([], "apart"),
        # What an earlier start of the same container said is over.
        (TUNNEL_LOGS["refused"] + TUNNEL_LOGS["apart"], "apart"),
        (TUNNEL_LOGS["late"] + TUNNEL_LOGS["apart"][:2], "apart"),
        # QUIC works again, after a time without.
        ([*TUNNEL_LOGS["late"], f"{REGISTERED}quic"], "apart"),
        # HTTP/2 was chosen, and UDP is blocked too.
        ([*TUNNEL_LOGS["no_udp"][2:3], f"{REGISTERED}http2"], "apart"),
        # By its source the program gives the reason over QUIC too, before the three lines.
        (
            [
                *TUNNEL_LOGS["ended"][:2],
                '2026-11-25T08:00:01Z ERR failed to serve the control stream error="Unauthorized: Invalid secret"',
                *TUNNEL_LOGS["ended"][2:],
            ],
            "refused",
        ),
        # The token was taken later, and the network went away.
        ([*TUNNEL_LOGS["refused"], f"{REGISTERED}http2", TUNNEL_LOGS["apart"][-1]], "late"),
    ],
)
def test_what_the_tunnel_s_log_says(log, outcome):
    assert _proxy.tunnel_state(log)[0] == outcome


def test_a_tunnel_that_fell_back_and_lost_its_connection(container):
    lost = [*TUNNEL_LOGS["late"], TUNNEL_LOGS["apart"][-1]]
    (check,) = _proxy.tunnel(container._replace(health="unhealthy"), lost)
    assert check.reason.startswith("not connected to Cloudflare's edge: Unable to establish connection")
    (check,) = _proxy.tunnel(container._replace(health="starting"), [])
    assert check.reason == "not connected to Cloudflare's edge"


def check_of(verdict):
    return _check.Check("id", verdict, f"is {verdict}", f"mend {verdict}")


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
    (check,) = _proxy.probe("files.example.test", hops)
    assert (check.id, check.verdict, check.reason) == ("probe.files.example.test", verdict, reason)


@pytest.mark.parametrize(
    "answer, proxy_is_alive, app_is_healthy, hop",
    [
        (200, True, True, "app"),
        (404, True, True, "proxy"),
        (404, True, False, "app"),
        (502, True, True, "app"),
        ("refused", False, False, "proxy"),
        ("timed out", True, False, "app"),
    ],
)
def test_whose_answer_it_is(answer, proxy_is_alive, app_is_healthy, hop):
    assert _proxy.answering_hop(answer, proxy_is_alive, app_is_healthy) == hop
