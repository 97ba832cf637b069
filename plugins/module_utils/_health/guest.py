# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the guest itself, not of its stacks: pause, last converge, identity, image. Private to this collection."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    engine as _engine,
    pins as _pins,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import Check
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state


def pause_check(held: _state.Pause | None) -> list[Check]:
    """A guest that is paused does not heal itself."""
    if held is None:
        return []
    until = _clock.utc(held.until)
    reason = f"paused until {until}: the guest does not converge itself"
    return [Check("pause", "degraded", reason, "run 'felhom-base-infra resume' on the guest when the work is done")]


def configuration_check(waiting_for: str) -> Check:
    """The controller has fetched the customer's configuration. Nothing else is checked before."""
    return Check("configuration", "waiting", waiting_for, "let the controller fetch the customer's configuration")


def engine_check(error: object) -> Check:
    """The Docker engine answers. Nothing else can be seen where it does not."""
    return Check("engine", "fail", str(error), "start the Docker engine")


def manifest_check(error: object) -> Check:
    """The record of what was applied can be read."""
    return Check("manifest", "fail", str(error), "run playbooks/site.yml for this guest")


def converge_check(error: str) -> list[Check]:
    """Why the last converge failed. The guest may be well on its last good generation all the same."""
    if not error:
        return []
    return [Check("converge", "degraded", f"the last converge failed: {error}", "mend what it says; it is tried again")]


_IDENTITY_FIX = "run 'touch /var/lib/felhom-base-infra/never-booted; felhom-base-infra converge' on the guest"


def identity_checks(shared: list[str]) -> list[Check]:
    """A clone is another machine than its golden image. shared: see _identity.shared()."""
    found = {
        "machine-id": Check("identity.machine-id", "degraded", "has the golden image's machine id", _IDENTITY_FIX),
        "ssh-host-keys": Check("identity.ssh-host-keys", "fail", "has the golden image's SSH host keys", _IDENTITY_FIX),
        "hostname": Check(
            "identity.hostname",
            "degraded",
            "has the golden image's host name",
            "run playbooks/pve_hostname.yml for its Proxmox node",
        ),
    }
    return [found[what] for what in shared]


def golden_check(image: dict[str, Any], engine: _engine.Engine, never_booted: bool) -> list[Check]:
    """The image that this guest is a clone of, and on its first boot whether all is there that the image promises."""
    if not image:
        return []
    said = f"baked {_clock.utc(image['built'])} at commit {str(image['commit'])[:12]}"
    missing = [pin for pin in image["pins"] if _pins.repo_digest(pin) not in engine.images] if never_booted else []
    if missing:
        pins = ", ".join(missing)
        return [Check("golden", "degraded", f"{said}; not there: {pins}", "bake the golden image again")]
    return [Check("golden", "ok", said, "")]


Space = namedtuple("Space", "path free total inodes_free inodes_total")
Space.__doc__ = """Room of a file system, in bytes and in inodes. Both totals are 0 where it does not count inodes."""

_LOW = (0.10, 2 << 30)  # a share, and bytes above which that share of a large disk is still enough
_FULL = (0.02, 200 << 20)


def disk_check(space: Space) -> Check:
    """There is room for images, logs and the customer's next files."""
    check_id = f"disk.{space.path}"
    fix = "make the guest's disk larger, or see what 'docker system df' says of images that nothing uses"
    text = f"{space.free / (1 << 30):.1f} of {space.total / (1 << 30):.1f} GiB free"
    if _is_below(space, *_FULL):
        return Check(check_id, "fail", f"full: {text}{_inodes(space)}", fix)
    if _is_below(space, *_LOW):
        return Check(check_id, "degraded", f"nearly full: {text}{_inodes(space)}", fix)
    return Check(check_id, "ok", text, "")


def _is_below(space: Space, share: float, enough: int) -> bool:
    return space.free < min(share * space.total, enough) or space.inodes_free < share * space.inodes_total


def _inodes(space: Space) -> str:
    return f", {space.inodes_free} of {space.inodes_total} inodes" if space.inodes_total else ""


# Docker 29 refuses clients below 1.44, and Traefik before 3.6.1 spoke nothing but 1.24.
_TRAEFIK_NEGOTIATES = (3, 6, 1)
_TRAEFIK_SPOKE = (1, 24)
# What Compose needs for a health check's start_interval, which every stack has.
_NEEDED = (1, 44)


def engine_api_check(version: dict[str, Any], traefik: str) -> Check:
    """Engine, Compose files and proxy understand each other. version: the engine's answer; traefik: the proxy's pin."""
    newest, oldest = str(version.get("ApiVersion", "")), str(version.get("MinAPIVersion", ""))
    tag = traefik.partition("@")[0].rpartition(":")[2]
    if (
        _pins.version_numbers(tag)
        and _pins.version_numbers(tag) < _TRAEFIK_NEGOTIATES
        and _pins.version_numbers(oldest) > _TRAEFIK_SPOKE
    ):
        reason = f"Traefik {tag} speaks API 1.24 only, this engine none below {oldest}: the proxy finds no container"
        return Check("engine.api", "fail", reason, "move the pin of Traefik to 3.6.1 or newer")
    if _pins.version_numbers(newest) < _NEEDED:
        reason = f"the engine's API is {newest or 'unknown'}, older than 1.44: health checks are slow after a start"
        return Check("engine.api", "degraded", reason, "upgrade the Docker engine to 25 or newer")
    return Check("engine.api", "ok", f"{oldest} to {newest}", "")
