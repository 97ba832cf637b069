# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's configuration: what its own files and the inventory say, merged and checked. Private to this collection.

Everything is a function of documents that are read already, see _guest.documents.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from typing import Any, NamedTuple, Optional

from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.documents import kind

INVENTORY = "inventory"
PROTECTED = ["traefik", "cloudflared", "felhom-controller", "filebrowser"]
STACKS_DIR = "/opt/docker/stacks"

# Key of the configuration to key path in controller.yaml.
CONTROLLER_KEYS = {
    "customer_id": "customer.id",
    "domain": "customer.domain",
    "email": "customer.email",
    "cf_tunnel_token": "infrastructure.cf_tunnel_token",
    "cf_api_token": "infrastructure.cf_api_token",
    "storage_paths": "storage.paths",
    "protected": "stacks.protected",
    "stacks_dir": "paths.stacks_dir",
}

OVERRIDES = ["customer_id", "domain", "email", "cf_tunnel_token", "cf_api_token", "storage_paths", "protected"]
# Without these the guest is not configured yet.
NEEDED = ["domain", "email", "cf_tunnel_token", "cf_api_token"]

_MAX_UNKNOWN = 50  # names reported of one file


class Source(NamedTuple):
    """Where a value came from: the file's name (or "inventory") and the key path there."""

    file: str
    key: str


Document = tuple[str, Optional[dict[str, Any]]]  # noqa: UP045  a Proxmox node may have Python 3.9
"""A file's name and its content, None for a file that is absent or unreadable."""

Found = dict[str, tuple[Source, Any]]
"""By key of the configuration: a value that is not checked yet, and where it is from."""


class Configuration(NamedTuple):
    """The outcome: see RETURN of the module bootstrap_info."""

    state: str
    config: dict[str, Any]
    sources: dict[str, str]
    unknown_keys: dict[str, list[str]]
    problems: list[str]
    waiting_for: str


class Mounted(NamedTuple):
    """The folders that FileBrowser's compose file mounts, or why nobody knows."""

    file: str
    storage: list[_values.Storage]
    problem: str


class Invalid(Exception):
    """A compose file says nothing that can be adopted. The text is one line."""


def resolve(
    bootstrap: Document,
    controller: Document,
    mounted: Mounted,
    overrides: dict[str, Any],
    problems: list[str],
    earlier_customer: str = "",
    was_configured: bool = False,
) -> Configuration:
    """Merge and check.

    problems are those of reading; what is wrong with values is added to them. earlier_customer is for whom the guest
    was converged before, "" for nobody; was_configured, whether its stacks were.
    """
    problems = list(problems)
    found = _found(bootstrap, controller, overrides, problems)
    config, sources = _checked(found, mounted, problems)
    _refuse_another_customer(earlier_customer, config["customer_id"], problems)
    bootstrap_file, bootstrap_document = bootstrap
    controller_file, controller_document = controller
    missing = [key for key in NEEDED if key not in found]
    waiting_for = ""
    if missing and not problems:
        what = ", ".join(CONTROLLER_KEYS[key] for key in missing)
        where = controller_file if controller_document is not None else f"{controller_file}, which does not exist"
        if was_configured:
            # Half-written, or gone. To call that waiting would leave the guest as it is, silently.
            problems.append(f"{where}: found no {what}; expected what this guest was converged with before")
        else:
            waiting_for = f"{what} in {where}"
    state = "invalid" if problems else "waiting" if missing else "configured"
    unknown = {
        bootstrap_file: unknown_keys(bootstrap_document or {}, ["customer.id"]),
        controller_file: unknown_keys(controller_document or {}, [*CONTROLLER_KEYS.values(), "assets"]),
    }
    return Configuration(state, config, sources, unknown, problems, waiting_for)


