#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge_end
short_description: Settle what a run changed on a guest, and end it
version_added: 0.2.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Waits, as M(felhom.base_infra.compose_settle) does, for the stacks that the run left pending, then keeps them or
    rolls them back.
  - Judges the guest's health as M(felhom.base_infra.base_health_info) does, and records what it observed and what the
    run did, in C(status.json), the ledger, the manifest and for node_exporter. Gives the guest's lock back, whatever
    happens.
  - After a converge, waits for a certificate that is under way, and makes the proxy ask again for one that it did not
    get.
  - Does not fail for what went wrong in the run or for a bad verdict, but returns both.
requirements:
  - Docker Engine on the guest
extends_documentation_fragment:
  - felhom.base_infra.health
attributes:
  check_mode:
    support: full
    description: Nothing is written.
  diff_mode:
    support: none
    description: Changes nothing but what this collection itself keeps on the guest.
options:
  applied:
    description:
      - Results of M(felhom.base_infra.compose_stack) in this run. Skipped ones, and those that failed before they
        changed anything, are ignored.
    type: list
    elements: dict
    default: []
  error:
    description: What the run failed for already, in one line.
    type: str
    default: ""
  probe:
    description:
      - Write a stack through the controller into O(stacks_dir), start it on the engine, and check that it reads what
        was written. It starts a container, so it is not for every run. Everything it makes is removed again.
      - The container runs the image of the container V(traefik). In check mode nothing is started.
    type: bool
    default: false
  probe_after:
    description: A stack for which to do the same when the run has changed it and it is kept. Empty for none.
    type: str
    default: ""
  run:
    description:
      - What this run was, for a line in the guest's ledger. C(kind), C(trigger), C(commit), C(customer), C(inputs).
        Without it no line is written. It must hold no secret.
      - With C(kind) V(converge), and where nothing went wrong, the converged state is recorded for the gate.
    type: dict
    default: {}
  metrics_dir:
    description:
      - Where to write C(felhom_base_infra.prom) for node_exporter's textfile collector. Made if absent.
      - Empty for Debian's folder, C(/var/lib/prometheus/node-exporter), where that exists, and for no file elsewhere.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Judge the guest, and record the verdict
  felhom.base_infra.converge_end:
    protected: [traefik, cloudflared, felhom-controller, filebrowser]
    proxy_host: files.example.org
    run: {kind: converge, trigger: operator}
  register: health
"""

RETURN = r"""
error:
  description: What the run failed for, O(error) and then what stacks failed for. Empty for nothing.
  type: str
  returned: always
stacks:
  description: For each stack of O(applied) what M(felhom.base_infra.compose_settle) returns.
  type: dict
  returned: always
verdict:
  description: The worst of all checks. All else is as M(felhom.base_infra.base_health_info) returns it.
  type: str
  returned: always
  sample: ok
"""
