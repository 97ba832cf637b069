# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a guest's configuration. Options and results: plugins/modules/bootstrap_info.py."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils import _lock
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_task import GuestTask, this_run

_POLL = 3.0  # seconds; each question is a module execution


class ActionModule(GuestTask):
    """One module execution, and one more for each question while another run holds the guest."""

    task = "configuration"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        timeout = float(self._task.args.pop("lock_timeout", 600))
        if not self._task.args.pop("lock", False):
            return super().run(tmp, task_vars)
        end = time.monotonic() + timeout
        asked = this_run()._asdict()
        while True:
            self._task.args["lock"] = asked
            result = super().run(tmp, task_vars)
            if "held_by" not in result:
                return result
            holder = _lock.Holder(**result["held_by"])
            if _lock.is_gone(holder):
                # A run of this machine that was killed: the guest can't see that, we can.
                asked = asked | {"void": holder._asdict()}
            elif time.monotonic() > end:
                return _refused(holder, timeout)
            else:
                time.sleep(_POLL)


def _refused(holder: _lock.Holder, timeout: float) -> dict[str, Any]:
    problem = (
        f"another run is at work on this guest: {holder.name}; waited {timeout:.0f} s. If it is dead, "
        "run 'felhom-base-infra unlock' on the guest"
    )
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
