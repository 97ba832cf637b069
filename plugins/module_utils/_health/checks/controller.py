# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the controller, whoever runs it: its host name, and that it sees the engine's paths. Private.

The controller writes an app's compose file and tells the engine to start it. The engine looks for what that mounts on
the guest, not where the controller wrote it, so both must see the same folder under the same path.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    ANOTHER,
    COMMAND,
    CONVERGE,
    CONVERGED,
    CONVERGING,
    PASSES,
    PERSON,
    REQUEST,
    Check,
    Outcome,
    Remedy,
    declare,
)

NAME = "felhom-controller"
_SHOWN = 3  # paths that a reason names
_NEEDS = ("configured", "engine", "controller")

Controller = namedtuple("Controller", "hostname pid mounts project compose_files ours")
Controller.__doc__ = """The controller's container: the host name it sees, its process (0 where it does not run), the
paths of the guest that are mounted at the same path in it, the compose project that started it, "" for none, and
whether that is one of the recorded stacks.
"""

Place = namedtuple("Place", "device inode kind empty")
Place.__doc__ = "What lies at a path. kind is file, folder or other; empty is said of folders."

SharedPath = namedtuple("SharedPath", "path owner shared guest controller")
SharedPath.__doc__ = """A path that the engine mounts or the controller writes to.

owner is the stack or app whose it is; shared, whether the controller must see the same; guest and controller are the
Place that each sees, None for none.
"""

Sight = namedtuple("Sight", "controller folders paths error", defaults=[None, (), (), None])
Sight.__doc__ = """What was found of the controller; error is why not all of it.

folders are those that stacks lie in, paths are of SharedPath.
"""


@declare(
    "controller_hostname",
    cost=CONVERGING,
    observes=("controller", "customer_id"),
    needs=(*_NEEDS, "customer_id"),
    ok=Outcome("ok", "reports {customer}"),
    ours=Outcome(
        "degraded",
        "reports the host name {hostname}, not the customer's id {customer}",
        Remedy(CONVERGED, CONVERGE),
    ),
    composed=Outcome(
        "degraded",
        "reports the host name {hostname}, not the customer's id {customer}",
        Remedy(PERSON, "set 'hostname: {customer}' for it in {where}, and recreate it"),
    ),
    by_hand=Outcome(
        "degraded",
        "reports the host name {hostname}, not the customer's id {customer}",
        Remedy(
            PERSON,
            "add --hostname {customer} to the 'docker run' that starts it, or let base_infra_runs_controller be true",
        ),
    ),
)
def hostname(say: Any, sight: Sight, customer: str) -> Iterator[Check]:
    """The controller reports the customer's id to the hub, not its container's."""
    found = sight.controller
    if found is not None:
        outcome = "ok" if found.hostname == customer else _whose(found)
        yield say(outcome, hostname=found.hostname, customer=customer, where=_where(found))


@declare(
    "stack_paths",
    cost=CONVERGING,
    observes=("controller",),
    needs=_NEEDS,
    ok=Outcome("ok", "{same} paths are the same for controller and engine"),
    stopped=Outcome(
        "degraded",
        "not compared: the controller does not run",
        Remedy(COMMAND, f"run 'docker restart {NAME}' on the guest; 'docker logs {NAME}' says why it ended"),
    ),
    unreadable=Outcome("degraded", "not compared: {error}", Remedy(PERSON, "ask as root of the guest")),
    # It may have been recreated since the engine was asked for all.
    vanished=Outcome("degraded", "not compared: {error}", Remedy(PASSES, "ask again")),
    ours=Outcome(
        "degraded", "{problems}", Remedy(CONVERGED, f"{CONVERGE}, with {{missing}} in felhom_controller_folders")
    ),
    composed=Outcome(
        "degraded", "{problems}", Remedy(PERSON, "set volumes {volumes} for it in {where}, and recreate it")
    ),
    by_hand=Outcome(
        "degraded",
        "{problems}",
        Remedy(PERSON, "add {options} to the 'docker run' that starts it, or let base_infra_runs_controller be true"),
    ),
    missing=Outcome(
        "degraded", "{problems}", Remedy(PERSON, "put back what is missing, or take it out of the app's compose file")
    ),
    replaced=Outcome(
        "degraded",
        "{problems}",
        Remedy(
            COMMAND,
            f"run 'docker restart {NAME}' on the guest: it holds a folder that was replaced after it had started",
        ),
    ),
)
def paths(say: Any, sight: Sight) -> Iterator[Check]:
    """Every path of a stack is the same for the engine and for the controller."""
    found = sight.controller
    if isinstance(sight.error, OSError):
        yield say("unreadable", error=f"{sight.error.filename}: {sight.error.strerror}")
        return
    if sight.error is not None:
        yield say("vanished", error=sight.error)
        return
    if not found.pid:
        yield say("stopped")
        return
    unseen = [path.path for path in sight.paths if path.shared and path.guest and not path.controller]
    wrong = [path for path in sight.paths if _problem(path) and not _is_in(path.path, unseen)]
    if not wrong:
        yield say("ok", same=sum(path.shared for path in sight.paths))
        return
    missing = [folder for folder in sight.folders if not is_below(folder, found.mounts)]
    outcome = "missing" if all(path.guest is None for path in wrong) else "replaced"
    yield say(
        _whose(found) if missing else outcome,
        problems=_problems(wrong),
        missing=", ".join(missing),
        volumes=", ".join(f"'{folder}:{folder}'" for folder in missing),
        options=" ".join(f"--volume {folder}:{folder}" for folder in missing),
        where=_where(found),
    )


