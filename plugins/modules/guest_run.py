#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_run
short_description: Private, the begin and the end of a run on the guest
version_added: 0.2.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Run by M(felhom.base_infra.converge_begin), M(felhom.base_infra.converge_end), M(felhom.base_infra.converge_unlock),
    M(felhom.base_infra.bootstrap_info) and M(felhom.base_infra.base_health_info), whose pages have the options.
attributes:
  check_mode:
    support: full
    description: Nothing is written and no lock is taken.
  diff_mode:
    support: none
    description: Changes nothing but what this collection itself keeps on the guest.
options:
  task:
    description: What to do.
    type: str
    choices: [begin, judge, end, unlock]
    required: true
  arguments:
    description: Options of the action that runs this.
    type: dict
    required: true
"""

EXAMPLES = r"""
# See the modules that run this.
"""

RETURN = r"""
# What the modules that run this return.
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Run the one task that is asked for."""
    module = AnsibleModule(
        argument_spec={
            "task": {"type": "str", "choices": ["begin", "judge", "end", "unlock"], "required": True},
            # Explicitly not no_log: its values come back in the result, where they would be masked. The
            # task's own no_log keeps them out of every log.
            "arguments": {"type": "dict", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    # Only what is needed is imported: it is compiled anew in every execution.
    if module.params["task"] == "begin":
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import begin as tasks
    else:
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import end as tasks  # type: ignore[no-redef]
    module.exit_json(**getattr(tasks, module.params["task"])(module, module.params["arguments"]))


if __name__ == "__main__":
    main()
