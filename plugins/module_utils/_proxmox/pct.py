# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of a Proxmox node, by the cluster's file system and 'pct'. Private to this collection.

Reading starts no process: a 'pct config' takes a second, of which a thousand are a quarter of an hour.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable
from typing import Literal, Protocol

from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import names as _names
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Gone,
    Inside,
    Problem,
    Unusable,
    error_of,
)

# run(argv) -> status, standard output, standard error
Run = Callable[[list[str]], tuple[int, str, str]]
# pct takes its messages from the C library too, and warns of a locale that the node does not have.
ENVIRONMENT = {"LC_ALL": "C"}

_SECTION = re.compile(r"\[(?:[a-z][a-z0-9_-]+|pve:pending)\]\s*", re.IGNORECASE)
_OPTION = re.compile(r"(hostname|lock|template):\s*(.*?)\s*")
_RUNNING = re.compile(r"@/var/lib/lxc/(\d+)/command")
_SMALL = 1 << 16  # bytes of a file in a guest
_UP = 60.0  # seconds for a guest to come back

# In the guest. The kernel takes the name at once; the file is replaced, not half written.
_SET_NAME = """set -e
hostname "$1"
[ -z "$2" ] || { printf '%s\\n' "$2" >/etc/hostname.felhom-new; chmod 644 /etc/hostname.felhom-new; }
[ -z "$2" ] || mv -f /etc/hostname.felhom-new /etc/hostname
"""


class Module(Protocol):
    """What is asked of an AnsibleModule."""

    def get_bin_path(self, arg: str, *, required: bool) -> str:
        """Where a program is."""

    def run_command(self, args: list[str], *, environ_update: dict[str, str]) -> tuple[int, str, str]:
        """Run it."""


def runner(module: Module) -> Run:
    """Commands by an AnsibleModule."""

    def run(argv: list[str]) -> tuple[int, str, str]:
        return module.run_command([module.get_bin_path(argv[0], required=True), *argv[1:]], environ_update=ENVIRONMENT)

    return run


def parse_config(vmid: int, node: str, data: bytes, running: bool) -> Container:
    """The top section of a guest's file, as Proxmox reads it: of a key given twice the last counts."""
    found: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if _SECTION.fullmatch(line):
            break
        if option := _OPTION.fullmatch(line):
            found[option[1]] = option[2]
    return Container(
        vmid,
        node,
        name=found.get("hostname") or f"CT{vmid}",
        running=running,
        lock=found.get("lock", ""),
        template=found.get("template") == "1",
        digest=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    )


def error_of_output(errors: str) -> Exception:
    """What an error of pct means. By its text: the exit status is whatever errno Perl had left."""
    # A locale warning, or that a lock was waited for, comes before it or alone.
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith(("perl: ", "\t", "pct set "))]
    text = "; ".join(line.strip() for line in lines) or "pct said nothing"
    if known := error_of(errors, gone="is not on this node any more"):
        return known
    if "ipcc_send_rec" in errors or "please run as root" in errors:
        return Unusable(f"the node's cluster file system can't be used: {text}; expected root, and pve-cluster running")
    if re.search(r"unable to open file '/etc/pve/.*Permission denied", errors):
        return Unusable(f"the cluster's files can't be written: {text}; expected a cluster with quorum")
    return Problem(text)


