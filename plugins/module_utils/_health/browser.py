# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a running FileBrowser as its first account does. Private to this collection."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    documents as _documents,
    engine as _engine,
    files as _files,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.browser import Browser, Listed
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import filebrowser as _filebrowser

_LONGEST_WAIT = 7  # seconds; a log in more is allowed every six
_LET_IN = "filebrowser.let-in"  # in RUNTIME: a digest of what a log in that was let in depended on


def observe(
    record: dict[str, Any] | None, container: _engine.Container | None, said: str, patience: int, may_write: bool
) -> Browser | None:
    """What FileBrowser answers; None where none runs that this collection configured, which other checks say.

    A log in counts against its owner's limit and costs both sides the hash of a password. So one that was let in is
    noted, where that may be written, and not tried again until something is different. patience is in seconds, for the
    case that there were too many all the same.
    """
    if record is None or container is None or container.health != "healthy":
        return None
    try:
        with open(os.path.join(record["project_dir"], _filebrowser.CONFIGURATION), encoding="utf-8") as stream:
            wanted = _filebrowser.settings(stream.read())
        network = record["services"][_filebrowser.SERVICE]["networks"][0]
        api = _filebrowser.Api(_engine.address(container.id, network), wanted.port)
    except (OSError, UnicodeDecodeError, _documents.DocumentError, KeyError):
        return None  # what is not as recorded is said by the stack's check
    case = _case(container, os.path.join(record["project_dir"], _filebrowser.DATABASE), wanted)
    try:
        found = _filebrowser.state(api, wanted, was_let_in=bool(case) and _noted() == case)
        if found.login == 429 and 0 < found.retry_after <= min(patience, _LONGEST_WAIT):
            time.sleep(found.retry_after)
            found = _filebrowser.state(api, wanted)
        sources = _listed(api, wanted, found)
    except _filebrowser.Unreachable as error:
        return Browser(wanted.username, str(error), [], [], said)
    if found.login == 200 and may_write:
        note = os.path.join(_paths.RUNTIME, _LET_IN)
        os.makedirs(_paths.RUNTIME, mode=0o755, exist_ok=True)
        _files.write_atomic(note, case.encode(), "0600", os.geteuid(), os.getegid())
    return Browser(wanted.username, found.login, [each["username"] for each in found.accounts], sources, said)


def _case(container: _engine.Container, database: str, wanted: _filebrowser.Settings) -> str:
    """All that decides whether a log in is let in, as a digest; "" where that can't be known."""
    try:
        changed = os.stat(database).st_mtime_ns
    except OSError:
        return ""
    return _files.digest(json.dumps([container.id, changed, wanted.username, wanted.password]).encode())


def _noted() -> str:
    try:
        with open(os.path.join(_paths.RUNTIME, _LET_IN), encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return ""


def _listed(api: _filebrowser.Api, wanted: _filebrowser.Settings, found: _filebrowser.State) -> list[Listed]:
    """The list of each source, where anything can be asked at all."""
    account = _filebrowser.own(found, wanted)
    if account is None:
        return []
    missing = _filebrowser.missing(account, wanted)
    listed = []
    for source in wanted.sources:
        if source.is_listed:
            try:
                answer = api.listing(found.token, source.name)
                said = answer.status, answer.message
            except _filebrowser.Unreachable as error:
                # A disk that hangs, say.
                said = 0, str(error)
            listed.append(Listed(source.name, source.path, source.name not in missing, *said))
    return listed
