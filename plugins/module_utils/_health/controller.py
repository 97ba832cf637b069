# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observing the controller's container, and the paths of stacks as it and as the engine sees them. Private."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import controller as _check


def observe(engine: _engine.Engine, stacks_dir: str, stacks: dict[str, Any]) -> _check.Sight | None:
    """What there is to see of the guest's controller, None where there is none."""
    container = find(engine)
    if container is None:
        return None
    controller, folders = None, _check.shared_folders(stacks_dir, stacks)
    try:
        controller = describe(container.id, stacks)
        return _check.Sight(controller, folders, paths(engine, controller.pid, folders))
    except (OSError, _engine.EngineError) as error:
        return _check.Sight(controller, error=error)


def find(engine: _engine.Engine) -> _engine.Container | None:
    """The controller's container, None where there is none."""
    return next((container for container in engine.containers if container.name == _check.NAME), None)


def describe(container_id: str, stacks: dict[str, Any]) -> _check.Controller:
    """What only the engine knows of the controller. Raises EngineError."""
    found = _engine.get(f"/containers/{container_id}/json")
    labels = found["Config"].get("Labels") or {}
    project = labels.get("com.docker.compose.project", "")
    return _check.Controller(
        hostname=found["Config"]["Hostname"],
        pid=found["State"]["Pid"],
        mounts=[mount["Source"] for mount in found["Mounts"] if mount.get("Source") == mount["Destination"]],
        project=project,
        compose_files=labels.get("com.docker.compose.project.config_files", ""),
        ours=project in stacks,
    )


def paths(engine: _engine.Engine, pid: int, folders: list[str]) -> list[_check.SharedPath]:
    """The folders of the stacks, and what containers of compose projects mount, on the guest and in the controller."""
    wanted = {folder: "stacks" for folder in folders}
    for container in engine.containers:
        if container.project:
            for source in container.binds:
                wanted.setdefault(source, container.project)
    return [
        _check.SharedPath(
            path, owner, _check.is_below(path, folders), _place(path), _place(inside(pid, path)) if pid else None
        )
        for path, owner in sorted(wanted.items())
    ]


def inside(pid: int, path: str) -> str:
    """Where a path of a process's mount namespace lies for everybody else."""
    return f"/proc/{pid}/root{path}"


def _place(path: str) -> _check.Place | None:
    try:
        found = os.stat(path)
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                return _check.Place(found.st_dev, found.st_ino, "folder", next(entries, None) is None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _check.Place(found.st_dev, found.st_ino, "file" if os.path.isfile(path) else "other", False)
