#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: explain_info
short_description: Say which value each variable has and where it came from
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - For every variable of every role that C(playbooks/site.yml) runs its value for this guest and the place that set it,
    a file and line of the inventory, the guest's C(controller.yaml) or C(bootstrap.json), the playbook, or the role's
    default.
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
- name: Say where each variable came from
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
    - Keys of the guest's files and variables of the inventory that mean nothing, with what may have been meant.
  type: list
  elements: str
  returned: always
table:
  description: All of it for a terminal.
  type: str
  returned: always
"""
