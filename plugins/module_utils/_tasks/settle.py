# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for stacks, and taking them back. Run by guest_apply for compose_settle and compose_rollback. Private."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    files as _files,
    lock as _lock,
    pins as _pins,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    drift as _drift,
    generations as _generations,
    manifest as _manifest,
    takeover as _takeover,
    wait as _wait,
)

_LOG_LINES = 5
_LOG_WIDTH = 300  # characters of a line that are shown


def run(module: AnsibleModule) -> None:
    """Run the phase."""
    phases = {"wait": wait, "restored": restored, "final": final, "rollback": rollback, "unlock": unlock}
    try:
        module.exit_json(**phases[module.params["phase"]](module))
    except _engine.EngineError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['state_dir']}: {error.strerror}")


def wait(module: AnsibleModule) -> dict[str, Any]:
    """Wait for all. Well: they are the good generation. Otherwise the lost ones go back first."""
    state_dir, pending = module.params["state_dir"], _pending(module)
    wrong = {stack: why for stack, why in _compose_failures(module).items() if stack in pending}
    lost = wrong | _wait.wait({stack: pending[stack] for stack in pending if stack not in wrong}, _well_before(pending))
    if not lost:
        _generations.commit(state_dir, list(pending))
        return {"changed": True, "restore": [], "lost": {}, "stacks": _report(pending, "kept")}
    described = {stack: why + _last_words(pending[stack], stack) for stack, why in lost.items()}
    return {"changed": True, "restore": _go_back(module, lost), "lost": described, "stacks": {}}


def restored(module: AnsibleModule) -> dict[str, Any]:
    """The lost ones are back on their last good generation: do the others stay on the new one?"""
    state_dir, lost = module.params["state_dir"], module.params["lost"]
    pending = _pending(module)
    back = _good(state_dir, lost)
    well_before = _well_before(pending)
    lost |= _on_the_way_back(module)
    still_lost = _wait.wait(back, well_before)
    others = {stack: generation for stack, generation in pending.items() if stack not in lost}
    now = {stack: generation["record"] for stack, generation in (back | others).items()}
    recorded = _manifest.known(state_dir)["stacks"]
    worse = well_before - set(_wait.well_services(recorded | now, _engine.observe()))
    if worse and others:
        why = f"with them the whole is worse than before: {', '.join(sorted(worse))}"
        return {
            "changed": True,
            "restore": _go_back(module, list(others)),
            "lost": lost | {stack: why for stack in others},
            "stacks": {},
        }
    _generations.commit(state_dir, list(others))
    for stack in lost:
        _generations.reject(state_dir, stack)
    states = _report(others, "kept") | _report(_touched(back, pending), "back") | _nowhere(lost, back)
    for stack, why in still_lost.items():
        states[stack] |= {"state": "lost", "why": why}
    return {"changed": True, "restore": [], "lost": lost, "stacks": states}


def final(module: AnsibleModule) -> dict[str, Any]:
    """Everything went back."""
    state_dir, lost = module.params["state_dir"], module.params["lost"]
    back, pending = _good(state_dir, lost), _pending(module)
    lost |= _on_the_way_back(module)
    still_lost = _wait.wait(back, _well_before(pending))
    for stack in lost:
        _generations.reject(state_dir, stack)
    states = _report(_touched(back, pending), "back") | _nowhere(lost, back)
    for stack, why in still_lost.items():
        states[stack] |= {"state": "lost", "why": why}
    return {"changed": True, "restore": [], "lost": lost, "stacks": states}


def rollback(module: AnsibleModule) -> dict[str, Any]:
    """Make the previous generation the one to apply. All stacks that have one, where none is named.

    A stack that was removed on request has one too, but comes back only by its name.
    """
    state_dir = module.params["state_dir"]
    wanted = module.params["stacks"] or list(_good(state_dir, _generations.names(state_dir)))
    found = {stack: _generations.load(state_dir, stack, _generations.PREVIOUS) for stack in wanted}
    missing = sorted(stack for stack in module.params["stacks"] if found[stack] is None)
    if missing:
        module.fail_json(
            msg=f"no earlier generation of {', '.join(missing)} is kept on this guest; nothing was changed"
        )
    previous = {stack: generation for stack, generation in found.items() if generation is not None}
    if not module.check_mode:
        void = module.params["lock"]["void"]
        held = _lock.take(_holder(module), void and _lock.Holder(**void))
        if held is not None:
            return {"changed": False, "held_by": held._asdict()}
    engine = _engine.observe()
    for stack, generation in previous.items():
        for service in generation["record"]["services"].values():
            if _pins.repo_digest(service["image"]) not in engine.images:
                module.fail_json(
                    msg=f"stack {stack}: image {service['image']} is not on the guest; nothing was changed"
                )
    restore = []
    well = _wait.well_services(_manifest.known(state_dir)["stacks"], engine)
    for stack, generation in previous.items():
        if not module.check_mode:
            ids = {container.service: container.id for container in engine.containers if container.project == stack}
            _generations.save(
                state_dir,
                stack,
                _generations.NEXT,
                generation | {"well_before": well, "ids_before": ids, "displaced": [], "units": []},
            )
            _generations.write_files(generation, _generations.load(state_dir, stack, _generations.GOOD))
        restore.append({"name": stack, "project_dir": generation["record"]["project_dir"]})
    return {"changed": bool(restore), "restore": restore, "lost": {}, "stacks": {}}