def _found(bootstrap: Document, controller: Document, overrides: dict[str, Any], problems: list[str]) -> Found:
    """What each place says; a later one wins."""
    bootstrap_file, bootstrap_document = bootstrap
    controller_file, controller_document = controller
    found: Found = {}
    bootstrap_id = look_up(bootstrap_document or {}, "customer.id", bootstrap_file, problems)
    if bootstrap_id is not None:
        found["customer_id"] = (Source(bootstrap_file, "customer.id"), bootstrap_id)
    elif bootstrap_document is not None:
        problems.append(f"{bootstrap_file}: customer.id: found nothing; expected the customer's id")
    for key, path in CONTROLLER_KEYS.items():
        value = look_up(controller_document or {}, path, controller_file, problems)
        # An empty value is one that the controller does not know yet.
        if value not in (None, "", []):
            found[key] = (Source(controller_file, path), value)
    if bootstrap_id is not None:
        _refuse_two_customers(bootstrap_file, bootstrap_id, found, problems)
    for key, value in overrides.items():
        if key not in OVERRIDES:
            near = difflib.get_close_matches(key, OVERRIDES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{INVENTORY}: found an unknown key {key!r}; expected one of {', '.join(OVERRIDES)}{hint}")
        elif value not in (None, "", []):
            found[key] = (Source(INVENTORY, f"guest_config_{key}"), value)
    return found


def _checked(found: Found, mounted: Mounted, problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Every key's value, and the file that it is from: a default where nothing was found, or nothing valid."""
    config: dict[str, Any] = {key: "" for key in CONTROLLER_KEYS} | {
        "storage_paths": mounted.storage,
        "protected": PROTECTED,
        "stacks_dir": STACKS_DIR,
    }
    sources = {key: "default" if config[key] else "" for key in config}
    if mounted.storage:
        sources["storage_paths"] = mounted.file
    if mounted.problem and "storage_paths" not in found:
        problems.append(mounted.problem)
    for key, (source, value) in found.items():
        try:
            config[key] = _values.CHECKS[key](value)
            sources[key] = source.file
        except _values.Invalid as error:
            problems.append(f"{source.file}: {source.key}: {error}")
    return config, sources


def _refuse_two_customers(bootstrap_file: str, bootstrap_id: object, found: Found, problems: list[str]) -> None:
    """A controller.yaml of somebody else, for instance on a restored disk, must not configure this guest."""
    source, value = found["customer_id"]
    if value != bootstrap_id:
        problems.append(
            f"{source.file}: {source.key}: found another customer than {bootstrap_file} names; "
            "expected the same customer.id in both"
        )


def _refuse_another_customer(earlier: str, now: str, problems: list[str]) -> None:
    """A clone of a customer's guest, instead of the golden image, holds that customer's files and passwords."""
    if earlier and now and earlier != now:
        problems.append(
            f"manifest.json: this guest was converged for customer {earlier}; found customer {now} now; clone the "
            "golden image instead, or remove manifest.json if the guest is to change hands with all that is on it"
        )


def look_up(document: dict[str, Any], path: str, file: str, problems: list[str]) -> Any:
    """The value at a dotted path, None where there is none; what is no mapping on the way there is a problem."""
    value: Any = document
    walked: list[str] = []
    for key in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            problem = f"{file}: {'.'.join(walked)}: found {kind(value)}; expected a mapping"
            if problem not in problems:
                problems.append(problem)
            return None
        value = value.get(key)
        walked.append(key)
    return value


def unknown_keys(document: dict[str, Any], known: list[str]) -> list[str]:
    """Names of keys that mean nothing here. A name that does not look like one may be a value, and is only counted."""
    names: list[str] = []
    odd = 0

    def walk(mapping: dict[str, Any], prefix: str) -> None:
        nonlocal odd
        for key, value in mapping.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key):
                odd += 1
                continue
            path = f"{prefix}{key}"
            if path in known:
                continue
            if isinstance(value, dict) and any(entry.startswith(f"{path}.") for entry in known):
                walk(value, f"{path}.")
            else:
                names.append(path)

    walk(document, "")
    names.sort()
    hidden = odd + max(0, len(names) - _MAX_UNKNOWN)
    return names[:_MAX_UNKNOWN] + ([f"and {hidden} more"] if hidden else [])


def mounted_storage(file: str, document: dict[str, Any]) -> Mounted:
    """The folders that a compose file of FileBrowser mounts from outside of its own folder. Raises Invalid."""
    problems: list[str] = []
    volumes = look_up(document, "services.filebrowser.volumes", file, problems)
    if problems:
        raise Invalid(problems[0])
    own = posixpath.dirname(file)
    entries = []
    for volume in volumes if isinstance(volumes, list) else []:
        source, read_only = _bind_mount(volume)
        if source and posixpath.isabs(source) and not (source + "/").startswith(own + "/"):
            entries.append({"path": source, "read_only": read_only})
    try:
        return Mounted(file, _values.check_storage_paths(entries), "")
    except _values.Invalid as error:
        raise Invalid(f"{file}: services.filebrowser.volumes: {error}") from error


def _bind_mount(volume: object) -> tuple[str, bool]:
    """Source and read-only flag of a volume in compose's short or long form; no source for what is no bind mount."""
    if isinstance(volume, str):
        source, _colon, rest = volume.partition(":")
        return _literal(source), "ro" in rest.split(":")[1:] if rest else False
    if isinstance(volume, dict) and volume.get("type") == "bind" and isinstance(volume.get("source"), str):
        return _literal(volume["source"]), volume.get("read_only") is True
    return "", False


def _literal(text: str) -> str:
    """Compose's escape undone."""
    return text.replace("$$", "$")
