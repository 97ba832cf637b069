# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settles what a run changed on a guest, and ends it. Options and results: plugins/modules/converge_end.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.plugin_utils import _options, _outcome
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import Answer, GuestAction, this_run


class ActionModule(GuestAction):
    """One module execution."""

    options = _options.END

    def act(self, arguments: dict[str, Any]) -> Answer:
        stacks, pending = _outcome.of_stacks(arguments.pop("applied"))
        asked = arguments | {"holder": this_run()._asdict(), "stacks_of_run": stacks}
        # Another module, since what settles stacks is not to be sent to a guest where there is nothing to settle.
        return self.on_guest("guest_apply" if pending else "guest_run", "end", asked | {"pending": pending})
