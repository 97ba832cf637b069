# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a configured name is in effect, and making it so. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import plan as _plan
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Inside,
    Problem,
    Unusable,
)


@dataclass
class Effect:
    """Where a guest's name stands."""

    legs: dict[str, dict[str, str | None]]
    done: list[str] = field(default_factory=list)  # what was done to the running guest
    problem: str = ""
    note: str = ""


def take_effect(client: Any, guest: Container, written: bool, how: str, in_window: bool, check: bool) -> Effect:
    """Look into a guest, and do what how says: report, rename or restart. In check mode only say what would be done."""
    looks = client.method == "pct" and guest.running
    try:
        # In check mode the guest runs under the name before, which is what it would be compared with.
        inside = client.inside(guest) if looks else None
        effect = Effect(_plan.places_of_name(guest, inside, written))
        stale = effect.legs["running"]["effective"] == "next start" and guest.running
        if how == "rename" and inside and (stale or effect.legs["file"]["effective"] == "next start"):
            effect.done.append("renamed inside")
            if not check:
                client.rename_inside(guest, inside.ignored)
                effect.legs = _plan.places_of_name(guest, client.inside(guest), written)
                if effect.legs["running"]["effective"] != "now":
                    effect.problem = "was renamed inside, but still calls itself otherwise"
        elif how == "restart" and stale and not in_window:
            effect.note = "is to be restarted, outside of the window"
        elif how == "restart" and stale:
            effect.done.append("restarted")
            if not check:
                client.restart(guest)
                effect.legs = _plan.places_of_name(guest, client.inside(guest) if looks else _started(guest), written)
        if inside and inside.ignored:
            effect.note = "has /etc/.pve-ignore.hostname, so Proxmox never writes its /etc/hostname"
        return effect
    except (Problem, Unusable) as error:
        return Effect(_plan.places_of_name(guest, None, written), problem=str(error))


def _started(guest: Container) -> Inside:
    """What Proxmox gives a guest at its start, where it can't be looked into."""
    return Inside(guest.name, guest.name, False)
