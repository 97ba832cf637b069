# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose files as data: what a rendered one promises, and how it is written. Private to this collection.

Runs in the controlling process, where PyYAML always is.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import digest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import is_pin
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.desired import digest_marker
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.drift import DIGEST_LABEL


class ComposeError(Exception):
    """The rendered file is not acceptable. The text is one line: file, place, what was found, what is expected."""


class Compose(NamedTuple):
    """A compose file that passed the checks.

    text is the file to write, with each service's digest label still a marker; services is the
    part of a stack's record that is known without the guest, `definition` instead of `digest`; bind_sources are the
    host paths outside of the project, and external_networks the networks, that must exist before anything is started;
    external_volumes are made where they don't exist, and never removed.
    """

    text: str
    services: dict[str, dict[str, Any]]
    bind_sources: list[str]
    external_networks: list[str]
    external_volumes: list[str]


def parse(text: str, where: str, project: str, project_dir: str, nonce: str) -> Compose:
    """Check a rendered compose file and make of it what is written to the guest.

    Raises ComposeError naming `where` (the file's name).
    """
    document = _load(text, where)
    services = document["services"]
    shared = {key: value for key, value in document.items() if key not in ("services", "name")}
    described = {}
    sources = []
    for name, service in services.items():
        _check_service(f"{where}: service {name}", service)
        described[name] = {
            "container": service.get("container_name", f"{project}-{name}-1"),
            "image": service["image"],
            "definition": digest(json.dumps([service, shared], sort_keys=True, default=str).encode()),
            "networks": _networks(service, document, project),
        }
        sources += [
            volume["source"]
            for volume in service.get("volumes", [])
            if isinstance(volume, dict)
            and os.path.isabs(str(volume.get("source")))
            and not volume["source"].startswith(f"{project_dir}/")
            and (volume.get("bind") or {}).get("create_host_path") is False
        ]
        service["labels"] = _label_map(service.get("labels", {})) | {DIGEST_LABEL: digest_marker(nonce, name)}
    try:
        body = _dump({"name": project} | document | {"services": services})
    except UnicodeDecodeError as error:
        raise ComposeError(f"{where}: found half of a Unicode surrogate pair in a text, expected both") from error
    return Compose(
        body, described, sorted(set(sources)), _external(document.get("networks")), _external(document.get("volumes"))
    )


def _load(text: str, where: str) -> dict[str, Any]:
    """The document, which has services."""
    # The quick loader refuses what to_json makes of an emoji: "found invalid Unicode character escape code".
    loader = yaml.SafeLoader if "\\ud" in text.lower() else yaml.CSafeLoader
    try:
        document = yaml.load(text.encode("utf-8", "surrogatepass"), Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise ComposeError(f"{where}{line}: not valid YAML; see what its template makes of the variables") from None
    if not (isinstance(document, dict) and isinstance(document.get("services"), dict) and document["services"]):
        raise ComposeError(f"{where}: found no services, expected a mapping 'services' with at least one")
    return document


def _external(declared: dict[str, Any] | None) -> list[str]:
    """The engine's names of networks or volumes that are nobody's but the guest's."""
    return sorted(
        {options.get("name") or key for key, options in (declared or {}).items() if options and options.get("external")}
    )


def _check_service(where: str, service: object) -> None:
    if not isinstance(service, dict):
        raise ComposeError(f"{where}: found {type(service).__name__}, expected a mapping")
    if "build" in service:
        raise ComposeError(f"{where}: found 'build', expected a pinned image: guests build nothing")
    if not is_pin(service.get("image")):
        found = service.get("image", "no image")
        raise ComposeError(
            f"{where}: found image {found!r}, expected name:tag@sha256:<64 hex digits>; "
            "an image without a digest is never rendered"
        )


def _networks(service: dict[str, Any], document: dict[str, Any], project: str) -> list[str]:
    """The engine's names of the networks a service is attached to."""
    if "network_mode" in service:
        return []
    declared = document.get("networks") or {}
    names = []
    for key in service.get("networks") or ["default"]:
        options = declared.get(key) or {}
        names.append(options.get("name") or (key if options.get("external") else f"{project}_{key}"))
    return sorted(names)


def _label_map(labels: Any) -> dict[str, str]:
    if isinstance(labels, dict):
        return labels
    return dict(str(label).partition("=")[::2] for label in labels)


class _Dumper(yaml.SafeDumper):
    """YAML that PyYAML, Go's parser and people read alike.

    Compose reads YAML 1.2 rules with Go's parser: a plain 1e3 is a number there and a string here. So every
    string that is not obviously a word is quoted.
    """

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    # What to_json makes of an emoji is two halves to PyYAML, and to Go "found invalid Unicode character escape code".
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16")
    # Nothing of ours is meant for compose's own interpolation, so every $ is a literal one.
    escaped = whole.replace("$", "$$")
    style = None if _WORD.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", escaped, style=style)


# Ansible's own strings are subclasses: "('cannot represent an object', 'traefik')" otherwise.
_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(str, _represent_text)


_HEADER = "# Written by felhom.base_infra. What is changed here is undone by the next converge.\n"


def _dump(document: dict[str, Any]) -> str:
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
