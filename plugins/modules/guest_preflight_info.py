#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_preflight_info
short_description: Check whether a guest can run the stacks
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Finds what keeps a Docker engine from working in a Proxmox LXC guest, by trying it where possible. Each finding says
    what to do.
  - Changes nothing.
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  minimum_free_mb:
    description: MiB that must be free for the engine.
    type: int
    default: 2048
  not_before:
    description: A time in the past, in seconds since the epoch. A clock before it is wrong.
    type: int
    default: 1767225600
"""

EXAMPLES = r"""
- name: Check whether the guest can run the stacks
  felhom.base_infra.guest_preflight_info:
  register: preflight
"""

RETURN = r"""
verdict:
  description: V(ok), V(degraded) or V(fail), the worst of all checks.
  type: str
  returned: always
checks:
  description: Each check's C(id), C(verdict), C(reason) and C(fix).
  type: list
  elements: dict
  returned: always
table:
  description: The checks as lines for people.
  type: str
  returned: always
"""

import os
import socket
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import check as _check, preflight as _preflight


def main() -> None:
    """Look and judge."""
    module = AnsibleModule(
        argument_spec={
            "minimum_free_mb": {"type": "int", "default": 2048},
            "not_before": {"type": "int", "default": 1767225600},
        },
        supports_check_mode=True,
    )
    checks = _preflight.judge(observe(module), module.params["minimum_free_mb"] << 20, module.params["not_before"])
    module.exit_json(
        changed=False,
        verdict=_check.verdict(checks),
        checks=[check._asdict() for check in checks],
        table=_check.table(socket.gethostname(), checks),
    )


def observe(module: AnsibleModule) -> _preflight.Observed:
    """Everything there is to see."""
    engine: dict[str, Any] = {}
    error, driver, root = "", "", "/var/lib"
    try:
        engine = _engine.get("/version")
        info = _engine.get("/info")
        driver, root = info.get("Driver", ""), info.get("DockerRootDir", root)
    except _engine.EngineError as unreachable:
        error = str(unreachable)
    docker, compose = module.get_bin_path("docker"), ""
    if docker:
        code, out, _err = module.run_command([docker, "compose", "version", "--short"])
        # Without Compose some engines print how they are used.
        compose = out if code == 0 else ""
    disk = os.statvfs(root if os.path.isdir(root) else "/")
    proc, step = _preflight.probe_proc()
    return _preflight.Observed(
        proc=proc,
        proc_step=step,
        keyctl=_preflight.probe_keyctl(),
        engine=engine,
        engine_error=error,
        driver=driver,
        compose=compose.strip(),
        free=disk.f_bavail * disk.f_frsize,
        now=time.time(),
    )


if __name__ == "__main__":
    main()
