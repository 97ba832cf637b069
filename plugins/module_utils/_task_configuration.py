# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a guest's configuration, on the guest. Run by guest_target; options and results: bootstrap_info. Private."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils import _bootstrap, _documents, _files, _observed


def run(module: AnsibleModule) -> None:
    """Read, resolve, return."""
    guest, digests = read_guest(module.params)
    observed = _observed.look(module.params["state_dir"])
    module.exit_json(changed=False, input_digests=digests, observed=observed, **guest._asdict())


def read_guest(params: dict[str, Any]) -> tuple[_bootstrap.Guest, dict[str, str]]:
    """Everything that the files and the inventory say, and the digests of the files that could be read."""
    problems: list[str] = []
    digests: dict[str, str] = {}

    def read(path: str, parse: Any) -> dict[str, Any] | None:
        try:
            text = _documents.read_text(path)
            if text is None:
                return None
            digests[path] = _files.digest(text.encode())
            return parse(path, text)
        except _documents.DocumentError as error:
            problems.append(str(error))
            return None

    bootstrap_file, controller_file = params["bootstrap_file"], params["controller_file"]
    compose_file = params["filebrowser_compose_file"]
    bootstrap = read(bootstrap_file, _documents.parse_json)
    controller = read(controller_file, _documents.parse_yaml)
    compose = read(compose_file, _documents.parse_yaml)
    mounted = _bootstrap.mounted_storage(compose_file, compose or {}, problems)
    guest = _bootstrap.resolve(
        (bootstrap_file, bootstrap),
        (controller_file, controller),
        (compose_file, mounted),
        params["overrides"],
        problems,
    )
    return guest, digests
