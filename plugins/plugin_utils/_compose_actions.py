# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions on compose projects share: running Compose, and seeing a set of stacks through. Private."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils import _stack

# Each compose_stack leaves a word under this name and its stack's in ansible_facts: whether it is unsettled, and what the
# ledger is told at the end. One fact for all would keep the last item of a loop only.
STACK_FACT = "felhom_base_infra_stack_"


class Clock:
    """Seconds by part of a run."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 2)
        self._last = now


class ComposeActionBase(ActionBase):
    """An action that drives Compose on the guest."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True

    def compose_up(self, name: str, project_dir: str, recreate: list[str], task_vars: dict[str, Any]) -> str:
        """Have Compose bring a project up without waiting; first, alone, the services it would leave as they are.

        Returns what went wrong, "" for nothing.
        """
        options = {
            "project_src": project_dir,
            "project_name": name,
            "files": [_stack.COMPOSE_FILE],
            # The images were proved present by digest; nothing is asked of a registry any more.
            "pull": "never",
        }
        runs = [options | {"remove_orphans": True}]
        if recreate:
            runs.insert(0, options | {"services": recreate, "recreate": "always", "dependencies": False})
        for run in runs:
            done = self._execute_module(
                module_name="community.docker.docker_compose_v2", module_args=run, task_vars=task_vars
            )
            if done.get("failed"):
                return str(done.get("msg") or "Compose failed").strip().replace("\n", " ")
        return ""

    def settle(
        self, stacks: list[str], lost: dict[str, str], state_dir: str, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Wait for stacks that were brought up; what is lost goes back, and the rest with it if the whole is worse.

        lost says what is wrong already. Returns the result of an action.
        """
        done: dict[str, Any] = {}
        for phase in ("wait", "restored", "final"):
            done = self._run_settle(phase, stacks, lost, state_dir, task_vars)
            if done.get("failed"):
                return done
            lost = done["lost"]
            if not lost or (phase != "wait" and not done["restore"]):
                break
            for project in done["restore"]:
                wrong = self.compose_up(project["name"], project["project_dir"], [], task_vars)
                if wrong:
                    lost[project["name"]] += f"; and on the way back: {wrong}"
        result = {"changed": True, "stacks": done["stacks"]}
        if lost:
            result |= {"failed": True, "msg": _describe(lost, done["stacks"])}
        return result

    def _run_settle(self, phase, stacks, lost, state_dir, task_vars) -> dict[str, Any]:
        return self._execute_module(
            module_name="felhom.base_infra.compose_settle_target",
            module_args={"phase": phase, "stacks": stacks, "lost": lost, "state_dir": state_dir},
            task_vars=task_vars,
        )


def _describe(lost: dict[str, str], stacks: dict[str, dict[str, Any]]) -> str:
    """What went wrong first, and what state the guest is in now."""
    wrong = "; ".join(f"stack {stack}: {why}" for stack, why in lost.items())
    texts = {
        "kept": "is on its new generation",
        "back": "is back on its last good generation and well",
        "no earlier generation": "was never well and has no earlier generation to go back to",
        "lost": "IS NOT WELL on its last good generation either: THE WAY BACK FAILED",
    }
    now = [f"{stack} {texts[entry['state']]}" for stack, entry in sorted(stacks.items())]
    loud = [f"{stack}: {entry['why']}" for stack, entry in stacks.items() if entry["state"] == "lost"]
    return ". ".join([wrong, "Now: " + ", ".join(now), *loud])
