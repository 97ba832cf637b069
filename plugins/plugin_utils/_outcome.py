# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the results of stacks have in common. Private."""

from __future__ import annotations

import time
from typing import Any


class Clock:
    """Seconds by part of a run."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 2)
        self._last = now


_SHOWN = ("changed", "timings", "state", "recreated", "containers")


def of_stacks(applied: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the results of compose_stack say of each stack, and which are pending."""
    # What did not run, or failed before it changed anything, has no name.
    named = {result["name"]: result for result in applied if "name" in result}
    stacks = {stack: {key: result[key] for key in _SHOWN if key in result} for stack, result in named.items()}
    return stacks, [stack for stack, result in named.items() if result["pending"]]


def failed(why: str) -> dict[str, Any]:
    """What a result says of a failure; nothing where there was none."""
    return {"failed": True, "msg": why} if why else {}
