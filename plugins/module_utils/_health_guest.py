# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the guest itself, not of its stacks: pause, last converge, identity, image. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils import _engine, _image, _reconcile
from ansible_collections.felhom.base_infra.plugins.module_utils._health import Check


def pause_check(held: _reconcile.Pause | None) -> list[Check]:
    """A guest that is paused does not heal itself."""
    if held is None:
        return []
    reason = f"paused until {_reconcile.clock(held.until)}: the guest does not converge itself"
    return [Check("pause", "degraded", reason, "run 'felhom-base-infra resume' on the guest when the work is done")]


def converge_check(error: str) -> list[Check]:
    """Why the last converge failed. The guest may be well on its last good generation all the same."""
    if not error:
        return []
    return [Check("converge", "degraded", f"the last converge failed: {error}", "mend what it says; it is tried again")]


_IDENTITY_FIX = "run playbooks/first_boot.yml for this guest"


def identity_checks(shared: list[str]) -> list[Check]:
    """A clone is another machine than its golden image. shared: see _identity.shared()."""
    told = {
        "machine-id": ("degraded", "machine id", _IDENTITY_FIX),
        "ssh-host-keys": ("fail", "SSH host keys", _IDENTITY_FIX),
        "hostname": ("degraded", "host name", "run playbooks/pve_hostname.yml for its Proxmox node"),
    }
    checks = []
    for what in shared:
        verdict, words, fix = told[what]
        checks.append(Check(f"identity.{what}", verdict, f"has the golden image's {words}", fix))
    return checks


def golden_check(image: dict[str, Any], engine: _engine.Engine, never_booted: bool) -> list[Check]:
    """The image that this guest is a clone of, and on its first boot whether all is there that the image promises."""
    if not image:
        return []
    said = f"baked {_reconcile.clock(image['built'])} at commit {str(image['commit'])[:12]}"
    missing = [pin for pin in image["pins"] if _image.repo_digest(pin) not in engine.images] if never_booted else []
    if missing:
        return [Check("golden", "degraded", f"{said}; not there: {', '.join(missing)}", "bake the golden image again")]
    return [Check("golden", "ok", said, "")]
