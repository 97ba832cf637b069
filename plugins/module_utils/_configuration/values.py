# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each value of a guest's configuration must be. Private to this collection."""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import json
import posixpath
import re
from collections.abc import Callable
from typing import Any, TypedDict

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.documents import kind

# Options of a source, as FileBrowser 1.5.5 has them in backend/common/settings/structs.go (SourceConfig,
# ConditionalFilter, ConditionalRule), the deprecated ones too. It ends at once for any other key or type, which costs
# a restart and a way back. When the pin moves to another release, compare with that file there: add what is new, and
# what is gone to what is refused.
_RULE: dict[str, Any] = {
    "neverWatchPath": str,
    "includeRootItem": str,
    "fileStartsWith": str,
    "folderStartsWith": str,
    "fileEndsWith": str,
    "folderEndsWith": str,
    "folderPath": str,
    "filePath": str,
    "fileNames": str,
    "folderNames": str,
    "fileName": str,
    "folderName": str,
    "viewable": bool,
    "ignoreHidden": bool,
    "ignoreZeroSizeFolders": bool,
    "ignoreSymlinks": bool,
}
SOURCE_OPTIONS: dict[str, Any] = {
    "denyByDefault": bool,
    "private": bool,
    "disabled": bool,
    "indexingIntervalMinutes": int,
    "conditionals": {"hidden": bool, "ignoreHidden": bool, "ignoreZeroSizeFolders": bool, "rules": [_RULE]},
    "rules": [_RULE],
    "defaultUserScope": str,
    "createUserDir": bool,
    "useLogicalSize": bool,
}
# What the role says of every source itself.
_OWN_OPTIONS = {
    "readOnly": "read_only beside path",
    "defaultEnabled": "nothing: every folder is shown to new users",
    "path": "it beside options",
    "name": "it beside options",
}
_MOST_RULES = 1000
_LONGEST_TEXT = 4096
_LARGEST_NUMBER = 2**32 - 1


class Storage(TypedDict):
    """A folder of the file browser's: what the customer sees it as, and FileBrowser's own options for it."""

    path: str
    name: str
    read_only: bool
    options: dict[str, Any]


class Invalid(Exception):
    """A value is not what it must be. The text says what was found, never the value, and what is expected."""


def _text(value: object, expected: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    return value


def check_customer_id(value: object) -> str:
    """An id is any short, printable text."""
    text = _text(value, "the customer's id")
    if not text.strip() or len(text) > 255 or not text.isprintable():
        raise Invalid("found a text that is empty, too long or not printable; expected the customer's id")
    return text


def check_domain(value: object) -> str:
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


def check_email(value: object) -> str:
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


def check_tunnel_token(value: object) -> str:
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


def check_api_token(value: object) -> str:
    """A Cloudflare API token: one word."""
    expected = "an API token of 20 to 200 characters without spaces"
    token = _text(value, expected).strip()
    if not re.fullmatch(r"[!-~]{20,200}", token):
        raise Invalid(f"found a text of {len(token)} characters that can't be one; expected {expected}")
    return token


def check_names(value: object) -> list[str]:
    """Container names."""
    expected = "a list of container names"
    if not isinstance(value, list):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    for entry in value:
        if not isinstance(entry, str) or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", entry):
            raise Invalid(f"found an entry that is no container name; expected {expected}")
    return value


def check_path(value: object) -> str:
    """An absolute path that means what it says."""
    expected = "an absolute path without '..'"
    path = _text(value, expected)
    if not path.startswith("/") or not path.isprintable() or len(path) > 4096 or ".." in path.split("/"):
        raise Invalid(f"found a text that is none; expected {expected}")
    normal = posixpath.normpath(path).replace("//", "/")
    if normal == "/":
        raise Invalid(f"found the root folder; expected {expected}")
    return normal


def check_storage_paths(value: object) -> list[Storage]:
    """Folders for the file browser, each a path or a mapping of path, name, read_only and options."""
    expected = "a list of paths, or of mappings with path, name, read_only and options"
    if not isinstance(value, list):
        raise Invalid(f"found {kind(value)}; expected {expected}")
    storage: list[Storage] = []
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
                "options": _source_options(given.get("options", {}), path),
            }
        )
    return storage


def _source_options(given: object, path: str) -> dict[str, Any]:
    """FileBrowser's own options for a folder."""
    if not isinstance(given, dict):
        raise Invalid(f"found {kind(given)} for the options of {path}; expected a mapping")
    for key in given:
        if isinstance(key, str) and key in _OWN_OPTIONS:
            raise Invalid(f"found the option {key} of {path}; expected {_OWN_OPTIONS[key]}")
    _check_option(given, SOURCE_OPTIONS, "", path)
    return given


def _check_option(value: object, wanted: Any, name: str, path: str) -> None:
    """An option, and what is in it: no deeper than the table above."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            raise _wrong_option(value, name, path, "a mapping")
        for key, inner in value.items():
            if key not in wanted:
                raise _unknown_option(key, list(wanted), name, path)
            _check_option(inner, wanted[key], f"{name}.{key}" if name else key, path)
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            raise _wrong_option(value, name, path, "a list")
        if len(value) > _MOST_RULES:
            raise Invalid(f"found {len(value)} entries in the option {name} of {path}; expected {_MOST_RULES} at most")
        for number, inner in enumerate(value):
            _check_option(inner, wanted[0], f"{name}[{number}]", path)
    elif wanted is bool:
        if not isinstance(value, bool):
            raise _wrong_option(value, name, path, "true or false, without quotes")
    elif wanted is int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_NUMBER:
            raise _wrong_option(value, name, path, "a whole number, 0 or more")
    elif not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        # A number would be taken too, but 010 is 8 before FileBrowser sees it.
        raise _wrong_option(value, name, path, "a text, in quotes where it looks like a number")


def _wrong_option(value: object, name: str, path: str, expected: str) -> Invalid:
    return Invalid(f"found {kind(value)} for the option {name} of {path}; expected {expected}")


def _unknown_option(key: object, known: list[str], name: str, path: str) -> Invalid:
    where = f"the option {name} of {path}" if name else f"the options of {path}"
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", key):
        return Invalid(f"found a key that is no option's name in {where}; expected {', '.join(known)}")
    close = difflib.get_close_matches(key, known, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return Invalid(f"found the unknown key {key} in {where}; expected {', '.join(known)}{hint}")


def _storage_name(given: object, path: str, taken: list[str]) -> str:
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


CHECKS: dict[str, Callable[[object], Any]] = {
    "customer_id": check_customer_id,
    "domain": check_domain,
    "email": check_email,
    "cf_tunnel_token": check_tunnel_token,
    "cf_api_token": check_api_token,
    "storage_paths": check_storage_paths,
    "protected": check_names,
    "stacks_dir": check_path,
}
