# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of a Proxmox cluster, by its API through proxmoxer. Private to this collection."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Gone,
    Problem,
    Unusable,
    error_of,
)

MISSING = ""  # the Python library that is not there
try:
    # First: without it proxmoxer ends the whole process.
    import requests
except ImportError:
    MISSING = "requests"
else:
    try:
        import proxmoxer
        from proxmoxer.core import ResourceException
    except ImportError:
        MISSING = "proxmoxer"

NEEDED = "VM.Audit and VM.Config.Network"
_RESTART = 180.0  # seconds for a guest to shut down and start


class _NoAnswer(Unusable):
    """The API has not answered in time."""


class Access(NamedTuple):
    """Where the API is and how to be let in."""

    host: str
    port: int
    user: str
    token_id: str
    token_secret: str
    verify: bool | str  # or the file of the CA
    timeout: int


def error_of_answer(status: int, reason: str, errors: Any, token: str, vmid: int | None = None) -> Exception:
    """What an answer of the API means. Locks, and guests that are not there, are status 500 like everything else."""
    details = "; ".join(f"{key}: {value}" for key, value in errors.items()) if _told(errors) else ""
    text = "; ".join(part.strip() for part in (reason, details) if part.strip()) or "no reason given"
    if status == 401:
        return Unusable(f"the API refuses the token {token}: {text}; expected one that exists, with its secret")
    if status == 403:
        where = "/vms" if vmid is None else f"/vms/{vmid}"
        return Problem(
            f"the token {token} lacks a privilege: {text}; expected {NEEDED} on {where}, VM.PowerMgmt to restart, "
            "and the same for the token itself where its privileges are separated"
        )
    if known := error_of(reason, gone="was removed meanwhile"):
        return known
    if status >= 595:
        return Problem(f"its node can't be reached: {text}")
    return Problem(f"the API answers {status}: {text}")


def _told(errors: Any) -> bool:
    # proxmoxer gives {'errors': b''} for an answer without a body.
    return isinstance(errors, dict) and all(isinstance(value, str) for value in errors.values())


class ApiClient:
    """All guests that the token may see."""

    method: Literal["api"] = "api"
    node = ""  # every node's

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = f"{access.user}!{access.token_id}"
        self._unread: dict[int, str] = {}
        self._api = proxmoxer.ProxmoxAPI(
            access.host,
            port=access.port,
            user=access.user,
            token_name=access.token_id,
            token_value=access.token_secret,
            verify_ssl=access.verify,
            timeout=access.timeout,
        )

    def guests(self) -> dict[int, Container]:
        """All guests: their nodes from the cluster's list, their names from each node's.

        The cluster's list has names too, but ten seconds old ones, or none.
        """
        found = {}
        for entry in self._resources():
            vmid = int(entry["vmid"])
            found[vmid] = Container(
                vmid,
                entry["node"],
                entry.get("name", ""),
                kind=entry["type"],
                running=entry.get("status") == "running",
                template=bool(entry.get("template")),
            )
        for node in sorted({guest.node for guest in found.values() if guest.kind == "lxc"}):
            try:
                listed = {int(entry["vmid"]): entry for entry in self._get(self._api.nodes(node).lxc)}
            except Problem as error:
                listed = {}
                reason = str(error)
            else:
                reason = "was removed, or moved to another node, just now"
            for vmid, guest in found.items():
                if guest.node != node or guest.kind != "lxc":
                    continue
                if vmid not in listed:
                    self._unread[vmid] = reason
                    continue
                entry = listed[vmid]
                name, running = entry.get("name") or f"CT{vmid}", entry.get("status") == "running"
                found[vmid] = dataclasses.replace(guest, name=name, running=running, lock=entry.get("lock", ""))
        return found

    def unseen(self, vmid: int, guests: dict[int, Container]) -> str:
        """Why a guest's configuration was not read, "" where it was."""
        if vmid in guests:
            return self._unread.get(vmid, "")
        return (
            f"is not there, or the token {self._token} lacks VM.Audit on /vms/{vmid}: the API lists no guest without it"
        )

    def fresh(self, guest: Container) -> Container:
        """The guest's configuration now. Raises Gone."""
        try:
            config = self._config(guest)
        except Gone as gone:
            node = next((entry["node"] for entry in self._resources() if int(entry["vmid"]) == guest.vmid), guest.node)
            if node == guest.node:
                raise
            guest = dataclasses.replace(guest, node=node)
            try:
                config = self._config(guest)
            except Gone:
                raise gone from None
        name = config.get("hostname") or f"CT{guest.vmid}"
        return dataclasses.replace(guest, name=name, lock=config.get("lock", ""), digest=config["digest"])

    def rename(self, guest: Container, name: str) -> None:
        """Write the name."""
        try:
            self._asked(self._lxc(guest).config.put, guest.vmid, hostname=name, digest=guest.digest)
        except _NoAnswer as error:
            # It may have been written: reading it again will show.
            raise Problem(str(error)) from error

    def restart(self, guest: Container) -> None:
        """Shut the guest down and start it."""
        task = self._asked(self._lxc(guest).status.reboot.post, guest.vmid)
        until = time.monotonic() + _RESTART
        while time.monotonic() < until:
            state = self._get(self._api.nodes(guest.node).tasks(task).status, guest.vmid)
            if state["status"] == "stopped":
                if state.get("exitstatus") != "OK":
                    raise Problem(f"could not be restarted: {state.get('exitstatus')}")
                return
            time.sleep(0.5)
        raise Problem(f"was asked to restart and has not done so in {_RESTART:g} seconds")

    def _lxc(self, guest: Container) -> Any:
        return self._api.nodes(guest.node).lxc(guest.vmid)

    def _config(self, guest: Container) -> dict[str, Any]:
        # Without 'current' it is what the guest will have after its next start.
        config: dict[str, Any] = self._get(self._lxc(guest).config, guest.vmid, current=1)
        return config

    def _resources(self) -> list[dict[str, Any]]:
        try:
            listed: list[dict[str, Any]] = self._get(self._api.cluster.resources, type="vm")
        except Problem as error:
            raise Unusable(str(error)) from error
        return listed

    def _get(self, resource: Any, vmid: int | None = None, **parameters: Any) -> Any:
        answer = self._asked(resource.get, vmid, **parameters)
        # proxmoxer's form for a body that is no JSON.
        if isinstance(answer, dict) and set(answer) == {"errors"}:
            raise Unusable(f"{self._where()} answers, but not as Proxmox does; expected its API there")
        return answer

    def _asked(self, call: Any, vmid: int | None = None, **parameters: Any) -> Any:
        try:
            return call(**parameters)
        except ResourceException as error:
            raise error_of_answer(error.status_code, error.content, error.errors, self._token, vmid) from None
        except requests.exceptions.SSLError as error:
            raise Unusable(
                f"{self._where()}: its certificate is not trusted: {_last(error)}; expected one that ca_path or this "
                "machine vouches for, under the name given as api_host"
            ) from None
        except requests.exceptions.ReadTimeout:
            raise _NoAnswer(f"{self._where()} did not answer in {self._access.timeout} seconds") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise Unusable(f"{self._where()} can't be reached: {_last(error)}") from None

    def _where(self) -> str:
        return f"https://{self._access.host}:{self._access.port}"


def _last(error: Exception) -> str:
    """What is at the bottom of requests' nested errors."""
    inner: Any = error
    while getattr(inner, "args", None) and isinstance(inner.args[-1], Exception):
        inner = inner.args[-1]
    reason = getattr(inner, "reason", None)
    return str(reason if isinstance(reason, (Exception, str)) else inner)
