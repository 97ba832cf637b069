# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begins a run on a guest. Options and results: plugins/modules/converge_begin.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _options
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import (
    Answer,
    GuestAction,
    ask_until_free,
)


class ActionModule(GuestAction):
    """One module execution, and one more for each question while another run holds the guest."""

    options = _options.BEGIN

    def refuse(self, error: AnsibleActionFail) -> Answer:
        # The role's task has no_log, which would hide an error; what it finds is told by the task after it.
        return _refused(str(error.message))

    def act(self, arguments: dict[str, Any]) -> Answer:
        if not arguments["lock"]:
            return self.on_guest("guest_run", "begin", arguments | {"run": None})
        found = ask_until_free(
            lambda run: self.on_guest("guest_run", "begin", arguments | run), arguments["lock_timeout"]
        )
        return _refused(found["refusal"]) if "refusal" in found else found


def _refused(problem: str) -> Answer:
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
