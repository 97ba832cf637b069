# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: does this guest need a converge? Private to this collection.

Asked every five minutes on every guest, so it must cost no more than a 'docker ps': nothing but the standard library's
cheapest parts is imported. It compares what is with what the last converge recorded.
"""

from __future__ import annotations

import os
import time

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    engine as _engine,
    files as _files,
    lock as _lock,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.record import NamedTuple
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest, survey as _survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RECORD_IS_TRUSTED = 86400  # seconds; the record is what a converge wrote, so one a day does not ask it


class Answer(NamedTuple):
    """Whether a converge is needed, and why or why not, as a line for people."""

    needed: bool
    why: str


class Observed(NamedTuple):
    """What the gate observes.

    lock is who holds the guest's lock or ""; booting, whether nothing was converged since the guest started; inputs,
    the digests of the files that make its configuration; head, the mirror's commit; converged, the manifest's record of
    the last converge; certificate, that it saw none, and what was tried; differences, what is not as recorded.
    """

    now: float
    pause: _state.Pause | None
    lock: str
    booting: bool
    failures: _state.Failures
    inputs: dict[str, str]
    head: str
    converged: dict[str, Any]
    certificate: _state.Tries | None
    differences: list[str]


def decide(observed: Observed) -> Answer:
    """Whether a converge is needed."""
    if observed.pause:
        return Answer(False, f"paused until {_clock.utc(observed.pause.until)}; 'felhom-base-infra resume' ends that")
    if observed.lock:
        return Answer(False, f"{observed.lock} is at work on this guest")
    if observed.booting:
        return Answer(True, "the guest has just started")
    reasons = _reasons(observed)
    if not reasons and observed.failures.number:
        # No drift, and still a run failed, whose report is the last word on this guest's health.
        reasons = ["the last converge failed"]
    if not reasons:
        waits = observed.converged["result"] == "waiting"
        return Answer(False, "waiting for a configuration" if waits else "nothing to do")
    retry = _state.retry_at(observed.failures, key(observed), observed.now)
    # Three services on one missing network say the same.
    why = "; ".join(dict.fromkeys(reasons))
    if retry:
        number = observed.failures.number
        times = "once" if number == 1 else f"{number} times"
        return Answer(False, f"failed {times}; next try at {_clock.utc(retry)}: {why}")
    return Answer(True, why)


def key(observed: Observed) -> str:
    """What a converge would be made of. A failure counts against the next try of the same only."""
    return _files.digest(repr((sorted(observed.inputs.items()), observed.head)).encode())


def _reasons(observed: Observed) -> list[str]:
    converged = observed.converged
    if not converged:
        return ["nothing was ever converged", *observed.differences]
    before, now = converged["inputs"], observed.inputs
    reasons = [
        f"{path} {'appeared' if path not in before else 'changed' if path in now else 'is gone'}"
        for path in sorted(now.keys() | before.keys())
        if now.get(path) != before.get(path)
    ]
    if observed.head != converged["commit"]:
        found = f"is at commit {observed.head[:12]}" if observed.head else "can't be read"
        reasons.append(f"the mirror {found}, applied is {converged['commit'][:12] or 'none'}")
    age = observed.now - converged["time"]
    if age > _RECORD_IS_TRUSTED:
        reasons.append("a day has passed")
    elif age < 0:
        reasons.append("the last converge is in the future of the clock")
    if observed.certificate and not _state.next_certificate(observed.certificate, observed.now):
        reasons.append("the certificate is to be asked for again")
    return reasons + observed.differences


def observe(settings: _state.Settings) -> Observed:
    """Observe the guest."""
    now = time.time()
    converged: dict[str, Any] = {}
    differences: list[str] = []
    try:
        manifest = _manifest.read(settings.state_dir)
        converged, stacks = manifest["converged"], manifest["stacks"]
        if converged:
            # A converge reads more than the gate is to watch: a compose file that it then writes.
            watched = {path: seen for path, seen in converged["inputs"].items() if path in settings.inputs}
            converged = converged | {"inputs": watched}
        if stacks:
            engine = _engine.observe()
            for stack, record in stacks.items():
                differences += _survey.reasons(settings.state_dir, stack, record, engine)
    except (_manifest.ManifestError, _engine.EngineError) as error:
        differences.append(str(error))
    return Observed(
        now=now,
        pause=_state.pause(settings.state_dir, now),
        lock=_lock.holder(),
        booting=not os.path.exists(os.path.join(_paths.RUNTIME, "converged")),
        failures=_state.failures(settings.state_dir),
        inputs=_state.input_digests(settings.inputs),
        head=_state.head(settings.mirror, settings.ref),
        converged=converged,
        certificate=_state.certificate(settings.state_dir),
        differences=differences,
    )
