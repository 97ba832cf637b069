#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: explain_info
short_description: Show the value of each variable and where it came from
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Returns for every variable of the roles of C(playbooks/site.yml) its value for this guest and where it was set, in
    the inventory (file and line), in the guest's C(controller.yaml) or C(bootstrap.json), in the playbook, or by the
    role's default.
  - Secrets are shown as the first digits of their SHA-256.
  - Runs on the controlling machine and costs no module execution.
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  found:
    description: What M(felhom.base_infra.bootstrap_info) returned for this guest.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Find where each variable came from
  felhom.base_infra.explain_info:
    found: "{{ guest_config_found }}"
  register: explained
"""

RETURN = r"""
variables:
  description: Each with C(name), C(value) as text and C(source).
  type: list
  elements: dict
  returned: always
unknown:
  description:
    - Unknown keys of the guest's files and variables of the inventory, with what may have been meant.
  type: list
  elements: str
  returned: always
table:
  description: All of it for a terminal.
  type: str
  returned: always
"""
