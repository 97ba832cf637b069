"""A fleet in which each guest is in another state: the report is right about each, and a repair touches what is ill."""

from __future__ import annotations

import json
import time

import pytest

NAMES = ["fleet-gone", "fleet-ill", "fleet-new", "fleet-well"]
PROBE = "probe.files.acme.felhom.test"
STATE = "/var/lib/felhom-base-infra"
TOKEN = "/opt/docker/cloudflared/secrets/tunnel_token"


@pytest.fixture(scope="module", autouse=True)
def certificates(fleet):
    """Both configured guests have theirs."""
    fleet.wait_until_well("fleet-well", "fleet-ill")


@pytest.fixture(scope="module")
def before(fleet, certificates) -> str:
    """The healthy guest's containers; then the other one's proxy is killed, and its tunnel's token spoilt."""
    ids = fleet.ids("fleet-well")
    fleet.shell("fleet-ill", f"docker stop traefik; printf spoilt > {TOKEN}")
    return ids


def test_health_is_right_in_every_cell(fleet, before):
    run = fleet.play("health.yml")
    assert run.status == 4
    assert sorted(run.guests) == sorted(run.rows) == NAMES
    assert run.outcomes() == {
        **{"fleet-gone": "unreachable", "fleet-ill": "failed", "fleet-new": "waiting", "fleet-well": "unchanged"}
    }
    assert {name: guest["verdict"] for name, guest in run.guests.items()} == {
        **{"fleet-gone": "unreachable", "fleet-ill": "fail", "fleet-new": "waiting", "fleet-well": "ok"}
    }
    well, ill = run.guests["fleet-well"], run.guests["fleet-ill"]
    commit, when = well["converged"]["commit"], time.strftime("%Y-%m-%d %H:%M", time.gmtime(well["converged"]["time"]))
    assert len(commit) == 40 and abs(well["converged"]["time"] - time.time()) < 3600
    assert set(well["pins"]) == {"traefik", "traefik-socket-proxy", "cloudflared", "filebrowser"}
    assert well["certificate"]["host"] == "files.acme.felhom.test" and "Pebble" in well["certificate"]["issuer"]
    days, seconds = well["certificate_days"], well["seconds"]
    assert days > 20
    assert run.rows["fleet-well"] == ["ok", "", str(days), when + commit[:10], "–", "unchanged", str(seconds)]
    verdict, why, ill_days, _when, drift, outcome, _seconds = run.rows["fleet-ill"]
    # Nothing answers, so there is no certificate to be seen.
    assert (verdict, ill_days, drift, outcome) == ("fail", "–", "2", "failed")
    assert (
        "Protected container not running: traefik (exited)" in why and "secrets/tunnel_token has other content" in why
    )
    verdict, why, *rest = run.rows["fleet-new"]
    # A repair that found it waiting may have been there before.
    assert (verdict, rest[0], rest[2], rest[3]) == ("waiting", "–", "–", "waiting") and "customer.domain" in why
    verdict, why, *rest = run.rows["fleet-gone"]
    assert (verdict, rest[:4]) == ("unreachable", ["–", "–", "–", "unreachable"]) and "no connection to" in why
    assert run.told("fleet-well", PROBE) == ("ok", "tunnel, proxy, certificate, app: each hop answers")
    assert run.told("fleet-well", "tunnel")[0] == "ok"
    assert run.told("fleet-ill", PROBE)[1].startswith("stops at the proxy: ")
    assert ill["error"] == ""


def test_the_probe_tells_the_app_from_the_proxy(fleet, before):
    """The app is gone from the proxy's sight while it is stopped."""
    fleet.shell("fleet-well", "docker pause filebrowser")
    try:
        run = fleet.play("health.yml", "--limit", "fleet-well")
        assert run.status == 2
        assert run.told("fleet-well", PROBE)[1].startswith("stops at the app: ")
    finally:
        fleet.shell("fleet-well", "docker unpause filebrowser")
        fleet.wait_until_well("fleet-well")


def test_exit_codes(fleet, before):
    assert fleet.play("health.yml", "--limit", "fleet-well,fleet-new").status == 0
    assert fleet.play("health.yml", "--limit", "!fleet-gone").status == 2
    paused = json.dumps({"since": time.time() - 5, "until": time.time() + 600})
    fleet.shell("fleet-well", f"echo '{paused}' > {STATE}/pause.json")
    try:
        assert fleet.play("health.yml", "--limit", "fleet-well").status == 0
        run = fleet.play("health.yml", "--limit", "fleet-well", base_health_degraded_fails=True)
        assert (run.status, run.guests["fleet-well"]["verdict"]) == (2, "degraded")
    finally:
        fleet.shell("fleet-well", f"rm {STATE}/pause.json")


