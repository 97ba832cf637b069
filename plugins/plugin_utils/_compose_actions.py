# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions on compose projects share: running Compose, and seeing a set of stacks through. Private."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired, wait as _wait

# Each compose_stack leaves a word under this name and its stack's in ansible_facts: what is still to be done for it,
# and what the ledger is told at the end. One fact for all would keep the last item of a loop only.
STACK_FACT = "felhom_base_infra_stack_"


class Project(NamedTuple):
    """A compose project that has to be brought up.

    recreate are services that Compose would leave as they are. With up false only files changed that no container reads
    at its start.
    """

    name: str
    project_dir: str
    recreate: list[str]
    up: bool


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

    def start(self, project: Project, task_vars: dict[str, Any]) -> dict[str, str]:
        """Have Compose bring a project up in the background.

        Returns where its result will lie on the guest (job), or what went wrong already (lost); neither where Compose
        has nothing to do.
        """
        if not project.up:
            return {}
        options = {
            "project_src": project.project_dir,
            "project_name": project.name,
            "files": [_desired.COMPOSE_FILE],
            # The images were proved present by digest; nothing is asked of a registry any more.
            "pull": "never",
        }
        if project.recreate:
            forced = {"services": project.recreate, "recreate": "always", "dependencies": False}
            done = self._run_compose(options | forced, task_vars)
            if done.get("failed"):
                return {"lost": one_line(done.get("msg"))}
        limit, self._task.async_val = self._task.async_val, _wait.JOB_LIMIT
        try:
            job = self._run_compose(options | {"remove_orphans": True}, task_vars, wrap_async=True)
        finally:
            self._task.async_val = limit
        return {"lost": one_line(job.get("msg"))} if job.get("failed") else {"job": job["results_file"]}

    def settle(self, started: dict[str, dict[str, str]], state_dir: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Wait for stacks that were started; what is not well goes back, and the rest with it if the whole is worse.

        Returns the result of an action.
        """
        names = list(started)
        lost: dict[str, str] = {}
        done: dict[str, Any] = {}
        for phase in ("wait", "restored", "final"):
            done = self.run_settle(phase, names, lost, started, state_dir, task_vars)
            if done.get("failed"):
                return done
            lost = done["lost"]
            # With nothing to start again the next phase has still to say where all are.
            if not lost or done["stacks"]:
                break
            started = {
                entry["name"]: self.start(Project(entry["name"], entry["project_dir"], [], True), task_vars)
                for entry in done["restore"]
            }
        result = {"changed": True, "stacks": done["stacks"]}
        if lost:
            result |= {"failed": True, "msg": _describe(lost, done["stacks"])}
        return result

    def run_settle(self, phase, stacks, lost, started, state_dir, task_vars, lock=None) -> dict[str, Any]:
        """Run a phase of the settling on the guest."""
        return self._execute_module(
            module_name="felhom.base_infra.guest_apply",
            module_args={
                "settle": {
                    "phase": phase,
                    "stacks": stacks,
                    "lost": lost,
                    "jobs": {stack: begun["job"] for stack, begun in started.items() if "job" in begun},
                    "not_started": {stack: begun["lost"] for stack, begun in started.items() if "lost" in begun},
                    "state_dir": state_dir,
                    "lock": lock,
                }
            },
            task_vars=task_vars,
        )

    def _run_compose(self, options: dict[str, Any], task_vars: dict[str, Any], **how: Any) -> dict[str, Any]:
        return self._execute_module(
            module_name="community.docker.docker_compose_v2", module_args=options, task_vars=task_vars, **how
        )


def one_line(text: Any) -> str:
    """A module's message as a line of ours."""
    return str(text or "Compose failed").strip().replace("\n", " ")


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
