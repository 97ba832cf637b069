# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a guest's health. Options and results: plugins/modules/base_health_info.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import GuestTask, this_run


class ActionModule(GuestTask):
    """One module execution. A run that is told of is over with it, and gives the guest's lock back."""

    task = "health"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._task.args.get("run"):
            self._task.args["lock"] = this_run()._asdict()
        return super().run(tmp, task_vars)
