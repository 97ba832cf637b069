# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that nobody crosses by just changing a pin. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import pins as _pins


def version(image: str) -> tuple[int, ...] | None:
    """The version that an image's tag begins with, None for a tag such as latest."""
    name = image.partition("@")[0]
    tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
    return _pins.version_numbers(tag) or None


def refusal(gates: list[dict[str, Any]], accepted: list[str], current: dict[str, str], new: dict[str, str]) -> str:
    """Why a service must not go from its current image to the new one, "" where nothing speaks against it.

    A gate stands at a version of a service: what is below does not become what is not below, nor the other way round,
    unless the gate's version is among the accepted ones. One without a way through (do is what to use instead) holds
    for whatever is below it, also where nothing ran before.
    """
    for gate in gates:
        service = gate["service"]
        after, before = version(new.get(service, "")), version(current.get(service, ""))
        at = version(f":{gate['at']}")
        if after is None or at is None or gate["at"] in accepted:
            continue
        if gate["floor"] and after < at:
            return f"service {service}: {new[service].partition('@')[0]} is older than {gate['at']}; {gate['do']}"
        if not gate["floor"] and before is not None and (before < at) != (after < at):
            crossed = f"{current[service].partition('@')[0]} to {new[service].partition('@')[0]}"
            return f"service {service}: going from {crossed} crosses {gate['at']}; {gate['do']}"
    return ""
