#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: golden_seal
short_description: Seal a golden image
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Records in the image what it holds, then removes its identity, which every clone must make for itself, and what the
    bake left, in one execution. The guest goes on running; its next boot is a clone's first.
  - Empties logs too. That is not reported as a change, since the login that does it writes to them again.
attributes:
  check_mode:
    support: full
    description: Says what would be removed.
  diff_mode:
    support: full
    description: The paths that are removed, and the manifest before and after.
options:
  hostname:
    description: The host name of the image. A guest that still has it was not named yet.
    type: str
    required: true
  packages:
    description: Debian packages whose versions are recorded.
    type: list
    elements: str
    required: true
  commit:
    description: The commit of the collection in the image's mirror.
    type: str
    required: true
  built:
    description:
      - Seconds since the epoch. If nothing else of the manifest differs, the recorded time stays.
    type: int
    required: true
  manifest:
    description: Where the record lies.
    type: path
    default: /usr/share/felhom-base-infra/golden.json
  sbom:
    description: Where the bill of materials lies, a CycloneDX document of all Debian packages and images.
    type: path
    default: /usr/share/felhom-base-infra/sbom.cdx.json
  stamp:
    description: A file whose presence says that the image was not booted since. The first boot removes it.
    type: path
    default: /var/lib/felhom-base-infra/never-booted
"""

EXAMPLES = r"""
- name: Seal the golden image
  felhom.base_infra.golden_seal:
    hostname: felhom-golden
    packages: [docker.io, ansible-core]
    commit: "{{ baked_commit }}"
    built: 1767225600
"""

RETURN = r"""
removed:
  description: Paths that were removed or emptied.
  type: list
  elements: str
  returned: always
manifest:
  description: What was recorded.
  type: dict
  returned: always
