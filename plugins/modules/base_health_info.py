#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: base_health_info
short_description: Say whether a guest is well
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Checks the protected containers, their pinned images, the shared network, the files of every applied stack, the
    tunnel, that the proxy answers for a name and with which certificate, disk and engine. Everything in one module
    execution. The page C(docs/health.md) lists all checks.
  - Checks of the controller, whoever runs it, that it reports the customer's id as its host name
    (C(controller_hostname)), and that every path of a stack is the same file or folder, by device and inode, for the
    controller and for the engine (C(stack_paths)). Where not, a converge may be unable to mend it, so the verdict is
    V(degraded). O(probe) proves the second with a stack (C(stack_probe)).
  - Changes nothing on the guest but its own report in O(status_file), which is what the guest's other programs read,
    and the guest's ledger.
requirements:
  - Docker Engine on the guest
attributes:
  check_mode:
    support: full
    description: The report is not written.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  waiting_for:
    description:
      - What the guest still lacks to be configured, in one line. When given, nothing else is checked and the verdict is
        V(waiting).
    type: str
    default: ""
  protected:
    description: Names of the containers that must run.
    type: list
    elements: str
    default: []
  network:
    description: Name of the network that all stacks share.
    type: str
    default: traefik-public
  proxy_host:
    description: The name for which the proxy must answer.
    type: str
    default: ""
  proxy_address:
    description: Where the proxy listens.
    type: str
    default: 127.0.0.1
  proxy_http_port:
    description: Its port for HTTP.
    type: int
    default: 80
  proxy_https_port:
    description: Its port for HTTPS. The certificate is not verified here.
    type: int
    default: 443
  patience:
    description:
      - Seconds to ask again while the proxy does not serve the name yet.
      - It learns of a new container after some seconds.
    type: int
    default: 60
  customer_id:
    description: The host name that the controller is to report. Empty is for not asking.
    type: str
    default: ""
  stacks_dir:
    description: The folder in which the controller keeps catalogue apps.
    type: path
    default: /opt/docker/stacks
  probe:
    description:
      - Write a stack where the controller sees O(stacks_dir), start it on the engine, and see whether it reads what was
        written. It starts a container, so it is not for every run. Everything it makes is removed again.
      - The container is made of the image of the container V(traefik). In check mode nothing is started.
    type: bool
    default: false
  state_dir:
    description: Where the manifest of what was applied lies.
    type: path
    default: /var/lib/felhom-base-infra
  run:
    description:
      - What the run that asks did, for a line in the guest's ledger. C(kind), C(trigger), C(commit), C(error),
        C(customer), C(inputs), C(stacks). Without it no line is written. It must hold no secret.
      - The run is over with it, so the guest's lock is given back. Where its C(kind) is V(converge) and it has no
        C(error), what the guest was converged to is recorded for the gate.
    type: dict
    default: {}
  status_file:
    description: Where to write the report, as JSON.
    type: path
    default: /var/lib/felhom-base-infra/status.json
  metrics_dir:
    description:
      - Where to write C(felhom_base_infra.prom) for node_exporter's textfile collector. Made if absent.
      - Empty for Debian's folder, C(/var/lib/prometheus/node-exporter), where that exists, and for no file elsewhere.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Look at the guest
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
    - What else a report tells of a guest. C(certificate) has C(host), C(issuer) and C(expires) in seconds since 1970;
      C(converged) has C(time), C(commit) and C(result) of the last converge that ended well; C(pins) has the image
      of each container. Each is empty where there is none.
  type: dict
  returned: always
table:
  description: The checks for a terminal.
  type: str
  returned: always
"""