def test_metrics_are_written_where_node_exporter_is(fleet, before):
    folder = "/var/lib/prometheus/node-exporter"
    fleet.shell("fleet-well", f"mkdir -p {folder}")
    fleet.play("health.yml", "--limit", "fleet-well,fleet-new")
    text = fleet.shell("fleet-well", f"cat {folder}/felhom_base_infra.prom; stat -c %a {folder}/*")
    assert 'felhom_base_infra_verdict{verdict="ok"} 1\n' in text and text.endswith("\n644\n")
    assert "felhom_base_infra_certificate_expiry_timestamp_seconds{" in text
    assert fleet.shell("fleet-new", f"ls {folder} 2>/dev/null || echo none") == "none\n"
    status = json.loads(fleet.shell("fleet-well", f"cat {STATE}/status.json"))
    assert status["verdict"] == "ok" and status["facts"]["certificate"]["expires"] > time.time()


def test_check_mode_reports_the_drift_and_no_secret(fleet, before, customer):
    ids = fleet.ids("fleet-ill")
    run = fleet.play("site.yml", "--check")
    drift = {line["reason"]: line for line in run.guests["fleet-ill"]["drift"]}
    assert "container traefik is exited" in drift
    token = drift["secrets/tunnel_token has other content"]
    assert len(token["was"]) == len(token["wanted"]) == 12 and token["was"] != token["wanted"]
    assert run.guests["fleet-well"]["drift"] == []
    assert "would change  fleet-ill" in run.output
    assert customer["customer"]["cf_tunnel_token"] not in json.dumps(run.report) + run.output
    assert fleet.ids("fleet-ill") == ids and fleet.shell("fleet-ill", f"cat {TOKEN}") == "spoilt"


def test_no_wave_begins_after_too_many_failures(fleet, before):
    """The first wave has the guest out of reach and one that waits; the others are left alone."""
    run = fleet.play(
        "site.yml", "--limit", "fleet-gone,fleet-new,fleet-well", base_infra_waves=[2], base_infra_stop_after=1
    )
    assert run.outcomes() == {"fleet-gone": "unreachable", "fleet-new": "waiting", "fleet-well": "not run"}


def test_a_runner_repairs_what_is_ill_and_nothing_else(fleet, before):
    run, events = fleet.runner("site.yml", base_infra_waves=[2, "100%"])
    assert run.status == 4
    assert run.outcomes() == {
        **{"fleet-gone": "unreachable", "fleet-ill": "healed", "fleet-new": "waiting", "fleet-well": "unchanged"}
    }
    for line in ("healed        fleet-ill", "unreachable   fleet-gone: no connection to", "slowest       fleet-ill"):
        assert line in run.output
    by_host = {name: [event["event"] for event in events if event["event_data"].get("host") == name] for name in NAMES}
    assert "runner_on_unreachable" in by_host["fleet-gone"]
    assert not [event for event in by_host["fleet-well"] if event in ("runner_on_failed", "runner_on_unreachable")]
    (stats,) = (event["event_data"] for event in events if event["event"] == "playbook_on_stats")
    assert stats["dark"] == {"fleet-gone": 1} and stats["failures"] == {}
    assert "fleet-ill" in stats["changed"] and "fleet-well" not in stats["changed"]
    assert fleet.ids("fleet-well") == before
    assert fleet.shell("fleet-ill", f"cat {TOKEN}") != "spoilt"


def test_it_is_well_afterwards(fleet, before):
    fleet.wait_until_well("fleet-well", "fleet-ill")
    assert fleet.play("health.yml", "--limit", "!fleet-gone").status == 0


def test_a_forced_look_changes_nothing_either(fleet, before):
    run = fleet.play("site.yml", "--limit", "fleet-well", base_infra_force=True)
    assert (run.status, run.guests["fleet-well"]["outcome"]) == (0, "unchanged")
    assert fleet.ids("fleet-well") == before


def test_explain(fleet, before, customer):
    run = fleet.play("explain.yml", "--limit", "fleet-well")
    assert run.status == 0, run.output
    lines = {line.split()[0]: line for line in run.output.splitlines() if line.strip()}
    assert lines["base_traefik_domain"].endswith("/controller.yaml: customer.domain")
    assert "secret, SHA-256 begins with" in lines["base_cloudflared_tunnel_token"]
    assert lines["customer_id"].split()[1] == '"acme-0001"'
    assert "/etc/felhom-bootstrap/bootstrap.json: hub" in run.output
    for secret in (customer["customer"]["cf_tunnel_token"], customer["customer"]["cf_api_token"]):
        assert secret not in run.output
