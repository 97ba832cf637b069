# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settles a set of stacks. Options and results: plugins/modules/compose_settle.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._stack.outcome import failure
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _options, _outcome
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import Answer, GuestAction, this_run


class ActionModule(GuestAction):
    """No module execution when no stack of this run is pending, else one."""

    options = _options.SETTLE

    def act(self, arguments: dict[str, Any]) -> Answer:
        stacks, pending = _outcome.of_stacks(arguments["applied"])
        if not pending:
            return {"changed": False, "stacks": stacks}
        clock = _outcome.Clock()
        settled = self.on_guest("guest_apply", "settle", {"stacks": pending, "run": this_run()._asdict()})
        clock.lap("settle")
        if settled.get("failed"):
            return settled | {"stacks": stacks}
        for stack, state in settled["stacks"].items():
            stacks[stack] |= state
        why = failure(settled["wrong"], settled["stacks"])
        return {"changed": True, "stacks": stacks, "timings": clock.laps} | _outcome.failed(why)
