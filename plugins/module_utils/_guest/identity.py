# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a guest one machine, and whether it still has that of the golden image. Private to this collection."""

from __future__ import annotations

import base64
import glob
import hashlib
import json
import os
from typing import Any, TypedDict

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import digest

MACHINE_ID = "/etc/machine-id"
DBUS_ID = "/var/lib/dbus/machine-id"  # mostly a link to the other one
HOST_KEYS = "/etc/ssh/ssh_host_*_key"


class Identity(TypedDict):
    """Digest of the machine id, "" for none, and the fingerprints of the SSH host keys as ssh-keygen prints them."""

    machine_id_sha256: str
    ssh_host_keys: list[str]


class Golden(TypedDict):
    """What a golden image says of itself, in golden.json.

    pins are its container images, packages the versions of those Debian packages that matter; built is in seconds since
    the epoch; identity is what made the golden one machine.
    """

    version: int
    pins: list[str]
    packages: dict[str, str]
    commit: str
    hostname: str
    identity: Identity
    built: int


def machine_id() -> str:
    """The machine's id, "" for one that it has still to be given."""
    try:
        with open(MACHINE_ID, encoding="ascii", errors="replace") as stream:
            found = stream.read().strip()
    except OSError:
        return ""
    return "" if found == "uninitialized" else found


def identity() -> Identity:
    """What makes this guest one machine."""
    own = machine_id()
    fingerprints = [_fingerprint(path) for path in sorted(glob.glob(f"{HOST_KEYS}.pub"))]
    return {
        "machine_id_sha256": digest(own.encode()) if own else "",
        "ssh_host_keys": [found for found in fingerprints if found],
    }


def _fingerprint(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            key = base64.b64decode(stream.read().split()[1], validate=True)
    except (OSError, ValueError, IndexError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def golden(path: str = _paths.GOLDEN) -> dict[str, Any]:
    """What the golden image says of itself, {} on a guest that was made without one."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("identity"), dict):
        return {}
    keys = found["identity"].get("ssh_host_keys", [])
    whole = isinstance(found.get("pins"), list) and isinstance(found.get("built"), int) and "commit" in found
    return found if whole and isinstance(keys, list) and all(isinstance(key, str) for key in keys) else {}


def shared(own: Identity, image: dict[str, Any], hostname: str) -> list[str]:
    """What a guest still has of the golden image it was cloned from: machine-id, ssh-host-keys, hostname."""
    if not image:
        return []
    golden_one = image["identity"]
    same = []
    if own["machine_id_sha256"] and own["machine_id_sha256"] == golden_one.get("machine_id_sha256"):
        same.append("machine-id")
    if set(own["ssh_host_keys"]) & set(golden_one.get("ssh_host_keys", [])):
        same.append("ssh-host-keys")
    if hostname == image.get("hostname"):
        same.append("hostname")
    return same


def observed() -> list[str]:
    """shared() for this guest."""
    return shared(identity(), golden(), os.uname().nodename)
