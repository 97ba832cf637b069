# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of stacks and their containers. Private to this collection."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.engine import Container, Engine
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import repo_digest
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    COMMAND,
    CONVERGE,
    CONVERGED,
    CONVERGING,
    PASSES,
    PERSON,
    TICK,
    Check,
    Outcome,
    Remedy,
    declare,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift

_BY_CONVERGE = Remedy(CONVERGED, CONVERGE)
_APPLIED = ("configured", "engine")


@declare(
    "manifest",
    cost=TICK,
    observes=("manifest_error",),
    needs=_APPLIED,
    unreadable=Outcome("fail", "{error}", _BY_CONVERGE),
)
def manifest(say: Any, error: str) -> Iterator[Check]:
    """The record of what was applied can be read."""
    if error:
        yield say("unreadable", error=error)


@declare(
    "stacks",
    cost=TICK,
    observes=("stacks", "manifest_error"),
    needs=_APPLIED,
    none=Outcome("fail", "nothing has been applied on this guest yet", _BY_CONVERGE),
)
def applied(say: Any, stacks: dict[str, Any], error: str) -> Iterator[Check]:
    """Something was applied at all."""
    if not stacks and not error:
        yield say("none")


# The controller's own words where it has them.
@declare(
    "container.{name}",
    cost=TICK,
    observes=("protected", "stacks", "engine"),
    needs=_APPLIED,
    drifts=("container_missing", "container_foreign", "container_state", "container_unhealthy"),
    ok=Outcome("ok", "running"),
    healthy=Outcome("ok", "running, healthy"),
    missing=Outcome("fail", "Protected container not running: {name} (there is none)", _BY_CONVERGE),
    missing_elsewhere=Outcome(
        "fail",
        "Protected container not running: {name} (there is none)",
        Remedy(PERSON, "have it started by what makes it: no stack of this guest's record has it"),
    ),
    restarting=Outcome(
        "degraded",
        "Protected container restarting: {name}",
        Remedy(PERSON, "see whether the guest has a network, and 'docker logs {name}'"),
    ),
    stopped=Outcome(
        "fail",
        "Protected container not running: {name} ({state})",
        Remedy(CONVERGED, f"see 'docker logs {{name}}', then {CONVERGE}"),
    ),
    stopped_elsewhere=Outcome(
        "fail",
        "Protected container not running: {name} ({state})",
        Remedy(COMMAND, "run 'docker restart {name}' on the guest; 'docker logs {name}' says why it ended"),
    ),
    unhealthy=Outcome(
        "fail",
        "Protected container unhealthy: {name}",
        Remedy(CONVERGED, f"see 'docker logs {{name}}', then {CONVERGE}"),
    ),
    unhealthy_outside=Outcome(
        "degraded", "Protected container unhealthy: {name}", Remedy(PERSON, "see 'docker logs {name}'")
    ),
    starting=Outcome(
        "degraded", "Protected container starting: {name}", Remedy(PASSES, "wait for its first health check")
    ),
)
def container(say: Any, protected: list[str], stacks: dict[str, Any], engine: Engine) -> Iterator[Check]:
    """Every protected container runs and is healthy."""
    by_name = {found.name: found for found in engine.containers}
    waits = {service["container"]: stack["wait"] for stack in stacks.values() for service in stack["services"].values()}
    for name in protected:
        found = by_name.get(name)
        outcome = _outcome(found, waits.get(name, "running"))
        if outcome in ("missing", "stopped") and name not in waits:
            outcome += "_elsewhere"
        yield say(outcome, name=name, state=found.state if found else "")


def _outcome(found: Container | None, wait: str) -> str:
    if found is None:
        return "missing"
    if found.state == "restarting" and wait == "none":
        # A tunnel ends at once where no name can be resolved, and the engine starts it again until one can.
        return "restarting"
    if found.state != "running":
        return "stopped"
    if found.health == "unhealthy":
        return "unhealthy" if wait == "healthy" else "unhealthy_outside"
    return found.health or "ok"


