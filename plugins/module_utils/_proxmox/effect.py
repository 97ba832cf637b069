# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a configured name is in effect, and making it so. Private to this collection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Union

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import plan as _plan
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Inside,
    Problem,
    Unusable,
)

if TYPE_CHECKING:
    # Not for pct, where nobody needs the API's libraries.
    from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.api import ApiClient
    from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.pct import PctClient

    # ansible-test: "unsupported-binary-operation: unsupported operand type(s) for |".
    Client = Union[PctClient, ApiClient]  # noqa: UP007


class Policy(NamedTuple):
    """What is done for a running guest whose name is not in effect: how is report, rename or restart.

    window is when guests may be restarted; check: say only what would be done.
    """

    how: str
    window: _plan.Window | None
    check: bool


@dataclass
class Effect:
    """Where a guest's name stands."""

    legs: _plan.Places
    done: list[str] = field(default_factory=list)  # what was done to the running guest
    problem: str = ""
    note: str = ""


def take_effect(client: Client, guest: Container, written: bool, policy: Policy) -> Effect:
    """Look into a guest, where that can be done, and do what the policy says."""
    try:
        # In check mode the guest runs under the name before, which is what it would be compared with.
        inside = client.inside(guest) if client.method == "pct" and guest.running else None
        effect = Effect(_plan.places_of_name(guest, inside, written))
        stale = effect.legs["running"]["effective"] == "next start" and guest.running
        later = stale or effect.legs["file"]["effective"] == "next start"
        if policy.how == "restart" and stale:
            _restart(client, guest, written, policy, effect)
        elif client.method == "pct" and policy.how == "rename" and inside and later:
            effect.done.append("renamed inside")
            if not policy.check:
                client.rename_inside(guest, inside.ignored)
                effect.legs = _plan.places_of_name(guest, client.inside(guest), written)
                if effect.legs["running"]["effective"] != "now":
                    effect.problem = "was renamed inside, but still calls itself otherwise"
        if inside and inside.ignored:
            ignored = "has /etc/.pve-ignore.hostname, so Proxmox never writes its /etc/hostname"
            effect.note = f"{effect.note}; {ignored}" if effect.note else ignored
        return effect
    except (Problem, Unusable) as error:
        return Effect(_plan.places_of_name(guest, None, written), problem=str(error))


def _restart(client: Client, guest: Container, written: bool, policy: Policy, effect: Effect) -> None:
    clock = time.localtime()
    if policy.window is None or not policy.window.holds(clock.tm_hour * 60 + clock.tm_min):
        effect.note = "is to be restarted, outside of the window"
        return
    effect.done.append("restarted")
    if not policy.check:
        client.restart(guest)
        # What Proxmox gives a guest at its start, where it can't be looked into.
        inside = client.inside(guest) if client.method == "pct" else Inside(guest.name, guest.name, False)
        effect.legs = _plan.places_of_name(guest, inside, written)
