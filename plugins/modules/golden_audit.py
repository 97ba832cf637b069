#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: golden_audit
short_description: Prove that a golden image is clean
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Searches every file, the layers and the settings of every container image, and the whole history of the collection's
    mirror, for known secrets and for what has the shape of one. Checks the engine and the places where this collection
    writes for what a customer or a run left.
  - Fails when anything is found. A finding is a path, a kind and an offset, never what was found.
  - An unchanged file of a Debian package is not searched.
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  fingerprints:
    description:
      - Known secrets, as fingerprints of the filter P(felhom.base_infra.secret_fingerprints#filter). So the secrets
        themselves never come to the guest.
    type: list
    elements: dict
    default: []
  allow:
    description: Findings that are allowed.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path, as a shell pattern.
        type: str
        required: true
      kind:
        description: Kind of finding, V(*) for any.
        type: str
        default: "*"
      reason:
        description: Why it is allowed. It is in the report.
        type: str
        required: true
  sealed:
    description: Whether M(felhom.base_infra.golden_seal) must have sealed the image already.
    type: bool
    default: true
  mirror:
    description: The mirror of the collection's repository.
    type: path
    default: /var/lib/felhom-base-infra/mirror.git
"""

EXAMPLES = r"""
- name: Audit the golden image
  felhom.base_infra.golden_audit:
    fingerprints: "{{ {'registry token': registry_token} | felhom.base_infra.secret_fingerprints }}"
"""

RETURN = r"""
findings:
  description: What must not be there, each C(path), C(kind) and C(offset) in bytes, -1 where there is none.
  type: list
  elements: dict
  returned: always
allowed:
  description: Findings that O(allow) names, with the reason.
  type: list
  elements: dict
  returned: always
looked_at:
  description:
    - C(files) and C(bytes) in all; C(packaged), the unchanged files of packages among them; and C(unreadable).
  type: dict
  returned: always
"""

import glob
import os
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import (
    audit as _audit,
    secret_scan as _secret_scan,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    identity as _identity,
    paths as _paths,
)

_OURS_BY_ENGINE = {"bridge", "host", "none"}
# What a customer leaves, and a run that converged something for one.
_MUST_BE_ABSENT = ["/etc/felhom-bootstrap/*", "/opt/docker/*", f"{_paths.STATE_DIR}/generations"]
_SEALED_AWAY = ["/etc/ssh/ssh_host_*_key", "/var/lib/docker/engine-id", "/var/lib/systemd/random-seed"]
_SEALED_AWAY += _paths.LEFT_BY_RUNS


def main() -> None:
    """Look, sort out, fail for what is left."""
    module = AnsibleModule(
        argument_spec={
            "fingerprints": {"type": "list", "elements": "dict", "default": []},
            "allow": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "kind": {"type": "str", "default": "*"},
                    "reason": {"type": "str", "required": True},
                },
            },
            "sealed": {"type": "bool", "default": True},
            "mirror": {"type": "path", "default": f"{_paths.STATE_DIR}/mirror.git"},
        },
        supports_check_mode=True,
    )
    try:
        known = _secret_scan.parse_fingerprints(module.params["fingerprints"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    tally = _audit.Tally()
    allowed = [_audit.Allowed(**entry) for entry in module.params["allow"]]
    findings, permitted = _audit.sort_out(observe(module.params, known, tally), allowed)
    report: dict[str, Any] = {
        "changed": False,
        "findings": [finding._asdict() for finding in findings],
        "allowed": permitted,
        "looked_at": vars(tally),
    }
    if findings:
        listed = "; ".join(str(finding) for finding in findings[:20])
        more = f"; and {len(findings) - 20} more" if len(findings) > 20 else ""
        module.fail_json(msg=f"the image is not clean: {listed}{more}", **report)
    module.exit_json(**report)


def observe(
    params: dict[str, Any], known: list[_secret_scan.Fingerprint], tally: _audit.Tally
) -> Iterator[_audit.Finding]:
    """Everything that is found."""
    yield from _state(_MUST_BE_ABSENT, "left by a customer")
    if params["sealed"]:
        yield from _state(_SEALED_AWAY, "not sealed")
        if _identity.machine_id():
            yield _audit.Finding(_identity.MACHINE_ID, "not sealed", 0)
    yield from _engine_state()
    yield from _audit.files("/", known, tally)
    # What could not be examined is not clean.
    yield from (_audit.Finding(path, "can't be read", -1) for path in tally.unreadable)
    if os.path.isdir(params["mirror"]):
        yield from _audit.history(params["mirror"], known)


def _state(patterns: list[str], kind: str) -> Iterator[_audit.Finding]:
    for pattern in patterns:
        yield from (_audit.Finding(path, kind, -1) for path in sorted(glob.glob(pattern)))


def _engine_state() -> Iterator[_audit.Finding]:
    try:
        for container in _engine.get("/containers/json?all=1"):
            yield _audit.Finding(f"container {_engine.container(container).name}", "left in the engine", -1)
        for volume in _engine.get("/volumes")["Volumes"] or []:
            yield _audit.Finding(f"volume {volume['Name']}", "left in the engine", -1)
        for network in _engine.get("/networks"):
            if network["Name"] not in _OURS_BY_ENGINE:
                yield _audit.Finding(f"network {network['Name']}", "left in the engine", -1)
    except _engine.EngineError as error:
        yield _audit.Finding("engine", f"can't be asked: {error}", -1)


if __name__ == "__main__":
    main()
