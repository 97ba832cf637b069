# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The begin of a run: take the guest's lock, read its configuration, survey what was applied. Private.

Run by guest_run; options and results: converge_begin and, for what takes no lock, bootstrap_info.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import merge as _merge
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    documents as _documents,
    engine as _engine,
    files as _files,
    lock as _lock,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    generations as _generations,
    manifest as _manifest,
    survey as _survey,
)

_COMPOSE_FILE = "docker-compose.yml"


def begin(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the guest's lock where a run is given; read, resolve, survey."""
    run = arguments["run"]
    if run and not module.check_mode:
        void = arguments["void"]
        held = _lock.take(_lock.Holder(**run), void and _lock.Holder(**void))
        if held is not None:
            return {"changed": False, "held_by": held._asdict()}
    try:
        wait_for_engine(arguments["engine_timeout"])
        guest, digests = read_guest(arguments, module.warn)
        observed = _survey.survey(_paths.STATE_DIR) | {"collection": installed_collection()}
    except BaseException:
        # Nobody would know that there is something to give back.
        if run and not module.check_mode:
            _lock.give_back(_lock.Holder(**run))
        raise
    return {"changed": False, "input_digests": digests, "observed": observed, **guest._asdict()}


def wait_for_engine(seconds: int) -> None:
    """Until the engine answers: its unit is up some moments before. Whoever needs one that never does reports it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            _engine.get("/version")
            return
        except _engine.EngineError:
            time.sleep(0.2)


def mounted(compose_file: str, warn: Callable[[str], None]) -> _merge.Mounted:
    """The folders that FileBrowser's compose file mounts.

    It is ours to write, so one that can't be read is no reason to leave anything as it is: it is rendered anew, with
    the folders of the one that was applied last.
    """
    try:
        return _merge.mounted_storage(compose_file, _read_compose(compose_file))
    except (_documents.DocumentError, _merge.Invalid) as error:
        good = _generations.load(_paths.STATE_DIR, "filebrowser", _generations.GOOD)
        try:
            text = good["contents"][_COMPOSE_FILE] if good else ""
            applied = _merge.mounted_storage(compose_file, _documents.parse_yaml(compose_file, text))
        except (_documents.DocumentError, _merge.Invalid, KeyError):
            return _merge.Mounted(compose_file, [], str(error))
        warn(f"{error}. It is rendered anew, with the folders that were applied last")
        return applied


def _read_compose(path: str) -> dict[str, Any]:
    data = _documents.read(path)
    return {} if data is None else _documents.parse_yaml(path, _documents.decode(path, data))


def earlier() -> dict[str, Any]:
    """What merge.resolve() asks about the last converge."""
    try:
        converged = _manifest.read(_paths.STATE_DIR)["converged"]
    except _manifest.ManifestError:
        return {}  # said by the health check
    return {
        "earlier_customer": converged.get("customer", ""),
        "was_configured": converged.get("result") in ("changed", "unchanged"),
    }


def installed_collection() -> dict[str, str]:
    """Commits of the guest's own mirror and of what is installed from it, "" where the guest has none."""
    try:
        settings = _state.settings()
    except _state.SettingsError:
        return {"mirror": "", "library": ""}
    current = os.path.join(_paths.LIBRARY, "current")
    library = os.readlink(current) if os.path.islink(current) else ""
    return {"mirror": _state.head(settings.mirror, settings.ref), "library": library}


def read_guest(params: dict[str, Any], warn: Callable[[str], None]) -> tuple[_merge.Configuration, dict[str, str]]:
    """Everything that the files and the inventory say, and the digests of the files that could be read."""
    problems: list[str] = []
    digests: dict[str, str] = {}

    def read(path: str, parse: Callable[[str, str], dict[str, Any]]) -> dict[str, Any] | None:
        try:
            data = _documents.read(path)
            if data is None:
                return None
            # Of the bytes, and of what a link points to, as the gate does it.
            digests[path] = _files.digest(data)
            return parse(path, _documents.decode(path, data))
        except _documents.DocumentError as error:
            problems.append(str(error))
            return None

    bootstrap_file, controller_file = params["bootstrap_file"], params["controller_file"]
    bootstrap = read(bootstrap_file, _documents.parse_json)
    controller = read(controller_file, _documents.parse_yaml)
    guest = _merge.resolve(
        (bootstrap_file, bootstrap),
        (controller_file, controller),
        mounted(params["filebrowser_compose_file"], warn),
        params["overrides"],
        problems,
        **earlier(),
    )
    return guest, digests