"""

import glob
import json
import os
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import sbom as _sbom
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    files as _files,
    identity as _identity,
    paths as _paths,
)

HOSTNAME = "/etc/hostname"
# What every clone must have of its own.
_IDENTITY = [
    _identity.HOST_KEYS,
    f"{_identity.HOST_KEYS}.pub",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/docker/engine-id",
    "/etc/docker/key.json",
    "/var/lib/dhcp/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/NetworkManager/*",
    "/var/lib/cloud/*",
]
# What working on it left, and what the golden one did when it was booted itself, with no customer to work for. Not what
# a running program holds open in /tmp, and not what executes this.
_TRACES = [
    *_paths.LEFT_BY_RUNS,
    "/root/.*_history",
    "/home/*/.*_history",
    "/root/.lesshst",
    "/root/.viminfo",
    "/root/.wget-hsts",
    "/root/.cache/*",
    "/root/.ansible/cp",
    "/var/lib/apt/lists/*",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/debconf/*-old",
    "/var/lib/dpkg/*-old",
    "/var/backups/*",
    "/tmp/[!.]*",
    "/var/tmp/[!.]*",
]
_KEPT = ("/tmp/ansible", "/tmp/systemd-private", "/var/tmp/systemd-private", "/var/lib/apt/lists/lock")


class Held(NamedTuple):
    """What the image has: pins of its container images, and versions by Debian package."""

    pins: list[str]
    packages: dict[str, str]


def main() -> None:
    """Record, remove, mark."""
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "commit": {"type": "str", "required": True},
            "built": {"type": "int", "required": True},
            "manifest": {"type": "path", "default": _paths.GOLDEN},
            "sbom": {"type": "path", "default": f"{_paths.SHARE}/sbom.cdx.json"},
            "stamp": {"type": "path", "default": f"{_paths.STATE_DIR}/{_paths.NEVER_BOOTED}"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except _engine.EngineError as error:
        module.fail_json(msg=f"{error}; the image is not sealed")
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; the image is not sealed")


def run(module: AnsibleModule) -> dict[str, Any]:
    """The result."""
    params = module.params
    recorded = read_manifest(params["manifest"])
    installed = packages(module)
    versions = {package.name: package.version for package in installed if package.name in params["packages"]}
    held = Held(pins(*_engine.tagged_images()), versions)
    manifest = plan_manifest(recorded, params, held, _identity.identity())
    removed = leftovers()
    written = {
        path: text
        for path, text in {
            params["manifest"]: as_text(manifest),
            params["sbom"]: as_text(_sbom.document(manifest, installed)),
            HOSTNAME: f"{params['hostname']}\n",
            params["stamp"]: "",
        }.items()
        if read(path) != text
    }
    before = {path: read(path) or "" for path in written}
    if not module.check_mode:
        # First: the identity it records is gone afterwards.
        for path, text in written.items():
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            _files.write_atomic(path, text.encode(), "0644", 0, 0)
        remove(removed)
        empty_logs(module)
    return {
        "changed": bool(removed or written),
        "removed": removed,
        "manifest": manifest,
        "diff": {
            "before": "".join(f"{path}\n" for path in removed) + "".join(before.values()),
            "after": "".join(written.values()),
        },
    }


def remove(paths: list[str]) -> None:
    """Remove files and folders. The machine id is emptied; a boot fills it again."""
    for path in paths:
        if path == _identity.MACHINE_ID:
            os.truncate(path, 0)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def plan_manifest(
    recorded: dict[str, Any], params: dict[str, Any], held: Held, own: _identity.Identity
) -> _identity.Golden:
    """What the image will say of itself.

    own is what made the golden one machine, for a clone to see that it still has it. An image that was sealed has
    nothing of that any more: then what is recorded stays, and so does the time where nothing else differs.
    """
    manifest: _identity.Golden = {
        "version": 1,
        "pins": held.pins,
        "packages": held.packages,
        "commit": params["commit"],
        "hostname": params["hostname"],
        "identity": own if any(own.values()) else recorded.get("identity", own),
        "built": params["built"],
    }
    if {**recorded, "built": 0} == {**manifest, "built": 0}:
        manifest["built"] = recorded["built"]
    return manifest


def pins(by_digest: dict[str, str], by_tag: dict[str, str]) -> list[str]:
    """Every image that is there by digest and by tag, as name:tag@digest."""
    return sorted(
        f"{tag}@{digest.partition('@')[2]}"
        for tag, image in by_tag.items()
        for digest, other in by_digest.items()
        if image == other and digest.partition("@")[0] == tag.rpartition(":")[0]
    )


def read_manifest(path: str) -> dict[str, Any]:
    """What an earlier bake recorded; nothing where that can't be read."""
    try:
        recorded = json.loads(read(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def read(path: str) -> str | None:
    """A file's text, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def as_text(document: Mapping[str, Any]) -> str:
    """A document as it is written."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def packages(module: AnsibleModule) -> list[_sbom.Package]:
    """All Debian packages that are installed."""
    asked = "${Package} ${Version} ${Architecture} ${db:Status-Status}\n"
    _code, out, _err = module.run_command(["dpkg-query", "--show", "--showformat", asked], check_rc=True)
    return _sbom.packages(out)


def leftovers() -> list[str]:
    """Paths to remove, and the machine id where it is set."""
    found = {path for pattern in _IDENTITY + _TRACES for path in glob.glob(pattern, include_hidden=True)}
    found = {path for path in found if not path.startswith(_KEPT) and os.path.basename(path) not in (".", "..")}
    if os.path.isfile(_identity.DBUS_ID) and not os.path.islink(_identity.DBUS_ID):
        found.add(_identity.DBUS_ID)
    if os.path.exists(_identity.MACHINE_ID) and os.path.getsize(_identity.MACHINE_ID):
        found.add(_identity.MACHINE_ID)
    return sorted(found)


def empty_logs(module: AnsibleModule) -> None:
    """Journals are removed, other logs emptied; rotated ones are removed."""
    if os.path.isdir("/run/systemd/system"):
        module.run_command(["journalctl", "--quiet", "--rotate", "--vacuum-time=1s"], check_rc=True)
    for folder, _folders, names in os.walk("/var/log"):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".gz", ".xz", ".1", ".old")) or name.endswith(".journal~"):
                os.unlink(path)
            elif not name.endswith(".journal") and os.path.isfile(path) and not os.path.islink(path):
                os.truncate(path, 0)


if __name__ == "__main__":
    main()
