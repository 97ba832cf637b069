# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for stacks together, and what the health of a set says of them. Private to this collection.

The functions are pure but for wait(), which asks the engine until it knows.
"""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift

_POLL = 0.1  # seconds between two questions
# Seconds for which something must be wrong before it counts: a container that has just been started may look exited for
# a moment, and one that waits for a neighbour may restart once.
_PATIENCE = 5.0


def wait(generations: dict[str, dict[str, Any]], healthy_before: set[str]) -> dict[str, str]:
    """Wait until every stack is healthy or has failed. Returns why, for each stack that has failed.

    healthy_before is what healthy_services() said before the change.
    """
    start = time.monotonic()
    waiting = {
        stack: generation | {"record": _record_to_wait_for(stack, generation["record"], healthy_before)}
        for stack, generation in generations.items()
    }
    wrong_since: dict[str, float] = {}
    failed: dict[str, str] = {}
    while waiting:
        engine = _engine.observe()
        now = time.monotonic()
        for stack, generation in list(waiting.items()):
            wrong = _drift.engine_reasons(stack, generation["record"], engine)
            starting = starting_services(stack, generation["record"], engine)
            late = now - start > generation.get("wait_timeout", 120)
            if not wrong and not starting:
                del waiting[stack]
            elif wrong and (late or now - wrong_since.setdefault(stack, now) > _PATIENCE):
                failed[stack] = "; ".join(reason.text for reason in wrong)
                del waiting[stack]
            elif not wrong:
                wrong_since.pop(stack, None)
                if late:
                    failed[stack] = f"not healthy after {now - start:.0f} s: {', '.join(starting)}"
                    del waiting[stack]
        if waiting:
            time.sleep(_POLL)
    return failed


def _record_to_wait_for(stack: str, record: dict[str, Any], healthy_before: set[str]) -> dict[str, Any]:
    """The record to wait for.

    A stack whose health is the world outside is not waited for, unless it was healthy just before: then the world lets
    it be healthy, and a change after which it is not is a bad one.
    """
    was_healthy = all(f"{stack}/{service}" in healthy_before for service in record["services"])
    return record | {"wait": "healthy"} if record["wait"] == "none" and was_healthy else record


def starting_services(stack: str, record: dict[str, Any], engine: _engine.Engine) -> list[str]:
    """Services whose first health check has not passed yet, where that is to be waited for."""
    if record["wait"] != "healthy":
        return []
    return sorted(
        container.service
        for container in engine.containers
        if container.project == stack and container.service in record["services"] and container.health == "starting"
    )


def healthy_services(stacks: dict[str, dict[str, Any]], engine: _engine.Engine) -> list[str]:
    """Services of recorded stacks that are healthy, as STACK/SERVICE: what a change must not make worse."""
    return sorted(
        f"{container.project}/{container.service}"
        for container in engine.containers
        if container.project in stacks
        and container.service in stacks[container.project]["services"]
        and container.state == "running"
        and container.health in ("healthy", "")
    )


def ids(stack: str, engine: _engine.Engine) -> dict[str, str]:
    """The ids of a stack's containers by service, to tell later which were made anew."""
    return {container.service: container.id for container in engine.containers if container.project == stack}


def containers(stack: str, record: dict[str, Any], engine: _engine.Engine) -> dict[str, dict[str, str]]:
    """A stack's containers by service, for a result."""
    found = {container.service: container for container in engine.containers if container.project == stack}
    return {
        service: {
            "name": found[service].name,
            "id": found[service].id[:12],
            "state": found[service].state,
            "health": found[service].health,
            "image": want["image"],
        }
        for service, want in record["services"].items()
        if service in found
    }
