#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_look
short_description: What the actions of this collection look at on a guest, for their use only
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Use M(felhom.base_infra.bootstrap_info) and M(felhom.base_infra.base_health_info), which run this.
  - It is one module because Ansible packs each module anew in every run, which costs as much as running it. What only a
    guest that differs needs is in M(felhom.base_infra.guest_apply).
requirements:
  - Docker Engine with Compose on the guest
attributes:
  check_mode:
    support: full
    description: The guest is looked at, nothing is written.
  diff_mode:
    support: none
    description: Nothing of the guest but its own report is changed.
options:
  configuration:
    description: Read the configuration. See M(felhom.base_infra.bootstrap_info).
    type: dict
    suboptions:
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
        description: Where the manifest lies that the return value C(observed) compares with.
        type: path
        default: /var/lib/felhom-base-infra
      engine_timeout:
        description: Seconds to wait until the engine answers.
        type: int
        default: 0
      lock:
        description: The run that takes the guest's lock.
        type: dict
        suboptions:
          name:
            description: Who runs, for people.
            type: str
            required: true
          process:
            description: The process that runs.
            type: int
            required: true
          namespace:
            description: Where that process can be seen.
            type: str
            required: true
          void:
            description: A holder of the lock that the asking machine has seen to be gone, of the same keys.
            type: dict
  health:
    description: Judge the health. See M(felhom.base_infra.base_health_info).
    type: dict
    suboptions:
      waiting_for:
        description:
          - What the guest still lacks to be configured, in one line. When given, nothing else is checked and the
            verdict is V(waiting).
        type: str
        default: ''
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
        default: ''
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
        description: The host name that the controller is to report.
        type: str
        default: ''
      stacks_dir:
        description: The folder in which the controller keeps catalogue apps.
        type: path
        default: /opt/docker/stacks
      probe:
        description: See M(felhom.base_infra.base_health_info).
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
        type: dict
        default: {}
      status_file:
        description: Where to write the report, as JSON.
        type: path
        default: /var/lib/felhom-base-infra/status.json
      metrics_dir:
        description: Where to write C(felhom_base_infra.prom). See M(felhom.base_infra.base_health_info).
        type: str
        default: ''
      lock:
        description: The run that gives back the guest's lock.
        type: dict
        suboptions:
          name:
            description: Who runs, for people.
            type: str
            required: true
          process:
            description: The process that runs.
            type: int
            required: true
          namespace:
            description: Where that process can be seen.
            type: str
            required: true
          void:
            description: A holder of the lock that the asking machine has seen to be gone, of the same keys.
            type: dict
"""

EXAMPLES = r"""
# See the modules that run this.
"""

RETURN = r"""
# What the modules that run this return.
"""

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import options as _options


def main() -> None:
    """Run the one task that is asked for."""
    tasks = {"configuration": configuration_options(), "health": health_options()}
    name, module = _options.module_for(tasks)
    # Only what is needed is imported: it is compiled anew in every execution.
    if name == "configuration":
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import begin as task
    else:
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import finish as task  # type: ignore[no-redef]
    task.run(module)


def configuration_options() -> dict[str, Any]:
    """Options of configuration; see DOCUMENTATION."""
    return {
        "bootstrap_file": {"type": "path", "default": "/etc/felhom-bootstrap/bootstrap.json"},
        "controller_file": {
            "type": "path",
            "default": "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml",
        },
        "filebrowser_compose_file": {"type": "path", "default": "/opt/docker/stacks/filebrowser/docker-compose.yml"},
        # Explicitly not no_log: these values come back in the result, where they would be masked and so lost. The
        # task's own no_log keeps them out of every log.
        "overrides": {"type": "dict", "default": {}, "no_log": False},
        "state_dir": {"type": "path", "default": _paths.STATE_DIR},
        "engine_timeout": {"type": "int", "default": 0},
        "lock": _options.lock_options(),
    }


def health_options() -> dict[str, Any]:
    """Options of health; see DOCUMENTATION."""
    return {
        "waiting_for": {"type": "str", "default": ""},
        "protected": {"type": "list", "elements": "str", "default": []},
        "network": {"type": "str", "default": "traefik-public"},
        "proxy_host": {"type": "str", "default": ""},
        "proxy_address": {"type": "str", "default": "127.0.0.1"},
        "proxy_http_port": {"type": "int", "default": 80},
        "proxy_https_port": {"type": "int", "default": 443},
        "patience": {"type": "int", "default": 60},
        "customer_id": {"type": "str", "default": ""},
        "stacks_dir": {"type": "path", "default": "/opt/docker/stacks"},
        "probe": {"type": "bool", "default": False},
        "state_dir": {"type": "path", "default": _paths.STATE_DIR},
        "run": {"type": "dict", "default": {}},
        "status_file": {"type": "path", "default": f"{_paths.STATE_DIR}/status.json"},
        "metrics_dir": {"type": "str", "default": ""},
        "lock": _options.lock_options(),
    }


if __name__ == "__main__":
    main()
