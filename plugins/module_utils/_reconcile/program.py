# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where /usr/local/sbin/felhom-base-infra comes in. Private to this collection.

That program is installed just before the library and may for a moment be of another release, so this module keeps its
name, and main() its parameter and its result.
"""

from __future__ import annotations

NOTHING_TO_DO = 10  # the status for which felhom-base-infra.service does not start


def main(words: list[str]) -> int:
    """Run one command. Returns the exit status."""
    if words != ["gate"]:
        # Not above: the gate needs nothing of it, and argparse alone costs more than all that the gate does.
        from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import cli as _cli

        return _cli.main(words)
    from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import gate as _gate, state as _state

    answer = _gate.decide(_gate.observe(_state.settings()))
    print(f"converge needed: {answer.why}" if answer.needed else answer.why)
    return 0 if answer.needed else NOTHING_TO_DO
