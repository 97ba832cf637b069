# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions that are one task of guest_look. Private."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock
from ansible_collections.felhom.base_infra.plugins.plugin_utils._role_variables import refuse_unknown


def this_run() -> _lock.Holder:
    """Who holds a guest's lock for this run: the process that started the worker in which an action runs."""
    process = os.getppid()
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an execution environment runs under whatever user it is given
        user = str(os.getuid())
    return _lock.myself(f"{user}@{socket.gethostname()}, process {process}", process)


_POLL = 3.0  # seconds; each question is a module execution


def ask_until_free(ask: Callable[[dict[str, Any]], dict[str, Any]], timeout: float) -> dict[str, Any]:
    """Ask for something that takes the guest's lock, until no other run holds it or patience is over.

    ask gets the lock's options, and returns held_by where another run has it. So does this, with a refusal to show.
    """
    end = time.monotonic() + timeout
    asked = this_run()._asdict()
    while True:
        result = ask(asked)
        if "held_by" not in result:
            return result
        holder = _lock.Holder(**result["held_by"])
        if _lock.is_gone(holder):
            # A run of this machine that was killed: the guest can't see that, we can.
            asked = asked | {"void": holder._asdict()}
        elif time.monotonic() > end:
            refusal = (
                f"another run is at work on this guest: {holder.name}; waited {timeout:.0f} s. If it is dead, "
                "run 'felhom-base-infra unlock' on the guest"
            )
            return result | {"refusal": refusal}
        else:
            time.sleep(_POLL)


class GuestTask(ActionBase):
    """Hands the task's options on; the module on the guest checks them."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True
    task: str

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        refuse_unknown(task_vars or {}, self._task.register)
        return result | self._execute_module(
            module_name="felhom.base_infra.guest_look", module_args={self.task: self._task.args}, task_vars=task_vars
        )
