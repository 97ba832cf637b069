# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose brings a project up in a process of its own, which ends what it began whoever asked for it. Private.

A converge is many executions of modules, and its controller may die between any two of them: what `docker compose up`
has begun is finished all the same. Below RUNTIME/up there are two files a project: one that the process locks while it
is at work, and one with what came of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    commands as _commands,
    files as _files,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired

LIMIT = 300.0  # seconds for a run of Compose; the images are there before it starts
_POLL = 0.05  # seconds between two tries


def start(
    project: str,
    project_dir: str,
    recreate: list[str],
    before_its_end: Callable[[], None] = lambda: None,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Bring a project up in the background, and do something there at its end and after that.

    recreate are services that Compose would leave as they are although they have to be made anew.
    """
    forget(project)
    os.makedirs(_folder(), mode=0o700, exist_ok=True)
    lock = os.open(_lock(project), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def work() -> None:
        wrong = _up(project, project_dir, recreate)
        if not wrong:
            before_its_end()
        text = json.dumps({"wrong": wrong})
        _files.write_atomic(_result(project), text.encode(), "0600", os.geteuid(), os.getegid())
        os.close(lock)
        then()

    try:
        _commands.run_detached(work, keep=(lock,))
    finally:
        os.close(lock)


def forget(project: str) -> None:
    """Wait until Compose has ended, and forget what came of it: a change that needs no Compose has no result of it."""
    if os.path.exists(_lock(project)):
        _wait_until_free(project)
        _files.remove_if_there(_lock(project))
        _files.remove_if_there(_result(project))


def result(project: str) -> str:
    """Wait until Compose has ended. Returns what went wrong, "" for nothing, also where it was never started."""
    if not os.path.exists(_lock(project)):
        return ""
    if not _wait_until_free(project):
        return f"Compose did not end within {LIMIT:.0f} s"
    try:
        with open(_result(project), encoding="utf-8") as stream:
            return str(json.load(stream)["wrong"])
    except (OSError, ValueError, KeyError):
        return "Compose was ended by something before it was done"


def _up(project: str, project_dir: str, recreate: list[str]) -> str:
    """Run Compose. Returns what went wrong."""
    compose = ["docker", "compose", "--ansi", "never", "--project-name", project, "--project-directory", project_dir]
    compose += ["--file", os.path.join(project_dir, _desired.COMPOSE_FILE)]
    # The images were proved present by digest; nothing is asked of a registry any more.
    up = [*compose, "up", "--detach", "--pull", "never"]
    commands = [[*up, "--force-recreate", "--no-deps", "--", *recreate]] if recreate else []
    for command in [*commands, [*up, "--remove-orphans"]]:
        code, _out, err = _commands.run(command)
        if code:
            return _commands.last_line(err)
    return ""


def _wait_until_free(project: str) -> bool:
    """Wait until no process brings the project up. Returns whether that came to be."""
    end = time.monotonic() + LIMIT
    while True:
        with open(_lock(project), "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > end:
                    return False
        time.sleep(_POLL)


def _folder() -> str:
    return os.path.join(_paths.RUNTIME, "up")


def _lock(project: str) -> str:
    return os.path.join(_folder(), f"{project}.lock")


def _result(project: str) -> str:
    return os.path.join(_folder(), f"{project}.json")
