# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the way in: tunnel, proxy, certificate, and the whole of it. Private to this collection."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from json import loads
from ssl import cert_time_to_seconds
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.engine import Container
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    ANOTHER,
    COMMAND,
    CONVERGE,
    CONVERGED,
    CONVERGING,
    PERSON,
    VERDICTS,
    Check,
    Outcome,
    Remedy,
    declare,
    verdict,
)

_PUBLISHED = ("configured", "engine", "proxy_host")
_SHOWN = 400  # characters of what a program says
_PROXY_LOG = Remedy(CONVERGED, f"see 'docker logs traefik', then {CONVERGE}")


_NEW_TOKEN = Remedy(
    PERSON,
    "take the tunnel's token from Cloudflare's dashboard anew, put it where the guest has it from"
    " (infrastructure.cf_tunnel_token of controller.yaml, or guest_config_cf_tunnel_token), and converge",
)
_NO_UDP = Remedy(
    PERSON, "set base_cloudflared_protocol: http2 for this guest and converge, or let it send UDP to port 7844"
)


@declare(
    "tunnel",
    cost=CONVERGING,
    observes=("tunnel", "tunnel_log"),
    needs=("configured", "engine"),
    ok=Outcome("ok", "connected to Cloudflare's edge"),
    refused=Outcome("degraded", "Cloudflare's edge refuses the tunnel's token{said}", _NEW_TOKEN),
    ended=Outcome(
        "degraded",
        "Cloudflare's edge answers and ends each registration without a reason, as it does for a token that it refuses",
        _NEW_TOKEN,
    ),
    no_udp=Outcome(
        "degraded",
        "not connected to Cloudflare's edge: UDP to port 7844 is blocked, and at each start cloudflared tries QUIC for"
        " a minute or more",
        _NO_UDP,
    ),
    late=Outcome(
        "degraded",
        "connected to Cloudflare's edge over HTTP/2: UDP to port 7844 is blocked, and at each start cloudflared tries"
        " QUIC for a minute or more",
        _NO_UDP,
    ),
    apart=Outcome(
        "degraded",
        "not connected to Cloudflare's edge{said}",
        Remedy(
            PERSON,
            "see whether the guest resolves names and reaches Cloudflare's edge on port 7844; where only TCP does, set"
            " base_cloudflared_protocol: http2",
        ),
    ),
)
def tunnel(say: Any, container: Container | None, log: list[str]) -> Iterator[Check]:
    """The tunnel is connected to Cloudflare's edge: its container's health check asks that, and its log says why not.

    One that does not run is another check's.
    """
    if container is None or container.state != "running":
        return
    outcome, said = tunnel_state(log)
    if container.health == "healthy":
        outcome = "late" if outcome == "late" else "ok"
    elif outcome == "late":
        outcome = "apart"
    yield say(outcome, said=f": {said}" if said else "")


# In cloudflared's log. The second is over QUIC, which gives no reason; the last is what its pre-check says within ten
# seconds where TCP gets through and UDP does not.
_UNAUTHORIZED = "Unauthorized"
_ENDED = "control stream encountered a failure"
_UNHEARD = "Failed to dial a quic connection"
_UNREACHED = "DialContext error"
_FALLBACK = "Switching to fallback protocol http2"
_DEGRADED = "will proceed using 'http2'"
_RECENT = 8  # errors; a try over QUIC has four at most


def tunnel_state(log: list[str]) -> tuple[str, str]:
    """What cloudflared's log says of its last start, as an outcome of the check, and the error that says it."""
    begin = max((number for number, line in enumerate(log) if " Starting tunnel" in line), default=0)
    lines = log[begin:]
    errors = [" ".join(line.partition(" ERR ")[2].split())[:_SHOWN] for line in lines if " ERR " in line]
    kinds = (_UNAUTHORIZED, _ENDED, _UNHEARD, _UNREACHED)
    last = next((error for error in reversed(errors) if any(kind in error for kind in kinds)), "")
    refusals = [error for error in errors[-_RECENT:] if _UNAUTHORIZED in error]
    if refusals and (_UNAUTHORIZED in last or _ENDED in last):
        return "refused", refusals[-1].partition('error="')[2].partition('"')[0] or refusals[-1]
    if _ENDED in last:
        return "ended", last
    fell_back = any(_FALLBACK in line for line in lines)
    if _UNHEARD in last and not fell_back and any(_DEGRADED in line for line in lines):
        return "no_udp", last
    registered = [line for line in lines if " Registered tunnel connection " in line]
    if fell_back and registered and "protocol=http2" in registered[-1]:
        return "late", last
    return "apart", last or (errors[-1] if errors else "")


