#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: clone_identity
short_description: Give a clone an identity of its own
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Compares machine id, SSH host keys and host name of a guest with those of its golden image, which the image's
    manifest records.
  - Makes a machine id or SSH host keys anew that are the image's. The Proxmox node sets the host name, so that is only
    reported.
attributes:
  check_mode:
    support: full
    description: Says what would be made anew.
  diff_mode:
    support: full
    description: What is the golden image's, before and after.
"""

EXAMPLES = r"""
- name: Give a clone an identity of its own
  felhom.base_infra.clone_identity:
"""

RETURN = r"""
shared:
  description: What the guest shared with the golden image, of V(machine-id), V(ssh-host-keys) and V(hostname).
  type: list
  elements: str
  returned: always
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files, identity as _identity


def main() -> None:
    """Look, make anew."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    shared = _identity.observed()
    renewed = [what for what in shared if what != "hostname"]
    if not module.check_mode:
        if "machine-id" in renewed:
            new_machine_id(module)
        if "ssh-host-keys" in renewed:
            new_host_keys(module)
    if "hostname" in shared:
        module.warn("the guest still has the golden image's host name; playbooks/pve_hostname.yml gives it its own")
    module.exit_json(
        changed=bool(renewed),
        shared=shared,
        diff={
            "before": "".join(f"{what} of the golden image\n" for what in renewed),
            "after": "".join(f"{what} of its own\n" for what in renewed),
        },
    )


def new_machine_id(module: AnsibleModule) -> None:
    """What runs has read the old one and keeps it until the next boot; nothing here depends on it before."""
    os.truncate(_identity.MACHINE_ID, 0)
    if not os.path.islink(_identity.DBUS_ID):
        _files.remove_if_there(_identity.DBUS_ID)
    module.run_command(["systemd-machine-id-setup"], check_rc=True)


def new_host_keys(module: AnsibleModule) -> None:
    """A server that holds the old keys open must read the new ones."""
    for path in glob.glob(_identity.HOST_KEYS) + glob.glob(f"{_identity.HOST_KEYS}.pub"):
        _files.remove_if_there(path)
    module.run_command(["ssh-keygen", "-A"], check_rc=True)
    module.run_command(["systemctl", "try-reload-or-restart", "ssh.service"], check_rc=True)


if __name__ == "__main__":
    main()
