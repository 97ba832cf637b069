# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions on compose projects share: running Compose, and seeing a set of stacks through. Private."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils import _stack

# Each compose_stack leaves a word under this name and its stack's in ansible_facts: what is still to be done for it,
# and what the ledger is told at the end. One fact for all would keep the last item of a loop only.
STACK_FACT = "felhom_base_infra_stack_"

_COMPOSE_POLL = 0.1  # seconds between two questions for background runs of Compose
_COMPOSE_LIMIT = 900  # seconds after which a background run is ended; images are there already, so it never takes long


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

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._job_files: list[str] = []

    def settle(self, projects: list[Project], state_dir: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Bring projects up together and wait for them together; what is not well goes back.

        The rest goes back with it if the whole would be worse than before. Returns the result of an action.
        """
        names = [project.name for project in projects]
        lost = self._bring_up([project for project in projects if project.up], task_vars)
        done: dict[str, Any] = {}
        for phase in ("wait", "restored", "final"):
            done = self.run_settle(phase, names, lost, state_dir, task_vars)
            if done.get("failed"):
                return done
            lost = done["lost"]
            if not lost or (phase != "wait" and not done["restore"]):
                break
            back = [Project(entry["name"], entry["project_dir"], [], True) for entry in done["restore"]]
            for name, wrong in self._bring_up(back, task_vars).items():
                lost[name] += f"; and on the way back: {wrong}"
        result = {"changed": True, "stacks": done["stacks"]}
        if lost:
            result |= {"failed": True, "msg": _describe(lost, done["stacks"])}
        return result

    def run_settle(self, phase, stacks, lost, state_dir, task_vars) -> dict[str, Any]:
        """Run a phase of compose_settle_target on the guest."""
        options = {"phase": phase, "stacks": stacks, "lost": lost, "state_dir": state_dir}
        return self._execute_module(
            module_name="felhom.base_infra.compose_settle_target",
            # Ansible leaves the results of background runs where they are, and removing one costs an execution.
            module_args=options | {"job_files": self._job_files},
            task_vars=task_vars,
        )

    def _bring_up(self, projects: list[Project], task_vars: dict[str, Any]) -> dict[str, str]:
        """Have Compose bring projects up without waiting. Returns what went wrong, by stack."""
        forced = [project for project in projects if project.recreate]
        lost = self._run_compose(
            {
                project.name: _compose_options(project)
                | {"services": project.recreate, "recreate": "always", "dependencies": False}
                for project in forced
            },
            task_vars,
        )
        return lost | self._run_compose(
            {
                project.name: _compose_options(project) | {"remove_orphans": True}
                for project in projects
                if project.name not in lost
            },
            task_vars,
        )

    def _run_compose(self, runs: dict[str, dict[str, Any]], task_vars: dict[str, Any]) -> dict[str, str]:
        """One run of Compose for each stack, all at the same time. Returns what went wrong, by stack."""
        module = "community.docker.docker_compose_v2"
        if len(runs) < 2:
            results = {
                stack: self._execute_module(module_name=module, module_args=options, task_vars=task_vars)
                for stack, options in runs.items()
            }
        else:
            results = self._execute_together(module, runs, task_vars)
        return {
            stack: str(result.get("msg") or "Compose failed").strip().replace("\n", " ")
            for stack, result in results.items()
            if result.get("failed")
        }

    def _execute_together(self, module, runs, task_vars) -> dict[str, dict[str, Any]]:
        """Execute a module several times in the background, as Ansible's own gather_facts does it, and wait for all."""
        limit, self._task.async_val = self._task.async_val, _COMPOSE_LIMIT
        try:
            jobs = {
                stack: self._execute_module(
                    module_name=module, module_args=options, task_vars=task_vars, wrap_async=True
                )
                for stack, options in runs.items()
            }
        finally:
            self._task.async_val = limit
        results = {stack: job for stack, job in jobs.items() if job.get("failed")}
        self._job_files += [job["results_file"] for stack, job in jobs.items() if stack not in results]
        for stack, job in jobs.items():
            while stack not in results:
                state = self._ask_for_job(job, task_vars)
                if state.get("finished") or state.get("failed"):
                    results[stack] = state
                else:
                    time.sleep(_COMPOSE_POLL)
        return results

    def _ask_for_job(self, job: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        options = {"jid": job["ansible_job_id"], "_async_dir": os.path.dirname(job["results_file"])}
        return self._execute_module(
            module_name="ansible.legacy.async_status", module_args=options, task_vars=task_vars, wrap_async=False
        )


def _compose_options(project: Project) -> dict[str, Any]:
    return {
        "project_src": project.project_dir,
        "project_name": project.name,
        "files": [_stack.COMPOSE_FILE],
        # The images were proved present by digest; nothing is asked of a registry any more.
        "pull": "never",
    }


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