Answers = namedtuple("Answers", "https certificate http location", defaults=[b"", 0, None])
Answers.__doc__ = """What the proxy answers to both: a status code, or a text that says why there is none.

certificate is what it served for the name, DER, b"" for none; location is None where there is none.
"""


@declare(
    "proxy.https.{host}",
    cost=CONVERGING,
    observes=("proxy_host", "answers"),
    needs=_PUBLISHED,
    ok=Outcome("ok", "answers {answer}"),
    silent=Outcome("fail", "no answer from the proxy: {answer}", _PROXY_LOG),
    unknown=Outcome(
        "fail",
        "the proxy answers 404: it knows no router for this name",
        Remedy(CONVERGED, f"see whether filebrowser is healthy and on the proxy's network, then {CONVERGE}"),
    ),
    dead_end=Outcome(
        "fail",
        "the proxy answers {answer}: nothing behind it answers",
        Remedy(CONVERGED, f"see 'docker logs filebrowser', then {CONVERGE}"),
    ),
)
def https(say: Any, host: str, answers: Answers) -> Iterator[Check]:
    """The proxy serves the file browser."""
    answer = answers.https
    if isinstance(answer, str):
        yield say("silent", host=host, answer=answer)
    else:
        yield say("unknown" if answer == 404 else "dead_end" if answer >= 500 else "ok", host=host, answer=answer)


@declare(
    "proxy.http.{host}",
    cost=CONVERGING,
    observes=("proxy_host", "answers"),
    needs=_PUBLISHED,
    ok=Outcome("ok", "redirects to HTTPS ({answer})"),
    silent=Outcome("fail", "no answer from the proxy: {answer}", _PROXY_LOG),
    other=Outcome("fail", "answers {answer} instead of a redirect to HTTPS", Remedy(CONVERGED, CONVERGE)),
)
def http(say: Any, host: str, answers: Answers) -> Iterator[Check]:
    """Plain HTTP leads to HTTPS with path and query kept."""
    location = answers.location or ""
    redirects = answers.http in (301, 308) and location.startswith("https://") and location.endswith("/a?b=c")
    outcome = "silent" if isinstance(answers.http, str) else "ok" if redirects else "other"
    yield say(outcome, host=host, answer=answers.http)


Certificate = namedtuple("Certificate", "issuer expires")
Certificate.__doc__ = """issuer as openssl prints it; expires in seconds since the epoch."""

Served = namedtuple("Served", "certificate error said", defaults=[None, ""])
Served.__doc__ = """The certificate that the proxy served for the name, or the error for which it could not be read.

said is what Traefik last said of a failed issuance, "" for nothing.
"""

_SELF_SIGNED = "TRAEFIK DEFAULT CERT"
_RENEWAL_OVERDUE = 20 * 86400  # Traefik renews 30 days before the end
_ACME = Remedy(
    CONVERGED,
    f"{CONVERGE}, which makes the proxy ask again; the guest does so too, each time after twice as long, at most 6"
    " hours. See 'docker logs traefik' whether the Cloudflare token is valid",
)


def parse_certificate(text: str) -> Certificate:
    """What `openssl x509 -noout -issuer -enddate` prints. Raises ValueError for anything else."""
    lines = dict(line.partition("=")[::2] for line in text.splitlines())
    try:
        # strptime() would look for the names of months in the guest's language.
        return Certificate(lines["issuer"].strip(), cert_time_to_seconds(lines["notAfter"]))
    except KeyError as error:
        raise ValueError(f"no {error.args[0]} in what openssl printed") from error


