#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bootstrap_info
short_description: Read a guest's configuration, strictly
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Merges the provisioner's and the controller's files on a guest and the inventory, which wins, and checks everything,
    in one module execution.
  - Does not fail for an invalid configuration, but returns RV(problems). The result holds secrets, so the task needs
    C(no_log=true), which hides a failure's message as well. Let the next task fail with the problems, none of which
    holds a secret.
  - Changes nothing. M(felhom.base_infra.converge_begin) reads the same for a run that changes the guest.
requirements:
  - PyYAML on the guest
extends_documentation_fragment:
  - felhom.base_infra.configuration
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Read the guest's configuration
  felhom.base_infra.bootstrap_info:
  register: guest
  no_log: true

- name: Refuse an invalid configuration
  ansible.builtin.assert:
    that: guest.problems | length == 0
    fail_msg: "{{ guest.problems | join('; ') }}"
"""

RETURN = r"""
state:
  description:
    - V(configured), V(waiting) while the controller has not written everything that is needed, or V(invalid) with
      problems.
  type: str
  returned: always
config:
  description:
    - C(customer_id), C(domain), C(email), C(cf_tunnel_token), C(cf_api_token), C(storage_paths) (each C(path), C(name),
      C(read_only), C(options)), C(protected) and C(stacks_dir). Every key is there; an unknown value is empty.
  type: dict
  returned: always
sources:
  description: For each key of RV(config) the file it came from, C(inventory), C(default), or nothing.
  type: dict
  returned: always
unknown_keys:
  description: For each file the names of unknown keys.
  type: dict
  returned: always
problems:
  description: Problems, a line each, with file, key path or line, what was found and what is expected. No values.
  type: list
  elements: str
  returned: always
input_digests:
  description: For each readable file the SHA-256 of its text.
  type: dict
  returned: always
waiting_for:
  description: What is missing, in one line, while the state is V(waiting).
  type: str
  returned: always
observed:
  description:
    - A survey of the guest, made here because every module execution costs and this one comes first.
    - C(networks) are the names of the engine's networks; C(stacks) has for each recorded stack the digest of its
      C(rendering) and its drift (C(reasons)). Empty if manifest or engine can't be read.
    - C(collection) has the commits of the guest's own C(mirror) of this collection, and of the C(library) that is
      installed from it; empty on a guest that does not converge itself.
  type: dict
  returned: always
"""
