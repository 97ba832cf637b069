# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the guest itself, not of its stacks: pause, last converge, identity, image, disk. Private."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    engine as _engine,
    pins as _pins,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    COMMAND,
    CONVERGE,
    CONVERGED,
    CONVERGING,
    PERSON,
    TICK,
    Check,
    Outcome,
    Remedy,
    declare,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state


@declare(
    "pause",
    cost=CONVERGING,
    observes=("pause",),
    paused=Outcome(
        "degraded",
        "paused until {until}: the guest does not converge itself",
        Remedy(COMMAND, "run 'felhom-base-infra resume' on the guest when the work is done"),
    ),
)
def pause(say: Any, held: _state.Pause | None) -> Iterator[Check]:
    """The guest is not paused: one that is does not converge itself."""
    if held is not None:
        yield say("paused", until=_clock.utc(held.until))


@declare(
    "configuration",
    cost=CONVERGING,
    observes=("waiting_for",),
    waiting=Outcome("waiting", "{what}", Remedy(PERSON, "let the controller fetch the customer's configuration")),
)
def configuration(say: Any, waiting_for: str) -> Iterator[Check]:
    """The controller has fetched the customer's configuration. Nothing else is checked before."""
    if waiting_for:
        yield say("waiting", what=waiting_for)


@declare(
    "converge",
    cost=TICK,
    observes=("last_error",),
    needs=("configured",),
    failed=Outcome(
        "degraded",
        "the last converge failed: {error}",
        Remedy(CONVERGED, f"mend what the reason says; the guest then converges itself within 6 hours, or {CONVERGE}"),
    ),
)
def converge(say: Any, error: str) -> Iterator[Check]:
    """The last converge ended without an error. The guest may be healthy on its previous generation all the same."""
    if error:
        yield say("failed", error=error)


_NEW_IDENTITY = Remedy(
    COMMAND, "run 'touch /var/lib/felhom-base-infra/never-booted; felhom-base-infra converge' on the guest"
)


@declare(
    "identity.{part}",
    cost=CONVERGING,
    observes=("shared_identity",),
    needs=("configured",),
    machine_id=Outcome("degraded", "has the golden image's machine id", _NEW_IDENTITY),
    ssh_host_keys=Outcome("fail", "has the golden image's SSH host keys", _NEW_IDENTITY),
    hostname=Outcome(
        "degraded",
        "has the golden image's host name",
        Remedy(PERSON, "run playbooks/pve_hostname.yml for its Proxmox node"),
    ),
)
def identity(say: Any, shared: list[str]) -> Iterator[Check]:
    """A clone is another machine than its golden image.

    shared is what _identity.shared() gives.
    """
    for part in shared:
        yield say(part.replace("-", "_"), part=part)


@declare(
    "golden",
    cost=CONVERGING,
    observes=("golden_image", "engine", "never_booted"),
    needs=("configured", "engine"),
    ok=Outcome("ok", "{baked}"),
    incomplete=Outcome("degraded", "{baked}; not there: {pins}", Remedy(PERSON, "bake the golden image again")),
)
def golden(say: Any, image: dict[str, Any], engine: _engine.Engine, never_booted: bool) -> Iterator[Check]:
    """The golden image is known, and all that it promises is there at the first boot."""
    if not image:
        return
    baked = f"baked {_clock.utc(image['built'])} at commit {str(image['commit'])[:12]}"
    missing = [pin for pin in image["pins"] if _pins.repo_digest(pin) not in engine.images] if never_booted else []
    yield say("incomplete" if missing else "ok", baked=baked, pins=", ".join(missing))


Space = namedtuple("Space", "path free total inodes_free inodes_total")
Space.__doc__ = """Room of a file system, in bytes and in inodes. Both totals are 0 where it does not count inodes."""

_LOW = (0.10, 2 << 30)  # a share, and bytes above which that share of a large disk is still enough
_FULL = (0.02, 200 << 20)
_ROOM = Remedy(PERSON, "make the guest's disk larger, or see what 'docker system df' says of images that nothing uses")


@declare(
    "disk.{path}",
    cost=CONVERGING,
    observes=("spaces",),
    needs=("configured",),
    ok=Outcome("ok", "{room}"),
    low=Outcome("degraded", "nearly full: {room}{inodes}", _ROOM),
    full=Outcome("fail", "full: {room}{inodes}", _ROOM),
)
def disk(say: Any, spaces: list[Space]) -> Iterator[Check]:
    """There is room for images, logs and the customer's next files."""
    for space in spaces:
        outcome = "full" if _is_below(space, *_FULL) else "low" if _is_below(space, *_LOW) else "ok"
        room = f"{space.free / (1 << 30):.1f} of {space.total / (1 << 30):.1f} GiB free"
        inodes = f", {space.inodes_free} of {space.inodes_total} inodes" if space.inodes_total else ""
        yield say(outcome, path=space.path, room=room, inodes=inodes)


def _is_below(space: Space, share: float, enough: int) -> bool:
    return bool(space.free < min(share * space.total, enough) or space.inodes_free < share * space.inodes_total)


@declare(
    "report",
    cost=CONVERGING,
    observes=("report_error",),
    failed=Outcome("fail", "{error}", Remedy(PERSON, "make room on the guest's disk, or see 'dmesg'")),
)
def report(say: Any, error: str) -> Iterator[Check]:
    """The report could be written. Said by the run that writes it."""
    if error:
        yield say("failed", error=error)
