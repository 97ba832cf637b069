# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that does one of several tasks, each with options of its own. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule


def module_for(tasks: dict[str, dict[str, Any]]) -> tuple[str, AnsibleModule]:
    """The task that is asked for, and a module with nothing but that task's parameters. tasks: each one's options."""
    module = AnsibleModule(
        argument_spec={name: {"type": "dict", "options": options} for name, options in tasks.items()},
        mutually_exclusive=[list(tasks)],
        required_one_of=[list(tasks)],
        supports_check_mode=True,
    )
    (name,) = (name for name in tasks if module.params[name] is not None)
    module.params = module.params[name]
    return name, module


def lock_options() -> dict[str, Any]:
    """Options of the run that takes or gives back the guest's lock, see _lock.Holder."""
    return {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "process": {"type": "int", "required": True},
            "namespace": {"type": "str", "required": True},
            "void": {"type": "dict"},
        },
    }
