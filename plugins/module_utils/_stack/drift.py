# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stack differs from its record. Private to this collection.

A record is what a stack should be, as plain JSON data; `compose_stack` makes it from what it rendered and keeps it in
the manifest, from which the gate and the health checks read it back. All three ask the functions here.

    {"rendering": "…",
     "project_dir": "/opt/docker/traefik",
     "wait": "healthy" | "running" | "none",
     "directories": {"acme": {"mode": "0700", "uid": 0, "gid": 0}},
     "files": {"traefik.yml": {"sha256": "…" or null where the content is the program's own, "mode": "0644",
                               "uid": 0, "gid": 0, "create_only": false}},
     "services": {"traefik": {"container": "traefik", "image": "traefik:v3.7.14@sha256:…", "digest": "…",
                              "networks": ["traefik-public"]}},
     "replaces_units": ["felhom-bootstrap.service"]}

Most stacks replace no unit and have no such key.
"""

from __future__ import annotations

import os
from collections import namedtuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import is_left_over, read_state
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import repo_digest
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import generations as _generations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ansible_collections.felhom.base_infra.plugins.module_utils._guest.engine import Container, Engine
    from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import FileState

# A digest of a service's definition and of all files it reads at start. Compose recreates a service whose labels
# differ, and its own configuration hash does not see the content of what is mounted.
DIGEST_LABEL = "felhom.base_infra.digest"

# All that a stack can differ in, and what a converge does about it. The registry of health checks names these kinds and
# not the other way round: the gate imports this file at every tick, and the registry would cost it more than that.
KINDS = {
    "file_missing": ("write",),
    "file_kind": ("write",),
    "file_content": ("write",),
    "file_mode": ("write",),
    "file_owner": ("write",),
    "directory_missing": ("write",),
    "directory_kind": ("write",),
    "directory_mode": ("write",),
    "directory_owner": ("write",),
    "leftover": ("write",),
    "unsettled": ("record",),
    "unit_enabled": ("displace",),
    "image_absent": ("up",),
    "container_missing": ("up",),
    "container_foreign": ("displace",),
    "container_number": ("up",),
    "container_orphan": ("up",),
    "container_config": ("up",),
    "container_image": ("recreate",),
    "container_state": ("up", "recreate"),
    "container_unhealthy": ("recreate",),
    "network_missing": ("recreate",),
    "network_lost": ("recreate",),
}

_UNITS = "/etc/systemd/system"

Reason = namedtuple("Reason", "kind subject text remedy")
Reason.__doc__ = """One difference: kind is a stable word, subject a path or service, text a line for people.

