#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge_begin
short_description: Begin a run on a guest
version_added: 0.2.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Takes the guest's lock, reads its configuration as M(felhom.base_infra.bootstrap_info) does, and surveys it, in one
    module execution.
  - M(felhom.base_infra.converge_end) ends the run and gives the lock back. Put M(felhom.base_infra.converge_unlock)
    into an C(always) for a run that does not reach it.
  - Does not fail for an invalid configuration or a lock that another run holds, but returns RV(problems). The result
    holds secrets, so the task needs C(no_log=true), which hides a failure's message as well. Let the next task fail
    with the problems, none of which holds a secret.
requirements:
  - PyYAML on the guest
extends_documentation_fragment:
  - felhom.base_infra.configuration
  - felhom.base_infra.lock
attributes:
  check_mode:
    support: full
    description: The lock is not taken.
  diff_mode:
    support: none
    description: Changes nothing but the lock.
options:
  lock:
    description: Take the lock. V(false) is for a run that changes nothing.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Converge
  block:
    - name: Begin
      felhom.base_infra.converge_begin:
      register: guest
      no_log: true

    - name: Refuse an invalid configuration
      ansible.builtin.assert:
        that: guest.problems | length == 0
        fail_msg: "{{ guest.problems | join('; ') }}"
  always:
    - name: Judge the guest and end the run
      felhom.base_infra.converge_end:
        run: {kind: converge, trigger: operator}
"""

RETURN = r"""
problems:
  description: Problems, a line each. All else is as M(felhom.base_infra.bootstrap_info) returns it.
  type: list
  elements: str
  returned: always
"""
