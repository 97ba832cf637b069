# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a stack here, applies it on the guest. Options and results: plugins/modules/compose_stack.py."""

from __future__ import annotations

import posixpath
import re
import secrets
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible_collections.felhom.base_infra.plugins.module_utils import _compose, _stack

_PLACE = {
    "path": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "services": {"type": "list", "elements": "str", "default": []},
}
_FILE = _PLACE | {
    "mode": {"type": "str", "default": "0644"},
    "template": {"type": "str"},
    "content": {"type": "str"},
    "generate": {"type": "int"},
    "create_only": {"type": "bool", "default": False},
    "sensitive": {"type": "bool", "default": False},
}
_SOURCES = ["template", "content", "generate"]
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "project_dir": {"type": "path", "required": True},
    "compose": {"type": "str", "default": "docker-compose.yml.j2"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _FILE,
        "required_one_of": [_SOURCES],
        "mutually_exclusive": [_SOURCES],
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _PLACE | {"mode": {"type": "str", "default": "0755"}},
    },
    "wait": {"type": "str", "choices": ["healthy", "running", "none"], "default": "healthy"},
    "wait_timeout": {"type": "int", "default": 120},
    "state_dir": {"type": "path", "default": "/var/lib/felhom-base-infra"},
}

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MODE = re.compile(r"0[0-7]{3}")


class ActionModule(ActionBase):
    """One module execution on the guest when the stack is right; three or more when it has to be made right."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        _check_places(args)

        clock = _Clock()
        shipped = self._render(args, task_vars)
        clock.lap("render")
        compared = self._run_target("apply", shipped, task_vars)
        clock.lap("compare")
        result.update(compared, timings=clock.laps)
        compose = result.pop("compose", {})
        if result.get("failed") or self._task.check_mode or not compose["needed"]:
            return result

        applied = self._compose_up(args, compose["recreate"], task_vars)
        clock.lap("compose")
        if applied.get("failed"):
            return result | {"failed": True, "msg": f"stack {args['name']}: {applied.get('msg', 'Compose failed')}"}
        settled = self._run_target("settle", shipped, task_vars)
        clock.lap("settle")
        if settled.get("failed"):
            return result | {"failed": True, "msg": settled["msg"]}
        return result | {"containers": settled["containers"], "timings": clock.laps}

    def _render(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the module that runs on the guest."""
        nonce = secrets.token_hex(8)
        generated = {
            entry["path"]: _stack.secret_marker(nonce, entry["path"]) for entry in args["files"] if entry["generate"]
        }
        compose = self._render_compose(args, generated, nonce, task_vars)
        texts = {_stack.COMPOSE_FILE: compose.text}
        secret_texts = {}
        for entry in args["files"]:
            if entry["generate"]:
                continue
            text = self._render_file(entry, generated, task_vars)
            (secret_texts if entry["sensitive"] else texts)[entry["path"]] = text
        compose_entry = {"path": _stack.COMPOSE_FILE, "mode": "0644", "owner": "root", "group": "root", "services": []}
        return {
            "name": args["name"],
            "project_dir": args["project_dir"],
            "state_dir": args["state_dir"],
            "nonce": nonce,
            "wait": args["wait"],
            "files": [
                {key: value for key, value in entry.items() if key not in ("template", "content")}
                | {"create_only": entry["create_only"] or bool(entry["generate"])}
                for entry in args["files"]
            ]
            + [compose_entry | {"create_only": False, "sensitive": False}],
            "directories": args["directories"],
            "contents": texts,
            "secret_contents": secret_texts,
            "services": compose.services,
            "bind_sources": compose.bind_sources,
            "external_networks": compose.external_networks,
        }

    def _render_compose(self, args, generated, nonce, task_vars) -> _compose.Compose:
        text = self._template(args["compose"], generated, task_vars)
        try:
            return _compose.parse(
                text, f"stack {args['name']}: {args['compose']}", args["name"], args["project_dir"], nonce
            )
        except _compose.ComposeError as error:
            raise AnsibleActionFail(str(error)) from None

    def _render_file(self, entry: dict[str, Any], generated: dict[str, str], task_vars: dict[str, Any]) -> str:
        if entry["template"] is not None:
            return self._template(entry["template"], generated, task_vars)
        return entry["content"]

    def _template(self, name: str, generated: dict[str, str], task_vars: dict[str, Any]) -> str:
        """A template's text. The lookup is Ansible's public way to it: search path, trust, header, all as in a role."""
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        variables = task_vars | {"compose_stack_generated": generated}
        try:
            return lookup.run([name], variables=variables)[0]
        except AnsibleError as error:
            raise AnsibleActionFail(f"stack {self._task.args['name']}: template {name}: {error.message}") from error

    def _run_target(self, phase: str, shipped: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        # A module logs its parameters to the guest's journal: whole files every few minutes, which the manifest and
        # the diff already tell better.
        quiet = task_vars | {"ansible_no_target_syslog": True}
        return self._execute_module(
            module_name="felhom.base_infra.compose_stack_target",
            module_args={"phase": phase} | shipped,
            task_vars=quiet,
        )

    def _compose_up(self, args: dict[str, Any], recreate: list[str], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Have Compose bring the project up; first, alone, the services that it would leave as they are."""
        options = {
            "project_src": args["project_dir"],
            "project_name": args["name"],
            "files": [_stack.COMPOSE_FILE],
            # The images were proved present by digest; nothing is asked of a registry any more.
            "pull": "never",
        }
        if recreate:
            done = self._compose(
                options | {"services": recreate, "recreate": "always", "dependencies": False}, task_vars
            )
            if done.get("failed"):
                return done
        waiting = {"wait": True, "wait_timeout": args["wait_timeout"]} if args["wait"] == "healthy" else {}
        return self._compose(options | {"remove_orphans": True} | waiting, task_vars)

    def _compose(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return self._execute_module(
            module_name="community.docker.docker_compose_v2", module_args=options, task_vars=task_vars
        )


class _Clock:
    """Seconds by part of a run."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 2)
        self._last = now


def _check_places(args: dict[str, Any]) -> None:
    """What types alone can't say of paths and modes."""
    folders = {entry["path"] for entry in args["directories"]} | {""}
    for entry in args["files"] + args["directories"]:
        path = entry["path"]
        if not _PATH.fullmatch(path) or path == _stack.COMPOSE_FILE:
            raise AnsibleActionFail(f"stack {args['name']}: path {path!r}: expected a plain relative path")
        if not _MODE.fullmatch(entry["mode"]):
            raise AnsibleActionFail(f"stack {args['name']}: {path}: mode {entry['mode']!r}: expected four octal digits")
        if posixpath.dirname(path) not in folders:
            raise AnsibleActionFail(f"stack {args['name']}: {path}: its folder is not among the directories")