remedy says what ends it: "write" (files), "up" (compose sees it), "recreate" (compose does not see it),
"displace" (somebody else's container has to be moved out of the way first), "record" (all is as it should be, but a run
did not end).
"""


def file_reasons(record: dict[str, Any]) -> list[Reason]:
    """Files and directories of a stack that are not as recorded."""
    reasons = []
    root = record["project_dir"]
    for path, want in record["directories"].items():
        found = read_state(os.path.join(root, path), with_content=False)
        reasons += _path_reasons(path, "directory", want, found)
    for path, want in record["files"].items():
        found = read_state(os.path.join(root, path), with_content=want["sha256"] is not None)
        reasons += _path_reasons(path, "file", want, found)
    return reasons


def _path_reasons(path: str, kind: str, want: dict[str, Any], found: FileState) -> list[Reason]:
    if found.kind == "absent":
        return [Reason(f"{kind}_missing", path, f"{path} is missing", "write")]
    if found.kind != kind:
        return [Reason(f"{kind}_kind", path, f"{path} is no {kind}", "write")]
    reasons = []
    if want.get("sha256") is not None and found.sha256 != want["sha256"]:
        reasons.append(Reason("file_content", path, f"{path} has other content", "write"))
    if found.mode != want["mode"]:
        text = f"{path} has mode {found.mode}, not {want['mode']}"
        reasons.append(Reason(f"{kind}_mode", path, text, "write"))
    if (found.uid, found.gid) != (want["uid"], want["gid"]):
        text = f"{path} is owned by {found.uid}:{found.gid}, not {want['uid']}:{want['gid']}"
        reasons.append(Reason(f"{kind}_owner", path, text, "write"))
    return reasons


def leftover_reasons(stack: str, record: dict[str, Any], state_dir: str) -> list[Reason]:
    """Files that a killed run left beside the places they were meant for."""
    root = record["project_dir"]
    folders = {os.path.join(root, os.path.dirname(path)) for path in record["files"]}
    folders |= {state_dir, _generations.folder(state_dir, stack)}
    reasons = []
    for folder in sorted(folders):
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue  # said by its own reason
        reasons += [
            Reason("leftover", path, f"{path} was left by a run that did not end", "write")
            for path in (os.path.join(folder, name) for name in names if is_left_over(name))
        ]
    return reasons


def unsettled_reasons(stack: str, state_dir: str) -> list[Reason]:
    """A change that was written and that nobody has settled."""
    if _generations.load(state_dir, stack, _generations.NEXT) is None:
        return []
    return [Reason("unsettled", "generation", "a run that applied it did not end", "record")]


def unit_reasons(record: dict[str, Any]) -> list[Reason]:
    """Units in whose place the stack is and that would start the same once more."""
    return [
        Reason("unit_enabled", unit, f"unit {unit} is enabled and starts what the stack replaces", "displace")
        for unit in record.get("replaces_units", [])
        if unit_is_enabled(unit)
    ]


def unit_is_enabled(unit: str, folder: str = _UNITS) -> bool:
    """Whether something that systemd starts wants the unit. Asked of the disk, which costs the gate less."""
    try:
        wanting = [name for name in os.listdir(folder) if name.endswith((".wants", ".requires"))]
    except FileNotFoundError:
        return False
    return any(os.path.lexists(os.path.join(folder, name, unit)) for name in wanting)


def engine_reasons(stack: str, record: dict[str, Any], engine: Engine) -> list[Reason]:
    """Images, networks and containers of a stack that are not as recorded."""
    mine = [container for container in engine.containers if container.project == stack]
    by_name = {container.name: container for container in engine.containers}
    reasons = []
    for service, want in record["services"].items():
        image_id = engine.images.get(repo_digest(want["image"]))
        if image_id is None:
            text = f"image {want['image']} is not on the guest"
            reasons.append(Reason("image_absent", service, text, "up"))
        found = [container for container in mine if container.service == service]
        if len(found) == 1:
            reasons += _container_reasons(service, want, found[0], engine, record["wait"])
        elif found:
            text = f"service {service} has {len(found)} containers instead of one"
            reasons.append(Reason("container_number", service, text, "up"))
        elif want["container"] in by_name:
            squatter = by_name[want["container"]]
            owner = f"compose project {squatter.project}" if squatter.project else "no compose project"
            text = f"container name {want['container']} is taken by {squatter.id[:12]} of {owner}"
            reasons.append(Reason("container_foreign", service, text, "displace"))
        else:
            reasons.append(Reason("container_missing", service, f"container {want['container']} is missing", "up"))
    for container in mine:
        if container.service not in record["services"]:
            text = f"container {container.name} belongs to no service of the stack"
            reasons.append(Reason("container_orphan", container.service, text, "up"))
    return reasons


def _container_reasons(
    service: str, want: dict[str, Any], container: Container, engine: Engine, wait: str
) -> list[Reason]:
    name, image_id, networks = container.name, engine.images.get(repo_digest(want["image"])), engine.networks
    reasons = []
    if container.labels.get(DIGEST_LABEL) != want["digest"]:
        text = f"container {name} was made from another configuration"
        reasons.append(Reason("container_config", service, text, "up"))
    if image_id is not None and container.image_id != image_id:
        text = f"container {name} runs another image than {want['image']}"
        reasons.append(Reason("container_image", service, text, "recreate"))
    reasons += _state_reasons(service, container, wait)
    for network in want["networks"]:
        if network not in networks:
            text = f"network {network} does not exist"
            # The container keeps to the one that is gone: "could not find a network matching network mode 61459c92…"
            reasons.append(Reason("network_missing", service, text, "recreate"))
        elif container.networks.get(network, "") != networks[network] and _was_started(container):
            # compose up calls such a container "Running" while the proxy answers 404 for it
            text = f"container {name} is not attached to today's network {network}"
            reasons.append(Reason("network_lost", service, text, "recreate"))
    return reasons


def _state_reasons(service: str, container: Container, wait: str) -> list[Reason]:
    text = f"container {container.name} is {container.state}"
    if container.state in ("paused", "dead"):
        return [Reason("container_state", service, text, "recreate")]
    if container.state == "restarting":
        # A tunnel without a way out exits and is restarted by the engine: nothing here would help.
        return [] if wait == "none" else [Reason("container_state", service, text, "recreate")]
    if container.state != "running":
        return [Reason("container_state", service, text, "up")]
    if container.health == "unhealthy" and wait == "healthy":
        text = f"container {container.name} is unhealthy"
        return [Reason("container_unhealthy", service, text, "recreate")]
    return []


def _was_started(container: Container) -> bool:
    """A container that never ran is attached to nothing yet."""
    return container.state != "created"
