# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of stacks and their containers: pure functions of what was observed. Private to this collection."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import repo_digest
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import CONVERGE, Check
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.drift import (
    engine_reasons,
    file_reasons,
    unit_reasons,
)


def container_checks(protected, stacks, engine):
    """One check for each container that must run."""
    by_name = {container.name: container for container in engine.containers}
    waits = {service["container"]: stack["wait"] for stack in stacks.values() for service in stack["services"].values()}
    return [_container_check(name, by_name.get(name), waits.get(name, "running")) for name in protected]


def _container_check(name, container, wait):
    """Every protected container runs and is healthy. Worded as the controller words it."""
    check_id = f"container.{name}"
    if container is None:
        return Check(check_id, "fail", f"Protected container not running: {name} (there is none)", CONVERGE)
    if container.state == "restarting" and wait == "none":
        # A tunnel ends at once where no name can be resolved, and the engine starts it again until one can.
        reason = f"Protected container restarting: {name}"
        return Check(check_id, "degraded", reason, f"see whether the guest has a network, and 'docker logs {name}'")
    if container.state != "running":
        fix = f"see 'docker logs {name}', then {CONVERGE}"
        return Check(check_id, "fail", f"Protected container not running: {name} ({container.state})", fix)
    if container.health == "unhealthy":
        bad = "fail" if wait == "healthy" else "degraded"
        return Check(check_id, bad, f"Protected container unhealthy: {name}", f"see 'docker logs {name}'")
    if container.health == "starting":
        return Check(check_id, "degraded", f"Protected container starting: {name}", "wait for its first health check")
    return Check(check_id, "ok", "running" + (", healthy" if container.health else ""), "")


def pin_checks(stacks, engine):
    """Every container of a stack runs the image that its pin names."""
    found = {(container.project, container.service): container for container in engine.containers}
    checks = []
    for stack, record in stacks.items():
        for service, want in record["services"].items():
            container = found.get((stack, service))
            if container is None:
                continue  # said by the container check, or by the stack's
            name, pin = want["container"], want["image"]
            check_id = f"pin.{name}"
            if engine.images.get(repo_digest(pin)) == container.image_id:
                checks.append(Check(check_id, "ok", pin.partition("@")[0], ""))
            else:
                checks.append(Check(check_id, "fail", f"runs another image than {pin}", CONVERGE))
    return checks


def pins(stacks):
    """The pin of each container of all stacks."""
    return {want["container"]: want["image"] for record in stacks.values() for want in record["services"].values()}


def network_check(name, engine):
    """The network that all stacks share exists."""
    if name in engine.networks:
        return Check(f"network.{name}", "ok", "exists", "")
    return Check(f"network.{name}", "fail", f"network {name} does not exist", CONVERGE)


def stack_checks(stacks, engine):
    """Every stack is as it was applied: files on disk and containers."""
    checks = []
    for stack, record in sorted(stacks.items()):
        try:
            reasons = file_reasons(record) + unit_reasons(record) + engine_reasons(stack, record, engine)
            what_differs = "; ".join(reason.text for reason in reasons)
        except OSError as error:
            what_differs = f"{error.filename}: {error.strerror}"
        if what_differs:
            checks.append(Check(f"stack.{stack}", "fail", f"{what_differs}", CONVERGE))
        else:
            checks.append(Check(f"stack.{stack}", "ok", "as applied", ""))
    return checks


def applied_check(stacks):
    """Something was applied at all. None where that is so: the stacks then speak for themselves."""
    if stacks:
        return None
    return Check("stacks", "fail", "nothing has been applied on this guest yet", CONVERGE)
