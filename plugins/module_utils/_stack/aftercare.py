# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program needs of a change beside its start, before the change is called good. Private to this collection.

A stack says which program that is (the option `program` of compose_stack); only FileBrowser needs anything.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    commands as _commands,
    documents as _documents,
    engine as _engine,
    failpoints as _failpoints,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import filebrowser as _filebrowser, wait as _wait

_FIRST_ANSWER = 20.0  # seconds for a FileBrowser that has just been started
_POLL = 0.05  # seconds


def refusal(program: str, files: dict[str, Any]) -> str:
    """Why a program would not serve with its new files, desired.File by path: one line, "" where it would."""
    if program != _filebrowser.PROGRAM:
        return ""
    try:
        return _filebrowser.refusal(files[_filebrowser.CONFIGURATION].data.decode())
    except _documents.DocumentError as error:
        return str(error)


def at_the_start(stack: str, generation: dict[str, Any]) -> Callable[[], None]:
    """What to do as soon as Compose has started a stack, so that nobody waits for it later.

    FileBrowser without a database makes one, in a process that signs with a key of its own: it is started once more.
    take() does the same where this could not.
    """
    database = os.path.join(generation["record"]["project_dir"], _filebrowser.DATABASE)
    if generation.get("program") != _filebrowser.PROGRAM or os.path.exists(database):
        return lambda: None

    def restart() -> None:
        wanted = _filebrowser.settings(generation["contents"][_filebrowser.CONFIGURATION])
        container = _wait.ids(stack, _engine.observe())[_filebrowser.SERVICE]
        network = generation["record"]["services"][_filebrowser.SERVICE]["networks"][0]
        api = _filebrowser.Api(_engine.address(container, network), wanted.port)
        end = time.monotonic() + _FIRST_ANSWER
        while time.monotonic() < end:
            with contextlib.suppress(_filebrowser.Unreachable):
                if _filebrowser.is_signing_with_another_key(api, wanted.key):
                    _commands.run(["docker", "restart", container])
                return
            time.sleep(_POLL)

    def begin() -> None:
        with contextlib.suppress(_filebrowser.Unreachable, _engine.EngineError, _documents.DocumentError, KeyError):
            restart()

    return begin


def take(
    generations: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]], healthy_before: set[str]
) -> dict[str, str]:
    """See healthy stacks through what a start alone does not do. Returns why, for each that does not serve after that.

    before are the generations that ran before, where there were any. A program that can't be asked is no failure of the
    change: what a customer notices of it, health says.
    """
    failed: dict[str, str] = {}
    for stack, generation in generations.items():
        if generation.get("program") == _filebrowser.PROGRAM:
            try:
                why = _browser(stack, generation, before.get(stack), healthy_before)
            except (_filebrowser.Unreachable, _engine.EngineError, _documents.DocumentError):
                continue
            failed |= {stack: why} if why else {}
    return failed


def _browser(stack: str, generation: dict[str, Any], before: dict[str, Any] | None, healthy_before: set[str]) -> str:
    """FileBrowser: a key that lasts, the password of the file, every source. Returns what a customer can't do."""
    config = generation["contents"][_filebrowser.CONFIGURATION]
    config_before = before["contents"].get(_filebrowser.CONFIGURATION) if before else None
    ids = _wait.ids(stack, _engine.observe())
    if config == config_before and ids == generation["ids_before"]:
        return ""
    wanted = _filebrowser.settings(config)
    network = generation["record"]["services"][_filebrowser.SERVICE]["networks"][0]

    def api() -> _filebrowser.Api:
        return _filebrowser.Api(_engine.address(ids[_filebrowser.SERVICE], network), wanted.port)

    def restart() -> str:
        _failpoints.failpoint(f"{stack}: restarting")
        _commands.run(["docker", "restart", ids[_filebrowser.SERVICE]])
        return _wait.wait({stack: generation}, healthy_before).get(stack, "")

    if _filebrowser.is_signing_with_another_key(api(), wanted.key):
        why = restart()
        if why:
            return why
    found = _filebrowser.state(api(), wanted)
    was_updated = _filebrowser.was_updated(found, wanted)
    sources_before = _filebrowser.settings(config_before).sources if config_before else []
    if sources_before != wanted.sources or not was_updated:
        _filebrowser.mend_links(api(), found, wanted, sources_before)
    if not was_updated:
        why = restart()
        if why:
            return why
        found = _filebrowser.state(api(), wanted)
    return _filebrowser.failure(found, wanted)
