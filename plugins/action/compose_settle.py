# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sees a set of stacks through. Options and results: plugins/modules/compose_settle.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.plugin_utils._compose_actions import (
    STACK_FACT,
    Clock,
    ComposeActionBase,
)

ARGUMENT_SPEC = {"state_dir": {"type": "path", "default": _paths.STATE_DIR}}


class ActionModule(ComposeActionBase):
    """No module execution when no stack of this run is unsettled, else one when all become well."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        facts = task_vars.get("ansible_facts", {})
        told = {key.removeprefix(STACK_FACT): word for key, word in facts.items() if key.startswith(STACK_FACT)}
        pending = {stack: word["pending"] for stack, word in told.items() if "pending" in word}
        if not pending:
            return result | {"changed": False, "stacks": told}
        clock = Clock()
        result.update(self.settle(pending, args["state_dir"], task_vars))
        clock.lap("settle")
        seen = result.get("stacks", {})
        settled = {
            stack: {key: value for key, value in told[stack].items() if key != "pending"} | seen.get(stack, {})
            for stack in pending
        }
        return result | {
            "stacks": told | settled,
            "timings": clock.laps,
            "ansible_facts": {f"{STACK_FACT}{stack}": word for stack, word in settled.items()},
        }