@declare(
    "certificate.{host}",
    cost=CONVERGING,
    observes=("proxy_host", "served", "now", "certificate_tries"),
    needs=_PUBLISHED,
    ok=Outcome("ok", "valid for {days} days, issued by {issuer}"),
    none=Outcome("degraded", "no certificate was issued yet{tried}{said}", _ACME),
    expired=Outcome("fail", "the certificate expired {days} days ago{tried}{said}", _ACME),
    overdue=Outcome("degraded", "not renewed, {days} days left{tried}{said}", _ACME),
    unread=Outcome("degraded", "not read: {error}", Remedy(COMMAND, "run 'apt-get install -y openssl' on the guest")),
    broken=Outcome("fail", "{error}", Remedy(PERSON, "see 'docker logs traefik'")),
)
def certificate(say: Any, host: str, served: Served | None, now: float, tries: int) -> Iterator[Check]:
    """The proxy serves a certificate for the name that will not end soon.

    Where it serves none at all, the check of its answer says so. tries says how many times it was made to ask again.
    """
    if served is None:
        return
    if served.error is not None:
        yield say("unread" if isinstance(served.error, OSError) else "broken", host=host, error=served.error)
        return
    outcome, days = _judged(served.certificate, now)
    tried = f", asked for again {tries} {'time' if tries == 1 else 'times'}" if tries else ""
    said = f": {served.said}" if served.said else ""
    yield say(outcome, host=host, days=abs(days), issuer=served.certificate.issuer, tried=tried, said=said)


def _judged(certificate: Certificate, now: float) -> tuple[str, int]:
    left = certificate.expires - now
    outcome = "expired" if left < 0 else "overdue" if left < _RENEWAL_OVERDUE else "ok"
    return "none" if _SELF_SIGNED in certificate.issuer else outcome, int(left // 86400)


def is_good(certificate: Certificate, now: float) -> bool:
    """Whether there is nothing to say of a certificate."""
    return _judged(certificate, now)[0] == "ok"


def issuance_error(lines: list[str]) -> str:
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


@declare(
    "probe.{host}",
    cost=CONVERGING,
    observes=("proxy_host", "hops"),
    needs=_PUBLISHED,
    ok=Outcome("ok", "{hops}: each hop answers"),
    stops=Outcome("fail", "stops at the {hop}{beyond}: {reason}", Remedy(ANOTHER, "{fix}")),
    limps=Outcome("degraded", "stops at the {hop}{beyond}: {reason}", Remedy(ANOTHER, "{fix}")),
)
def probe(say: Any, host: str, hops: dict[str, list[Check]]) -> Iterator[Check]:
    """The whole way that a browser's request takes, as far as it can be seen from the guest: which hop fails.

    hops maps each hop, from the outside inwards, to its checks.
    """
    ill = {hop: [check for check in checks if check.verdict != "ok"] for hop, checks in hops.items()}
    stops = [hop for hop, checks in ill.items() if checks]
    if not stops:
        yield say("ok", host=host, hops=", ".join(hops))
        return
    first = max(ill[stops[0]], key=lambda check: VERDICTS.index(check.verdict))
    beyond = f" (beyond it also: {', '.join(stops[1:])})" if stops[1:] else ""
    worst = verdict(check for checks in ill.values() for check in checks)
    outcome = "stops" if worst == "fail" else "limps"
    yield say(outcome, host=host, hop=stops[0], beyond=beyond, reason=first.reason, fix=first.fix)


def answering_hop(answer: int | str, proxy_is_alive: bool, app_is_healthy: bool) -> str:
    """The hop that an answer of the proxy speaks of, or that it gave none.

    It has no router, so a 404, for an app that is not healthy; it waits, after it has shown its certificate, for one
    that hangs.
    """
    if isinstance(answer, str):
        return "app" if proxy_is_alive else "proxy"
    return "proxy" if answer == 404 and app_is_healthy else "app"
