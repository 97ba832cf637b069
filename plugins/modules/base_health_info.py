#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: base_health_info
short_description: Judge a guest's health
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Checks the protected containers, their pinned images, the shared network, the files of every applied stack, the
    tunnel, that the proxy answers for a name and with which certificate, disk and engine, all in one module execution.
    The page C(docs/health.md) lists all checks.
  - Checks that the controller, whoever runs it, reports the customer's id as its host name (C(controller_hostname)),
    and that every path of a stack is the same file or folder, by device and inode, for the controller and for the
    engine (C(stack_paths)). A converge may be unable to repair these, so their verdict is V(degraded).
  - Changes nothing. M(felhom.base_infra.converge_end) judges the same, and records it.
requirements:
  - Docker Engine on the guest
extends_documentation_fragment:
  - felhom.base_infra.health
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Judge the guest
  felhom.base_infra.base_health_info:
    protected: [traefik, cloudflared, felhom-controller, filebrowser]
    proxy_host: files.example.org
  register: health
"""

RETURN = r"""
verdict:
  description: The worst of all checks.
  type: str
  returned: always
  sample: ok
checks:
  description: Each check with C(id), C(verdict) (ok, degraded, fail, waiting), C(reason) and C(fix).
  type: list
  elements: dict
  returned: always
facts:
  description:
    - What a report shows besides. C(certificate) has C(host), C(issuer) and C(expires) in seconds since 1970;
      C(converged) has C(time), C(commit) and C(result) of the last successful converge; C(pins) has the image of each
      container. Each is empty where there is none.
  type: dict
  returned: always
table:
  description: The checks for a terminal.
  type: str
  returned: always
"""
