#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_target
short_description: What the actions of this collection do on a guest, for their use only
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Use M(felhom.base_infra.bootstrap_info), M(felhom.base_infra.compose_stack), M(felhom.base_infra.compose_settle),
    M(felhom.base_infra.compose_rollback) and M(felhom.base_infra.base_health_info), which run this.
  - It is one module because Ansible packs each module anew in every run, which costs as much as running it; this one is
    packed once for all that a run does.
requirements:
  - Docker Engine with Compose on the guest
attributes:
  check_mode:
    support: full
    description: Preconditions are checked, nothing is written.
  diff_mode:
    support: full
    description: Files with their content, sensitive ones as fingerprints.
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
  stack:
    description: Compare a stack and write what differs. See M(felhom.base_infra.compose_stack).
    type: dict
    suboptions:
      state:
        description: See M(felhom.base_infra.compose_stack).
        type: str
        choices:
          - present
          - absent
          - rendered
        required: true
      name:
        description: The Compose project's name.
        type: str
        required: true
      project_dir:
        description: The stack's folder.
        type: path
        required: true
      state_dir:
        description: Where the manifest lies.
        type: path
        required: true
      rendering:
        description: Digest of everything here, which a later look at the guest returns.
        type: str
        required: true
      nonce:
        description: Makes the markers in the rendered texts unguessable.
        type: str
        required: true
      wait:
        description: See M(felhom.base_infra.compose_stack).
        type: str
        choices:
          - healthy
          - running
          - none
        required: true
      wait_timeout:
        description: See M(felhom.base_infra.compose_stack).
        type: int
        required: true
      foreign:
        description: See M(felhom.base_infra.compose_stack).
        type: str
        choices:
          - adopt
          - fail
          - replace
        required: true
      files:
        description: The stack's files without their content.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Path below C(project_dir).
            type: str
            required: true
          mode:
            description: Octal mode.
            type: str
            required: true
          owner:
            description: User name or id.
            type: str
            required: true
          group:
            description: Group name or id.
            type: str
            required: true
          create_only:
            description: Never overwrite.
            type: bool
            required: true
          sensitive:
            description: Show fingerprints only.
            type: bool
            required: true
          generate:
            description: Random bytes to make the file with.
            type: int
          services:
            description: Services that read it at their start.
            type: list
            elements: str
            required: true
      directories:
        description: Folders of the stack.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Path below C(project_dir).
            type: str
            required: true
          mode:
            description: Octal mode.
            type: str
            required: true
          owner:
            description: User name or id.
            type: str
            required: true
          group:
            description: Group name or id.
            type: str
            required: true
          services:
            description: Services that mount it.
            type: list
            elements: str
            required: true
          owned_content:
            description: Refuse other people's content.
            type: bool
            default: false
      contents:
        description: Path to rendered text.
        type: dict
        required: true
      secret_contents:
        description: Path to rendered text that is secret.
        type: dict
        required: true
      services:
        description: What the Compose file promises, by service.
        type: dict
        required: true
      bind_sources:
        description: Host paths that must exist.
        type: list
        elements: str
        required: true
      gates:
        description: See M(felhom.base_infra.compose_stack).
        type: list
        elements: dict
        default: []
      accepted_gates:
        description: See M(felhom.base_infra.compose_stack).
        type: list
        elements: str
        default: []
      external_networks:
        description: Networks that must exist.
        type: list
        elements: str
        required: true
  settle:
    description: Wait for stacks, or take them back. See M(felhom.base_infra.compose_settle).
    type: dict
    suboptions:
      phase:
        description:
          - V(wait) waits for what was applied; what is lost goes back.
          - V(restored) waits for what went back, and decides about the others by the health of the whole set.
          - V(final) waits for all that went back, and reports.
          - V(rollback) takes the guest's lock and makes the previous generation the one to apply.
          - V(unlock) gives the lock back.
        type: str
        choices:
          - wait
          - restored
          - final
          - rollback
          - unlock
        required: true
      stacks:
        description: The stacks in question.
        type: list
        elements: str
        required: true
      lost:
        description: What is wrong already, by stack.
        type: dict
        default: {}
      jobs:
        description: For stacks that Compose is bringing up in the background the file in which its result will lie.
        type: dict
        default: {}
      not_started:
        description: Why Compose could not be started, by stack.
        type: dict
        default: {}
      state_dir:
        description: Where manifest and generations lie.
        type: path
        required: true
      lock:
        description: The run that takes or gives back the guest's lock.
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
        default: 20
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

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Run the one task that is asked for."""
    tasks = {
        "configuration": configuration_options(),
        "stack": stack_options(),
        "settle": settle_options(),
        "health": health_options(),
    }
    module = AnsibleModule(
        argument_spec={name: {"type": "dict", "options": options} for name, options in tasks.items()},
        mutually_exclusive=[list(tasks)],
        required_one_of=[list(tasks)],
        supports_check_mode=True,
    )
    (name,) = (name for name in tasks if module.params[name] is not None)
    module.params = module.params[name]
    # Only what is needed is imported: it is compiled anew in every execution.
    if name == "configuration":
        from ansible_collections.felhom.base_infra.plugins.module_utils import _task_configuration as task
    elif name == "stack":
        from ansible_collections.felhom.base_infra.plugins.module_utils import _task_stack as task  # type: ignore[no-redef]
    elif name == "settle":
        from ansible_collections.felhom.base_infra.plugins.module_utils import _task_settle as task  # type: ignore[no-redef]
    else:
        from ansible_collections.felhom.base_infra.plugins.module_utils import _task_health as task  # type: ignore[no-redef]
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
        "state_dir": {"type": "path", "default": "/var/lib/felhom-base-infra"},
        "engine_timeout": {"type": "int", "default": 0},
        "lock": lock_options(),
    }


def stack_options() -> dict[str, Any]:
    """Options of stack; see DOCUMENTATION."""
    place = {
        "path": {"type": "str", "required": True},
        "mode": {"type": "str", "required": True},
        "owner": {"type": "str", "required": True},
        "group": {"type": "str", "required": True},
        "services": {"type": "list", "elements": "str", "required": True},
    }
    file = place | {
        "create_only": {"type": "bool", "required": True},
        "sensitive": {"type": "bool", "required": True},
        "generate": {"type": "int"},
    }
    return {
        "state": {"type": "str", "choices": ["present", "absent", "rendered"], "required": True},
        "name": {"type": "str", "required": True},
        "project_dir": {"type": "path", "required": True},
        "state_dir": {"type": "path", "required": True},
        "nonce": {"type": "str", "required": True},
        "rendering": {"type": "str", "required": True},
        "wait": {"type": "str", "choices": ["healthy", "running", "none"], "required": True},
        "wait_timeout": {"type": "int", "required": True},
        "foreign": {"type": "str", "choices": ["adopt", "fail", "replace"], "required": True},
        "files": {"type": "list", "elements": "dict", "required": True, "options": file},
        "directories": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": place | {"owned_content": {"type": "bool", "default": False}},
        },
        "gates": {"type": "list", "elements": "dict", "default": []},
        "accepted_gates": {"type": "list", "elements": "str", "default": []},
        "contents": {"type": "dict", "required": True},
        # An option of its own: a secret of several lines inside a list is logged escaped, where no_log misses it.
        "secret_contents": {"type": "dict", "required": True, "no_log": True},
        "services": {"type": "dict", "required": True},
        "bind_sources": {"type": "list", "elements": "str", "required": True},
        "external_networks": {"type": "list", "elements": "str", "required": True},
    }


PHASES = ("wait", "restored", "final", "rollback", "unlock")


def settle_options() -> dict[str, Any]:
    """Options of settle; see DOCUMENTATION."""
    return {
        "phase": {"type": "str", "choices": [*PHASES], "required": True},
        "stacks": {"type": "list", "elements": "str", "required": True},
        "lost": {"type": "dict", "default": {}},
        "jobs": {"type": "dict", "default": {}},
        "not_started": {"type": "dict", "default": {}},
        "state_dir": {"type": "path", "required": True},
        "lock": lock_options(),
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
        "patience": {"type": "int", "default": 20},
        "state_dir": {"type": "path", "default": "/var/lib/felhom-base-infra"},
        "run": {"type": "dict", "default": {}},
        "status_file": {"type": "path", "default": "/var/lib/felhom-base-infra/status.json"},
        "metrics_dir": {"type": "str", "default": ""},
        "lock": lock_options(),
    }


def lock_options() -> dict[str, Any]:
    """Options of lock; see DOCUMENTATION."""
    return {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "process": {"type": "int", "required": True},
            "namespace": {"type": "str", "required": True},
            "void": {"type": "dict"},
        },
    }


if __name__ == "__main__":
    main()
