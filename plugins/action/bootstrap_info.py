# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a guest's configuration. Options and results: plugins/modules/bootstrap_info.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import GuestTask, ask_until_free


class ActionModule(GuestTask):
    """One module execution, and one more for each question while another run holds the guest."""

    task = "configuration"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        timeout = float(self._task.args.pop("lock_timeout", 600))
        if not self._task.args.pop("lock", False):
            return super().run(tmp, task_vars)

        def ask(lock: dict[str, Any]) -> dict[str, Any]:
            self._task.args["lock"] = lock
            return super(ActionModule, self).run(tmp, task_vars)

        result = ask_until_free(ask, timeout)
        return _refused(result["refusal"]) if "refusal" in result else result


def _refused(problem: str) -> dict[str, Any]:
    return {
        "changed": False,
        "state": "invalid",
        "problems": [problem],
        "config": {},
        "sources": {},
        "unknown_keys": {},
        "waiting_for": "",
        "input_digests": {},
        "observed": {"networks": [], "stacks": {}, "collection": {"mirror": "", "library": ""}},
    }
