#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_ct_bootstrap_info
short_description: Find containers that still have the golden image's name, and their customers
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Runs on a Proxmox node, as root. Finds the node's containers that are named like the golden image, and reads the
    customer's id from each one's C(/etc/felhom-bootstrap/bootstrap.json), and nothing else of that file.
  - Templates are left out.
  - A running guest is read through C(/proc). No link of a guest's file system is followed.
attributes:
  check_mode:
    support: full
    description: Changes nothing. File systems of stopped guests are not mounted.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  golden_name:
    description: Host name of the golden image.
    type: str
    default: felhom-golden
  exclude:
    description: Ids of containers to leave out, such as the golden image's own.
    type: list
    elements: int
    default: []
  mount_stopped:
    description:
      - Whether to mount the file system of a stopped guest for the moment of reading, with C(pct mount) and
        C(pct unmount). The guest is locked (mounted) meanwhile. With V(false) a stopped guest is a problem.
    type: bool
    default: false
  pve_dir:
    description: Where the cluster's file system is mounted.
    type: path
    default: /etc/pve
seealso:
  - module: felhom.base_infra.pve_ct_hostname
"""

EXAMPLES = r"""
- name: Find the guests that still have the golden image's name
  felhom.base_infra.pve_ct_bootstrap_info:
    exclude: [900]
  register: found
"""

RETURN = r"""
customers:
  description: Customer ids by container id.
  type: dict
  returned: always
problems:
  description: Why there is no customer id, by container id. It never quotes the file.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import merge as _merge, values as _values
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import documents as _documents
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import pct as _pct, plan as _plan

_FILE = "etc/felhom-bootstrap/bootstrap.json"


def main() -> None:
    """Find, read, return."""
    module = AnsibleModule(
        argument_spec={
            "golden_name": {"type": "str", "default": "felhom-golden"},
            "exclude": {"type": "list", "elements": "int", "default": []},
            "mount_stopped": {"type": "bool", "default": False},
            "pve_dir": {"type": "path", "default": "/etc/pve"},
        },
        supports_check_mode=True,
    )
    given = module.params
    customers: dict[str, str] = {}
    problems: dict[str, str] = {}
    try:
        client = _pct.PctClient(_pct.runner(module), given["pve_dir"])
        for vmid, guest in client.guests().items():
            if guest.node != client.node or guest.template or vmid in given["exclude"]:
                continue
            if guest.name != given["golden_name"]:
                continue
            try:
                data = client.read_file(guest, _FILE, given["mount_stopped"] and not module.check_mode)
                customers[str(vmid)] = customer_id(data)
            except OSError as error:
                problems[str(vmid)] = f"/{_FILE}: {error.strerror or error}"
            except (_plan.Problem, _documents.DocumentError) as error:
                problems[str(vmid)] = str(error)
            except _values.Invalid as error:
                problems[str(vmid)] = f"/{_FILE}: customer.id: {error}"
    except _plan.Unusable as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, customers=customers, problems=problems)


def customer_id(data: bytes) -> str:
    """The customer's id from the file's content. Raises DocumentError, Invalid."""
    document = _documents.parse_json(f"/{_FILE}", _documents.decode(f"/{_FILE}", data))
    problems: list[str] = []
    found = _merge.look_up(document, "customer.id", f"/{_FILE}", problems)
    if problems:
        raise _documents.DocumentError(problems[0])
    return _values.check_customer_id(found)


if __name__ == "__main__":
    main()
