# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A summary of a run over a fleet, and its report as a page and as JSON."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: fleet
type: aggregate
short_description: Sum up a run over a fleet, and write its report
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - At the end of C(health.yml) and C(site.yml) it says how many guests are healthy, which were changed, healed, failed
    or out of reach, and which were slowest. It writes C(health.html), one page that needs no network, and
    C(health.json).
  - It is a callback and not a task, so that guests that could not be reached, waves that were never begun and runs that
    ended early are in it. It costs no module execution.
  - With C(--check) the report says for each file and container how it differs from what would be applied, with
    fingerprints in the place of secrets.
  - Playbooks that judge no guest's health are left alone.
requirements:
  - enable it in C(ansible.cfg), as this collection's own does
options:
  directory:
    description:
      - Folder for the report, made if absent; a relative one is in the working folder.
      - Empty for a summary without a report.
    # Not a path: Ansible would make the working folder of an empty one.
    type: str
    default: ''
    env:
      - name: FELHOM_BASE_INFRA_REPORTS
    ini:
      - section: felhom_base_infra
        key: reports
"""

EXAMPLES = r"""
# In ansible.cfg:
# [defaults]
# callbacks_enabled = felhom.base_infra.fleet
# [felhom_base_infra]
# reports = reports
"""

import json
import os
import pathlib
import time
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _report

_HEALTH = ("felhom.base_infra.converge_end", "felhom.base_infra.base_health_info")
_STACK = "felhom.base_infra.compose_stack"
_PLAYBOOKS = {"site.yml", "health.yml", "first_boot.yml"}


class CallbackModule(CallbackBase):
    """Watches; writes once, at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "felhom.base_infra.fleet"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began = time.time()
        self._playbook = ""
        self._guests: dict[str, _report.Guest] = {}
        self._looked_at_health = False
        self._task_began: dict[tuple[str, str], float] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = os.path.basename(playbook._file_name)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """All guests that the play names, those of waves that have not begun too."""
        inventory = play.get_variable_manager()._inventory
        for host in inventory.get_hosts(play.hosts, ignore_restrictions=True):
            self._guests.setdefault(host.get_name(), _report.Guest(host.get_name()))

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._guest(host).started = True
        self._task_began[host.get_name(), task._uuid] = time.monotonic()
        self._looked_at_health |= task.resolved_action in _HEALTH

    def v2_runner_on_ok(self, result: Any) -> None:
        guest = self._ended(result)
        if result.task.resolved_action in _HEALTH and "verdict" in result.result:
            guest.health = result.result
        elif result.task.resolved_action == _STACK and "drift" in result.result:
            guest.stacks[result.task.args["name"]] = result.result

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        guest = self._ended(result)
        message = str(result.result.get("msg", ""))
        # What follows from the first failure is not the reason, and the checks speak for themselves.
        if not guest.error and message != guest.health.get("table"):
            guest.error = " ".join(message.split())

    def v2_runner_on_unreachable(self, result: Any) -> None:
        guest = self._ended(result)
        # The first task hides its result, since that holds secrets.
        said = str(result.result.get("msg", "")).split()
        guest.error = " ".join(said) or f"no connection to {result.host.get_vars().get('ansible_host', guest.name)}"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        # Where no guest could be reached, only the name says whether the playbook would have judged them.
        if not self._looked_at_health and not (any(stats.dark) and self._playbook in _PLAYBOOKS):
            return
        for guest in self._guests.values():
            seen = stats.summarize(guest.name)
            guest.failed, guest.unreachable = bool(seen["failures"]), bool(seen["unreachable"])
        found = _report.report(
            self._guests.values(), self._playbook, context.CLIARGS["check"], self._began, time.time()
        )
        files = self._write(found)
        if files or len(self._guests) > 1:
            self._display.banner("FLEET")
            for line in _report.summary(found, files):
                self._display.display(line)

    def _write(self, found: _report.Report) -> list[str]:
        directory = self.get_option("directory")
        if not directory:
            return []
        folder = pathlib.Path(directory).expanduser()
        written = []
        for name, text in {
            "health.html": _report.page(found),
            "health.json": json.dumps(found, indent=1) + "\n",
        }.items():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _files.write_atomic(str(folder / name), text.encode(), "0644", os.geteuid(), os.getegid())
            except OSError as error:
                self._display.warning(f"the report could not be written: {error.filename}: {error.strerror}")
            else:
                written.append(os.path.relpath(folder / name))
        return written

    def _guest(self, host: Any) -> _report.Guest:
        return self._guests.setdefault(host.get_name(), _report.Guest(host.get_name()))

    def _ended(self, result: Any) -> _report.Guest:
        guest = self._guest(result.host)
        began = self._task_began.pop((result.host.get_name(), result.task._uuid), None)
        if began is not None:
            guest.seconds += time.monotonic() - began
        return guest
