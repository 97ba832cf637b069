# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One converge at a time on a guest: of its own units, of an operator over SSH, by hand. Private to this collection.

A run is many executions of modules, so no process on the guest can hold a lock for it. What is held is a lease, in a
file that a boot takes away: for an hour, or until the run gives it back. The lease of a process that has ended is void;
only who shares the process's namespace can see that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.record import NamedTuple

_LEASE = 3600.0  # seconds on the monotonic clock, which no change of the time moves


class Holder(NamedTuple):
    """A run: a name for people, its process, and the namespace in which that process is visible."""

    name: str
    process: int
    namespace: str


def myself(name: str, process: int) -> Holder:
    """A process of this machine as a holder."""
    return Holder(name, process, _namespace())


def is_gone(holder: Holder) -> bool:
    """Whether the holder's process is visible from here, and has ended."""
    return holder.namespace == _namespace() and not os.path.exists(f"/proc/{holder.process}")


def take(wanted: Holder, void: Holder | None = None) -> Holder | None:
    """Take or renew the lock. Returns who holds it where that is somebody else.

    void is a holder that the asking machine knows to be gone.
    """
    with _exclusive():
        found = held()
        if found is not None and found not in (void, wanted) and not is_gone(found):
            return found
        temporary = os.path.join(_paths.RUNTIME, "lock.new")
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(wanted._asdict() | {"until": time.monotonic() + _LEASE}, stream)
        os.rename(temporary, os.path.join(_paths.RUNTIME, "lock"))
    return None


def give_back(holder: Holder | None) -> bool:
    """Give the lock back if the holder has it, whoever has it for None. Returns whether there was one to give back."""
    with _exclusive():
        found = held()
        if found is None or holder not in (None, found):
            return False
        os.unlink(os.path.join(_paths.RUNTIME, "lock"))
    return True


def holder() -> str:
    """The name of who holds the lock, "" for nobody."""
    found = held()
    return "" if found is None or is_gone(found) else found.name


def renewed() -> float:
    """When the lock was taken or renewed last, on the monotonic clock; 0 where nobody holds it."""
    found = _lease()
    return found[1] - _LEASE if found else 0.0


class _exclusive:
    """The file is read and written by one process at a time."""

    def __enter__(self) -> None:
        os.makedirs(_paths.RUNTIME, mode=0o755, exist_ok=True)
        self._descriptor = os.open(
            os.path.join(_paths.RUNTIME, "lock.guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def held() -> Holder | None:
    """Who holds the lock by its file; nobody where the lease is over or there is no file."""
    found = _lease()
    return found[0] if found else None


def _lease() -> tuple[Holder, float] | None:
    """Who holds the lock, and until when."""
    try:
        with open(os.path.join(_paths.RUNTIME, "lock"), "rb") as stream:
            found = json.load(stream)
        until = float(found["until"])
        if time.monotonic() > until:
            return None
        return Holder(str(found["name"]), int(found["process"]), str(found["namespace"])), until
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _namespace() -> str:
    """Names the running kernel and the process namespace on it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return f"{stream.read().strip()} {os.readlink('/proc/self/ns/pid')}"
