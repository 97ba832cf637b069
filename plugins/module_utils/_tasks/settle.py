# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settling changed stacks, and returning stacks to their previous generation. Run by guest_apply. Private."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    commands as _commands,
    engine as _engine,
    lock as _lock,
    paths as _paths,
    pins as _pins,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    compose as _compose,
    generations as _generations,
    manifest as _manifest,
    outcome as _outcome,
    settle as _settle,
    wait as _wait,
)


class Refused(Exception):
    """Something that must hold before anything is touched does not. The text is one line."""


def settle(_module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Decide about stacks that were changed earlier in this run."""
    run = _lock.Holder(**arguments["run"])
    if _lock.held() == run:
        _lock.take(run)
    return {"changed": True} | _commands.outlive(lambda: _settle.settle(_paths.STATE_DIR, arguments["stacks"]))


def end(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Decide about the stacks that a run left pending, then end the run: what went wrong is told at its end."""
    # Compiled anew in every execution, so only where it is needed.
    from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import end as _end

    stacks: dict[str, dict[str, Any]] = arguments["stacks_of_run"]
    try:
        settled = settle(module, {"stacks": arguments["pending"], "run": arguments["holder"]})
        stacks = {stack: known | settled["stacks"].get(stack, {}) for stack, known in stacks.items()}
        why = _outcome.failure(settled["wrong"], settled["stacks"])
    except (_engine.EngineError, _commands.CommandError) as error:
        why = str(error)
    except OSError as error:
        why = f"{error.filename or 'the system'}: {error.strerror}"
    proves = stacks.get(arguments["probe_after"], {}).get("state") == "kept"
    outcome = {
        "stacks_of_run": stacks,
        "error": ". ".join(filter(None, (arguments["error"], why))),
        "probe": arguments["probe"] or proves,
        "patience": 0 if why else arguments["patience"],
    }
    return _end.end(module, arguments | outcome) | {"changed": True}


def rollback(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Apply the previous generation, for all stacks that have one where none is named.

    A stack that was removed on request has one too, but comes back only by its name.
    """
    holder = _lock.Holder(**arguments["run"])
    if not module.check_mode:
        void = arguments["void"]
        held = _lock.take(holder, void and _lock.Holder(**void))
        if held is not None:
            return {"changed": False, "held_by": held._asdict()}
    try:
        previous = _previous(arguments["stacks"])
        if module.check_mode or not previous:
            would = {stack: {"state": "would go back"} for stack in previous}
            return {"changed": bool(previous), "wrong": {}, "stacks": would}
        return {"changed": True} | _commands.outlive(lambda: _return_to(previous, holder))
    finally:
        if not module.check_mode:
            _lock.give_back(holder)


def _previous(names: list[str]) -> dict[str, dict[str, Any]]:
    """The generations to return to. Raises Refused."""
    state_dir = _paths.STATE_DIR
    wanted = names or [
        stack
        for stack in _generations.names(state_dir)
        if _generations.load(state_dir, stack, _generations.GOOD) is not None
    ]
    found = {stack: _generations.load(state_dir, stack, _generations.PREVIOUS) for stack in wanted}
    missing = sorted(stack for stack in names if found[stack] is None)
    if missing:
        raise Refused(f"no earlier generation of {', '.join(missing)} is kept on this guest; nothing was changed")
    previous = {stack: generation for stack, generation in found.items() if generation is not None}
    images = _engine.observe().images
    for stack, generation in previous.items():
        for service in generation["record"]["services"].values():
            if _pins.repo_digest(service["image"]) not in images:
                raise Refused(f"stack {stack}: image {service['image']} is not on the guest; nothing was changed")
    return previous


def _return_to(previous: dict[str, dict[str, Any]], run: _lock.Holder) -> dict[str, Any]:
    """Apply generations and settle them, and give the lock back: who waits for this may be gone."""
    try:
        _apply(previous, run)
        return _settle.settle(_paths.STATE_DIR, previous)
    finally:
        _lock.give_back(run)


def _apply(previous: dict[str, dict[str, Any]], run: _lock.Holder) -> None:
    state_dir = _paths.STATE_DIR
    with _settle.one_at_a_time():
        engine = _engine.observe()
        healthy = _wait.healthy_services(_manifest.known(state_dir)["stacks"], engine)
        for stack, generation in previous.items():
            ids, good = _wait.ids(stack, engine), _generations.load(state_dir, stack, _generations.GOOD)
            applied = {"healthy_before": healthy, "ids_before": ids, "displaced": [], "units": [], "run": run._asdict()}
            # One of an earlier version of this collection does not say what its program is.
            applied["program"] = generation.get("program") or (good or {}).get("program", "")
            _generations.save(state_dir, stack, _generations.NEXT, generation | applied)
            _generations.write_files(generation, good)
            _compose.start(stack, generation["record"]["project_dir"], [])
