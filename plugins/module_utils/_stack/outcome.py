# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a change, for a person. Private to this collection."""

from __future__ import annotations

from typing import Any


def failure(failed: dict[str, str], stacks: dict[str, dict[str, Any]]) -> str:
    """What to say of stacks that failed: what went wrong first, and where all are now. "" where none did."""
    if not failed:
        return ""
    wrong = "; ".join(f"stack {stack}: {why}" for stack, why in failed.items())
    texts = {
        "kept": "is on its new generation",
        "rolled back": "was rolled back to its last good generation and is healthy",
        "no earlier generation": "was never healthy and has no earlier generation to go back to",
        "rollback failed": "IS NOT HEALTHY on its last good generation either: THE ROLLBACK FAILED",
        "unknown": "was settled by another run",
    }
    now = [f"{stack} {texts[entry['state']]}" for stack, entry in sorted(stacks.items())]
    loud = [f"{stack}: {entry['why']}" for stack, entry in stacks.items() if entry["state"] == "rollback failed"]
    return ". ".join([wrong, "Now: " + ", ".join(now), *loud])
