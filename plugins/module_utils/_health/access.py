# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What FileBrowser's process may do in the folders that the customer sees. Private to this collection.

The kernel is asked, for the folders as the process has them and with its user and groups: so access lists, mounts that
are read-only and ids that are mapped count as they do for the customer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import controller as _controller
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.stacks import Access

_LIMIT = 5.0  # seconds for all folders; a disk that hangs lets nobody go who asks
_SOURCES = "/srv/"  # below it the role mounts every folder of the customer's


class _Process(NamedTuple):
    """A process, with the ids under which it opens files."""

    pid: int
    uid: int
    gid: int
    groups: list[int]


def observe(container: _engine.Container | None) -> list[Access]:
    """Each folder that a running FileBrowser serves; [] where none runs, or where root runs it.

    Root of a container without capabilities is not root to the kernel, and we can't ask as one. A folder that gives no
    answer is not among them: whether it is listed in time is another check's.
    """
    if container is None or container.state != "running":
        return []
    try:
        found = _engine.get(f"/containers/{container.id}/json")
        process = _process(found["State"]["Pid"])
        mounts = [each for each in found["Mounts"] if each["Destination"].startswith(_SOURCES)]
        folders = [_controller.inside(process.pid, each["Destination"]) for each in mounts]
    except (FileNotFoundError, ProcessLookupError, _engine.EngineError):
        return []  # it ended meanwhile, which another check says
    answers = _answers(process, folders) if process.uid else []
    return [
        _access(each["Source"], not each["RW"], process, *answer)
        for each, answer in zip(mounts, answers, strict=False)
        if answer
    ]


def _process(pid: int) -> _Process:
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        status = dict(line.rstrip("\n").partition(":\t")[::2] for line in stream)
    # Of four ids the last is the one for files.
    return _Process(
        pid,
        int(status["Uid"].split()[3]),
        int(status["Gid"].split()[3]),
        [int(each) for each in status["Groups"].split()],
    )


def _access(
    path: str,
    read_only: bool,
    process: _Process,
    may_read: bool,
    may_write: bool,
    mount_is_read_only: bool,
    owner: str,
    mode: int,
) -> Access:
    return Access(
        path=path,
        read_only=read_only,
        may_read=may_read,
        may_write=may_write,
        mount_is_read_only=mount_is_read_only,
        owner=owner,
        mode=f"{mode:04o}",
        user=f"{process.uid}:{process.gid}",
        node_user=f"{_on_node('uid', process.uid)}:{_on_node('gid', process.gid)}",
    )


def _answers(process: _Process, folders: list[str]) -> list[list[Any]]:
    """What _look() finds for each of the folders, [] where that is nothing, or not in time."""
    asked = [_ask(process, folder) for folder in folders]
    answers: list[list[Any]] = []
    end = time.monotonic() + _LIMIT
    for child, reading in asked:
        ready = select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]
        answer = os.read(reading, select.PIPE_BUF) if ready else b""
        os.close(reading)
        answers.append(json.loads(answer) if answer else [])
        if not ready:
            os.kill(child, signal.SIGKILL)
        # One that waits for a disk is not killed before that answers.
        os.waitpid(child, 0 if ready else os.WNOHANG)
    return answers


def _ask(process: _Process, folder: str) -> tuple[int, int]:
    """A child that looks, and where its answer can be read."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        # Nothing of what we are may run on in the child: no cleaning up, no output.
        try:
            os.write(writing, json.dumps(_look(process, folder)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def _look(process: _Process, folder: str) -> list[Any]:
    """What _access() is given last, found out as a process of the user's."""
    # Opened before: what is above a folder in the guest is not above it in the container.
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    found, room = os.stat(opened), os.statvfs(opened)
    os.setgroups(process.groups)
    os.setresgid(process.gid, process.gid, process.gid)
    os.setresuid(process.uid, process.uid, process.uid)
    return [
        os.access(".", os.R_OK | os.X_OK, dir_fd=opened),
        os.access(".", os.W_OK | os.X_OK, dir_fd=opened),
        bool(room.f_flag & os.ST_RDONLY),
        f"{found.st_uid}:{found.st_gid}",
        found.st_mode & 0o7777,
    ]


def _on_node(kind: str, number: int) -> int:
    """What a user's or group's number of this guest is on its node."""
    with open(f"/proc/self/{kind}_map", encoding="utf-8") as stream:
        for line in stream:
            inside, outside, count = (int(word) for word in line.split())
            if inside <= number < inside + count:
                return outside + number - inside
    return number
