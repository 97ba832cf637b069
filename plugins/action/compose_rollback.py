# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Returns stacks to their previous generation. Options and results: plugins/modules/compose_rollback.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.plugin_utils._compose_actions import ComposeActionBase, Project
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import ask_until_free, this_run

ARGUMENT_SPEC = {
    "stacks": {"type": "list", "elements": "str", "default": []},
    "state_dir": {"type": "path", "default": _paths.STATE_DIR},
    "lock_timeout": {"type": "int", "default": 600},
}


class ActionModule(ComposeActionBase):
    """Three module executions, and Compose for each stack."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        try:
            return result | self._go_back(args, task_vars)
        finally:
            if not self._task.check_mode:
                self.run_settle("unlock", [], {}, {}, args["state_dir"], task_vars, this_run()._asdict())

    def _go_back(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        def ask(lock: dict[str, Any]) -> dict[str, Any]:
            return self.run_settle("rollback", args["stacks"], {}, {}, args["state_dir"], task_vars, lock)

        prepared = ask_until_free(ask, args["lock_timeout"])
        if "refusal" in prepared:
            return {"failed": True, "msg": f"{prepared['refusal']}. Nothing was changed"}
        if prepared.get("failed"):
            return prepared
        projects = [Project(entry["name"], entry["project_dir"], [], True) for entry in prepared["restore"]]
        if self._task.check_mode or not projects:
            stacks = {project.name: {"state": "would go back"} for project in projects}
            return {"changed": bool(projects), "stacks": stacks}
        started = {project.name: self.start(project, task_vars) for project in projects}
        return self.settle(started, args["state_dir"], task_vars)
