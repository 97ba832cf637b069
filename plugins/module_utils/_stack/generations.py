# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations: the sets of files a stack was, is and shall be, for the way back. Private to this collection.

Each is one file below generations/STACK/ in the state folder, so that it is there whole or not at all:

    next.json      what is being applied; written before the first file is touched
    good.json      what was last observed to be healthy
    previous.json  what was healthy before that
    displaced.json what was moved out of the stack's way, and has its place back when the stack is removed

A generation holds the stack's record (see drift), the content of every file that is not made once and kept, and of
next.json also what was healthy before it and which containers and units were moved out of its way.
"""

from __future__ import annotations

import json
import os

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import failpoints as _failpoints, files as _files
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NEXT, GOOD, PREVIOUS, REJECTED = "next", "good", "previous", "rejected"
DISPLACED = "displaced"


def folder(state_dir: str, stack: str) -> str:
    """Where a stack's generations lie."""
    return os.path.join(state_dir, "generations", stack)


def load(state_dir: str, stack: str, name: str) -> dict[str, Any] | None:
    """A generation, None where there is none, or none that can be read."""
    try:
        with open(_path(state_dir, stack, name), encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"record", "contents"} <= set(found) else None


def save(state_dir: str, stack: str, name: str, generation: dict[str, Any]) -> None:
    """Write a generation. It holds secrets, so only root may even see its folder."""
    _files.make_directory(state_dir, "0755", 0, 0)
    _files.make_directory(os.path.dirname(folder(state_dir, stack)), "0700", 0, 0)
    _files.make_directory(folder(state_dir, stack), "0700", 0, 0)
    _files.write_atomic(_path(state_dir, stack, name), json.dumps(generation).encode(), "0600", 0, 0)


def commit(state_dir: str, stacks: list[str]) -> None:
    """What was applied is healthy: it becomes the good generation, and the good one the previous."""
    recorded = _manifest.known(state_dir)["stacks"]
    for stack in stacks:
        after, before = load(state_dir, stack, NEXT), load(state_dir, stack, GOOD)
        if after is None:
            continue
        if before is not None and without_rendering(before["record"]) != without_rendering(after["record"]):
            save(state_dir, stack, PREVIOUS, before)
        os.rename(_path(state_dir, stack, NEXT), _path(state_dir, stack, GOOD))
        # Its secrets are not to stay longer than they are of use.
        _files.remove_if_there(_path(state_dir, stack, REJECTED))
        recorded[stack] = after["record"]
        _failpoints.failpoint(f"{stack}: committed")
    _manifest.save(state_dir, recorded)


def without_rendering(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what tells only how it came about."""
    return {key: value for key, value in record.items() if key != "rendering"}


def reject(state_dir: str, stack: str) -> None:
    """What was applied is not healthy. It is kept as rejected, to be examined, until the next change is healthy."""
    if load(state_dir, stack, NEXT) is not None:
        os.rename(_path(state_dir, stack, NEXT), _path(state_dir, stack, REJECTED))


def forget(state_dir: str, stack: str) -> None:
    """The stack was removed on request: what was good is what a rollback returns to."""
    good = load(state_dir, stack, GOOD)
    if good is not None:
        os.rename(_path(state_dir, stack, GOOD), _path(state_dir, stack, PREVIOUS))
    _files.remove_if_there(_path(state_dir, stack, DISPLACED))
    recorded = _manifest.known(state_dir)["stacks"]
    _manifest.save(state_dir, {name: record for name, record in recorded.items() if name != stack})


def names(state_dir: str) -> list[str]:
    """Stacks that have generations."""
    try:
        return sorted(os.listdir(os.path.join(state_dir, "generations")))
    except FileNotFoundError:
        return []


def write_files(generation: dict[str, Any], instead_of: dict[str, Any] | None) -> None:
    """Put a generation's files back on the disk, and take away those that only the other generation has."""
    record = generation["record"]
    root = record["project_dir"]
    for path, want in record["directories"].items():
        _files.make_directory(os.path.join(root, path), want["mode"], want["uid"], want["gid"])
    with _files.Staging() as staging:
        for path, text in generation["contents"].items():
            want = record["files"][path]
            staging.add(os.path.join(root, path), text.encode(), want["mode"], want["uid"], want["gid"])
    for path, was in (instead_of["record"]["files"] if instead_of else {}).items():
        if path not in record["files"] and not was["create_only"]:
            _files.remove_if_there(os.path.join(root, path))


def _path(state_dir: str, stack: str, name: str) -> str:
    return os.path.join(folder(state_dir, stack), f"{name}.json")
