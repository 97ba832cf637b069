# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's variables may be: names that it knows, values that its argument specification allows. Private."""

from __future__ import annotations

import difflib
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

_OWN_ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"


def refuse_unknown(task_vars: Mapping[str, Any], registered: str | Mapping[str, str] | None) -> None:
    """Fail for a variable that the running role would ignore without a word.

    A role's variables are the options of its argument specification, whose aliases are names that an option had before.
    registered is the name that the role itself gives to the result of the task that asks; from ansible-core 2.21 on, it
    is names, each with what it is to hold.
    """
    role = _running(task_vars)
    if role is None:
        return
    named = registered if isinstance(registered, Mapping) else [registered]
    former = {name: option.get("aliases", []) for name, option in _options(role).items()}
    message = unknown(role.name, former, set(task_vars).difference(named))
    if message:
        raise AnsibleActionFail(message)


def checked(task_vars: Mapping[str, Any], template: Callable[[Any], Any]) -> dict[str, Any]:
    """The running role's variables, templated. Fails for one that its argument specification refuses.

    Ansible does it too, in a task of its own before each role, which costs as much as the role's own task does where
    nothing differs; so the playbooks switch that off (rolespec_validate).
    """
    role = _running(task_vars)
    if role is None:
        return {}
    options = _options(role)
    variables: dict[str, Any] = template({name: task_vars[name] for name in options if name in task_vars})
    found = ArgumentSpecValidator(options).validate(variables)
    if found.error_messages:
        raise AnsibleActionFail(f"role {role.name}: {'; '.join(found.error_messages)}")
    return variables


def _running(task_vars: Mapping[str, Any]) -> pathlib.Path | None:
    """The role that a task is in, if it is one of this collection's. Names of others are their own."""
    path = pathlib.Path(task_vars["role_path"]) if "role_path" in task_vars else None
    return path if path and path.resolve().parent == _OWN_ROLES else None


def unknown(role: str, options: Mapping[str, list[str]], names: Iterable[str]) -> str:
    """What to say of the first of the names that bears the role's prefix and is none of its options, "" for nothing.

    options are the former names of each option.
    """
    strangers = sorted(name for name in names if name.startswith(f"{role}_") and name not in options)
    if not strangers:
        return ""
    name = strangers[0]
    renamed = [option for option, former in options.items() if name in former]
    if renamed:
        return f"variable {name} is called {renamed[0]} now"
    close = difflib.get_close_matches(name, options, 1, 0.8)
    advice = f"did you mean {close[0]}?" if close else f"'ansible-doc -t role felhom.base_infra.{role}' lists all"
    return f"unknown variable {name}: role {role} has no such option; {advice}"


@functools.cache
def _options(role: pathlib.Path) -> dict[str, dict[str, Any]]:
    specification = yaml.load((role / "meta/argument_specs.yml").read_bytes(), Loader=yaml.CSafeLoader)
    options: dict[str, dict[str, Any]] = specification["argument_specs"]["main"]["options"]
    return options