class PctClient:
    """The guests of the node this runs on, and the names of all others in the cluster."""

    method: Literal["pct"] = "pct"

    def __init__(self, run: Run, folder: str) -> None:
        self._run = run
        self._folder = folder
        try:
            self.node = os.path.basename(os.readlink(os.path.join(folder, "local")))
        except OSError as error:
            raise Unusable(
                f"{folder}/local: {error.strerror}; expected a Proxmox node, with pve-cluster running, and root"
            ) from error

    def guests(self) -> dict[int, Container]:
        """All guests of the cluster."""
        running = self._running()
        found = {}
        for vmid, (node, kind) in self._list().items():
            if kind != "lxc":
                found[vmid] = Container(vmid, node, kind=kind)
                continue
            try:
                found[vmid] = self._read(vmid, node, vmid in running)
            except FileNotFoundError:
                continue  # removed, or moved to another node, since the list was read
            except OSError as error:
                raise Unusable(f"{error.filename}: {error.strerror}; expected to be root") from error
        return found

    def unseen(self, vmid: int, guests: dict[int, Container]) -> str:
        """Why a guest's configuration was not read, "" where it was."""
        return "" if vmid in guests else "does not exist in this cluster"

    def fresh(self, guest: Container) -> Container:
        """The guest's configuration now. Raises Gone."""
        try:
            return self._read(guest.vmid, self.node, guest.running)
        except OSError as error:
            node, _kind = self._list().get(guest.vmid, ("", ""))
            raise Gone(f"was moved to node {node} meanwhile" if node else "was removed meanwhile") from error

    def rename(self, guest: Container, name: str) -> None:
        """Write the name."""
        self._pct("set", guest, "--hostname", name, "--digest", guest.digest)

    def inside(self, guest: Container) -> Inside | None:
        """What a running guest calls itself. None for one that does not run any more."""
        pid = self._pid(guest)
        if not pid:
            return None
        status, running, _errors = self._run(["nsenter", "-t", pid, "-u", "hostname"])
        if status:
            return None
        root = f"/proc/{pid}/root"
        file: str | None = None
        with contextlib.suppress(OSError):
            file = read_in_guest(root, "etc/hostname").decode("utf-8", "replace").strip()
        return Inside(running.strip(), file, exists_in_guest(root, "etc/.pve-ignore.hostname"))

    def rename_inside(self, guest: Container, ignored: bool) -> None:
        """Make the configured name that of the running guest. Its file is left alone where Proxmox is to do so."""
        file = "" if ignored else _names.short(guest.name)
        # In the guest and by its own programs: what a link there leads to must not be the node's.
        self._pct("exec", guest, "--", "sh", "-c", _SET_NAME, "sh", guest.name, file)

    def restart(self, guest: Container, now: Callable[[], float] = time.monotonic) -> None:
        """Shut the guest down and start it."""
        self._pct("reboot", guest)
        until = now() + _UP
        while now() < until:
            inside = self.inside(guest)
            if inside and inside.running == guest.name:
                return
            time.sleep(0.5)
        raise Problem(f"was restarted and did not come back as {guest.name} in {_UP:g} seconds")

    def read_file(self, guest: Container, path: str, mount: bool) -> bytes:
        """A file in a guest; of a stopped one, by mounting its file system for that moment. Raises OSError, Problem."""
        pid = self._pid(guest) if guest.running else ""
        if pid:
            return read_in_guest(f"/proc/{pid}/root", path)
        if not mount:
            raise Problem("is stopped; start it, name it in a mapping, or allow its file system to be mounted")
        printed = self._pct("mount", guest)
        try:
            found = re.search(r"mounted CT \d+ in '([^']+)'", printed)
            if not found:
                raise Problem("was mounted, but pct did not say where")
            return read_in_guest(found[1], path)
        finally:
            self._pct("unmount", guest)

    def _pct(self, command: str, guest: Container, *words: str) -> str:
        status, output, errors = self._run(["pct", command, str(guest.vmid), *words])
        if status:
            raise error_of_output(errors)
        return output

    def _pid(self, guest: Container) -> str:
        status, pid, _errors = self._run(["lxc-info", "-n", str(guest.vmid), "-p", "-H"])
        pid = pid.strip()
        return pid if not status and pid.isascii() and pid.isdecimal() else ""

    def _read(self, vmid: int, node: str, running: bool) -> Container:
        with open(os.path.join(self._folder, "nodes", node, "lxc", f"{vmid}.conf"), "rb") as stream:
            return parse_config(vmid, node, stream.read(), running)

    def _list(self) -> dict[int, tuple[str, str]]:
        path = os.path.join(self._folder, ".vmlist")
        try:
            with open(path, encoding="utf-8") as stream:
                ids = json.load(stream)["ids"]
            return {int(vmid): (entry["node"], entry["type"]) for vmid, entry in ids.items()}
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}; expected a Proxmox node, with pve-cluster running") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unusable(f"{path}: found no list of guests; expected what pve-cluster keeps there") from error

    @staticmethod
    def _running() -> set[int]:
        """As Proxmox finds them: a running guest's monitor listens on a socket of this name."""
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
            return {int(vmid) for vmid in _RUNNING.findall(stream.read())}


def _open_in_guest(root: str, path: str, flags: int) -> int:
    """Open a file below a guest's root without following a link: followed here, it would lead into the node's files."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *above, name = path.split("/")
    for part in above:
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def read_in_guest(root: str, path: str) -> bytes:
    """A small regular file of a guest. Raises OSError."""
    descriptor = _open_in_guest(root, path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("is no regular file")
        data = stream.read(_SMALL + 1)
    if len(data) > _SMALL:
        raise OSError("is too big")
    return data


def exists_in_guest(root: str, path: str) -> bool:
    """Whether a guest has a file there, of any kind."""
    try:
        os.close(_open_in_guest(root, path, os.O_PATH))
    except OSError:
        return False
    return True
