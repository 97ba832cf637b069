# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deciding whether a set of changed stacks is kept or rolled back, all on the guest. Private to this collection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    failpoints as _failpoints,
    files as _files,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    aftercare as _aftercare,
    compose as _compose,
    drift as _drift,
    generations as _generations,
    last_words as _last,
    manifest as _manifest,
    takeover as _takeover,
    wait as _wait,
)

_LOG_LINES = 100  # in which the message that says why is looked for

Generations = dict[str, dict[str, Any]]
"""Stack to one of its generations."""


@contextlib.contextmanager
def one_at_a_time(blocking: bool = True) -> Iterator[None]:
    """Let one process at a time change stacks or decide about a change. Raises BlockingIOError when not blocking."""
    os.makedirs(_paths.RUNTIME, mode=0o755, exist_ok=True)
    with open(os.path.join(_paths.RUNTIME, "change.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        yield


def settle(state_dir: str, stacks: Iterable[str], blocking: bool = True) -> dict[str, dict[str, Any]]:
    """Wait for changed stacks. One that is not healthy is rolled back, and the others too if the whole is worse.

    Returns why stacks failed (wrong) and where each of them is now (stacks). Of a change that was settled meanwhile it
    returns what came of it. Raises BlockingIOError as one_at_a_time() does.
    """
    with one_at_a_time(blocking):
        pending, settled = {}, {}
        for stack in stacks:
            generation = _generations.load(state_dir, stack, _generations.NEXT)
            if generation is None:
                settled[stack] = _outcome(stack)
            else:
                pending[stack] = generation
        failed, states = _decide(state_dir, pending)
        for stack, state in states.items():
            _remember(stack, state | {"failed": failed.get(stack, "")})
    for stack, outcome in settled.items():
        why = outcome.pop("failed")
        failed |= {stack: why} if why else {}
        states[stack] = outcome
    return {"wrong": failed, "stacks": states}


def forget_outcome(stack: str) -> None:
    """A new change begins: what came of an earlier one is no answer to it."""
    _files.remove_if_there(_outcome_path(stack))


def _decide(state_dir: str, pending: Generations) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Keep the set, roll back what failed, or all of it. Returns why stacks failed, and where each is now."""
    _failpoints.failpoint("settling")
    healthy_before = {service for generation in pending.values() for service in generation["healthy_before"]}
    failed = {stack: why for stack in pending if (why := _compose.result(stack))}
    failed |= _wait.wait({stack: pending[stack] for stack in pending if stack not in failed}, healthy_before)
    failed = {stack: why + _last_words(pending[stack], stack) for stack, why in failed.items()}
    healthy = {stack: generation for stack, generation in pending.items() if stack not in failed}
    failed |= _aftercare.take(healthy, _good(state_dir, healthy), healthy_before)
    not_restored = _roll_back(state_dir, failed, healthy_before)
    kept = {stack: generation for stack, generation in pending.items() if stack not in failed}
    worse = healthy_before - _healthy_services(state_dir, _good(state_dir, failed) | kept) if failed else set()
    if worse and kept:
        failed |= {stack: f"with it the whole is worse than before: {', '.join(sorted(worse))}" for stack in kept}
        not_restored |= _roll_back(state_dir, kept, healthy_before)
        kept = {}
    _generations.commit(state_dir, list(kept))
    for stack in failed:
        _generations.reject(state_dir, stack)
        _failpoints.failpoint(f"{stack}: rejected")
    # With the containers that were there when this run began, not those when the good generation was applied.
    restored = {
        stack: good | {"ids_before": pending[stack]["ids_before"]} for stack, good in _good(state_dir, failed).items()
    }
    states = _report(kept, "kept") | _report(restored, "rolled back")
    for stack in failed:
        states.setdefault(stack, {"state": "no earlier generation", "recreated": [], "containers": {}})
    for stack, why in not_restored.items():
        states[stack] |= {"state": "rollback failed", "why": why}
    return failed, states


def _roll_back(state_dir: str, stacks: Iterable[str], healthy_before: set[str]) -> dict[str, str]:
    """Put last good generations back and wait for them. Returns why stacks are not healthy after that.

    A stack that was never healthy has no such generation. It stays as it is, for somebody to examine.
    """
    good = _good(state_dir, stacks)
    for stack, generation in good.items():
        _failpoints.failpoint(f"{stack}: rolling back")
        _generations.write_files(generation, _generations.load(state_dir, stack, _generations.NEXT))
    for stack in stacks:
        applied = _generations.load(state_dir, stack, _generations.NEXT)
        if applied:
            _takeover.restore(state_dir, stack, applied)
    for stack, generation in good.items():
        _failpoints.failpoint(f"{stack}: files restored")
        _compose.start(stack, generation["record"]["project_dir"], [])
    said = {stack: _compose.result(stack) for stack in good}
    failed = _wait.wait(good, healthy_before)
    failed |= _aftercare.take(*_gone_back(state_dir, good.keys() - failed), healthy_before)
    return {stack: "; ".join(filter(None, (said[stack], why))) for stack, why in failed.items()}


def _gone_back(state_dir: str, stacks: Iterable[str]) -> tuple[Generations, Generations]:
    """Good generations that run again, and those that ran between, for the aftercare of the way back."""
    between = {stack: _generations.load(state_dir, stack, _generations.NEXT) or {"contents": {}} for stack in stacks}
    # One of an earlier version of this collection does not say what its program is.
    return {
        stack: generation | {"program": between[stack].get("program", ""), "ids_before": {}}
        for stack, generation in _good(state_dir, stacks).items()
    }, between


def _good(state_dir: str, stacks: Iterable[str]) -> Generations:
    found = {stack: _generations.load(state_dir, stack, _generations.GOOD) for stack in stacks}
    return {stack: generation for stack, generation in found.items() if generation is not None}


def _healthy_services(state_dir: str, applied: Generations) -> set[str]:
    """Services that are healthy now, of all recorded stacks and of those that are being changed."""
    recorded = _manifest.known(state_dir)["stacks"]
    records = {stack: generation["record"] for stack, generation in applied.items()}
    return set(_wait.healthy_services(recorded | records, _engine.observe()))


def _report(generations: Generations, state: str) -> dict[str, dict[str, Any]]:
    if not generations:
        return {}
    engine, report = _engine.observe(), {}
    for stack, generation in generations.items():
        ids = _wait.ids(stack, engine)
        before = generation["ids_before"]
        report[stack] = {
            "state": state,
            "recreated": sorted(service for service in ids if service in before and before[service] != ids[service]),
            "containers": _wait.containers(stack, generation["record"], engine),
        }
    return report


def _outcome_path(stack: str) -> str:
    return os.path.join(_paths.RUNTIME, "settled", f"{stack}.json")


def _remember(stack: str, outcome: dict[str, Any]) -> None:
    path = _outcome_path(stack)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    _files.write_atomic(path, json.dumps(outcome).encode(), "0600", os.geteuid(), os.getegid())


def _outcome(stack: str) -> dict[str, Any]:
    try:
        with open(_outcome_path(stack), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {"state": "unknown", "failed": "another run of this guest has settled it; run this again"}


def _last_words(generation: dict[str, Any], stack: str) -> str:
    """What the logs of what is not healthy say: its containers are gone once the stack was rolled back."""
    engine = _engine.observe()
    reasons = _drift.engine_reasons(stack, generation["record"], engine)
    wrong = {reason.subject for reason in reasons} | set(_wait.starting_services(stack, generation["record"], engine))
    words = ""
    secrets = _last.secrets(_secret_contents(generation))
    for container in engine.containers:
        if container.project == stack and container.service in wrong:
            try:
                lines = _engine.log_lines(container.id, _LOG_LINES)
            except _engine.EngineError:
                continue
            said = _last.cause(lines, secrets)
            words += f"; {container.name} says: {said}" if said else ""
    return words


def _secret_contents(generation: dict[str, Any]) -> Iterator[str]:
    """All secret files, those that are made once and kept too: their content stands inside of others."""
    for path in generation["secret_files"]:
        text = generation["contents"].get(path)
        if text is None:
            try:
                with open(os.path.join(generation["record"]["project_dir"], path), errors="replace") as stream:
                    text = stream.read()
            except OSError:
                continue
        yield text
