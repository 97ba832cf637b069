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
  - Reads what the provisioner and the controller left on a guest, lets values of the inventory win, and checks
    everything, in one module execution.
  - Does not fail for a configuration that is wrong, but returns RV(problems). The result holds secrets, so the task
    needs C(no_log=true), which hides a failure's message as well. Let the next task fail with the problems, none of
    which holds a secret.
  - Changes nothing, but takes the guest's lock when it is asked to. M(felhom.base_infra.base_health_info) gives it back
    at the end of the run.
requirements:
  - PyYAML on the guest
attributes:
  check_mode:
    support: full
    description: The lock is not taken.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  bootstrap_file:
    description: What the provisioner left, JSON.
    type: path
    default: /etc/felhom-bootstrap/bootstrap.json
  controller_file:
    description: What the controller wrote, YAML. Absent or incomplete as long as the guest is not configured.
    type: path
    default: /var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml
  filebrowser_compose_file:
    description: A compose file whose mounts are kept when nothing else names storage.
    type: path
    default: /opt/docker/stacks/filebrowser/docker-compose.yml
  overrides:
    description:
      - Values of the inventory. They win over both files, key by key. An empty one is one that is not given.
      - The keys are V(customer_id), V(domain), V(email), V(cf_tunnel_token), V(cf_api_token), V(storage_paths),
        V(protected).
    type: dict
    default: {}
  state_dir:
    description: Where the manifest lies that RV(observed) compares with.
    type: path
    default: /var/lib/felhom-base-infra
  engine_timeout:
    description: Seconds to wait until the engine answers, for a guest that has just started.
    type: int
    default: 0
  lock:
    description: Take the guest's lock, for a run that is going to change it.
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run to end. One that lasts longer is a problem like others.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Read the guest's configuration
  felhom.base_infra.bootstrap_info:
  register: guest
  no_log: true

- name: Refuse a configuration that is wrong
  ansible.builtin.assert:
    that: guest.problems | length == 0
    fail_msg: "{{ guest.problems | join('; ') }}"
"""

RETURN = r"""
state:
  description:
    - V(configured), V(waiting) while the controller has not written everything that is needed, or V(invalid) when there
      are problems.
  type: str
  returned: always
config:
  description:
    - C(customer_id), C(domain), C(email), C(cf_tunnel_token), C(cf_api_token), C(storage_paths) (each C(path), C(name),
      C(read_only), C(options)), C(protected) and C(stacks_dir). Every key is there, and what is not known is empty;
      all is empty where the lock was not to be had.
  type: dict
  returned: always
sources:
  description: For each key of RV(config) the file it came from, C(inventory), C(default), or nothing.
  type: dict
  returned: always
unknown_keys:
  description: For each file the names of keys that mean nothing here.
  type: dict
  returned: always
problems:
  description: What is wrong, a line each, with file, key path or line, what was found and what is expected. No values.
  type: list
  elements: str
  returned: always
input_digests:
  description: For each file that could be read the SHA-256 of its text.
  type: dict
  returned: always
waiting_for:
  description: What is missing, in one line, while the state is V(waiting).
  type: str
  returned: always
observed:
  description:
    - A look at what was applied to the guest, taken here because every module execution costs and this one comes first.
    - C(networks) are the names of the engine's networks; C(stacks) has for each applied stack the digest of its
      C(rendering) and the C(reasons) for which it differs now. Empty where there is no engine or no manifest.
    - C(collection) has the commits of the guest's own C(mirror) of this collection, and of the C(library) that is
      installed from it; empty on a guest that does not converge itself.
  type: dict
  returned: always
"""
