# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest can run a Docker engine with our stacks at all: the registry of the bake. Private."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    BAKE,
    COMMAND,
    PERSON,
    Check,
    Outcome,
    Remedy,
    declare,
    run,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import engine as _engine

_PCT = Remedy(PERSON, "on the node: pct set ID --features nesting=1,keyctl=1, then restart the guest")
_LXC_PVE = Remedy(PERSON, "on the node: update lxc-pve to 6.0.5-2 or newer, then restart the guest")
_KEYCTL = {"x86_64": 250, "aarch64": 219}
# The same numbers on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6
_GOOD_DRIVERS = ("overlay2", "overlayfs", "btrfs", "zfs")


@declare(
    "nesting",
    cost=BAKE,
    observes=("proc",),
    ok=Outcome("ok", "a container's /proc can be mounted and written"),
    read_only=Outcome(
        "fail",
        "AppArmor keeps a container's /proc from being written: runc would fail for ip_unprivileged_port_start",
        _LXC_PVE,
    ),
    off=Outcome("fail", "a container's /proc can't be mounted ({error} at {step}): nesting is off", _PCT),
)
def nesting(say: Any, proc: tuple[int | None, str]) -> Iterator[Check]:
    """The kernel lets a container have a /proc of its own.

    proc is what probe_proc() gives.
    """
    number, step = proc
    outcome = "ok" if not number else "read_only" if step == "reopen" else "off"
    yield say(outcome, error=os.strerror(number) if number else "", step=step)


@declare(
    "keyctl",
    cost=BAKE,
    observes=("keyctl",),
    ok=Outcome("ok", "available"),
    unknown=Outcome("ok", "not known on this machine"),
    absent=Outcome("degraded", "the guest has no keyctl, which older engines need", _PCT),
)
def keyctl(say: Any, number: int | None) -> Iterator[Check]:
    """The kernel has a key ring for the engine.

    number is what probe_keyctl() gives.
    """
    yield say("absent" if number == errno.ENOSYS else "unknown" if number is None else "ok")


@declare(
    "storage",
    cost=BAKE,
    observes=("driver",),
    needs=("engine",),
    ok=Outcome("ok", "{driver}"),
    copies=Outcome(
        "fail",
        "storage driver vfs: every layer is a whole copy, the images take many times their size",
        Remedy(
            PERSON, "put /var/lib/docker and /var/lib/containerd on ext4, or update ZFS on the node to 2.2 or newer"
        ),
    ),
    slow=Outcome(
        "degraded",
        "storage driver {driver}: slow, and known for stuck backups",
        Remedy(PERSON, "put /var/lib/docker on ext4 and remove the setting"),
    ),
)
def storage(say: Any, driver: str) -> Iterator[Check]:
    """The engine shares the layers of images."""
    yield say("ok" if driver in _GOOD_DRIVERS else "copies" if driver == "vfs" else "slow", driver=driver)


@declare(
    "compose",
    cost=BAKE,
    observes=("compose",),
    ok=Outcome("ok", "{version}"),
    absent=Outcome(
        "fail",
        "there is no 'docker compose'",
        Remedy(COMMAND, "run 'apt-get install -y docker-compose' on the guest, Debian 13's name of Compose 2"),
    ),
)
def compose(say: Any, version: str) -> Iterator[Check]:
    """Compose 2 is there, as a part of the docker command."""
    yield say("absent" if version.lstrip("v").startswith("1.") or not version else "ok", version=version)


@declare(
    "disk",
    cost=BAKE,
    observes=("free", "minimum_free"),
    ok=Outcome("ok", "{free} MiB free for the engine"),
    low=Outcome(
        "fail",
        "{free} MiB free for the engine, {minimum} are needed",
        Remedy(PERSON, "free some, or make the guest's disk larger"),
    ),
)
def disk(say: Any, free: int, minimum: int) -> Iterator[Check]:
    """There is room for the images, in bytes."""
    yield say("low" if free < minimum else "ok", free=free >> 20, minimum=minimum >> 20)


@declare(
    "time",
    cost=BAKE,
    observes=("now", "not_before"),
    ok=Outcome("ok", "plausible"),
    slow=Outcome("fail", "the clock is at least {days} days slow", Remedy(PERSON, "set the node's clock")),
)
def clock(say: Any, now: float, not_before: float) -> Iterator[Check]:
    """The clock shows a time that can be: later than one that has passed."""
    yield say("slow" if now < not_before else "ok", days=f"{(not_before - now) / 86400:.0f}")


CHECKS = (nesting, keyctl, _engine.answers, _engine.api, storage, compose, disk, clock)


class Observed(NamedTuple):
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


def judge(observed: Observed, minimum_free: int, not_before: float) -> list[Check]:
    """The checks. minimum_free is in bytes; not_before, in seconds since the epoch, is a time that has passed."""
    found = observed._asdict() | {
        "proc": (observed.proc, observed.proc_step),
        "version": observed.engine,
        "minimum_free": minimum_free,
        "not_before": not_before,
        # Nothing is applied before the bake, and the engine is asked whatever the configuration.
        "configured": True,
        "traefik_pin": "",
    }
    return run(CHECKS, found.__getitem__)


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
