# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions that are one task of guest_look. Private."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils import _lock
from ansible_collections.felhom.base_infra.plugins.plugin_utils._role_variables import refuse_unknown


def this_run() -> _lock.Holder:
    """Who holds a guest's lock for this run: the process that started the worker in which an action runs."""
    process = os.getppid()
    user = pwd.getpwuid(os.getuid()).pw_name
    return _lock.myself(f"{user}@{socket.gethostname()}, process {process}", process)


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
