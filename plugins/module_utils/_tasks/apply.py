# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing a stack with disk and engine, and applying what differs. Run by guest_apply for compose_stack. Private."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    commands as _commands,
    docker_cli as _docker_cli,
    engine as _engine,
    failpoints as _failpoints,
    files as _files,
    lock as _lock,
    paths as _paths,
    pins as _pins,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    aftercare as _aftercare,
    compose as _compose,
    desired as _desired,
    diff as _diff,
    drift as _drift,
    generations as _generations,
    manifest as _manifest,
    settle as _settle,
    takeover as _takeover,
    version_limits as _version_limits,
    wait as _wait,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import guard as _guard
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks.settle import Refused


def apply(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Compare, and apply what differs."""
    states = {"present": present, "absent": absent, "rendered": rendered}
    try:
        return states[arguments["state"]](module, arguments)
    except _commands.CommandError as error:
        raise Refused(f"stack {arguments['name']}: {error}; the next run sees it through") from error
    except (Refused, _engine.EngineError, _desired.BadSecret) as error:
        raise Refused(f"stack {arguments['name']}: {error}") from error
    except OSError as error:
        where = error.filename or arguments["project_dir"]
        raise Refused(f"stack {arguments['name']}: {where}: {error.strerror}; the next run sees it through") from error


def present(module: AnsibleModule, params: dict[str, Any]) -> dict[str, Any]:
    """Compare with disk and engine. Write what differs, and have Compose started where a container has to change."""
    _resolve_owners(params)
    stack = _desired.resolve(params)
    wrong = _aftercare.refusal(params["program"], stack.files)
    if wrong:
        raise Refused(f"{wrong}. Nothing was changed")
    recorded, unreadable = _recorded(module)
    engine = _engine.observe()
    reasons = _reasons(stack, recorded, unreadable, engine)
    before = recorded.get(stack.name, {})
    result = _difference(module, stack, reasons, before) | {"pending": False}
    if not reasons:
        if before != stack.record and not module.check_mode:
            # Nothing of the stack changed, only what made it, such as a new version of this collection.
            _manifest.save(_paths.STATE_DIR, recorded | {stack.name: stack.record})
        return result | {"containers": _wait.containers(stack.name, stack.record, engine)}
    _refuse_what_must_not_be_touched(params, stack, reasons, engine)
    _refuse_crossing(params, before, stack, engine)
    if module.check_mode:
        return result
    run = _lock.Holder(**params["run"])
    _refuse_another_run(run)
    with _settle.one_at_a_time():
        misled = _started_with_foreign_content(stack, params["files"], before, reasons, engine)
        recreate = _desired.services_to_recreate(params, reasons, misled)
        _bring_what_is_outside(module, params, reasons, engine)
        ids = _wait.ids(stack.name, engine)
        healthy = _wait.healthy_services(recorded, engine)
        generation = _desired.generation(stack, params, healthy, ids)
        _generations.save(_paths.STATE_DIR, stack.name, _generations.NEXT, generation)
        _compose.forget(stack.name)
        _settle.forget_outcome(stack.name)
        _failpoints.failpoint(f"{stack.name}: journal written")
        try:
            _write(stack, reasons)
        except _files.NotStaged as error:
            raise Refused(f"{error}; nothing was changed") from error
        _failpoints.failpoint(f"{stack.name}: files written")
        if any(reason.remedy == "displace" for reason in reasons):
            result |= _takeover.move_aside(_paths.STATE_DIR, params, generation)

        def watch() -> None:
            _guard.settle_if_left_alone(stack.name, params["nonce"], run)

        if recreate or any(reason.remedy in ("up", "recreate", "displace") for reason in reasons):
            care = _aftercare.at_the_start(stack.name, generation)
            _compose.start(stack.name, stack.record["project_dir"], recreate, care, watch)
        else:
            _commands.run_detached(watch)
        _failpoints.failpoint(f"{stack.name}: started")
    if not params["settle"]:
        return result | {"pending": True}
    return result | _settled(stack.name)


def _settled(stack: str) -> dict[str, Any]:
    """What came of a change that is settled alone."""
    done = _commands.outlive(lambda: _settle.settle(_paths.STATE_DIR, [stack]))
    outcome: dict[str, Any] = done["stacks"][stack]
    return outcome | {"wrong": done["wrong"]}


def _reasons(
    stack: _desired.Stack, recorded: dict[str, Any], unreadable: str, engine: _engine.Engine
) -> list[_drift.Reason]:
    """All that differs between the desired stack and what is observed."""
    state_dir, record = _paths.STATE_DIR, stack.record
    reasons = (
        _drift.file_reasons(record)
        + _drift.leftover_reasons(stack.name, record, state_dir)
        + _desired.stale_reasons(stack, recorded.get(stack.name))
        + _drift.unit_reasons(record)
        + _drift.engine_reasons(stack.name, record, engine)
    )
    # The gate sees it too, and would ask for a converge for ever.
    reasons = reasons or _drift.unsettled_reasons(stack.name, state_dir)
    before = recorded.get(stack.name, {})
    if not reasons and _generations.without_rendering(before) != _generations.without_rendering(record):
        text = unreadable or "the stack is as desired but not recorded in the manifest"
        reasons = [_drift.Reason("manifest", "manifest", text, "record")]
    return reasons


def _difference(
    module: AnsibleModule, stack: _desired.Stack, reasons: list[_drift.Reason], before: dict[str, Any]
) -> dict[str, Any]:
    """What a result says of the reasons."""
    return {
        "changed": bool(reasons),
        "reasons": [reason.text for reason in reasons],
        "drift": _diff.drift(stack, reasons),
        "diff": _diff.diff(stack, reasons, before.get("files", {})) if module._diff else [],
    }


def _refuse_another_run(run: _lock.Holder) -> None:
    """Two runs at once would each undo what the other does. A run that takes no lock is one too."""
    held = _lock.held()
    if held is None:
        return
    if held != run and not _lock.is_gone(held):
        raise Refused(
            f"another run is at work on this guest: {held.name}. If it is dead, run 'felhom-base-infra unlock' on the "
            "guest. Nothing was changed"
        )
    _lock.take(run)


def _bring_what_is_outside(
    module: AnsibleModule, params: dict[str, Any], reasons: list[_drift.Reason], engine: _engine.Engine
) -> None:
    """Have on the guest what the stack needs and does not own: its images, external volumes and networks."""
    absent = {params["services"][reason.subject]["image"] for reason in reasons if reason.kind == "image_absent"}
    for pin in sorted(absent):
        try:
            _docker_cli.pull(module.run_command, pin, params["pull_timeout"])
        except _docker_cli.PullError as error:
            raise Refused(f"{error}; nothing was changed") from error
    for volume in params["external_volumes"]:
        # One that is there already is left as it is.
        _commands.docker("volume", "create", volume)
    for network in params["external_networks"]:
        if network not in engine.networks:
            _commands.docker("network", "create", network)


def _started_with_foreign_content(
    stack: _desired.Stack,
    files: list[dict[str, Any]],
    recorded: dict[str, Any],
    reasons: list[_drift.Reason],
    engine: _engine.Engine,
) -> set[str]:
    """Services that read a file when somebody else's content was in it: started after that was written."""
    changed = {reason.subject for reason in reasons if reason.kind == "file_content"}
    misled = set()
    for entry in files:
        path = os.path.join(stack.record["project_dir"], entry["path"])
        was = recorded.get("files", {}).get(entry["path"])
        if entry["path"] not in changed or not was or _files.read_state(path).sha256 == was["sha256"]:
            continue
        written = os.lstat(path).st_mtime
        misled |= {
            container.service
            for container in engine.containers
            if container.project == stack.name
            and container.service in entry["services"]
            and container.state == "running"
            and _engine.started(container.id) > written
        }
    return misled


def rendered(module: AnsibleModule, params: dict[str, Any]) -> dict[str, Any]:
    """Write the files, and ask no engine. Owners are kept where they can be set."""
    _resolve_owners(params)
    stack = _desired.resolve(params)
    reasons = _drift.file_reasons(stack.record) + _drift.leftover_reasons(stack.name, stack.record, _paths.STATE_DIR)
    if reasons and not module.check_mode:
        _write(stack, reasons)
    return _difference(module, stack, reasons, stack.record) | {"pending": False}


def absent(module: AnsibleModule, params: dict[str, Any]) -> dict[str, Any]:
    """Take the project down and remove the files that were written. Data, certificates and passwords stay.

    What the stack had moved out of its way gets its place back.
    """
    name = params["name"]
    recorded, _unreadable = _recorded(module)
    record = recorded.get(name)
    engine = _engine.observe()
    reasons = [f"container {container.name} exists" for container in engine.containers if container.project == name]
    files = {path: was for path, was in (record["files"] if record else {}).items() if not was["create_only"]}
    folder = record["project_dir"] if record else ""
    there = [path for path in files if os.path.lexists(os.path.join(folder, path))]
    reasons += [f"{path} exists" for path in there]
    if record and not reasons:
        reasons.append("the stack is recorded in the manifest")
    if reasons and not module.check_mode:
        _refuse_another_run(_lock.Holder(**params["run"]))
        with _settle.one_at_a_time():
            _take_down(name, [os.path.join(folder, path) for path in there])
    header = f"stack {name}"
    diff = {
        "before_header": header,
        "after_header": header,
        "before": "".join(f"{line}\n" for line in reasons),
        "after": "",
    }
    return {
        "changed": bool(reasons),
        "reasons": reasons,
        "drift": [{"reason": reason, "was": "", "wanted": ""} for reason in reasons],
        "diff": [diff] if module._diff and reasons else [],
        "pending": False,
    }


def _take_down(name: str, files: list[str]) -> None:
    """Remove a project's containers and networks, files of it, and the memory of it."""
    # Needs no compose file, which may be gone already.
    code, _out, err = _commands.run(["docker", "compose", "--project-name", name, "down", "--remove-orphans"])
    if code:
        raise Refused(f"Compose could not take it down: {_commands.last_line(err)}")
    for path in files:
        _files.remove_if_there(path)
    moved = _generations.load(_paths.STATE_DIR, name, _generations.DISPLACED)
    if moved:
        _takeover.restore(_paths.STATE_DIR, name, moved)
    _generations.forget(_paths.STATE_DIR, name)


def _resolve_owners(params: dict[str, Any]) -> None:
    """Numeric owner and group of every file and folder. Who is not root can't give files away and keeps them."""
    for entry in params["files"] + params["directories"]:
        if os.geteuid() != 0 and params["state"] == "rendered":
            entry["uid"], entry["gid"] = os.geteuid(), os.getegid()
            continue
        owner, group = entry["owner"], entry["group"]
        try:
            entry["uid"] = int(owner) if owner.isdecimal() else pwd.getpwnam(owner).pw_uid
            entry["gid"] = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError as error:
            raise Refused(f"{entry['path']}: {error.args[0]}; expected a user and a group of this guest") from error


def _recorded(module: AnsibleModule) -> tuple[dict[str, Any], str]:
    """All stacks of the manifest, and what is wrong with it: a broken one is made anew, since it is only a record."""
    try:
        return _manifest.load(_paths.STATE_DIR), ""
    except _manifest.ManifestError as error:
        module.warn(f"{error}; made anew")
        return {}, str(error)


def _refuse_what_must_not_be_touched(
    params: dict[str, Any], stack: _desired.Stack, reasons: list[_drift.Reason], engine: _engine.Engine
) -> None:
    """All that can be known before a file is written; in check mode too, so that it does not promise too much."""
    for source in params["bind_sources"]:
        if not os.path.exists(source):
            raise Refused(
                f"{source} does not exist and a service mounts it; create it or take it out of the configuration"
            )
    for reason in reasons:
        if reason.kind == "container_foreign":
            _refuse_foreign(params["foreign"], stack, reason, engine)
        path = os.path.join(stack.record["project_dir"], reason.subject)
        if reason.kind == "file_kind" and os.path.isdir(path) and os.listdir(path):
            raise Refused(f"{path} is a folder with files in it where a file belongs; move it away")
        if reason.kind == "directory_kind":
            raise Refused(f"{path} is not a folder; move it away")
    if any(reason.subject == _desired.COMPOSE_FILE for reason in reasons):
        _validate(stack)


def _refuse_crossing(
    params: dict[str, Any], recorded: dict[str, Any], stack: _desired.Stack, engine: _engine.Engine
) -> None:
    """A change of version that needs more than another pin, and data that the new version could not write."""
    by_name = {container.name: container.image for container in engine.containers}
    new = {service: want["image"] for service, want in stack.record["services"].items()}
    running = {service: by_name.get(want["container"], "") for service, want in stack.record["services"].items()}
    current = running | {service: was["image"] for service, was in recorded.get("services", {}).items()}
    wrong = _version_limits.refusal(params["gates"], params["accepted_gates"], current, new)
    if wrong:
        raise Refused(f"{wrong}. Nothing was changed")
    for entry in params["directories"]:
        path = os.path.join(params["project_dir"], entry["path"])
        if not entry["owned_content"] or not os.path.isdir(path):
            continue
        for found in sorted(os.scandir(path), key=lambda found: found.name):
            if found.stat(follow_symlinks=False).st_uid != entry["uid"]:
                raise Refused(
                    f"{found.path} does not belong to user {entry['uid']}, under whom the service runs; what an older "
                    "version left under another user it can't write. "
                    f"Run 'chown -R {entry['uid']}:{entry['gid']} {path}' on the guest. Nothing was changed"
                )


def _refuse_foreign(policy: str, stack: _desired.Stack, reason: _drift.Reason, engine: _engine.Engine) -> None:
    """A container that somebody else made under a name of the stack's is moved out of the way only as agreed."""
    want = stack.record["services"][reason.subject]
    squatter = next(container for container in engine.containers if container.name == want["container"])
    ours = squatter.image_id == engine.images.get(_pins.repo_digest(want["image"])) and not squatter.project
    if policy == "replace" or (policy == "adopt" and ours):
        return
    raise Refused(f"{reason.text}; rename or remove that container, or set foreign to replace")


def _validate(stack: _desired.Stack) -> None:
    """Have Compose read the new file before it takes the old one's place."""
    folder = tempfile.mkdtemp(prefix="felhom-base-infra-")
    try:
        path = os.path.join(folder, _desired.COMPOSE_FILE)
        with open(path, "wb") as stream:
            stream.write(stack.files[_desired.COMPOSE_FILE].data)
        command = ["docker", "compose", "--project-directory", stack.record["project_dir"], "-f", path, "config", "-q"]
        code, _out, err = _commands.run(command)
    finally:
        shutil.rmtree(folder)
    if code:
        why = _commands.last_line(err)
        raise Refused(f"Compose does not accept the new {_desired.COMPOSE_FILE}: {why}; nothing was changed")


def _write(stack: _desired.Stack, reasons: list[_drift.Reason]) -> None:
    """Bring the disk to what the stack should be: every new content is on the disk before the first one is moved."""
    root = stack.record["project_dir"]
    wrong: dict[str, set[str]] = {}
    for reason in reasons:
        if reason.remedy == "write":
            wrong.setdefault(reason.subject, set()).add(reason.kind)
    os.makedirs(root, mode=0o755, exist_ok=True)
    for path, want in stack.record["directories"].items():
        if path in wrong:
            _files.make_directory(os.path.join(root, path), want["mode"], want["uid"], want["gid"])
    attributes = {path for path, kinds in wrong.items() if path in stack.files and kinds <= {"file_mode", "file_owner"}}
    with _files.Staging() as staging:
        # The Compose file comes last: it refers to all others.
        for path in sorted(
            wrong.keys() & stack.files.keys() - attributes, key=lambda path: path == _desired.COMPOSE_FILE
        ):
            file, full = stack.files[path], os.path.join(root, path)
            if "file_kind" in wrong[path] and os.path.isdir(full):
                # Docker makes an empty folder of a mounted file that was missing when a container started.
                os.rmdir(full)
            staging.add(full, file.data, file.mode, file.uid, file.gid)
    for path in attributes:
        file = stack.files[path]
        _files.set_attributes(os.path.join(root, path), file.mode, file.uid, file.gid)
    for path, kinds in wrong.items():
        if kinds & {"file_stale", "leftover"}:
            _files.remove_if_there(os.path.join(root, path))
