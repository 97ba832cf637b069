# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the controller, whoever runs it: its host name, and that it sees the engine's paths. Private.

The controller writes an app's compose file and tells the engine to start it. The engine looks for what that mounts on
the guest, not where the controller wrote it, so both must see the same folder under the same path. Judged by pure
functions; what looks is at the end.
"""

from __future__ import annotations

import os
from collections import namedtuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import CONVERGE, Check

NAME = "felhom-controller"
_SHOWN = 3  # paths that a reason names

Controller = namedtuple("Controller", "hostname pid mounts project compose_files")
Controller.__doc__ = """The controller's container: the host name it sees, its process (0 where it does not run), the
paths of the guest that are mounted at the same path in it, and the compose project that started it, "" for none.
"""

Place = namedtuple("Place", "device inode kind empty")
Place.__doc__ = "What lies at a path. kind is file, folder or other; empty is told of folders."

SharedPath = namedtuple("SharedPath", "path owner shared guest controller")
SharedPath.__doc__ = """A path that the engine mounts or the controller writes to.

owner is the stack or app whose it is; shared, whether the controller must see the same; guest and controller are the
Place that each sees, None for none.
"""


def hostname_check(controller, customer: str, ours: bool) -> Check:
    """The controller reports the customer's id to the hub, not its container's."""
    if controller.hostname == customer:
        return Check("controller_hostname", "ok", f"reports {customer}", "")
    reason = f"reports the host name {controller.hostname}, not the customer's id {customer}"
    fix = _fix(controller, ours, f"--hostname {customer}", f"'hostname: {customer}'")
    return Check("controller_hostname", "degraded", reason, fix)


def paths_check(controller, paths, folders, ours: bool) -> Check:
    """Every path of a stack is the same for the engine and for the controller. folders are those the stacks lie in."""
    if not controller.pid:
        fix = f"see 'docker logs {NAME}'"
        return Check("stack_paths", "degraded", "not compared: the controller does not run", fix)
    unseen = [path.path for path in paths if path.shared and path.guest and not path.controller]
    wrong = [path for path in paths if _problem(path) and not _is_in(path.path, unseen)]
    # First what an app suffers from, which tells most.
    problems = [_problem(path) for path in sorted(wrong, key=lambda path: not _is_made_by_engine(path))]
    if not problems:
        same = sum(path.shared for path in paths)
        return Check("stack_paths", "ok", f"{same} paths are the same for controller and engine", "")
    more = len(problems) - _SHOWN
    reason = "; ".join(problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    missing = [folder for folder in folders if not _is_below(folder, controller.mounts)]
    if missing:
        words = " ".join(f"--volume {folder}:{folder}" for folder in missing)
        fix = _fix(controller, ours, words, "volumes " + ", ".join(f"'{folder}:{folder}'" for folder in missing))
        fix += f", with {', '.join(missing)} in felhom_controller_folders" if ours else ""
    elif all(path.guest is None for path in wrong):
        fix = "put back what is missing, or take it out of the app's compose file"
    else:
        fix = f"run 'docker restart {NAME}': it holds a folder that was replaced after it had started"
    return Check("stack_paths", "degraded", reason, fix)


def _problem(path) -> str:
    """What is wrong with a path, "" for nothing."""
    told = f"{path.path} ({path.owner})"
    guest, controller = path.guest, path.controller
    if guest is None:
        return f"{told} is in the controller only" if path.shared and controller else f"{told} does not exist"
    if not path.shared:
        return ""
    if controller is None:
        return f"{told} is not there for the controller"
    if (guest.device, guest.inode) == (controller.device, controller.inode):
        return ""
    if _is_made_by_engine(path):
        return f"{told} is an empty folder that the engine made; what belongs there is in the controller only"
    return f"{told} is another {controller.kind} for the controller"


def _is_made_by_engine(path) -> bool:
    """A folder that the engine made because it missed what was to be mounted."""
    found = path.shared and path.guest and path.controller
    return bool(found and path.guest.empty and not path.controller.empty)


def _fix(controller, ours: bool, words: str, lines: str) -> str:
    """What to change, and where: it depends on who started the controller."""
    if ours:
        return CONVERGE
    if controller.project:
        return f"set {lines} for it in {controller.compose_files or 'project ' + controller.project}, and recreate it"
    return f"add {words} to the 'docker run' that starts it, or let base_infra_runs_controller be true"


def shared_folders(stacks_dir: str, stacks) -> list[str]:
    """The folders in which stacks lie: the apps', and those of what was applied; none that lies in another of them."""
    found = {stacks_dir} | {record["project_dir"] for record in stacks.values()}
    return sorted(folder for folder in found if not _is_in(folder, found))


def _is_in(path: str, folders) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _is_below(path: str, folders) -> bool:
    return path in folders or _is_in(path, folders)


def checks(engine, customer: str, stacks_dir: str, stacks) -> list[Check]:
    """Look at the guest's controller. Nothing where there is none. Raises EngineError."""
    found = find(engine)
    if found is None:
        return []
    controller, ours = look(found.id), found.project in stacks
    named = [hostname_check(controller, customer, ours)] if customer else []
    folders = shared_folders(stacks_dir, stacks)
    try:
        paths = look_at_paths(engine, controller.pid, folders)
    except OSError as error:
        reason = f"not compared: {error.filename}: {error.strerror}"
        return [*named, Check("stack_paths", "degraded", reason, "ask as root of the guest")]
    return [*named, paths_check(controller, paths, folders, ours)]


def find(engine):
    """The controller's container, None where there is none."""
    return next((container for container in engine.containers if container.name == NAME), None)


def look(container_id: str):
    """What only the engine knows of the controller."""
    told = _engine.get(f"/containers/{container_id}/json")
    labels = told["Config"].get("Labels") or {}
    return Controller(
        hostname=told["Config"]["Hostname"],
        pid=told["State"]["Pid"],
        mounts=[mount["Source"] for mount in told["Mounts"] if mount.get("Source") == mount["Destination"]],
        project=labels.get("com.docker.compose.project", ""),
        compose_files=labels.get("com.docker.compose.project.config_files", ""),
    )


def look_at_paths(engine, pid: int, folders) -> list:
    """The folders of the stacks, and what containers of compose projects mount, on the guest and in the controller."""
    wanted = {folder: "stacks" for folder in folders}
    for container in engine.containers:
        if container.project:
            for source in container.binds:
                wanted.setdefault(source, container.project)
    return [
        SharedPath(path, owner, _is_below(path, folders), _place(path), _place(inside(pid, path)) if pid else None)
        for path, owner in sorted(wanted.items())
    ]


def inside(pid: int, path: str) -> str:
    """Where a path of a process's mount namespace lies for everybody else."""
    return f"/proc/{pid}/root{path}"


def _place(path: str):
    try:
        found = os.stat(path)
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                return Place(found.st_dev, found.st_ino, "folder", next(entries, None) is None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Place(found.st_dev, found.st_ino, "file" if os.path.isfile(path) else "other", False)
