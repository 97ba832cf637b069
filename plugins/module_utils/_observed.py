# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at all stacks of a guest: do they differ from what was last applied? Private to this collection.

A module that runs at the start of a converge anyway takes the look, so that no stack that is right has to be asked for.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils import (
    _drift,
    _engine,
    _generations,
    _manifest,
    _stack,
)


def look(state_dir: str) -> dict[str, Any]:
    """The networks there are, and for each recorded stack the digest of its rendering and what differs from its record.

    What can't be seen is left out; whoever needs it has to look for himself and says what is wrong.
    """
    try:
        recorded, engine = _manifest.load(state_dir), _engine.observe()
    except (_manifest.ManifestError, _engine.EngineError):
        return {"networks": [], "stacks": {}}
    return {
        "networks": sorted(engine.networks),
        "stacks": {
            stack: {"rendering": record.get("rendering", ""), "reasons": _reasons(state_dir, stack, record, engine)}
            for stack, record in recorded.items()
        },
    }


def _reasons(state_dir: str, stack: str, record: dict[str, Any], engine: _engine.Engine) -> list[str]:
    try:
        reasons = (
            _drift.file_reasons(record)
            + _stack.leftover_reasons(stack, record, state_dir)
            + _drift.engine_reasons(stack, record, engine)
        )
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    unsettled = _generations.load(state_dir, stack, _generations.NEXT) is not None
    return [reason.text for reason in reasons] + (["a run that applied it did not end"] if unsettled else [])
