# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's configuration: what its own files and the inventory say, merged and checked. Private to this collection.

The readers of files are in _documents; here everything is a function of documents that are read already.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import json
import posixpath
import re
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._documents import kind

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
# FileBrowser 1.5, backend/common/settings: SourceConfig. readOnly and defaultEnabled are the role's own.
SOURCE_OPTIONS: dict[str, type] = {
    "denyByDefault": bool,
    "private": bool,
    "disabled": bool,
    "rules": list,
    "defaultUserScope": str,
    "createUserDir": bool,
    "useLogicalSize": bool,
}

OVERRIDES = ["customer_id", "domain", "email", "cf_tunnel_token", "cf_api_token", "storage_paths", "protected"]
# Without these the guest is not configured yet.
NEEDED = ["domain", "email", "cf_tunnel_token", "cf_api_token"]

_MAX_UNKNOWN = 50  # names reported of one file


class Invalid(Exception):
    """A value is not what it must be. The text says what was found, never the value, and what is expected."""


class Source(NamedTuple):
    """Where a value came from: the file's name (or "inventory") and the key path there."""

    file: str
    key: str


class Guest(NamedTuple):
    """The outcome: see RETURN of the module bootstrap_info."""

    state: str
    config: dict[str, Any]
    sources: dict[str, str]
    unknown_keys: dict[str, list[str]]
    problems: list[str]
    waiting_for: str


