# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a health check is, what it says, and how several are shown. Private to this collection.

    @declare(
        "network.{network}",
        cost=TICK,
        observes=("network", "engine"),
        needs=("configured", "engine"),
        ok=Outcome("ok", "exists"),
        missing=Outcome("fail", "network {network} does not exist", Remedy(CONVERGED, CONVERGE)),
    )
    def network(say, network, engine):
        \"\"\"The network that all stacks share exists.\"\"\"
        yield say("ok" if network in engine.networks else "missing", network=network)

`network(NAME, ENGINE)` then gives the checks: it sees nothing but what is handed to it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Check = namedtuple("Check", "id verdict reason fix")
Check.__doc__ = """What a check says: verdict is ok, waiting, degraded or fail; reason and fix are a line each.

id is stable; fix is empty where there is nothing to mend.
"""

VERDICTS = ("ok", "waiting", "degraded", "fail")
CONVERGE = "run playbooks/site.yml for this guest"

# When a check is made.
TICK = "every tick"  # by the gate too, which starts a converge for it; each of its drifts is one of _stack.drift.KINDS
CONVERGING = "at a converge"
REQUEST = "on request"  # it starts something
BAKE = "at the bake"

# What makes a check ok again.
NOTHING = "nothing"
PASSES = "it passes"
CONVERGED = "a converge"  # built in: the guest's own, or an operator's
COMMAND = "a command"  # printed as run '…', for the guest
PERSON = "a person"  # has to look, or to decide
ANOTHER = "that of another check"  # which the line names

Remedy = namedtuple("Remedy", "kind text")
Remedy.__doc__ = """kind is one of the above, text the line that is printed."""

Outcome = namedtuple("Outcome", "verdict reason remedy", defaults=[Remedy(NOTHING, "")])
Outcome.__doc__ = """One thing that a check may say; {names} stand for what the guest alone knows."""


class Declared(NamedTuple):
    """A check: how it judges, its id, when it is made, what it asks for, and all that it may say."""

    judge: Callable[..., Iterable[Check]]
    id: str
    cost: str
    observes: tuple[str, ...]
    needs: tuple[str, ...]
    drifts: tuple[str, ...]
    outcomes: dict[str, Outcome]

    @property
    def about(self) -> str:
        """In one line, for people."""
        return (self.judge.__doc__ or "").partition("\n")[0].rstrip(".")

    def __call__(self, *observed: Any) -> list[Check]:
        return list(self.judge(self._say, *observed))

    def _say(self, outcome: str, /, **values: Any) -> Check:
        verdict, reason, remedy = self.outcomes[outcome]
        return Check(self.id.format_map(values), verdict, reason.format_map(values), remedy.text.format_map(values))


def declare(
    check_id: str,
    *,
    cost: str,
    observes: tuple[str, ...],
    needs: tuple[str, ...] = (),
    drifts: tuple[str, ...] = (),
    **outcomes: Outcome,
) -> Callable[[Callable[..., Iterable[Check]]], Declared]:
    """Make a check of a function that is given what the check says with, and what it observes, in that order.

    needs are observations too: where one of them is empty, the check does not apply. drifts are the kinds of drift for
    which the gate starts a converge when the check is not ok.
    """
    return lambda judge: Declared(judge, check_id, cost, observes, needs, drifts, outcomes)


def run(registry: Iterable[Declared], observed: Callable[[str], Any]) -> list[Check]:
    """All checks that apply; observed gives what is asked of the guest, by name.

    One that can't be made, for an error of ours or data that nobody thought of, is a line of its own. What fails for
    the same is in that line.
    """
    checks: list[Check] = []
    failed: set[str] = set()
    for declared in registry:
        try:
            if all(observed(name) for name in declared.needs):
                checks += declared(*(observed(name) for name in declared.observes))
        except Exception as error:
            reason = f"not checked: {type(error).__name__}: {' '.join(str(error).split())}"[:300]
            if reason not in failed:
                checks.append(Check(declared.id.partition(".{")[0], "degraded", reason, "file this line as a bug"))
            failed.add(reason)
    return checks


def verdict(checks: Iterable[Check]) -> str:
    """The worst of all checks."""
    return max((check.verdict for check in checks), key=VERDICTS.index, default="ok")


def table(host: str, checks: list[Check]) -> str:
    """The checks as aligned lines for a terminal."""
    width = max((len(check.id) for check in checks), default=0)
    lines = [f"{host}: {verdict(checks)}"]
    for check in checks:
        lines.append(f"  {check.verdict:<8}  {check.id:<{width}}  {check.reason}")
        if check.fix:
            lines.append(f"  {'':<8}  {'':<{width}}  fix: {check.fix}")
    return "\n".join(lines)
