#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_apply
short_description: What the actions of this collection change on a guest, for their use only
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Use M(felhom.base_infra.compose_stack), M(felhom.base_infra.compose_settle) and
    M(felhom.base_infra.compose_rollback), which run this.
  - A run in which nothing differs does without it. See M(felhom.base_infra.guest_look).
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
      pull_timeout:
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
      external_volumes:
        description: Volumes that are made where they don't exist.
        type: list
        elements: str
        default: []
      replaces_units:
        description: See M(felhom.base_infra.compose_stack).
        type: list
        elements: str
        default: []
      inherits:
        description: See M(felhom.base_infra.compose_stack).
        type: list
        elements: path
        default: []
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
"""

EXAMPLES = r"""
# See the modules that run this.
"""

RETURN = r"""
# What the modules that run this return.
"""

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import options as _options


def main() -> None:
    """Run the one task that is asked for."""
    tasks = {"stack": stack_options(), "settle": settle_options()}
    name, module = _options.module_for(tasks)
    # Only what is needed is imported: it is compiled anew in every execution.
    if name == "stack":
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import apply as task
    else:
        from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import settle as task  # type: ignore[no-redef]
    task.run(module)


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
        "pull_timeout": {"type": "int", "required": True},
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
        "external_volumes": {"type": "list", "elements": "str", "default": []},
        "replaces_units": {"type": "list", "elements": "str", "default": []},
        "inherits": {"type": "list", "elements": "path", "default": []},
    }


def settle_options() -> dict[str, Any]:
    """Options of settle; see DOCUMENTATION."""
    return {
        "phase": {"type": "str", "choices": ["wait", "restored", "final", "rollback", "unlock"], "required": True},
        "stacks": {"type": "list", "elements": "str", "required": True},
        "lost": {"type": "dict", "default": {}},
        "jobs": {"type": "dict", "default": {}},
        "not_started": {"type": "dict", "default": {}},
        "state_dir": {"type": "path", "required": True},
        "lock": _options.lock_options(),
    }


if __name__ == "__main__":
    main()
