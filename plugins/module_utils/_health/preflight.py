# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest can run a Docker engine with our stacks at all. Private to this collection.

judge() is a pure function of what probe() saw.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import pins as _pins
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import Check

_PCT = "on the node: pct set ID --features nesting=1,keyctl=1, then restart the guest"
_LXC_PVE = "on the node: update lxc-pve to 6.0.5-2 or newer, then restart the guest"
_KEYCTL = {"x86_64": 250, "aarch64": 219}
# The same numbers on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6
_GOOD_DRIVERS = ("overlay2", "overlayfs", "btrfs", "zfs")
_OLDEST_API = (1, 41)  # Docker 20.10: the oldest engine that knows what the stacks' files ask for


class Seen(NamedTuple):
    """What a guest's kernel, engine and disk say.

    proc and keyctl are the error number of a probe, 0 for none, None where it can't be made; proc_step is what the
    first one failed at. engine is the engine's version, {} without an answer, and engine_error why.
    """

    proc: int | None
    proc_step: str
    keyctl: int | None
    engine: dict[str, Any]
    engine_error: str
    driver: str
    compose: str
    free: int
    now: float


def judge(seen: Seen, minimum_free: int, not_before: float) -> list[Check]:
    """The checks. minimum_free is in bytes; not_before, in seconds since the epoch, is a time that has passed."""
    return [
        _nesting(seen),
        _keyctl(seen),
        *_engine(seen),
        _compose(seen),
        _disk(seen, minimum_free),
        _time(seen, not_before),
    ]


def _nesting(seen: Seen) -> Check:
    if not seen.proc:
        return Check("nesting", "ok", "a container's /proc can be mounted and written", "")
    if seen.proc_step == "reopen":
        reason = "AppArmor keeps a container's /proc from being written: runc would fail for ip_unprivileged_port_start"
        return Check("nesting", "fail", reason, _LXC_PVE)
    reason = f"a container's /proc can't be mounted ({os.strerror(seen.proc)} at {seen.proc_step}): nesting is off"
    return Check("nesting", "fail", reason, _PCT)


def _keyctl(seen: Seen) -> Check:
    if seen.keyctl == errno.ENOSYS:
        return Check("keyctl", "degraded", "the guest has no keyctl, which older engines need", _PCT)
    return Check("keyctl", "ok", "available" if seen.keyctl is not None else "not known on this machine", "")


def _engine(seen: Seen) -> list[Check]:
    if not seen.engine:
        return [Check("engine", "fail", seen.engine_error, "see 'systemctl status docker'")]
    found = seen.engine.get("ApiVersion", "")
    text = f"Docker {seen.engine.get('Version')}, API {seen.engine.get('MinAPIVersion')} to {found}"
    checks = [Check("engine", "ok", text, "")]
    if _pins.version_numbers(found) < _OLDEST_API:
        checks = [Check("engine", "fail", f"{text}: too old", "install Docker 20.10 or newer")]
    if seen.driver in _GOOD_DRIVERS:
        return [*checks, Check("storage", "ok", seen.driver, "")]
    if seen.driver == "vfs":
        reason = "storage driver vfs: every layer is a whole copy, the images take many times their size"
        fix = "put /var/lib/docker and /var/lib/containerd on ext4, or update ZFS on the node to 2.2 or newer"
        return [*checks, Check("storage", "fail", reason, fix)]
    reason = f"storage driver {seen.driver}: slow, and known for stuck backups"
    return [*checks, Check("storage", "degraded", reason, "put /var/lib/docker on ext4 and remove the setting")]


def _compose(seen: Seen) -> Check:
    if seen.compose.lstrip("v").startswith("1.") or not seen.compose:
        return Check("compose", "fail", "there is no 'docker compose'", "install Compose 2")
    return Check("compose", "ok", seen.compose, "")


def _disk(seen: Seen, minimum: int) -> Check:
    text = f"{seen.free >> 20} MiB free for the engine"
    if seen.free < minimum:
        return Check(
            "disk", "fail", f"{text}, {minimum >> 20} are needed", "free some, or make the guest's disk larger"
        )
    return Check("disk", "ok", text, "")


def _time(seen: Seen, not_before: float) -> Check:
    if seen.now < not_before:
        days = (not_before - seen.now) / 86400
        return Check("time", "fail", f"the clock is at least {days:.0f} days slow", "set the node's clock")
    return Check("time", "ok", "plausible", "")


def probe_proc() -> tuple[int | None, str]:
    """What runc does since November 2025: mount a /proc of its own, detached, and open a setting in it for writing.

    Error number and step it came from. https://github.com/opencontainers/runc/issues/4968
    """
    libc = ctypes.CDLL(None, use_errno=True)
    opened: list[int] = []

    def call(*arguments: Any) -> int:
        result = libc.syscall(*arguments)
        return result if result >= 0 else -ctypes.get_errno()

    try:
        filesystem = call(_FSOPEN, b"proc", 0)
        if filesystem < 0:
            return -filesystem, "fsopen"
        opened.append(filesystem)
        created = call(_FSCONFIG, filesystem, _FSCONFIG_CMD_CREATE, None, None, 0)
        if created < 0:
            return -created, "fsconfig"
        mounted = call(_FSMOUNT, filesystem, 0, 0)
        if mounted < 0:
            return -mounted, "fsmount"
        opened.append(mounted)
        setting = os.open("sys/net/ipv4/ip_unprivileged_port_start", os.O_PATH, dir_fd=mounted)
        opened.append(setting)
        opened.append(os.open(f"/proc/self/fd/{setting}", os.O_WRONLY))
    except OSError as error:
        return error.errno, "reopen"
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return 0, ""


def probe_keyctl() -> int | None:
    """Error number of asking for the session's key ring."""
    number = _KEYCTL.get(platform.machine())
    if number is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.syscall(number, 0, -3, 0) < 0 else 0
