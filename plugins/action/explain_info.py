# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says where each variable came from. Options and results: plugins/modules/explain_info.py."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _explain, _role_variables

_COLLECTION = pathlib.Path(__file__).resolve().parents[2]
_PREFIX = "felhom.base_infra."


class ActionModule(ActionBase):
    """No module execution: everything is known here already."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({"found": {"type": "dict", "required": True}})
        task_vars = task_vars or {}
        (play,) = self._loader.load_from_file(str(_COLLECTION / "playbooks/site.yml"), trusted_as_template=True)
        variables = self._task.get_variable_manager()
        extra = _explain.Layer("--extra-vars", variables.extra_vars)
        # Without those of this play, in which the defaults of its roles are.
        host = variables._inventory.get_host(task_vars["inventory_hostname"])
        inventory = _explain.Layer("inventory", variables.get_vars(host=host, include_hostvars=False))
        roles: dict[str, tuple[dict[str, Any], list[_explain.Layer]]] = {}
        secrets: set[str] = set()
        strangers: list[str] = []
        for role, given in _imported(play["tasks"]):
            handed = _explain.Layer("playbooks/site.yml", play["vars"] | given)
            defaults = _explain.Layer("role default", self._load(role, "defaults"))
            specification = self._load(role, "meta", "argument_specs")["argument_specs"]["main"]["options"]
            roles[role] = (specification, [extra, handed, inventory, defaults])
            secrets |= {name for name, option in specification.items() if option.get("no_log")}
            former = {name: option.get("aliases", []) for name, option in specification.items()}
            # What a role registers or hands on has the role's prefix too.
            names = set(task_vars) - set(_published(role))
            strangers += filter(None, (_role_variables.unknown(role, former, [name]) for name in sorted(names)))
        internal = {role: self._load(role, "vars") for role in roles}

        def render(raw: Any, layers: list[_explain.Layer]) -> Any:
            variables = dict(task_vars) | {"guest_config_found": args["found"]}
            for layer in [*reversed(layers)]:
                variables |= layer.values
            for values in internal.values():
                variables |= values
            try:
                return self._templar.copy_with_new_env(available_variables=variables).template(raw)
            except AnsibleError as error:
                return f"can't be rendered: {error.message}"

        rows = _explain.explain(roles, args["found"], secrets, render)
        notes = {
            "Wrong": list(args["found"]["problems"]),
            "Keys that mean nothing here": _explain.unknown_keys(args["found"]),
            "Variables that no role has": strangers,
        }
        return result | {
            "changed": False,
            "variables": [row._asdict() for row in rows],
            "unknown": notes["Keys that mean nothing here"] + strangers,
            "table": _explain.table(rows, notes),
        }

    def _load(self, role: str, folder: str, name: str = "main") -> dict[str, Any]:
        path = _COLLECTION / "roles" / role / folder / f"{name}.yml"
        return (self._loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}


def _imported(tasks: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The roles that a playbook runs, in its order, with what it hands to each."""
    for task in tasks:
        for key in ("block", "rescue", "always"):
            yield from _imported(task.get(key, []))
        for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            if action in task:
                yield task[action]["name"].removeprefix(_PREFIX), task.get("vars", {})


def _published(role: str) -> list[str]:
    """Results that a role gives a name to for the playbooks."""
    return ["guest_config_found"] if role == "guest_config" else []
