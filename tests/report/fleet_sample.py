"""A fleet as a report tells of it: well, ill, hostile, silent."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.plugin_utils import _report

NOW = 1795564800.0  # 2026-11-25 00:00 UTC
PINS = {
    "traefik": "traefik:v3.7.14@sha256:" + "5" * 64,
    "cloudflared": "cloudflare/cloudflared:2026.8.2@sha256:" + "c" * 64,
    "filebrowser": "gtstef/filebrowser:1.5.6-stable@sha256:" + "7" * 64,
}
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\"'&"


def check(check_id: str, verdict: str = "ok", reason: str = "as it should be", fix: str = "") -> dict[str, str]:
    return {"id": check_id, "verdict": verdict, "reason": reason, "fix": fix}


def health(days: int, *checks: dict[str, str]) -> dict[str, Any]:
    verdict = next(word for word in ("fail", "degraded", "waiting", "ok") if word in {c["verdict"] for c in checks})
    certificate = {"host": "files.acme.felhom.test", "issuer": "CN = R11", "expires": int(NOW) + days * 86400}
    converged = {"time": int(NOW) - days * 3600, "commit": "c0ffee" * 6, "result": "unchanged"}
    facts = {"certificate": certificate, "converged": converged, "pins": PINS}
    return {"verdict": verdict, "checks": list(checks), "facts": facts}


def fleet() -> list[_report.Guest]:
    ill = check(
        "container.traefik", "fail", "Protected container not running: traefik (exited)", "run playbooks/site.yml"
    )
    stopped = check(
        "probe.files.acme.felhom.test", "fail", "stops at the proxy: Protected container not running: traefik"
    )
    tunnel = check("tunnel", "degraded", "not connected to Cloudflare's edge")
    waiting = {
        "verdict": "waiting",
        "checks": [check("configuration", "waiting", "customer.domain in controller.yaml, which does not exist")],
        "facts": {"certificate": {}, "converged": {}, "pins": {}},
    }
    line = {"reason": "secrets/tunnel_token has other content", "was": "0123456789ab", "wanted": "ba9876543210"}
    drifted = {"changed": True, "drifted": True, "drift": [line]}
    right = {"changed": False, "drifted": False, "drift": []}
    return [
        _report.Guest("guest-2", 1.9, health(61, check("tunnel"), check("disk./")), {"traefik": right}, True),
        _report.Guest("guest-10", 2.1, health(59, check("tunnel"), check("disk./")), {"traefik": right}, True),
        _report.Guest("guest-3", 9.3, health(60, check("tunnel")), {"cloudflared": drifted}, True),
        _report.Guest("ill", 4.2, health(12, ill, stopped, check("disk./")), {}, True, failed=True),
        _report.Guest("cut-off", 3.0, health(80, tunnel), {"traefik": right}, True),
        _report.Guest("new", 1.0, waiting, {}, True),
        _report.Guest("gone", 10.0, started=True, unreachable=True, error="Failed to connect: Connection refused"),
        _report.Guest("later"),
        _report.Guest(HOSTILE, 2.0, health(5, check(HOSTILE, "fail", HOSTILE, HOSTILE)), {}, True, True, error=HOSTILE),
    ]


def report(check_mode: bool = False) -> dict[str, Any]:
    return _report.report(fleet(), "site.yml", check_mode, NOW - 35.2, NOW)
