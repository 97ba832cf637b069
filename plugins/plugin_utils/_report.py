# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run over a fleet found: as plain data, as lines for a terminal, and as a page. Private."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import jinja2

VERDICTS = ("fail", "unreachable", "unknown", "degraded", "waiting", "ok")
OUTCOMES = ("failed", "unreachable", "healed", "changed", "waiting", "unchanged", "not run")
_TEMPLATE = pathlib.Path(__file__).resolve().parent / "templates/health.html.j2"
_SLOWEST = 5
_NAMED = 10  # guests in one line of the summary


class Entry(TypedDict):
    """A guest in the report: checks, certificate, converged and pins are as base_health_info has them."""

    name: str
    verdict: str
    outcome: str
    error: str
    seconds: float
    checks: list[dict[str, str]]
    certificate: dict[str, Any]
    certificate_days: int | None
    converged: dict[str, Any]
    pins: dict[str, Any]
    drift: list[dict[str, str]]


class Report(TypedDict):
    """health.json. time is in seconds since the epoch; seconds is how long the run took; slowest are names."""

    version: int
    time: int
    playbook: str
    check_mode: bool
    seconds: float
    verdicts: dict[str, int]
    outcomes: dict[str, int]
    slowest: list[str]
    guests: list[Entry]


@dataclasses.dataclass
class Guest:
    """What was observed of one guest while a playbook ran."""

    name: str
    seconds: float = 0.0
    health: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stacks: dict[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    started: bool = False
    failed: bool = False
    unreachable: bool = False
    error: str = ""

    @property
    def verdict(self) -> str:
        """The health check's, or why there is none."""
        return "unreachable" if self.unreachable else str(self.health.get("verdict", "unknown"))

    @property
    def outcome(self) -> str:
        """One word for what the run did with it."""
        changed = [stack for stack in self.stacks.values() if stack["changed"]]
        if not self.started:
            return "not run"
        if self.unreachable or self.failed:
            return "unreachable" if self.unreachable else "failed"
        if changed:
            return "healed" if any(stack["drifted"] for stack in changed) else "changed"
        return "waiting" if self.verdict == "waiting" else "unchanged"


def report(guests: Iterable[Guest], playbook: str, check_mode: bool, began: float, now: float) -> Report:
    """The whole as plain data, the worst guests first."""
    entries = sorted(
        (_entry(guest, now) for guest in guests), key=lambda entry: (VERDICTS.index(entry["verdict"]), entry["name"])
    )
    slowest = sorted(entries, key=lambda entry: -entry["seconds"])[:_SLOWEST]
    return {
        "version": 1,
        "time": int(now),
        "playbook": playbook,
        "check_mode": check_mode,
        "seconds": round(now - began, 1),
        "verdicts": _count(VERDICTS, (entry["verdict"] for entry in entries)),
        "outcomes": _count(OUTCOMES, (entry["outcome"] for entry in entries)),
        "slowest": [entry["name"] for entry in slowest if entry["seconds"]],
        "guests": entries,
    }


def _count(names: Iterable[str], found: Iterable[str]) -> dict[str, int]:
    counted = Counter(found)
    return {name: counted[name] for name in names}


def _entry(guest: Guest, now: float) -> Entry:
    facts = guest.health.get("facts", {})
    certificate = facts.get("certificate") or {}
    return {
        "name": guest.name,
        "verdict": guest.verdict,
        "outcome": guest.outcome,
        "error": guest.error if guest.failed or guest.unreachable else "",
        "seconds": round(guest.seconds, 1),
        "checks": list(guest.health.get("checks", [])),
        "certificate": certificate,
        "certificate_days": int((certificate["expires"] - now) // 86400) if certificate else None,
        "converged": facts.get("converged") or {},
        "pins": facts.get("pins") or {},
        "drift": _drift(guest),
    }


def _drift(guest: Guest) -> list[dict[str, str]]:
    """How the guest differs from what would be applied; where that was not asked, from what was applied."""
    if guest.stacks:
        return [{"stack": name} | dict(line) for name, stack in guest.stacks.items() for line in stack["drift"]]
    return [
        {"stack": check["id"].removeprefix("stack."), "reason": check["reason"], "was": "", "wanted": ""}
        for check in guest.health.get("checks", [])
        if check["id"].startswith("stack.") and check["verdict"] == "fail"
    ]


def summary(found: Report, files: Iterable[str]) -> list[str]:
    """Lines for a terminal."""
    guests = found["guests"]
    counts = "  ".join(f"{name} {count}" for name, count in reversed(found["verdicts"].items()) if count)
    number = "1 guest" if len(guests) == 1 else f"{len(guests)} guests"
    lines = [f"{number} in {found['seconds']} s: {counts}"]
    for outcome in OUTCOMES:
        named = [guest for guest in guests if guest["outcome"] == outcome]
        word = "would change" if found["check_mode"] and outcome in ("changed", "healed") else outcome
        if named and outcome in ("failed", "unreachable"):
            lines += [f"  {word:<13} {guest['name']}{_because(guest)}" for guest in named]
        elif named:
            names = ", ".join(guest["name"] for guest in named[:_NAMED])
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            lines.append(f"  {word:<13} {names}{more}")
    by_name = {guest["name"]: guest["seconds"] for guest in guests}
    if found["slowest"]:
        lines.append(f"  {'slowest':<13} " + ", ".join(f"{name} {by_name[name]} s" for name in found["slowest"]))
    return lines + [f"  {'report':<13} {path}" for path in files]


def _because(guest: Entry) -> str:
    """Why a guest failed: what went wrong, else the first check that says so."""
    wrong = [check["reason"] for check in guest["checks"] if check["verdict"] == "fail"]
    why = guest["error"] or (wrong[0] if wrong else "")
    return f": {why}" if why else ""


def page(found: Report) -> str:
    """One page that needs nothing else: no network, no other file. Every text of a guest's is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["clock"] = clock
    return environment.from_string(_TEMPLATE.read_text()).render(found)


def clock(moment: float) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))
