"""The tunnel between guest and Cloudflare's edge: how long there is none, and what health says of it."""

from __future__ import annotations

import json
import time

import pytest
from tunnels import MEASURED
from waiting import wait_for

STATUS = "cat /var/lib/felhom-base-infra/status.json"
HEALTH = "docker inspect --format '{{.State.Health.Status}}' cloudflared"
WELL = "connected to Cloudflare's edge"
BLOCKED = "FORWARD -p udp --dport 7844 -j DROP"

pytestmark = pytest.mark.usefixtures("heals")


def extra(**variables) -> tuple[str, str]:
    return "--extra-vars", json.dumps(variables)


@pytest.fixture
def says(guest, play):
    """Wait until health says something of the tunnel, and give the line and its fix."""

    def tunnel() -> dict:
        play("health.yml")
        return next((each for each in json.loads(guest.run(STATUS))["checks"] if each["id"] == "tunnel"), {})

    def wait(words: str) -> dict:
        seen = {}

        def look() -> bool:
            seen.update(tunnel())
            return seen.get("reason", "") == words or (words != WELL and words in seen.get("reason", ""))

        wait_for(look, lambda: seen)
        return seen

    return wait


@pytest.fixture
def connected(guest):
    wait_for(lambda: guest.run(HEALTH) == "healthy")


def test_a_recreate_costs_seconds(guest, play, connected, tunnel):
    """The container goes on for its grace period, and unregisters before: a browser gets Cloudflare's error page."""
    run = play("site.yml", *extra(base_cloudflared_memory_limit="130m"))
    assert run.status == 0, run.output
    seconds = tunnel.recreated("without a tunnel, recreated with the role's grace period of 5 s")
    assert 5 <= seconds < 20
    assert tunnel.notes()[0]["what"] == "unregistered"


def test_requests_under_way_may_be_given_more_time(guest, play):
    run = play("site.yml", *extra(base_cloudflared_grace_period=12))
    assert run.status == 0, run.output
    stop = guest.run("docker inspect --format '{{.Config.StopTimeout}}' cloudflared")
    assert stop == "17"
    wait_for(lambda: guest.run(HEALTH) == "healthy")
    start = time.monotonic()
    guest.run("docker restart cloudflared")
    assert time.monotonic() - start >= 12


@pytest.mark.parametrize("period", [-1, 181])
def test_a_grace_period_that_cloudflared_refuses(guest, play, period):
    before = guest.ids(), guest.disk()
    run = play("site.yml", *extra(base_cloudflared_grace_period=period))
    assert run.status == 2
    assert f"base_cloudflared_grace_period is {period}, expected 0 to 180 seconds" in " ".join(run.output.split())
    assert (guest.ids(), guest.disk()) == before


def test_a_network_that_blocks_udp(guest, play, connected, says):
    guest.run(f"iptables -I {BLOCKED}")
    try:
        guest.run("docker restart cloudflared")
        # As soon as cloudflared's own look at the network is done, with the tunnel not yet up.
        found = says("UDP to port 7844 is blocked")
        assert found["verdict"] == "degraded" and found["fix"].startswith("set base_cloudflared_protocol: http2")
        early = found["reason"].startswith("not connected")
        assert early or "connected to Cloudflare's edge over HTTP/2" in found["reason"]
        wait_for(lambda: guest.run(HEALTH) == "healthy")
        # A tunnel that is up says it too: the next start will be as slow.
        assert says("connected to Cloudflare's edge over HTTP/2")["fix"] == found["fix"]

        start = time.monotonic()
        run = play("site.yml", *extra(base_cloudflared_protocol="http2"))
        assert run.status == 0, run.output
        MEASURED["converge to HTTP/2 where UDP is blocked, until the tunnel is up again"] = time.monotonic() - start
        says(WELL)
    finally:
        guest.run(f"iptables -D {BLOCKED}")


def test_a_change_where_udp_is_blocked_is_not_rolled_back(guest, play, connected):
    """It was healthy before, so it is waited for; the fallback to HTTP/2 comes before patience ends."""
    guest.run(f"iptables -I {BLOCKED}")
    try:
        run = play("site.yml", *extra(base_cloudflared_memory_limit="130m"))
        assert run.status == 0, run.output
        assert guest.run(HEALTH) == "healthy"
    finally:
        guest.run(f"iptables -D {BLOCKED}")


@pytest.mark.parametrize(
    "protocol, words",
    [
        ("auto", "Cloudflare's edge refuses the tunnel's token: Unauthorized: Invalid tunnel secret"),
        ("quic", "Cloudflare's edge answers and ends each registration without a reason"),
    ],
)
def test_a_refused_token(guest, play, connected, tunnel, says, customer, protocol, words):
    """Somebody rotates it at Cloudflare. What is connected stays so; the next start is refused."""
    chosen = {"base_cloudflared_protocol": protocol}
    assert play("site.yml", *extra(**chosen)).status == 0
    wait_for(lambda: guest.run(HEALTH) == "healthy")
    tunnel.secret("rotated")
    says(WELL)
    guest.run("docker restart cloudflared")
    found = says(words)
    assert found["verdict"] == "degraded"
    assert "guest_config_cf_tunnel_token" in found["fix"]

    # What the fix says.
    run = play("site.yml", *extra(guest_config_cf_tunnel_token=customer["rotated_token"], **chosen))
    assert run.status == 0, run.output
    says(WELL)
    assert customer["rotated_token"] not in run.output


def test_a_network_that_is_away_is_no_refused_token(guest, connected, says):
    blocked = "FORWARD -p {} --dport 7844 -j REJECT"
    for protocol in ("tcp", "udp"):
        guest.run(f"iptables -I {blocked.format(protocol)}")
    try:
        guest.run("docker restart cloudflared")
        found = says("not connected to Cloudflare's edge: ")
        assert "port 7844" in found["fix"] and "token" not in found["reason"] + found["fix"]
    finally:
        for protocol in ("tcp", "udp"):
            guest.run(f"iptables -D {blocked.format(protocol)}")
    says(WELL)


def test_the_filter_stops_in_a_second(guest):
    """Traefik's stream of events never ends, and the filter would wait for it until Docker kills it."""
    wait_for(lambda: guest.run("docker inspect --format '{{.State.Health.Status}}' traefik") == "healthy")
    start = time.monotonic()
    guest.run("docker stop traefik-socket-proxy")
    MEASURED["to stop the socket filter"] = seconds = time.monotonic() - start
    status = guest.run("docker inspect --format '{{.State.ExitCode}}' traefik-socket-proxy")
    guest.run("docker start traefik-socket-proxy")
    # A second of its own, and what a busy engine needs; without the option it is ten.
    assert seconds < 6 and status == "0"
