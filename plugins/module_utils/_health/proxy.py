# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the way in: proxy, tunnel, certificate. Pure functions of what was observed. Private to this collection."""

from __future__ import annotations

from collections import namedtuple
from json import loads
from ssl import cert_time_to_seconds

from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import CONVERGE, VERDICTS, Check, verdict


def proxy_check(host, answer):
    """The proxy serves the file browser. answer: a status code, or a text that says why there is none."""
    check_id = f"proxy.https.{host}"
    if isinstance(answer, str):
        return Check(check_id, "fail", f"no answer from the proxy: {answer}", "see 'docker logs traefik'")
    if answer == 404:
        fix = "see whether filebrowser is healthy and on the proxy's network"
        return Check(check_id, "fail", "the proxy answers 404: it knows no router for this name", fix)
    if answer >= 500:
        fix = "see 'docker logs filebrowser'"
        return Check(check_id, "fail", f"the proxy answers {answer}: nothing behind it answers", fix)
    return Check(check_id, "ok", f"answers {answer}", "")


def redirect_check(host, answer, location):
    """Plain HTTP leads to HTTPS with path and query kept. location is None where there is none."""
    check_id = f"proxy.http.{host}"
    if isinstance(answer, str):
        return Check(check_id, "fail", f"no answer from the proxy: {answer}", "see 'docker logs traefik'")
    if (
        answer in (301, 308)
        and location is not None
        and location.startswith("https://")
        and location.endswith("/a?b=c")
    ):
        return Check(check_id, "ok", f"redirects to HTTPS ({answer})", "")
    return Check(check_id, "fail", f"answers {answer} instead of a redirect to HTTPS", CONVERGE)


def probe_check(host, hops):
    """The whole way that a browser's request takes, as far as it can be seen from the guest: the hop that fails.

    hops maps each hop, from the outside inwards, to its checks.
    """
    check_id = f"probe.{host}"
    ill = {hop: [check for check in checks if check.verdict != "ok"] for hop, checks in hops.items()}
    stops = [hop for hop, checks in ill.items() if checks]
    if not stops:
        return Check(check_id, "ok", f"{', '.join(hops)}: each hop answers", "")
    first = max(ill[stops[0]], key=lambda check: VERDICTS.index(check.verdict))
    beyond = f" (beyond it also: {', '.join(stops[1:])})" if stops[1:] else ""
    reason = f"stops at the {stops[0]}{beyond}: {first.reason}"
    if verdict(check for checks in ill.values() for check in checks) == "fail":
        return Check(check_id, "fail", reason, first.fix)
    return Check(check_id, "degraded", reason, first.fix)


def answering_hop(answer, proxy_is_alive, app_is_well):
    """The hop that an answer of the proxy speaks of, or that it gave none.

    It has no router, so a 404, for an app that is not well; it waits, after it has shown its certificate, for one that
    hangs.
    """
    if isinstance(answer, str):
        return "app" if proxy_is_alive else "proxy"
    return "proxy" if answer == 404 and app_is_well else "app"


def tunnel_check(container, said):
    """The tunnel is connected to Cloudflare's edge. Its container's health check asks that, once it runs."""
    if container is None or container.state != "running":
        return []
    if container.health == "healthy":
        return [Check("tunnel", "ok", "connected to Cloudflare's edge", "")]
    last = f": {said}" if said else ""
    fix = "see whether the guest reaches Cloudflare on port 7844 and whether the tunnel's token is still valid"
    return [Check("tunnel", "degraded", f"not connected to Cloudflare's edge{last}", fix)]


def tunnel_error(lines):
    """The last error in cloudflared's log, "" for none."""
    errors = [line.partition(" ERR ")[2] for line in lines if " ERR " in line]
    return " ".join(errors[-1].split())[:_SHOWN] if errors else ""


Certificate = namedtuple("Certificate", "issuer expires")
Certificate.__doc__ = """issuer as openssl prints it; expires in seconds since the epoch."""

_SELF_SIGNED = "TRAEFIK DEFAULT CERT"
_RENEWAL_OVERDUE = 20 * 86400  # Traefik renews 30 days before the end
_SHOWN = 400  # characters of what Traefik says
_ACME_FIX = "see 'docker logs traefik'; converge again when the Cloudflare token was wrong"


def parse_certificate(text):
    """What `openssl x509 -noout -issuer -enddate` prints. Raises ValueError for anything else."""
    lines = dict(line.partition("=")[::2] for line in text.splitlines())
    try:
        # strptime() would look for the names of months in the guest's language.
        return Certificate(lines["issuer"].strip(), cert_time_to_seconds(lines["notAfter"]))
    except KeyError as error:
        raise ValueError(f"no {error.args[0]} in what openssl printed") from error


def certificate_check(host, certificate, now, why):
    """The certificate that the proxy serves for a name. why is what Traefik last said of a failed issuance, or ""."""
    check_id = f"certificate.{host}"
    said = f": {why}" if why else ""
    if _SELF_SIGNED in certificate.issuer:
        return Check(check_id, "degraded", f"no certificate was issued yet{said}", _ACME_FIX)
    days = int((certificate.expires - now) // 86400)
    if certificate.expires < now:
        return Check(check_id, "fail", f"the certificate expired {-days} days ago{said}", _ACME_FIX)
    if certificate.expires - now < _RENEWAL_OVERDUE:
        return Check(check_id, "degraded", f"not renewed, {days} days left{said}", _ACME_FIX)
    return Check(check_id, "ok", f"valid for {days} days, issued by {certificate.issuer}", "")


def issuance_error(lines):
    """The last thing that Traefik's log says of a certificate it did not get, "" for nothing."""
    for line in reversed(lines):
        try:
            entry = loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") == "error" and "acmeCA" in entry:
            text = " ".join(str(entry.get("error") or entry.get("message")).split())
            # What went wrong is at the end, after the names of all that failed for it.
            return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"
    return ""
