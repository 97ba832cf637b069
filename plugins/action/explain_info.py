# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says where each variable came from. Options and results: plugins/modules/explain_info.py."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _explain, _role_variables

_COLLECTION = pathlib.Path(__file__).resolve().parents[2]
_PREFIX = "felhom.base_infra."


Options = Mapping[str, Mapping[str, Any]]
"""A role's argument specification by variable."""


class ActionModule(ActionBase):
    """No module execution: everything is known here already."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({"found": {"type": "dict", "required": True}})
        found: dict[str, Any] = args["found"]
        missing = [key for key in ("config", "problems", "sources", "unknown_keys") if key not in found]
        if missing:
            why = "expected what felhom.base_infra.bootstrap_info returns"
            raise AnsibleActionFail(f"found: has no {missing[0]}; {why}")
        variables = (task_vars or {}) | {"guest_config_found": found}
        roles = self._roles(variables["inventory_hostname"])
        secrets = {name for options, _layers in roles.values() for name in options if options[name].get("no_log")}
        rows = _explain.explain(roles, found, secrets, self._renderer(list(roles), variables))
        notes = {
            "Wrong": list(found["problems"]),
            "Keys that mean nothing here": _explain.unknown_keys(found),
            "Variables that no role has": _strangers(roles, variables),
        }
        return result | {
            "changed": False,
            "variables": [row._asdict() for row in rows],
            "unknown": notes["Keys that mean nothing here"] + notes["Variables that no role has"],
            "table": _explain.table(rows, notes),
        }

    def _roles(self, hostname: str) -> dict[str, tuple[Options, list[_explain.Layer]]]:
        """The roles of site.yml, each with its options and the places that may set them, the strongest first."""
        (play,) = self._loader.load_from_file(str(_COLLECTION / "playbooks/site.yml"), trusted_as_template=True)
        manager = self._task.get_variable_manager()
        extra = _explain.Layer("--extra-vars", manager.extra_vars)
        # Without those of this play, in which the defaults of its roles are.
        host = manager._inventory.get_host(hostname)
        inventory = _explain.Layer("inventory", manager.get_vars(host=host, include_hostvars=False))
        roles: dict[str, tuple[Options, list[_explain.Layer]]] = {}
        for role, given in self._imported(play["tasks"]):
            handed = _explain.Layer("playbooks/site.yml", play["vars"] | given)
            defaults = _explain.Layer("role default", self._load(role, "defaults"))
            options = self._load(role, "meta", "argument_specs")["argument_specs"]["main"]["options"]
            roles[role] = (options, [extra, handed, inventory, defaults])
        return roles

    def _renderer(self, roles: list[str], variables: Mapping[str, Any]) -> Callable[[Any, list[_explain.Layer]], Any]:
        """Renders a value as the roles would, with the variables of its layers."""
        internal = [self._load(role, "vars") for role in roles]

        def render(raw: Any, layers: list[_explain.Layer]) -> Any:
            available = dict(variables)
            for values in [*(layer.values for layer in reversed(layers)), *internal]:
                available |= values
            try:
                return self._templar.copy_with_new_env(available_variables=available).template(raw)
            except AnsibleError as error:
                return f"can't be rendered: {error.message}"

        return render

    def _imported(self, tasks: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The roles that a playbook runs, in its order, with what it hands to each."""
        for task in tasks:
            for key in ("block", "rescue", "always"):
                yield from self._imported(task.get(key, []))
            for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                if action in task:
                    yield task[action]["name"].removeprefix(_PREFIX), task.get("vars", {})
            if file := task.get("ansible.builtin.include_tasks"):
                path = _COLLECTION / "playbooks" / file
                yield from self._imported(self._loader.load_from_file(str(path), trusted_as_template=True))

    def _load(self, role: str, folder: str, name: str = "main") -> dict[str, Any]:
        path = _COLLECTION / "roles" / role / folder / f"{name}.yml"
        return (self._loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}


def _strangers(roles: Mapping[str, tuple[Options, list[_explain.Layer]]], variables: Mapping[str, Any]) -> list[str]:
    """What to say of each variable that bears the prefix of a role that has no such option."""
    lines = []
    for role, (options, _layers) in roles.items():
        former = {name: option.get("aliases", []) for name, option in options.items()}
        # What a role registers or hands on has the role's prefix too.
        names = sorted(set(variables) - set(_published(role)))
        lines += [_role_variables.unknown(role, former, [name]) for name in names]
    return [line for line in lines if line]


def _published(role: str) -> list[str]:
    """Results that a role gives a name to for the playbooks."""
    return ["guest_config_found"] if role == "guest_config" else []
