# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving guests their names, one after the other, and waiting for those that are locked. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Gone,
    Locked,
    Problem,
    Unusable,
)

_PAUSE = 2.0  # seconds between two tries of what is locked


class Client(Protocol):
    """What renaming needs of pct and of the API."""

    def fresh(self, guest: Container) -> Container:
        """The guest's configuration now, with its digest."""

    def rename(self, guest: Container, name: str) -> None:
        """Write the name, if the configuration is still the one that was read."""


class Outcome(NamedTuple):
    """What became of one guest's name."""

    guest: Container
    written: bool
    problem: str = ""


class Patience(NamedTuple):
    """For how many seconds a locked guest is waited for, and the clock for that."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def rename_all(
    client: Client, writes: dict[int, str], guests: dict[int, Container], patience: Patience, allow_shared: bool = False
) -> dict[int, Outcome]:
    """Rename each guest. What is locked is tried again, and holds up nobody else.

    A name that another of these guests is to give away is taken after that, unless they may share it.
    """
    until = patience.now() + patience.seconds
    done: dict[int, Outcome] = {}
    waiting: dict[int, str] = dict.fromkeys(writes, "")  # to why
    givers = {} if allow_shared else _givers(writes, guests)
    while waiting:
        before = len(waiting)
        for vmid in list(waiting):
            name = writes[vmid]
            owners = givers.get(name.lower(), [])
            giver = next((other for other in owners if other in waiting), None)
            kept = next((other for other in owners if _failed(done.get(other))), None)
            if giver is not None and not _in_a_ring(vmid, writes, givers):
                waiting[vmid] = f"the name {name} is still that of {giver}"
                continue
            try:
                if kept is None:
                    done[vmid] = _rename(client, guests[vmid], name)
                else:
                    done[vmid] = Outcome(guests[vmid], False, f"the name {name} is still that of {kept}")
                del waiting[vmid]
            except Locked as error:
                waiting[vmid] = str(error)
            except Unusable as error:
                return done | {other: Outcome(guests[other], False, str(error)) for other in waiting}
        if len(waiting) < before:
            continue  # names that were waited for may be free now
        if patience.now() >= until:
            return done | {
                vmid: Outcome(guests[vmid], False, f"{why}; waited {patience.seconds:g} seconds for that to end")
                for vmid, why in waiting.items()
            }
        patience.sleep(min(_PAUSE, max(0.0, until - patience.now())))
    return done


def _givers(writes: dict[int, str], guests: dict[int, Container]) -> dict[str, list[int]]:
    """By name that a guest is to get: the other guests that have it and are to give it away."""
    taken = {name.lower(): vmid for vmid, name in writes.items()}
    givers: dict[str, list[int]] = {}
    for vmid in writes:
        name = guests[vmid].name.lower()
        if taken.get(name, vmid) != vmid:
            givers.setdefault(name, []).append(vmid)
    return givers


def _failed(outcome: Outcome | None) -> bool:
    return outcome is not None and bool(outcome.problem) and not outcome.written


def _in_a_ring(vmid: int, writes: dict[int, str], givers: dict[str, list[int]]) -> bool:
    """Whether guests are to exchange their names, so that one has to go first."""
    seen: set[int] = set()
    at = vmid
    while at not in seen:
        seen.add(at)
        following = givers.get(writes[at].lower())
        if not following:
            return False
        at = following[0]
    return at == vmid


def _rename(client: Client, read: Container, name: str) -> Outcome:
    """Rename one guest. Raises Locked when that has to wait, Unusable when nothing can be done at all."""
    try:
        guest = client.fresh(read)
        if guest.name == name:
            return Outcome(guest, False)
        if guest.name != read.name:
            why = f"was renamed from {read.name} to {guest.name} by somebody else meanwhile, and is left so"
            return Outcome(guest, False, why)
        if guest.lock:
            raise Locked(f"is locked ({guest.lock})")
        try:
            client.rename(guest, name)
        except (Locked, Gone):
            raise
        except Problem as error:
            # A command that failed may have written before that.
            after = client.fresh(guest)
            written = after.name == name
            return Outcome(after, written, f"was written, but: {error}" if written else str(error))
        # Asked again, for nothing but this says that it is there.
        after = client.fresh(guest)
        if after.name != name:
            return Outcome(after, False, f"has the name {after.name} right after {name} was written")
        return Outcome(after, True)
    except Locked:
        raise
    except Problem as error:
        return Outcome(read, False, str(error))
