# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's record of what was applied: manifest.json. Private to this collection."""

from __future__ import annotations

import json
import os

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import make_directory, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "manifest.json"
_VERSION = 1


class ManifestError(Exception):
    """The manifest can't be used. The text is one line."""


def load(state_dir: str) -> dict[str, Any]:
    """The manifest's stacks by name; empty where nothing was applied yet. Raises ManifestError."""
    stacks: dict[str, Any] = read(state_dir)["stacks"]
    return stacks


def read(state_dir: str) -> dict[str, Any]:
    """The whole manifest: stacks by name, and converged, what the last successful converge was made of.

        {"time": 1767225600, "commit": "…", "customer": "acme-0001", "result": "changed" | "unchanged" | "waiting",
         "inputs": {"/etc/felhom-bootstrap/bootstrap.json": "sha256"}}

    Both are empty where nothing was applied yet. Raises ManifestError for what is no manifest of this version.
    """
    path = os.path.join(state_dir, NAME)
    try:
        with open(path, "rb") as stream:
            manifest: dict[str, Any] = json.load(stream)
    except FileNotFoundError:
        return {"stacks": {}, "converged": {}}
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not a readable JSON file ({type(error).__name__})") from error
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if version != _VERSION or not isinstance(manifest.get("stacks"), dict):
        raise ManifestError(f"{path}: not a manifest of version {_VERSION}")
    for stack, record in manifest["stacks"].items():
        if not _is_record(record):
            raise ManifestError(f"{path}: what it says of stack {stack!r} is not a record")
    converged = manifest.setdefault("converged", {})
    if converged and not _is_converged(converged):
        raise ManifestError(f"{path}: what it says of the last converge is not a record")
    return manifest


def _is_converged(record: object) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("time"), int)
        and isinstance(record.get("inputs"), dict)
        and all(isinstance(record.get(key), str) for key in ("commit", "customer", "result"))
    )


def _is_record(record: object) -> bool:
    """Whether everything is there that a comparison reads (see drift)."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("project_dir"), str)
        and isinstance(record.get("wait"), str)
        and _is_table(record.get("directories"), {"mode", "uid", "gid"})
        and _is_table(record.get("files"), {"sha256", "mode", "uid", "gid", "create_only"})
        and _is_table(record.get("services"), {"container", "image", "digest", "networks"})
    )


def _is_table(entries: object, keys: set[str]) -> bool:
    return isinstance(entries, dict) and all(
        isinstance(entry, dict) and keys <= set(entry) for entry in entries.values()
    )


def save(state_dir: str, stacks: dict[str, Any]) -> None:
    """Write the stacks; what is said of the last converge stays."""
    _write(state_dir, stacks, known(state_dir)["converged"])


def save_converged(state_dir: str, converged: dict[str, Any]) -> None:
    """Write what a successful converge was made of; the stacks stay."""
    _write(state_dir, known(state_dir)["stacks"], converged)


def known(state_dir: str) -> dict[str, Any]:
    """The whole manifest, empty where it can't be used: it is only a record, and made anew."""
    try:
        return read(state_dir)
    except ManifestError:
        return {"stacks": {}, "converged": {}}


def _write(state_dir: str, stacks: dict[str, Any], converged: dict[str, Any]) -> None:
    """In one step. It holds digests of secret files, so only root reads it."""
    make_directory(state_dir, "0755", 0, 0)
    text = json.dumps({"version": _VERSION, "stacks": stacks, "converged": converged}, indent=1, sort_keys=True) + "\n"
    write_atomic(os.path.join(state_dir, NAME), text.encode(), "0600", 0, 0)
