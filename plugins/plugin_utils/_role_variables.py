# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that bear a role's prefix and are none of its own: misspelt, renamed or removed ones. Private."""

from __future__ import annotations

import difflib
import functools
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail

_OWN_ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"


def refuse_unknown(task_vars: Mapping[str, Any], registered: str | Mapping[str, str] | None) -> None:
    """Fail for a variable that the running role would ignore without a word.

    A role's variables are the options of its argument specification, whose aliases are names that an option had before.
    registered is the name that the role itself gives to the result of the task that asks; from ansible-core 2.21 on, it
    is names, each with what it is to hold.
    """
    if "role_path" not in task_vars:
        return
    path = pathlib.Path(task_vars["role_path"])
    if path.resolve().parent != _OWN_ROLES:
        return  # somebody else's role, whose names are his
    named = registered if isinstance(registered, Mapping) else [registered]
    message = unknown(path.name, _options(path), set(task_vars).difference(named))
    if message:
        raise AnsibleActionFail(message)


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
def _options(role: pathlib.Path) -> dict[str, list[str]]:
    specification = yaml.load((role / "meta/argument_specs.yml").read_bytes(), Loader=yaml.CSafeLoader)
    options = specification["argument_specs"]["main"]["options"]
    return {name: option.get("aliases", []) for name, option in options.items()}