def unlock(module: AnsibleModule) -> dict[str, Any]:
    """The end of a rollback, however it ended."""
    _lock.give_back(_holder(module))
    return {"changed": False}


def _holder(module: AnsibleModule) -> _lock.Holder:
    return _lock.Holder(**{key: module.params["lock"][key] for key in _lock.Holder._fields})


def _compose_failures(module: AnsibleModule) -> dict[str, str]:
    """Wait for the background runs of Compose. Returns what went wrong, by stack."""
    wrong = dict(module.params["not_started"])
    for stack, path in module.params["jobs"].items():
        result = _wait.job_result(path)
        # Ansible leaves it where it is.
        _files.remove_if_there(path)
        if result.get("failed"):
            wrong[stack] = " ".join(str(result.get("msg") or "Compose failed").split())
    return wrong


def _on_the_way_back(module: AnsibleModule) -> dict[str, str]:
    lost = module.params["lost"]
    return {stack: f"{lost[stack]}; and on the way back: {why}" for stack, why in _compose_failures(module).items()}


def _pending(module: AnsibleModule) -> dict[str, dict[str, Any]]:
    found = {
        stack: _generations.load(module.params["state_dir"], stack, _generations.NEXT)
        for stack in module.params["stacks"]
    }
    return {stack: generation for stack, generation in found.items() if generation is not None}


def _well_before(pending: dict[str, dict[str, Any]]) -> set[str]:
    """What was well before the first of the stacks was touched, or became so since."""
    return {service for generation in pending.values() for service in generation["well_before"]}


def _good(state_dir: str, stacks: Any) -> dict[str, dict[str, Any]]:
    found = {stack: _generations.load(state_dir, stack, _generations.GOOD) for stack in stacks}
    return {stack: generation for stack, generation in found.items() if generation is not None}


def _go_back(module: AnsibleModule, stacks: Any) -> list[dict[str, str]]:
    """Put the last good files back. A stack that was never well has none, and stays for whoever looks into it."""
    state_dir = module.params["state_dir"]
    restore = []
    for stack, generation in _good(state_dir, stacks).items():
        _generations.write_files(generation, _generations.load(state_dir, stack, _generations.NEXT))
        restore.append({"name": stack, "project_dir": generation["record"]["project_dir"]})
    for stack in stacks:
        applied = _generations.load(state_dir, stack, _generations.NEXT)
        if applied:
            _takeover.restore(module.run_command, state_dir, stack, applied)
    return restore


def _report(generations: dict[str, dict[str, Any]], state: str) -> dict[str, dict[str, Any]]:
    engine = _engine.observe()
    report = {}
    for stack, generation in generations.items():
        ids = {container.service: container.id for container in engine.containers if container.project == stack}
        before = generation["ids_before"]
        report[stack] = {
            "state": state,
            "recreated": sorted(service for service in ids if service in before and before[service] != ids[service]),
            "containers": _wait.containers(stack, generation["record"], engine),
        }
    return report


def _touched(back: dict[str, dict[str, Any]], pending: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Good generations with the containers that were there when this run began, not those when they were applied."""
    return {
        stack: good | {"ids_before": pending[stack]["ids_before"]} if stack in pending else good
        for stack, good in back.items()
    }


def _nowhere(lost: Any, back: Any) -> dict[str, dict[str, Any]]:
    return {
        stack: {"state": "no earlier generation", "recreated": [], "containers": {}}
        for stack in lost
        if stack not in back
    }


def _last_words(generation: dict[str, Any], stack: str) -> str:
    """The last log lines of what is not well: its containers are gone once the stack went back."""
    engine = _engine.observe()
    reasons = _drift.engine_reasons(stack, generation["record"], engine)
    wrong = {reason.subject for reason in reasons} | set(_wait.starting_services(stack, generation["record"], engine))
    words = ""
    secrets = _secrets(generation)
    for container in engine.containers:
        if container.project == stack and container.service in wrong:
            try:
                lines = _engine.log_lines(container.id, _LOG_LINES)
            except _engine.EngineError:
                continue
            shown = [_without(secrets, line)[:_LOG_WIDTH] for line in lines]
            words += f"; last lines of {container.name}: {' | '.join(shown)}" if shown else ""
    return words


def _secrets(generation: dict[str, Any]) -> list[str]:
    """The lines of all secret files, those that are made once and kept too: their content stands inside of others."""
    secrets = set()
    for path in generation["secret_files"]:
        text = generation["contents"].get(path)
        if text is None:
            try:
                with open(os.path.join(generation["record"]["project_dir"], path), errors="replace") as stream:
                    text = stream.read()
            except OSError:
                continue
        secrets |= {line.strip() for line in text.splitlines() if len(line.strip()) >= 8}
    return sorted(secrets, key=len, reverse=True)


def _without(secrets: list[str], line: str) -> str:
    """A program may print what it could not read."""
    for secret in secrets:
        line = line.replace(secret, "(secret)")
    return line
