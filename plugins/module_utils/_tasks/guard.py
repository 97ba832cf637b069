# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves undone when it is cut off. Private to this collection.

A controller may die, or lose its connection, after it changed a stack and before it had it settled. The process that
Compose runs in waits for that: what nobody settles is settled by it, and the lock that nobody gives back given back, so
that a bad change does not stay and the guest's own runs are not held up.
"""

from __future__ import annotations

import time

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    engine as _engine,
    lock as _lock,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import ledger as _ledger
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    generations as _generations,
    settle as _settle,
)

# Seconds without a sign of the run. Between two tasks it may wait for the slowest guest of its wave.
PATIENCE = 600.0
_POLL = 1.0  # seconds between two checks


def settle_if_left_alone(stack: str, change: str, run: _lock.Holder) -> None:
    """Wait until a change is settled and its run has ended, and see to both when the run gives no sign any more."""
    begun = time.monotonic()
    while True:
        held = _lock.held()
        generation = _generations.load(_paths.STATE_DIR, stack, _generations.NEXT)
        is_pending = generation is not None and generation.get("change") == change
        if held not in (None, run) or (held is None and not is_pending):
            return
        if time.monotonic() - max(begun, _lock.renewed()) > PATIENCE:
            try:
                _settle_all_of(run)
            except (_engine.EngineError, BlockingIOError):
                begun = time.monotonic()  # no engine to ask, or somebody is at it: the same patience once more
        time.sleep(_POLL)


def _settle_all_of(run: _lock.Holder) -> None:
    """Settle what a run changed, write it into the ledger, and give back its lock."""
    state_dir = _paths.STATE_DIR
    stacks = []
    for stack in _generations.names(state_dir):
        generation = _generations.load(state_dir, stack, _generations.NEXT)
        if generation is not None and generation.get("run") == run._asdict():
            stacks.append(stack)
    if stacks:
        done = _settle.settle(state_dir, stacks, blocking=False)
        error = f"{run.name} changed {', '.join(stacks)} and gave no sign for {PATIENCE:.0f} s; settled without it"
        entry = {"kind": "converge", "trigger": "guest", "result": "failed", "error": error, "stacks": done["stacks"]}
        _ledger.append(state_dir, {"time": _clock.utc(time.time()), "verdict": ""} | entry)
    _lock.give_back(run)
