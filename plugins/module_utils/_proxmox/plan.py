# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests need another name, which can't have it, and when a name is in effect. Private to this collection.

Everything here is a function of what was read before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import names as _names


class Problem(Exception):
    """One guest can't be done. The others can."""


class Locked(Problem):
    """Not now, because of somebody else's work on the guest. The text says whose."""


class Gone(Problem):
    """The guest is not where it was read."""


class Unusable(Exception):
    """Nothing can be done at all: no cluster file system, no connection, a refused token."""


def error_of(said: str, gone: str) -> Problem | None:
    """What Proxmox's own words mean, which pct and the API share. gone is what to say of a guest that is not there."""
    if found := re.search(r"CT is locked \(([^)\s]*)\)", said):
        return Locked(f"is locked ({found[1]})")
    if "can't lock file" in said:
        return Locked("is being worked on by another process, which holds its lock file")
    if "detected modified configuration" in said:
        return Locked("is being edited by somebody else")
    if re.search(r"Configuration file 'nodes/[^']*' does not exist", said):
        return Gone(gone)
    return None


@dataclass(frozen=True)
class Container:
    """A guest as Proxmox has it configured."""

    vmid: int
    node: str
    # What Proxmox shows: CT and the id where none is configured. "" where it was not asked, as for a virtual machine.
    name: str = ""
    kind: str = "lxc"
    running: bool = False
    lock: str = ""
    template: bool = False
    # Of the configuration. "" where the reading has none.
    digest: str = ""


class Place(TypedDict):
    """What a name is in one place, None where that is not known, and when the configured one is: now, next start,
    never, or unknown.
    """

    name: str | None
    effective: str


class Places(TypedDict):
    """The three places of a name."""

    configured: Place
    running: Place
    file: Place


class Inside(NamedTuple):
    """What a running guest calls itself."""

    running: str  # the kernel's name
    file: str | None  # in /etc/hostname, None where there is no readable one
    ignored: bool  # /etc/.pve-ignore.hostname: Proxmox leaves the file alone


@dataclass
class Plan:
    """What is to be done for the guests that are named."""

    writes: dict[int, str] = field(default_factory=dict)
    right: list[int] = field(default_factory=list)
    elsewhere: dict[int, str] = field(default_factory=dict)  # to the node that has it
    problems: dict[int, str] = field(default_factory=dict)


def parse_wanted(given: Mapping[Any, object]) -> dict[int, str]:
    """Ids and names as they were given. Raises Problem with everything that can't be one, in a line."""
    wanted: dict[int, str] = {}
    wrong = []
    for key, name in given.items():
        text = str(key)
        if not re.fullmatch(r"[1-9][0-9]{2,8}", text):
            wrong.append(f"{text!r}: found no id of a guest; expected a number from 100 to 999999999")
            continue
        refusal = _names.refusal(name)
        if refusal:
            wrong.append(f"{text}: {refusal}")
        else:
            wanted[int(text)] = str(name)
    if wrong:
        raise Problem("; ".join(wrong))
    return wanted


def plan(
    wanted: dict[int, str], guests: dict[int, Container], unread: dict[int, str], local: str, allow_shared: bool
) -> Plan:
    """Compare.

    unread has the reason for each guest whose configuration is not known now. local is the only node whose guests can
    be written, "" for every node's.
    """
    made = Plan()
    for vmid, name in wanted.items():
        if vmid in unread:
            made.problems[vmid] = unread[vmid]
            continue
        guest = guests[vmid]
        if guest.kind != "lxc":
            made.problems[vmid] = f"is a virtual machine on node {guest.node}; expected a container"
        elif guest.name == name:
            made.right.append(vmid)
        elif local and guest.node != local:
            made.elsewhere[vmid] = guest.node
        else:
            made.writes[vmid] = name
    # Whoever is refused keeps the name it has, which then nobody else can have.
    while not allow_shared and (refused := shared(wanted, guests, made.writes)):
        made.problems |= refused
        made.writes = {vmid: name for vmid, name in made.writes.items() if vmid not in refused}
    return made


def shared(wanted: dict[int, str], guests: dict[int, Container], writes: dict[int, str]) -> dict[int, str]:
    """Why a guest can't have its name: another one has it, or is to get it. Names are the same in any case."""
    owners: dict[str, list[int]] = {}
    for vmid, name in wanted.items():
        owners.setdefault(name.lower(), []).append(vmid)
    for vmid, guest in guests.items():
        # One that is itself to get another name gives its own away.
        if guest.kind == "lxc" and vmid not in writes and vmid not in owners.get(guest.name.lower(), []):
            owners.setdefault(guest.name.lower(), []).append(vmid)
    problems = {}
    for vmid, name in writes.items():
        others = [other for other in owners[name.lower()] if other != vmid]
        if others:
            listed = " and ".join(str(other) for other in sorted(others)[:3])
            whose = f"is wanted for {listed} too" if set(others) & wanted.keys() else f"belongs to {listed} already"
            problems[vmid] = f"the name {name} {whose}; expected a name of its own, or allow_shared_names"
    return problems


def places_of_name(guest: Container, inside: Inside | None, written: bool) -> Places:
    """The three places of a name, each with what is there and since or from when it is the configured one.

    inside is None where the guest was not looked into; written, whether the name was configured only now.
    """
    running: tuple[str | None, str]
    file: tuple[str | None, str]
    if not guest.running:
        running = file = (None, "next start")
    elif inside is None:
        running = file = (None, "next start" if written else "unknown")
    else:
        running = (inside.running, "now" if inside.running == guest.name else "next start")
        # CentOS and its kin have the whole name there.
        right = inside.file in (guest.name, _names.short(guest.name))
        file = (inside.file, "now" if right else "never" if inside.ignored else "next start")
    return {
        "configured": {"name": guest.name, "effective": "now"},
        "running": {"name": running[0], "effective": running[1]},
        "file": {"name": file[0], "effective": file[1]},
    }


class Window(NamedTuple):
    """A daily span of time, in minutes of the day. It may go over midnight."""

    begin: int
    end: int

    def holds(self, minute: int) -> bool:
        """Whether a minute of the day is in it."""
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


def parse_window(text: str) -> Window:
    """HH:MM-HH:MM. Raises Problem."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)", text)
    if not found:
        raise Problem(f"restart_window: found {text!r}; expected a span such as 02:00-04:30")
    begin = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4]) if found[3] else 24 * 60
    if begin == end:
        raise Problem(f"restart_window: found {text!r}, in which there is no time; the whole day is 00:00-24:00")
    return Window(begin, end)
