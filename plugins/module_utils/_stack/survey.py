# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey of all stacks of a guest: does the observed differ from the recorded? Private to this collection.

It comes with the first module of a converge, so that a stack that does not differ costs no module of its own. The gate
makes it every five minutes.
"""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift, manifest as _manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def survey(state_dir: str) -> dict[str, Any]:
    """The networks there are, and for each recorded stack the digest of its rendering and what differs from its record.

    Empty if manifest or engine can't be read.
    """
    try:
        recorded, engine = _manifest.load(state_dir), _engine.observe()
    except (_manifest.ManifestError, _engine.EngineError):
        return {"networks": [], "stacks": {}}
    return {
        "networks": sorted(engine.networks),
        "stacks": {
            stack: {"rendering": record.get("rendering", ""), "reasons": reasons(state_dir, stack, record, engine)}
            for stack, record in recorded.items()
        },
    }


def reasons(state_dir: str, stack: str, record: dict[str, Any], engine: _engine.Engine) -> list[str]:
    """What differs between a stack and its record, each a line for people."""
    try:
        found = (
            _drift.file_reasons(record)
            + _drift.leftover_reasons(stack, record, state_dir)
            + _drift.unit_reasons(record)
            + _drift.engine_reasons(stack, record, engine)
        )
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    return [reason.text for reason in found + _drift.unsettled_reasons(stack, state_dir)]
