# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the Docker engine, for the bake's look at a guest as well. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import pins as _pins
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    COMMAND,
    CONVERGING,
    PERSON,
    TICK,
    Check,
    Outcome,
    Remedy,
    declare,
)

# Docker 29 refuses clients below 1.44, and Traefik before 3.6.1 spoke nothing but 1.24.
_TRAEFIK_NEGOTIATES = (3, 6, 1)
_TRAEFIK_SPOKE = (1, 24)
# Every stack's health check has a start_interval. Compose 2.26 to 2.40 refuse to make such a container otherwise:
# "can't set healthcheck.start_interval as feature require Docker Engine v25 or later" (pkg/compose/convert.go).
OLDEST_API = "1.44"


@declare(
    "engine",
    cost=TICK,
    observes=("version", "engine_error"),
    needs=("configured",),
    ok=Outcome("ok", "Docker {number}"),
    silent=Outcome(
        "fail",
        "{error}",
        Remedy(COMMAND, "run 'systemctl restart docker' on the guest; 'journalctl -u docker' says why"),
    ),
)
def answers(say: Any, version: dict[str, Any], error: str) -> Iterator[Check]:
    """The Docker engine answers. Nothing else can be seen where it does not."""
    yield say("silent", error=error) if error else say("ok", number=version.get("Version") or "of unknown version")


@declare(
    "engine.api",
    cost=CONVERGING,
    observes=("version", "traefik_pin"),
    needs=("configured", "engine"),
    ok=Outcome("ok", "{oldest} to {newest}"),
    too_new=Outcome(
        "fail",
        "Traefik {tag} speaks API 1.24 only, this engine none below {oldest}: the proxy finds no container",
        Remedy(PERSON, "move the pin of Traefik to 3.6.1 or newer"),
    ),
    too_old=Outcome(
        "fail",
        f"the engine's API is {{newest}}, older than {OLDEST_API}: Compose refuses the start_interval of every stack",
        Remedy(PERSON, "upgrade the Docker engine to 25 or newer"),
    ),
)
def api(say: Any, version: dict[str, Any], traefik: str) -> Iterator[Check]:
    """Engine, Compose files and proxy understand each other.

    version is the engine's answer, traefik the proxy's pin, "" for none.
    """
    newest, oldest = str(version.get("ApiVersion") or "unknown"), str(version.get("MinAPIVersion") or "unknown")
    tag = traefik.partition("@")[0].rpartition(":")[2]
    speaks = _pins.version_numbers(tag)
    if speaks and speaks < _TRAEFIK_NEGOTIATES and _pins.version_numbers(oldest) > _TRAEFIK_SPOKE:
        yield say("too_new", tag=tag, oldest=oldest)
    elif _pins.version_numbers(newest) < _pins.version_numbers(OLDEST_API):
        yield say("too_old", newest=newest)
    else:
        yield say("ok", oldest=oldest, newest=newest)