def resolve(
    bootstrap: tuple[str, dict[str, Any] | None],
    controller: tuple[str, dict[str, Any] | None],
    mounted: tuple[str, list[dict[str, Any]]],
    overrides: dict[str, Any],
    problems: list[str],
    earlier_customer: str = "",
    was_configured: bool = False,
) -> Guest:
    """Merge and check. Each document comes with its file's name, None for a file that is absent or unreadable.

    problems are those of reading; what is wrong with values is added to them. earlier_customer is for whom the guest
    was converged before, "" for nobody; was_configured, whether its stacks were.
    """
    problems = list(problems)
    bootstrap_file, bootstrap_document = bootstrap
    controller_file, controller_document = controller
    found: dict[str, tuple[Source, Any]] = {}
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
    _refuse_two_customers(bootstrap_file, bootstrap_id, found, problems)
    for key in overrides:
        if key not in OVERRIDES:
            near = difflib.get_close_matches(key, OVERRIDES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{INVENTORY}: found an unknown key {key!r}; expected one of {', '.join(OVERRIDES)}{hint}")
        elif overrides[key] not in (None, "", []):
            found[key] = (Source(INVENTORY, f"guest_config_{key}"), overrides[key])
    config: dict[str, Any] = {key: "" for key in CONTROLLER_KEYS} | {
        "storage_paths": mounted[1],
        "protected": PROTECTED,
        "stacks_dir": STACKS_DIR,
    }
    sources = {key: "default" if config[key] else "" for key in config}
    if mounted[1]:
        sources["storage_paths"] = mounted[0]
    for key, (source, value) in found.items():
        try:
            config[key] = _CHECKS[key](value)
            sources[key] = source.file
        except Invalid as error:
            problems.append(f"{source.file}: {source.key}: {error}")
    _refuse_another_customer(earlier_customer, config["customer_id"], problems)
    missing = [key for key in NEEDED if key not in found]
    waiting_for = ""
    if missing and not problems:
        what = ", ".join(CONTROLLER_KEYS[key] for key in missing)
        where = controller_file if controller_document is not None else f"{controller_file}, which does not exist"
        if was_configured:
            # Half-written, or lost. To call that waiting would leave what is wrong with the guest as it is, silently.
            problems.append(f"{where}: found no {what}; expected what this guest was converged with before")
        else:
            waiting_for = f"{what} in {where}"
    state = "invalid" if problems else "waiting" if missing else "configured"
    unknown = {
        bootstrap_file: unknown_keys(bootstrap_document or {}, ["customer.id"]),
        controller_file: unknown_keys(controller_document or {}, [*CONTROLLER_KEYS.values(), "assets"]),
    }
    return Guest(state, config, sources, unknown, problems, waiting_for)


def _refuse_two_customers(bootstrap_file, bootstrap_id, found, problems) -> None:
    """A controller.yaml of somebody else, for instance on a restored disk, must not configure this guest."""
    source, value = found.get("customer_id", (None, None))
    if bootstrap_id is not None and source is not None and value != bootstrap_id:
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


def _text(value: Any, expected: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    return value


def check_customer_id(value: Any) -> str:
    """An id is any short, printable text."""
    text = _text(value, "the customer's id")
    if not text.strip() or len(text) > 255 or not text.isprintable():
        raise Invalid("found a text that is empty, too long or not printable; expected the customer's id")
    return text


def check_domain(value: Any) -> str:
    """A DNS name of two labels or more, in lower case."""
    expected = "a domain such as example.org"
    domain = _text(value, expected).lower().removesuffix(".")
    if not domain.isascii():
        raise Invalid("found a domain with letters outside of ASCII; expected its xn-- form")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(domain) > 253 or not re.fullmatch(rf"{label}(\.{label})+", domain) or _is_address(domain):
        raise Invalid(f"found a text that is no domain; expected {expected}")
    return domain


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_email(value: Any) -> str:
    """An address that a certificate authority takes: no display name, no quotes."""
    expected = "an e-mail address such as name@example.org"
    text = _text(value, expected)
    local, _at, domain = text.rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", local):
        raise Invalid(f"found a text that is no e-mail address; expected {expected}")
    try:
        check_domain(domain)
    except Invalid as error:
        raise Invalid(f"found an e-mail address without a valid domain; expected {expected}") from error
    return text


def check_tunnel_token(value: Any) -> str:
    """A tunnel's token: base64 of a JSON object with account, tunnel and secret. cloudflared takes an empty one."""
    expected = "the tunnel token as Cloudflare shows it"
    token = _text(value, expected).strip()
    try:
        decoded = json.loads(base64.b64decode(token, validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Invalid(
            f"found a text of {len(token)} characters that is not base64 of JSON; expected {expected}"
        ) from error
    if not isinstance(decoded, dict):
        raise Invalid(f"found base64 of {kind(decoded)}; expected {expected}")
    for key, what in (("a", "account"), ("t", "tunnel"), ("s", "secret")):
        if not isinstance(decoded.get(key), str) or not decoded[key]:
            raise Invalid(f"found a token without its part {key} ({what}); expected {expected}")
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", decoded["t"]):
        raise Invalid(f"found a token whose part t (tunnel) is no UUID; expected {expected}")
    try:
        base64.b64decode(decoded["s"], validate=True)
    except (ValueError, binascii.Error) as error:
        raise Invalid(f"found a token whose part s (secret) is not base64; expected {expected}") from error
    return token


def check_api_token(value: Any) -> str:
    """A Cloudflare API token: one word."""
    expected = "an API token of 20 to 200 characters without spaces"
    token = _text(value, expected).strip()
    if not re.fullmatch(r"[!-~]{20,200}", token):
        raise Invalid(f"found a text of {len(token)} characters that can't be one; expected {expected}")
    return token


def check_names(value: Any) -> list[str]:
    """Container names."""
    expected = "a list of container names"
    if not isinstance(value, list):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    for entry in value:
        if not isinstance(entry, str) or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", entry):
            raise Invalid(f"found an entry that is no container name; expected {expected}")
    return value


def check_path(value: Any) -> str:
    """An absolute path that means what it says."""
    expected = "an absolute path without '..'"
    path = _text(value, expected)
    if not path.startswith("/") or not path.isprintable() or len(path) > 4096 or ".." in path.split("/"):
        raise Invalid(f"found a text that is none; expected {expected}")
    normal = posixpath.normpath(path).replace("//", "/")
    if normal == "/":
        raise Invalid(f"found the root folder; expected {expected}")
    return normal


def check_storage_paths(value: Any) -> list[dict[str, Any]]:
    """Folders for the file browser, each a path or a mapping of path, name, read_only and options."""
    expected = "a list of paths, or of mappings with path, name, read_only and options"
    if not isinstance(value, list):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    storage: list[dict[str, Any]] = []
    for entry in value:
        given = {"path": entry} if isinstance(entry, str) else entry
        if not isinstance(given, dict) or not {"path"} <= set(given) <= {"path", "name", "read_only", "options"}:
            raise Invalid(f"found an entry that is neither; expected {expected}")
        path = check_path(given["path"])
        if path in [other["path"] for other in storage]:
            raise Invalid("found a path twice; expected each path once")
        read_only = given.get("read_only", False)
        if not isinstance(read_only, bool):
            raise Invalid(f"found {kind(read_only)} for read_only; expected true or false")
        taken = [other["name"] for other in storage]
        storage.append(
            {
                "path": path,
                "name": _storage_name(given.get("name"), path, taken),
                "read_only": read_only,
                "options": _source_options(given.get("options", {})),
            }
        )
    return storage


def _source_options(given: Any) -> dict[str, Any]:
    """What FileBrowser knows of a source beside path, name and readOnly; it ends at once for anything else there."""
    if not isinstance(given, dict):
        raise Invalid(f"found {kind(given)} for options; expected a mapping")
    for key, value in given.items():
        wanted = SOURCE_OPTIONS.get(key)
        if wanted is None:
            raise Invalid(f"found the unknown option {key!r} of a storage path; expected {', '.join(SOURCE_OPTIONS)}")
        if not isinstance(value, wanted):
            raise Invalid(f"found {kind(value)} for the option {key}; expected {kind(wanted())}")
    return given


def _storage_name(given: Any, path: str, taken: list[str]) -> str:
    """What the customer sees; FileBrowser skips a second source of the same name with nothing but a warning."""
    if given is not None:
        if not isinstance(given, str) or not given.strip() or not given.isprintable() or len(given) > 100:
            raise Invalid("found a storage name that is no short text; expected one")
        if given in taken:
            raise Invalid("found a storage name twice; expected each name once")
        return given
    base = posixpath.basename(path)
    return next(
        name
        for number in range(len(taken) + 1)
        if (name := base if not number else f"{base} {number + 1}") not in taken
    )


_CHECKS = {
    "customer_id": check_customer_id,
    "domain": check_domain,
    "email": check_email,
    "cf_tunnel_token": check_tunnel_token,
    "cf_api_token": check_api_token,
    "storage_paths": check_storage_paths,
    "protected": check_names,
    "stacks_dir": check_path,
}


def mounted_storage(file: str, document: dict[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """The folders that an existing compose file of FileBrowser mounts from outside of its own folder."""
    volumes = look_up(document, "services.filebrowser.volumes", file, problems)
    own = posixpath.dirname(file)
    entries = []
    for volume in volumes if isinstance(volumes, list) else []:
        source, read_only = _bind_mount(volume)
        if source and posixpath.isabs(source) and not (source + "/").startswith(own + "/"):
            entries.append({"path": source, "read_only": read_only})
    try:
        return check_storage_paths(entries)
    except Invalid as error:
        problems.append(f"{file}: services.filebrowser.volumes: {error}")
        return []


def _bind_mount(volume: Any) -> tuple[str, bool]:
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
