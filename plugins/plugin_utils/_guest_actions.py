# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What actions have in common that run a task of guest_run or guest_apply. Private."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock
from ansible_collections.felhom.base_infra.plugins.plugin_utils._role_variables import checked, refuse_unknown

_POLL = 3.0  # seconds; each question is a module execution

Answer = dict[str, Any]


class GuestAction(ActionBase):
    """An action whose options are checked here, and whose work is one task of a module on the guest."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True
    options: dict[str, dict[str, Any]]

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Answer:
        result: Answer = super().run(tmp, task_vars)
        self.variables = task_vars or {}
        try:
            refuse_unknown(self.variables, self._task.register)
            # Templated once, and not once more for each template that names them: half of what rendering costs.
            self.variables = self.variables | checked(self.variables, self._templar.template)
        except AnsibleActionFail as error:
            return result | self.refuse(error)
        _validation, arguments = self.validate_argument_spec(self.options)
        return result | self.act(arguments)

    def refuse(self, error: AnsibleActionFail) -> Answer:
        """What to answer where the role's variables are wrong."""
        raise error

    def act(self, arguments: dict[str, Any]) -> Answer:
        """Do it, with the options as they were checked and completed."""
        raise NotImplementedError

    def on_guest(self, module: str, task: str, arguments: dict[str, Any], **more: Any) -> Answer:
        """Run a task of a module. Its parameters are no concern of the guest's journal: they hold whole files."""
        answer: Answer = self._execute_module(
            module_name=f"felhom.base_infra.{module}",
            module_args={"task": task, "arguments": arguments, **more},
            task_vars=self.variables | {"ansible_no_target_syslog": True},
        )
        return answer


def this_run() -> _lock.Holder:
    """Who holds a guest's lock for this run: the process that started the worker in which an action runs."""
    process = os.getppid()
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an execution environment runs under whatever user it is given
        user = str(os.getuid())
    return _lock.myself(f"{user}@{socket.gethostname()}, process {process}", process)


def ask_until_free(ask: Callable[[dict[str, Any]], Answer], timeout: float) -> Answer:
    """Ask for something that takes the guest's lock, until no other run holds it or patience is over.

    ask gets the run and a void holder, and returns held_by where another run has the lock. So does this, with a refusal
    to show.
    """
    end = time.monotonic() + timeout
    asked: dict[str, Any] = {"run": this_run()._asdict(), "void": None}
    while True:
        result = ask(asked)
        if "held_by" not in result:
            return result
        holder = _lock.Holder(**result["held_by"])
        if _lock.is_gone(holder):
            # A run of this machine that was killed: the guest can't see that, we can.
            asked["void"] = holder._asdict()
        elif time.monotonic() > end:
            refusal = (
                f"another run is at work on this guest: {holder.name}; waited {timeout:.0f} s. If it is dead, "
                "run 'felhom-base-infra unlock' on the guest"
            )
            return result | {"refusal": refusal}
        else:
            time.sleep(_POLL)
