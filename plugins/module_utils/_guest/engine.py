# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Docker engine says of its containers, images and networks. Private to this collection.

The gate asks every five minutes and must cost no more than a `docker ps`, so this speaks HTTP over the socket itself:
importing http.client alone doubles the gate's CPU time.
"""

from __future__ import annotations

import json
import socket

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "/var/run/docker.sock"
TIMEOUT = 20.0  # seconds for one answer; a guest that boots is slow, a hung engine must not hang a converge
_MAX_ANSWER = 64 * 1024 * 1024  # bytes; far above any real list, so that a broken peer can't fill the memory


class Container(NamedTuple):
    """One container.

    state is the engine's word (created, running, paused, restarting, removing, exited, dead); health is healthy,
    unhealthy, starting or "" where the image has no check; image is the reference it was made with; networks maps a
    network's name to the id the container is attached to; binds are the paths of the host that are mounted in it.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    health: str
    project: str
    service: str
    labels: dict[str, str]
    networks: dict[str, str]
    binds: tuple[str, ...] = ()


class Engine(NamedTuple):
    """What there is: images by RepoDigest, and networks by name, each with its id."""

    containers: list[Container]
    images: dict[str, str]
    networks: dict[str, str]


class EngineError(Exception):
    """The engine can't be asked. The text is one line and says what to do."""


def get(path: str, socket_path: str = SOCKET, timeout: float = TIMEOUT) -> Any:
    """The JSON answer to a GET of an Engine API path.

    Raises EngineError where there is no engine, no answer in time, or an answer that is no success.
    """
    status, body = _get(path, socket_path, timeout)
    try:
        decoded = json.loads(body)
    except ValueError as error:
        raise EngineError(f"{socket_path}: the answer to {path} is not JSON") from error
    if status != "200":
        reason = decoded.get("message") if isinstance(decoded, dict) else None
        raise EngineError(f"{socket_path}: {path} was refused: {reason or status}")
    return decoded


def started(container_id: str, socket_path: str = SOCKET) -> float:
    """When a container was started last, in seconds since the epoch. Raises EngineError."""
    # Here and not above: the gate never asks.
    from datetime import datetime

    state = get(f"/containers/{container_id}/json", socket_path)["State"]
    return datetime.fromisoformat(state["StartedAt"]).timestamp()


def address(container_id: str, network: str, socket_path: str = SOCKET) -> str:
    """A container's address in one of its networks. Raises EngineError."""
    attached = get(f"/containers/{container_id}/json", socket_path)["NetworkSettings"]["Networks"]
    found = str((attached.get(network) or {}).get("IPAddress") or "")
    if not found:
        raise EngineError(f"{socket_path}: container {container_id[:12]} has no address in network {network}")
    return found


def log_lines(container_id: str, number: int, since: float = 0.0, socket_path: str = SOCKET) -> list[str]:
    """The last lines of a container's log, both streams. Raises EngineError.

    since is in seconds since the epoch.
    """
    path = f"/containers/{container_id}/logs?stdout=1&stderr=1&tail={number}&since={max(since, 0.0):.3f}"
    status, body = _get(path, socket_path, TIMEOUT)
    if status != "200":
        raise EngineError(f"{socket_path}: {path} was refused: {status}")
    return lines_of(body)


def lines_of(log: bytes) -> list[str]:
    """The lines of a log as the engine sends it.

    Frames of a stream's number, three bytes of nothing, a length and the text; no container of ours has a terminal.
    """
    text = b""
    while len(log) >= 8:
        length = int.from_bytes(log[4:8], "big")
        text += log[8 : 8 + length]
        log = log[8 + length :]
    return [line for line in text.decode(errors="replace").splitlines() if line.strip()]


def _get(path: str, socket_path: str, timeout: float) -> tuple[str, bytes]:
    """Status and body of an answer."""
    # HTTP/1.0: the engine then answers without chunks and closes the connection at the end.
    request = f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode()
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(socket_path)
            connection.sendall(request)
            while chunk := connection.recv(65536):
                answer += chunk
                if len(answer) > _MAX_ANSWER:
                    raise EngineError(f"{socket_path}: the answer to {path} is over {_MAX_ANSWER} bytes")
    except OSError as error:
        raise EngineError(
            f"{socket_path}: no answer from the Docker engine ({error.strerror or error}); "
            "see 'systemctl status docker'"
        ) from error
    head, _blank, body = bytes(answer).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return (words[1].decode(errors="replace") if len(words) > 1 else "no status"), body


def observe(socket_path: str = SOCKET) -> Engine:
    """Everything that a comparison needs, in three calls whatever the number of stacks."""
    return Engine(
        containers=[container(entry) for entry in get("/containers/json?all=1", socket_path)],
        images={
            digest: image["Id"]
            for image in get("/images/json?digests=1", socket_path)
            for digest in image.get("RepoDigests") or ()
        },
        networks={network["Name"]: network["Id"] for network in get("/networks", socket_path)},
    )


def tagged_images(socket_path: str = SOCKET) -> tuple[dict[str, str], dict[str, str]]:
    """The ids of all images, by RepoDigest and by tag."""
    listed = get("/images/json?digests=1", socket_path)

    def by(key: str) -> dict[str, str]:
        return {reference: image["Id"] for image in listed for reference in image.get(key) or ()}

    return by("RepoDigests"), by("RepoTags")


def container(entry: dict[str, Any]) -> Container:
    """One entry of the engine's container list."""
    labels = entry.get("Labels") or {}
    names = [name.lstrip("/") for name in entry.get("Names") or () if name.count("/") == 1]
    attached = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=entry["Id"],
        name=names[0] if names else entry["Id"][:12],
        image=entry.get("Image", ""),
        image_id=entry.get("ImageID", ""),
        state=entry.get("State", ""),
        health=_health(entry.get("Status", "")),
        project=labels.get("com.docker.compose.project", ""),
        service=labels.get("com.docker.compose.service", ""),
        labels=labels,
        networks={name: (value or {}).get("NetworkID") or "" for name, value in attached.items()},
        binds=tuple(mount["Source"] for mount in entry.get("Mounts") or () if mount.get("Type") == "bind"),
    )


def _health(status: str) -> str:
    """Health from the list's text, e.g. 'Up 2 minutes (healthy)': the list has no field for it."""
    if status.endswith("(healthy)"):
        return "healthy"
    if status.endswith("(unhealthy)"):
        return "unhealthy"
    if status.endswith("(health: starting)"):
        return "starting"
    return ""
