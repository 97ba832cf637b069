# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Returns stacks to their previous generation. Options and results: plugins/modules/compose_rollback.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._stack.outcome import failure
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _options, _outcome
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import (
    Answer,
    GuestAction,
    ask_until_free,
)


class ActionModule(GuestAction):
    """One module execution, and one more for each question while another run holds the guest."""

    options = _options.ROLLBACK

    def act(self, arguments: dict[str, Any]) -> Answer:
        done = ask_until_free(
            lambda run: self.on_guest("guest_apply", "rollback", {"stacks": arguments["stacks"]} | run),
            arguments["lock_timeout"],
        )
        if "refusal" in done:
            return {"failed": True, "msg": f"{done['refusal']}. Nothing was changed"}
        return done | _outcome.failed(failure(done.pop("wrong", {}), done.get("stacks", {})))
