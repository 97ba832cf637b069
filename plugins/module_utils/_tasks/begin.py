# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a guest's configuration, on the guest. Run by guest_look; options and results: bootstrap_info. Private."""

from __future__ import annotations

import os
import time
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
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest, survey as _survey


def run(module: AnsibleModule) -> None:
    """Take the guest's lock where that is asked for; read, resolve, return."""
    params = module.params
    if params["lock"] and not module.check_mode:
        void = params["lock"].pop("void")
        held = _lock.take(_lock.Holder(**params["lock"]), void and _lock.Holder(**void))
        if held is not None:
            module.exit_json(changed=False, held_by=held._asdict())
    wait_for_engine(params["engine_timeout"])
    guest, digests = read_guest(params)
    observed = _survey.survey(params["state_dir"]) | {"collection": installed_collection()}
    module.exit_json(changed=False, input_digests=digests, observed=observed, **guest._asdict())


def wait_for_engine(seconds: int) -> None:
    """Until the engine answers: its unit is up some moments before. One that never does is told by who needs it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            _engine.get("/version")
            return
        except _engine.EngineError:
            time.sleep(0.2)


def earlier(state_dir: str) -> dict[str, Any]:
    """What merge.resolve() asks about the last converge."""
    try:
        converged = _manifest.read(state_dir)["converged"]
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


def read_guest(params: dict[str, Any]) -> tuple[_merge.Configuration, dict[str, str]]:
    """Everything that the files and the inventory say, and the digests of the files that could be read."""
    problems: list[str] = []
    digests: dict[str, str] = {}

    def read(path: str, parse: Any) -> dict[str, Any] | None:
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
    compose_file = params["filebrowser_compose_file"]
    bootstrap = read(bootstrap_file, _documents.parse_json)
    controller = read(controller_file, _documents.parse_yaml)
    compose = read(compose_file, _documents.parse_yaml)
    mounted = _merge.mounted_storage(compose_file, compose or {}, problems)
    guest = _merge.resolve(
        (bootstrap_file, bootstrap),
        (controller_file, controller),
        (compose_file, mounted),
        params["overrides"],
        problems,
        **earlier(params["state_dir"]),
    )
    return guest, digests
