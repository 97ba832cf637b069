# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which value a variable has, and which of the places that set it won. Private."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import merge as _merge
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import diff as _diff

try:  # what Ansible's own error messages point with; private to it, so nothing depends on it but the words
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None

_SHOWN = 90  # characters of a value
_CONFIG = re.compile(r"guest_config_found\.config\.(\w+)")


class Row(NamedTuple):
    """One variable."""

    name: str
    value: str
    source: str


class Layer(NamedTuple):
    """Variables of one kind; place is what to say of one whose origin Ansible does not tell."""

    place: str
    values: Mapping[str, Any]


class Variable(NamedTuple):
    """The value that won, not rendered yet, and from where."""

    raw: Any
    layer: Layer


def winner(name: str, layers: list[Layer]) -> Variable | None:
    """The first layer that has a value. None for a variable that is nowhere."""
    return next((Variable(layer.values[name], layer) for layer in layers if name in layer.values), None)


def source(variable: Variable, found: Mapping[str, Any], layers: list[Layer]) -> str:
    """Where a variable came from, through what the playbook hands on to where that came from."""
    key = _CONFIG.search(variable.raw) if isinstance(variable.raw, str) else None
    return config_source(key[1], found, layers) if key else origin(variable)


def config_source(key: str, found: Mapping[str, Any], layers: list[Layer]) -> str:
    """Where a key of the guest's configuration came from."""
    place: str = found["sources"].get(key, "")
    if place == _merge.INVENTORY:
        given = winner(f"guest_config_{key}", layers)
        return origin(given) if given is not None else place
    path = _merge.CONTROLLER_KEYS.get(key, "")
    if place.endswith(".yaml") and path:
        return f"{place}: {path}"
    return {"default": "default", "": "not given"}.get(place, place)


def origin(variable: Variable) -> str:
    """File and line where there are some."""
    tag = Origin.get_tag(variable.raw) if Origin is not None else None
    if tag is None:
        return variable.layer.place
    if tag.path is None:
        return str(tag)
    where = os.path.relpath(tag.path) + (f":{tag.line_num}" if tag.line_num else "")
    return where if variable.layer.place in where else f"{variable.layer.place}, {where}"


def shown(value: Any, secret: bool) -> str:
    """A value in a table: a secret as the first digits of its SHA-256, which also stand in diffs."""
    if secret and value not in ("", [], {}, None):
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return f"(secret, SHA-256 begins with {_files.digest(text.encode())[: _diff.SHOWN_DIGITS]})"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def unknown_keys(found: Mapping[str, Any]) -> list[str]:
    """Keys of the guest's files that mean nothing here, with the one that may have been meant."""
    lines = []
    for file, names in found["unknown_keys"].items():
        known = ["customer.id"] if file.endswith(".json") else list(_merge.CONTROLLER_KEYS.values())
        for name in names:
            close = difflib.get_close_matches(name, known, 1, 0.8)
            lines.append(f"{file}: {name}" + (f"; did you mean {close[0]}?" if close else ""))
    return lines


def table(rows: list[Row], notes: Mapping[str, list[str]]) -> str:
    """Aligned lines for a terminal."""
    widths = [max((len(part) for part in column), default=0) for column in zip(*rows, strict=True)][:2]
    lines = [f"{row.name:<{widths[0]}}  {row.value:<{widths[1]}}  {row.source}" for row in rows]
    for title, entries in notes.items():
        if entries:
            lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def explain(
    roles: Mapping[str, tuple[Mapping[str, Any], list[Layer]]],
    found: Mapping[str, Any],
    secrets: set[str],
    render: Callable[[Any, list[Layer]], Any],
) -> list[Row]:
    """The guest's configuration, then every variable of every role. roles has for each its options and its layers."""
    config_layers = next(iter(roles.values()))[1]
    rows = [
        Row(key, shown(value, f"guest_config_{key}" in secrets), config_source(key, found, config_layers))
        for key, value in found.get("config", {}).items()
    ]
    for options, layers in roles.values():
        for name in options:
            variable = winner(name, layers)
            if variable is not None:
                value = shown(render(variable.raw, layers), name in secrets)
                rows.append(Row(name, value, source(variable, found, layers)))
    return rows