def _problems(wrong: list[SharedPath]) -> str:
    # First what an app suffers from, which says most.
    problems = [_problem(path) for path in sorted(wrong, key=lambda path: not _is_made_by_engine(path))]
    more = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _problem(path: SharedPath) -> str:
    """What is wrong with a path, "" for nothing."""
    named = f"{path.path} ({path.owner})"
    guest, controller = path.guest, path.controller
    if guest is None:
        return f"{named} is in the controller only" if path.shared and controller else f"{named} does not exist"
    if not path.shared:
        return ""
    if controller is None:
        return f"{named} is not there for the controller"
    if (guest.device, guest.inode) == (controller.device, controller.inode):
        return ""
    if _is_made_by_engine(path):
        return f"{named} is an empty folder that the engine made; what belongs there is in the controller only"
    return f"{named} is another {controller.kind} for the controller"


def _is_made_by_engine(path: SharedPath) -> bool:
    """A folder that the engine made because it missed what was to be mounted."""
    found = path.shared and path.guest and path.controller
    return bool(found and path.guest.empty and not path.controller.empty)


def _whose(found: Controller) -> str:
    """What is to be changed, and where, depends on who started the controller."""
    return "ours" if found.ours else "composed" if found.project else "by_hand"


def _where(found: Controller) -> str:
    return found.compose_files or f"project {found.project}"


def _is_in(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the folders, or lies in one."""
    return path in folders or _is_in(path, folders)


def shared_folders(stacks_dir: str, stacks: dict[str, Any]) -> list[str]:
    """The folders in which stacks lie: the apps', and those of what was applied; none that lies in another of them."""
    found = {stacks_dir} | {record["project_dir"] for record in stacks.values()}
    return sorted(folder for folder in found if not _is_in(folder, found))


Proof = namedtuple("Proof", "folder token out err seconds untried", defaults=["", "", "", "", 0.0, ""])
Proof.__doc__ = """What a stack in folder printed when it was to print the token that the controller wrote.

out and err are what it printed; untried says why it was not started, or is the error for which it could not be.
"""


@declare(
    "stack_probe",
    cost=REQUEST,
    observes=("proof",),
    needs=(*_NEEDS, "is_to_prove"),
    ok=Outcome("ok", "what the controller wrote below {above} was read by a stack ({seconds} s)"),
    untried=Outcome("degraded", "not tried: {why}", Remedy(CONVERGED, CONVERGE)),
    unwritable=Outcome("fail", "the controller can't write there: {why}", Remedy(ANOTHER, "see stack_paths")),
    hanging=Outcome(
        "fail",
        "no answer of the engine within {seconds} s",
        Remedy(COMMAND, "run 'systemctl restart docker' on the guest; 'journalctl -u docker' says why"),
    ),
    unread=Outcome(
        "fail",
        "a stack did not read what the controller wrote below {folder}: {said}",
        Remedy(ANOTHER, "see stack_paths"),
    ),
)
def stack_probe(say: Any, proof: Proof) -> Iterator[Check]:
    """A stack reads what the controller wrote for it: that proves what stack_paths concludes."""
    if isinstance(proof.untried, TimeoutError):
        yield say("hanging", seconds=f"{proof.seconds:.0f}")
    elif isinstance(proof.untried, OSError):
        yield say("unwritable", why=f"{proof.untried.filename}: {proof.untried.strerror}")
    elif proof.untried:
        yield say("untried", why=proof.untried)
    elif proof.out.strip() == proof.token:
        yield say("ok", above=os.path.dirname(proof.folder), seconds=f"{proof.seconds:.1f}")
    else:
        said = (proof.err.strip().splitlines() or ["it printed nothing"])[-1][:200]
        yield say("unread", folder=proof.folder, said=said)
