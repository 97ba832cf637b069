# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a running FileBrowser as its first account does. Private to this collection."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import documents as _documents, engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.browser import Browser, Listed
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import filebrowser as _filebrowser

_LONGEST_WAIT = 7  # seconds; a log in more is allowed every six


def observe(
    record: dict[str, Any] | None, container: _engine.Container | None, said: str, patience: int
) -> Browser | None:
    """What FileBrowser answers; None where none runs that this collection configured, which other checks say.

    patience is in seconds, for the case that our own questions, one after the other, were too many log ins.
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
    try:
        found = _filebrowser.state(api, wanted)
        if found.login == 429 and 0 < found.retry_after <= min(patience, _LONGEST_WAIT):
            time.sleep(found.retry_after)
            found = _filebrowser.state(api, wanted)
        sources = _listed(api, wanted, found)
    except _filebrowser.Unreachable as error:
        return Browser(wanted.username, str(error), [], [], said)
    return Browser(wanted.username, found.login, [each["username"] for each in found.accounts], sources, said)


def _listed(api: _filebrowser.Api, wanted: _filebrowser.Settings, found: _filebrowser.State) -> list[Listed]:
    """The list of each source, where anything can be asked at all."""
    account = _filebrowser.own(found, wanted)
    if account is None:
        return []
    missing = _filebrowser.missing(account, wanted)
    listed = []
    for source in wanted.sources:
        if source.is_listed:
            answer = api.listing(found.token, source.name)
            has_access = source.name not in missing
            listed.append(Listed(source.name, source.path, has_access, answer.status, answer.message))
    return listed
