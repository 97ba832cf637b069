# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One converge at a time on a guest: of its own units, of an operator over SSH, by hand. Private to this collection.

A run is many executions of modules, so no process on the guest can hold a lock for it. What is held is a lease, in a
file that a boot takes away: for an hour, or until the run gives it back. The lease of a process that is seen to be gone
is void; only who shares the process's namespace can see that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections import namedtuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths

_LEASE = 3600.0  # seconds on the monotonic clock, which no change of the time moves

Holder = namedtuple("Holder", "name process namespace")
Holder.__doc__ = """A run: a name for people, its process, and the namespace in which that process can be seen."""


def myself(name: str, process: int) -> Holder:
    """A process of this machine as a holder."""
    return Holder(name, process, _namespace())


def is_gone(holder: Holder) -> bool:
    """Whether the holder's process is seen from here to have ended."""
    return holder.namespace == _namespace() and not os.path.exists(f"/proc/{holder.process}")


def take(wanted: Holder, void: Holder | None = None, folder: str = _paths.RUNTIME) -> Holder | None:
    """Take or renew the lock. Returns who holds it where that is somebody else.

    void is a holder that whoever asks has seen to be gone.
    """
    with _exclusive(folder):
        held = _held(folder)
        if held not in (None, void, wanted) and not is_gone(held):
            return held
        temporary = os.path.join(folder, "lock.new")
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(wanted._asdict() | {"until": time.monotonic() + _LEASE}, stream)
        os.rename(temporary, os.path.join(folder, "lock"))
    return None


def give_back(holder: Holder | None, folder: str = _paths.RUNTIME) -> bool:
    """Give the lock back if the holder has it, whoever has it for None. Returns whether there was one to give back."""
    with _exclusive(folder):
        held = _held(folder)
        if held is None or holder not in (None, held):
            return False
        os.unlink(os.path.join(folder, "lock"))
    return True


def holder(folder: str = _paths.RUNTIME) -> str:
    """Who holds the lock, "" for nobody."""
    held = _held(folder)
    return "" if held is None or is_gone(held) else held.name


class _exclusive:
    """The file is read and written by one process at a time."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        self._descriptor = os.open(
            os.path.join(self._folder, "lock.guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def _held(folder: str) -> Holder | None:
    """Who holds the lock by its file; nobody where the lease is over or there is no file."""
    try:
        with open(os.path.join(folder, "lock"), "rb") as stream:
            found = json.load(stream)
        if time.monotonic() > float(found["until"]):
            return None
        return Holder(str(found["name"]), int(found["process"]), str(found["namespace"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _namespace() -> str:
    """Names the running kernel and the process namespace on it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return f"{stream.read().strip()} {os.readlink('/proc/self/ns/pid')}"
