#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: compose_settle
short_description: Settle changed Compose projects together
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Waits, once for all, for the stacks that M(felhom.base_infra.compose_stack) brought up in this run with
    C(settle=false), then keeps them or rolls them back.
  - If all are healthy, they become the good generation.
  - A stack that is not healthy is rolled back to its last good generation. The others stay on the new one if, after
    that, every service that was healthy before the run is healthy again. Otherwise all are rolled back.
  - Fails if a stack was not healthy, with the reason and the state of each stack now.
  - Everything happens on the guest, in one module execution that ends what it began even if its connection is cut.
  - Without a stack to wait for it does nothing and costs no module execution.
attributes:
  check_mode:
    support: full
    description: In check mode no stack is ever unsettled.
  diff_mode:
    support: none
    description: The changes were shown by the tasks that made them.
options:
  applied:
    description:
      - Results of M(felhom.base_infra.compose_stack) in this run. Skipped ones, and those that failed before they
        changed anything, are ignored.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Converge two stacks as one change
  block:
    - name: Bring the proxy up
      ansible.builtin.include_role:
        name: felhom.base_infra.base_traefik
      vars:
        base_traefik_settle: false

    - name: Bring the file browser up
      ansible.builtin.include_role:
        name: felhom.base_infra.base_filebrowser
      vars:
        base_filebrowser_settle: false
  always:
    - name: Wait for both
      felhom.base_infra.compose_settle:
        applied: "{{ query('ansible.builtin.vars', 'base_traefik_applied', 'base_filebrowser_applied', default={}) }}"
"""

RETURN = r"""
stacks:
  description:
    - For each stack of O(applied) whether it C(changed) and its C(timings), as M(felhom.base_infra.compose_stack)
      returned them.
    - For each that was waited for, also its C(state) (C(kept), C(rolled back), C(no earlier generation),
      C(rollback failed)), the services that were C(recreated), and its C(containers).
  type: dict
  returned: always
"""