@declare(
    "pin.{name}",
    cost=TICK,
    observes=("stacks", "engine"),
    needs=_APPLIED,
    drifts=("container_image", "image_absent"),
    ok=Outcome("ok", "{image}"),
    other=Outcome("fail", "runs another image than {pin}", _BY_CONVERGE),
)
def pin(say: Any, stacks: dict[str, Any], engine: Engine) -> Iterator[Check]:
    """Every container of a stack runs the image that its pin names."""
    found = {(running.project, running.service): running for running in engine.containers}
    for stack, record in stacks.items():
        for service, want in record["services"].items():
            running = found.get((stack, service))
            if running is None:
                continue  # said by the container check, or by the stack's
            image = want["image"]
            outcome = "ok" if engine.images.get(repo_digest(image)) == running.image_id else "other"
            yield say(outcome, name=want["container"], pin=image, image=image.partition("@")[0])


def pins(stacks: dict[str, Any]) -> dict[str, str]:
    """The pin of each container of all stacks."""
    return {want["container"]: want["image"] for record in stacks.values() for want in record["services"].values()}


@declare(
    "network.{network}",
    cost=TICK,
    observes=("network", "engine"),
    needs=_APPLIED,
    drifts=("network_missing",),
    ok=Outcome("ok", "exists"),
    missing=Outcome("fail", "network {network} does not exist", _BY_CONVERGE),
)
def network(say: Any, name: str, engine: Engine) -> Iterator[Check]:
    """The network that all stacks share exists."""
    yield say("ok" if name in engine.networks else "missing", network=name)


@declare(
    "stack.{stack}",
    cost=TICK,
    observes=("drift",),
    needs=_APPLIED,
    # What a run that did not end left is no customer's concern: the gate alone sees to it.
    drifts=tuple(kind for kind in _drift.KINDS if kind not in ("leftover", "unsettled")),
    ok=Outcome("ok", "as applied"),
    drift=Outcome("fail", "{differs}", _BY_CONVERGE),
)
def stack(say: Any, drift: dict[str, list[str]]) -> Iterator[Check]:
    """Every stack is as it was applied: files on disk and containers.

    drift has, for each stack, what differs.
    """
    for name, differs in sorted(drift.items()):
        yield say("drift" if differs else "ok", stack=name, differs="; ".join(differs))


Access = namedtuple("Access", "path read_only may_read may_write mount_is_read_only owner mode user node_user")
Access.__doc__ = """What FileBrowser's process may do in a folder of the customer's.

path is the guest's, read_only whether nobody is to write there; owner, user (FileBrowser's) and node_user (what that is
on the guest's node) are UID:GID.
"""
_OF_NOBODY = "65534:"  # what has an owner on the node whom the guest does not know


@declare(
    "access.{path}",
    cost=CONVERGING,
    observes=("access",),
    needs=("configured", "engine", "access"),
    ok=Outcome("ok", "FileBrowser may {what} it"),
    denied=Outcome(
        "degraded",
        "FileBrowser's user {user} may not {what} it: it belongs to {owner}, mode {mode}",
        Remedy(
            COMMAND,
            "run 'chown -R {user} {quoted}' on the guest; where an app needs its owner, give {user} rights by ACL",
        ),
    ),
    unmapped=Outcome(
        "degraded",
        "FileBrowser's user {user} may not {what} it: its owner is nobody in this guest, mode {mode}",
        Remedy(PERSON, "on the node run chown -R {node_user} for what is mounted at {path}"),
    ),
    locked=Outcome(
        "degraded",
        "FileBrowser may not write it: it is mounted read-only",
        Remedy(
            PERSON,
            "mount {path} read-write (on a node without ro=1) and run 'docker restart filebrowser', or give it "
            "read_only: true",
        ),
    ),
)
def access(say: Any, access: list[Access]) -> Iterator[Check]:
    """FileBrowser's user may read every folder that the customer sees, and write where the customer may.

    Of the folder itself, not of what is below it.
    """
    for each in access:
        wanted = {"read": each.may_read} | ({} if each.read_only else {"write": each.may_write})
        denied = [what for what, may in wanted.items() if not may]
        outcome = "ok"
        if denied == ["write"] and each.mount_is_read_only:
            outcome = "locked"
        elif denied:
            outcome = "unmapped" if each.owner.startswith(_OF_NOBODY) else "denied"
        # For a shell, and without its quotes, which the command is in.
        quoted = re.sub(r"([^\w@%+=:,./-])", r"\\\1", each.path)
        yield say(outcome, what=" and ".join(denied or wanted), quoted=quoted, **each._asdict())
