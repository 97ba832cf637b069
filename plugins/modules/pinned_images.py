#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pinned_images
short_description: Pull and tag pinned images
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Pulls absent images, gives every image its tag, and checks that each is present by digest and by tag.
  - An image that was pulled by digest has no tag, and C(docker image prune) would remove it as dangling.
  - A registry's user name and password are passed to Docker in a file below C(/run), for the pull only, never in an
    argument, the environment, or Docker's own configuration.
attributes:
  check_mode:
    support: full
    description: Says which images would be pulled or tagged.
  diff_mode:
    support: full
    description: The images present by digest and tag, before and after.
options:
  images:
    description: Pins, each C(name:tag@sha256:digest).
    type: list
    elements: str
    required: true
  registry:
    description: The registry that needs a login, such as C(ghcr.io).
    type: str
  username:
    description: User name at O(registry).
    type: str
  password:
    description: Password or token at O(registry).
    type: str
  pull_timeout:
    description: As with M(felhom.base_infra.compose_stack).
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Pull Traefik
  felhom.base_infra.pinned_images:
    images: ["traefik:v3.7.14@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c"]
"""

RETURN = r"""
pulled:
  description: Pins that were not on the guest.
  type: list
  elements: str
  returned: always
tagged:
  description: Pins whose tag was missing, or on another image.
  type: list
  elements: str
  returned: always
"""

import contextlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    docker_cli as _docker_cli,
    engine as _engine,
    pins as _pins,
)


def main() -> None:
    """Look, pull, tag, prove."""
    login = ["registry", "username", "password"]
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "required": True},
            "registry": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "pull_timeout": {"type": "int", "default": 300},
        },
        required_together=[login],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (_engine.EngineError, _docker_cli.PullError) as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    """The result."""
    wanted = sorted(set(module.params["images"]))
    for reference in wanted:
        if not _pins.is_pin(reference):
            module.fail_json(msg=f"found image {reference!r}; expected name:tag@sha256:<64 hex digits>")
    before = _engine.tagged_images()
    absent, untagged = plan(wanted, *before)
    if not module.check_mode:
        with contextlib.ExitStack() as stack:
            config = None
            if absent and module.params["registry"]:
                login = (module.params[key] for key in ("registry", "username", "password"))
                config = stack.enter_context(_docker_cli.Credential(*login))
            for pin in absent:
                _docker_cli.pull(module.run_command, pin, module.params["pull_timeout"], config)
        for pin in untagged:
            _docker_cli.tag(module.run_command, pin)
        still_absent, still_untagged = plan(wanted, *_engine.tagged_images())
        if still_absent or still_untagged:
            raise _docker_cli.PullError(
                f"image {(still_absent + still_untagged)[0]} was pulled and is not on the guest"
            )
    present = [pin for pin in wanted if pin not in absent + untagged]
    return {
        "changed": bool(absent or untagged),
        "pulled": absent,
        "tagged": untagged,
        "diff": {"before": "".join(f"{pin}\n" for pin in present), "after": "".join(f"{pin}\n" for pin in wanted)},
    }


def plan(wanted: list[str], by_digest: dict[str, str], by_tag: dict[str, str]) -> tuple[list[str], list[str]]:
    """Pins to pull, and pins that are there and only need their tag. The dicts map a reference to an image's id."""
    absent = [pin for pin in wanted if _pins.repo_digest(pin) not in by_digest]
    untagged = [
        pin
        for pin in wanted
        if pin not in absent and by_tag.get(_pins.repo_tag(pin)) != by_digest[_pins.repo_digest(pin)]
    ]
    return absent, untagged


if __name__ == "__main__":
    main()
