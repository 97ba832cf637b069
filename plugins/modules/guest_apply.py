#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_apply
short_description: Private, the changes to a guest
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Run by M(felhom.base_infra.compose_stack), M(felhom.base_infra.compose_settle),
    M(felhom.base_infra.compose_rollback) and M(felhom.base_infra.converge_end), whose pages have the options.
requirements:
  - Docker Engine with Compose on the guest
attributes:
  check_mode:
    support: full
    description: Preconditions are checked, nothing is written.
  diff_mode:
    support: full
    description: Files with their content, sensitive ones as fingerprints.
options:
  task:
    description: What to do.
    type: str
    choices: [stack, settle, end, rollback]
    required: true
  arguments:
    description: Options of the action that runs this, with templates as the texts that they gave.
    type: dict
    required: true
  secret_contents:
    description: Path to rendered text that is secret.
    type: dict
    default: {}
"""

EXAMPLES = r"""
# See the modules that run this.
"""

RETURN = r"""
# What the modules that run this return.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import settle as _settle


def main() -> None:
    """Run the one task that is asked for."""
    module = AnsibleModule(
        argument_spec={
            "task": {"type": "str", "choices": ["stack", "settle", "end", "rollback"], "required": True},
            "arguments": {"type": "dict", "required": True},
            # An option of its own: a secret of several lines inside a dict is logged escaped, where no_log misses it.
            "secret_contents": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    tasks = {"settle": _settle.settle, "end": _settle.end, "rollback": _settle.rollback}
    if module.params["task"] == "stack":
        # Compiled anew in every execution, so only where it is needed.
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import apply as _apply

        tasks["stack"] = _apply.apply
    arguments = module.params["arguments"] | {"secret_contents": module.params["secret_contents"]}
    try:
        module.exit_json(**tasks[module.params["task"]](module, arguments))
    except (_settle.Refused, _engine.EngineError, _commands.CommandError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'the system'}: {error.strerror}")


if __name__ == "__main__":
    main()
