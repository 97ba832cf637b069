# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving what is in a stack's way aside, and back: containers of its names, units that start them. Private.

Nothing is lost: a container is stopped and renamed, a unit is disabled and stopped, files that the container alone has
are copied for the one that takes its place. What was moved is kept in the generation that is being applied, for the way
back at once, and in displaced.json, for the day the stack is removed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import tempfile
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    commands as _commands,
    engine as _engine,
    files as _files,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    drift as _drift,
    generations as _generations,
)

_KINDS = ("displaced", "units")


def move_aside(state_dir: str, params: dict[str, Any], generation: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Move units and containers out of the way of the generation that is being applied."""
    reasons = _drift.engine_reasons(params["name"], generation["record"], _engine.observe())
    services = generation["record"]["services"]
    foreign = [services[reason.subject]["container"] for reason in reasons if reason.kind == "container_foreign"]
    containers = [_inspect(name) for name in foreign]
    for container in containers:
        # While it still runs: what goes wrong here leaves everything as it is.
        for folder in params["inherits"]:
            _inherit(state_dir, container, folder)
    units = [_look_at_unit(unit) for unit in params["replaces_units"]]
    moved = _keep(
        state_dir,
        params["name"],
        generation,
        {
            "displaced": [_displaced(container) for container in containers],
            "units": [unit for unit in units if unit["enabled"] or unit["active"]],
        },
    )
    # A unit may start its container again, or remove it when it ends, so units come first.
    for entry in moved["units"]:
        _commands.run(["systemctl", "disable", "--now", entry["unit"]], check_rc=True)
    there = {container.id: container for container in _engine.observe().containers}
    for entry in moved["displaced"]:
        if entry["id"] in there:
            _commands.docker("update", "--restart", "no", entry["id"])
            _commands.docker("stop", entry["id"])
            if there[entry["id"]].name == entry["name"]:
                _commands.docker("rename", entry["id"], entry["aside"])
    return moved


def restore(state_dir: str, stack: str, moved: dict[str, Any]) -> None:
    """What was moved out of the way gets its place back, and runs as it did."""
    there = {container.id: container for container in _engine.observe().containers}
    for entry in moved.get("displaced", []):
        for container in there.values():
            if container.project == stack and container.name == entry["name"]:
                _commands.docker("rm", "--force", container.id)
        # Somebody may have removed it for good meanwhile.
        if entry["id"] in there:
            if there[entry["id"]].name != entry["name"]:
                _commands.docker("rename", entry["id"], entry["name"])
            _commands.docker("update", "--restart", entry["restart"], entry["id"])
            if entry["running"]:
                _commands.docker("start", entry["id"])
    for entry in moved.get("units", []):
        if entry["enabled"]:
            _commands.run(["systemctl", "enable", entry["unit"]], check_rc=True)
        if entry["active"]:
            _commands.run(["systemctl", "start", "--no-block", entry["unit"]], check_rc=True)
    kept = _generations.load(state_dir, stack, _generations.DISPLACED)
    if kept:
        rest = {key: [entry for entry in kept.get(key, []) if entry not in moved.get(key, [])] for key in _KINDS}
        _generations.save(state_dir, stack, _generations.DISPLACED, kept | rest)


def _keep(
    state_dir: str, stack: str, generation: dict[str, Any], found: dict[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """Write down what is going to be moved, before it is. Returns what a rollback of this generation restores."""
    earlier = _generations.load(state_dir, stack, _generations.DISPLACED) or {}
    ever = {key: merged(earlier.get(key, []), found[key]) for key in _KINDS}
    # Where the stack was never healthy, all that was ever moved was moved by runs that did not end.
    moved = ever if _generations.load(state_dir, stack, _generations.GOOD) is None else found
    # Without the files: they may hold secrets, which are not to stay longer than the generations do.
    _generations.save(state_dir, stack, _generations.DISPLACED, {"record": {}, "contents": {}} | ever)
    _generations.save(state_dir, stack, _generations.NEXT, generation | moved)
    return moved


def merged(earlier: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Both, and what is in both as it was earlier: a run that was cut off may have stopped it since."""
    known = [_identity(entry) for entry in earlier]
    return earlier + [entry for entry in found if _identity(entry) not in known]


def _identity(entry: dict[str, Any]) -> str:
    return str(entry.get("id") or entry["unit"])


def _look_at_unit(unit: str) -> dict[str, Any]:
    code, _out, _err = _commands.run(["systemctl", "is-active", "--quiet", unit])
    return {"unit": unit, "enabled": _drift.unit_is_enabled(unit), "active": code == 0}


def _inspect(name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(_commands.docker("inspect", "--type", "container", name))
    return found[0]


def _displaced(container: dict[str, Any]) -> dict[str, Any]:
    """What the way back has to know of a container."""
    name = container["Name"].lstrip("/")
    return {
        "id": container["Id"],
        "name": name,
        "aside": f"{name}-displaced-{container['Id'][:8]}",
        "restart": container["HostConfig"]["RestartPolicy"]["Name"] or "no",
        "running": container["State"]["Running"],
    }


def _inherit(state_dir: str, container: dict[str, Any], folder: str) -> None:
    """Bring to the guest what only the container has below a folder: in volumes of its own, and in itself."""
    before = os.umask(0o077)
    try:
        for mount in container["Mounts"]:
            target, source = mount["Destination"], mount.get("Source", "")
            if f"{target}/".startswith(f"{folder}/") and source != target and os.path.isdir(source):
                fill(source, target)
        with tempfile.TemporaryDirectory(dir=state_dir) as own:
            _unpack(container["Id"], folder, own)
            if not os.path.islink(own + folder):
                fill(own + folder, folder)
    finally:
        os.umask(before)


def _unpack(container: str, folder: str, target: str) -> None:
    """What a container itself has below a folder, not what is mounted there. Nothing where it has no such folder."""
    command = ["tar", "--extract", "--numeric-owner", "--same-permissions", "--directory", target, folder.lstrip("/")]
    with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
        done = subprocess.run(
            command,
            stdin=export.stdout,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C"},
        )
    # An export that failed looks to tar like a container without that folder.
    absent = "Not found in archive" in done.stderr and export.returncode == 0
    if (done.returncode or export.returncode) and not absent:
        said = _commands.last_line(done.stderr)
        raise OSError(errno.EIO, f"can't copy what container {container[:12]} has there: {said}", folder)


def fill(source: str, target: str) -> None:
    """Copy what is missing in the target, with owners and modes. What is there stays as it is."""
    for folder, names, files in os.walk(source):
        into = os.path.join(target, os.path.relpath(folder, source))
        if os.path.lexists(into) and not os.path.isdir(into):
            names.clear()
            continue
        if not os.path.isdir(into):
            os.makedirs(into)
            _as_is(folder, into)
        for name in files + [name for name in names if os.path.islink(os.path.join(folder, name))]:
            path = os.path.join(into, name)
            if os.path.isdir(path) and not os.path.islink(path):
                # The engine makes an empty folder of a file that it misses.
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            if not os.path.lexists(path):
                # Whole or not at all: the next run takes what is there for complete.
                temporary = path + _files.TEMPORARY
                _files.remove_if_there(temporary)
                shutil.copy2(os.path.join(folder, name), temporary, follow_symlinks=False)
                _as_is(os.path.join(folder, name), temporary)
                os.rename(temporary, path)


def _as_is(source: str, target: str) -> None:
    was = os.lstat(source)
    os.chown(target, was.st_uid, was.st_gid, follow_symlinks=False)
    if not os.path.islink(target):
        os.chmod(target, was.st_mode & 0o7777)
