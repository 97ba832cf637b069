# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack should be on this guest. Private to this collection.

The controlling process ships rendered texts; only the guest knows the files that are made once and kept (certificates,
generated passwords), so the last step of rendering and all digests are made here.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import digest, read_state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.drift import Reason

COMPOSE_FILE = "docker-compose.yml"


class BadSecret(Exception):
    """A secret that is made once and kept is none any more. The text is one line."""


class File(NamedTuple):
    """One file of a stack, content known. sensitive content shows in a diff as a fingerprint only."""

    data: bytes
    mode: str
    uid: int
    gid: int
    create_only: bool
    sensitive: bool
    services: tuple[str, ...]


class Stack(NamedTuple):
    """A stack as it should be: its record (see drift) and the content behind it."""

    name: str
    files: dict[str, File]
    record: dict[str, Any]


def secret_marker(nonce: str, path: str) -> str:
    """What stands for a generated secret in a rendered text.

    The nonce is new in every run, so no customer's value can name a secret and have it put somewhere visible.
    """
    return f"secret-{nonce}-{path}"


def digest_marker(nonce: str, service: str) -> str:
    """What stands for a service's digest in the compose file: it covers files that only the guest has."""
    return f"digest-{nonce}-{service}"


def resolve(params: dict[str, Any]) -> Stack:
    """The stack as it should be on this guest, from the parameters that guest_apply gets for it.

    Raises OSError for a kept file that can't be read, BadSecret for one that is empty or no text.
    """
    root = params["project_dir"]
    texts = {**params["contents"], **params["secret_contents"]}
    kept = {entry["path"]: _kept_data(root, entry, texts) for entry in params["files"] if entry["create_only"]}
    markers = {
        secret_marker(params["nonce"], path): json.dumps(data.decode().strip())
        for path, data in kept.items()
        if _entry(params, path)["generate"]
    }
    files = {}
    for entry in params["files"]:
        path = entry["path"]
        data = kept[path] if path in kept else _replace(texts[path], markers).encode()
        files[path] = File(
            data,
            entry["mode"],
            entry["uid"],
            entry["gid"],
            entry["create_only"],
            # What a program made for itself (keys in acme.json) is a secret, and so is a text that one was put into.
            entry["sensitive"] or path in kept or any(marker in texts[path] for marker in markers),
            tuple(entry["services"]),
        )
    services = {
        name: {key: service[key] for key in ("container", "image", "networks")}
        | {"digest": service_digest(name, service["definition"], files)}
        for name, service in params["services"].items()
    }
    compose = files[COMPOSE_FILE]
    labels = {digest_marker(params["nonce"], name): service["digest"] for name, service in services.items()}
    files[COMPOSE_FILE] = compose._replace(data=_replace(compose.data.decode(), labels).encode())
    record = {
        "rendering": params["rendering"],
        "project_dir": root,
        "wait": params["wait"],
        "directories": {
            entry["path"]: {key: entry[key] for key in ("mode", "uid", "gid")} for entry in params["directories"]
        },
        "files": {path: _file_record(file, bool(_entry(params, path).get("generate"))) for path, file in files.items()},
        "services": services,
    }
    if params.get("replaces_units"):
        record["replaces_units"] = params["replaces_units"]
    return Stack(params["name"], files, record)


def rendering_digest(params: dict[str, Any], code: bytes) -> str:
    """A digest of all that resolve() makes a stack of, and of the code that does it.

    Who knows that a stack is as recorded, and recorded under this digest, need not ask the guest for more.
    """
    # The nonce is new in every run.
    text = json.dumps(params, sort_keys=True).replace(params["nonce"], "")
    return digest(text.encode() + code)


def _entry(params: dict[str, Any], path: str) -> dict[str, Any]:
    return next(entry for entry in params["files"] if entry["path"] == path)


def _kept_data(root: str, entry: dict[str, Any], texts: dict[str, str]) -> bytes:
    """The content of a file that is made once: what is there, else what it is made with."""
    path = os.path.join(root, entry["path"])
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as stream:
            data = stream.read()
        if entry["generate"] and not data.strip():
            # It would be taken for a password or a key.
            raise BadSecret(f"{path}: found an empty file, expected a secret; remove it to have a new one made")
        if entry["generate"] and not _is_text(data):
            raise BadSecret(f"{path}: found bytes that are not UTF-8, expected a text")
        return data
    if entry["generate"]:
        return (secrets.token_urlsafe(entry["generate"]) + "\n").encode()
    return texts[entry["path"]].encode()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _replace(text: str, markers: dict[str, str]) -> str:
    for marker, value in markers.items():
        text = text.replace(marker, value)
    return text


def service_digest(name: str, definition: str, files: dict[str, File]) -> str:
    """A digest of all that a service reads only when it starts: its definition and the files it names."""
    read = [f"{path} {digest(file.data)}" for path, file in sorted(files.items()) if name in file.services]
    return digest("\n".join([definition, *read]).encode())


def _file_record(file: File, is_generated: bool) -> dict[str, Any]:
    # A program's own file (acme.json) is watched for owner and mode only; what a service reads, for content as well.
    # What is generated stands inside of that.
    fixed = not file.create_only or file.services or is_generated
    return {
        "sha256": digest(file.data) if fixed else None,
        "mode": file.mode,
        "uid": file.uid,
        "gid": file.gid,
        "create_only": file.create_only,
    }


def stale_reasons(stack: Stack, recorded: dict[str, Any] | None) -> list[Reason]:
    """Files that an earlier run wrote and that are no longer declared. What is made once is never stale."""
    if not recorded or recorded["project_dir"] != stack.record["project_dir"]:
        return []
    return [
        Reason("file_stale", path, f"{path} is no longer part of the stack", "write")
        for path, was in recorded["files"].items()
        if path not in stack.files
        and not was["create_only"]
        and read_state(os.path.join(recorded["project_dir"], path), with_content=False).kind == "file"
    ]


def generation(stack: Stack, params: dict[str, Any], healthy_before: list[str], ids: dict[str, str]) -> dict[str, Any]:
    """The stack as a generation (see generations). What is made once and kept has no generations."""
    return {
        "record": stack.record,
        "contents": {path: file.data.decode() for path, file in stack.files.items() if not file.create_only},
        "secret_files": [path for path, file in stack.files.items() if file.sensitive],
        "wait_timeout": params["wait_timeout"],
        "program": params["program"],
        "healthy_before": healthy_before,
        "ids_before": ids,
        "displaced": [],
        "units": [],
        "run": params["run"],
        "change": params["nonce"],
    }


def services_to_recreate(params: dict[str, Any], reasons: list[Reason], misled: set[str]) -> list[str]:
    """Services that Compose would leave running although they are not as desired.

    A mount follows the folder or file it was made with: when that was gone and is made anew, the container still holds
    the old, deleted one. The misled ones were started with a file that somebody else had changed.
    """
    remade = {reason.subject for reason in reasons if reason.kind in ("file_missing", "directory_missing")}
    holding = {
        service
        for entry in params["files"] + params["directories"]
        if entry["path"] in remade
        for service in entry["services"]
    }
    not_there = {reason.subject for reason in reasons if reason.kind == "container_missing"}
    wrong = {reason.subject for reason in reasons if reason.remedy == "recreate"}
    return sorted((holding - not_there) | wrong | misled)
