# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a stack here, applies it on the guest. Options and results: plugins/modules/compose_stack.py."""

from __future__ import annotations

import functools
import pathlib
import posixpath
import re
import secrets
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _compose_file
from ansible_collections.felhom.base_infra.plugins.plugin_utils._compose_actions import (
    STACK_FACT,
    Clock,
    ComposeActionBase,
    Project,
)
from ansible_collections.felhom.base_infra.plugins.plugin_utils._role_variables import refuse_unknown

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
    "top_level_keys": {"type": "list", "elements": "str"},
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
        "options": _PLACE
        | {"mode": {"type": "str", "default": "0755"}, "owned_content": {"type": "bool", "default": False}},
    },
    "state": {"type": "str", "choices": ["present", "absent", "rendered"], "default": "present"},
    "foreign": {"type": "str", "choices": ["adopt", "fail", "replace"], "default": "adopt"},
    "gates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "service": {"type": "str", "required": True},
            "at": {"type": "str", "required": True},
            "floor": {"type": "bool", "default": False},
            "do": {"type": "str", "required": True},
        },
    },
    "accepted_gates": {"type": "list", "elements": "str", "default": []},
    "replaces_units": {"type": "list", "elements": "str", "default": []},
    "inherits": {"type": "list", "elements": "path", "default": []},
    "settle": {"type": "bool", "default": True},
    "observed": {"type": "dict", "default": {}},
    "wait": {"type": "str", "choices": ["healthy", "running", "none"], "default": "healthy"},
    "wait_timeout": {"type": "int", "default": 120},
    "pull_timeout": {"type": "int", "default": 300},
    "state_dir": {"type": "path", "default": _paths.STATE_DIR},
}

_SHIPPED_AS_GIVEN = (
    "state",
    "wait",
    "wait_timeout",
    "pull_timeout",
    "foreign",
    "gates",
    "accepted_gates",
    "replaces_units",
    "inherits",
)
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MODE = re.compile(r"0[0-7]{3}")


class ActionModule(ComposeActionBase):
    """No module execution when an earlier look saw that the stack is right, one to find out, more to make it right."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        refuse_unknown(task_vars, self._task.register)
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        _check_places(args)

        clock = Clock()
        shipped = self._render(args, task_vars)
        shipped["rendering"] = _desired.rendering_digest(shipped, _code())
        clock.lap("render")
        if args["state"] == "present" and _is_as_seen(args, shipped["rendering"]):
            result.update(changed=False, reasons=[], drift=[])
        else:
            result.update(self._run_target(shipped, task_vars))
            clock.lap("compare")
        result["timings"] = clock.laps
        result["drifted"] = bool(_seen(args).get("reasons"))
        compose = result.pop("compose", {"needed": False, "recreate": []})
        if result.get("failed"):
            return result
        told = {"changed": result["changed"], "timings": clock.laps}
        if result["changed"] and args["state"] == "present" and not self._task.check_mode:
            project = Project(args["name"], args["project_dir"], compose["recreate"], compose["needed"])
            started = self.start(project, task_vars)
            clock.lap("start")
            if args["settle"]:
                settled = self.settle({args["name"]: started}, args["state_dir"], task_vars)
                clock.lap("settle")
                told |= settled.pop("stacks", {}).get(args["name"], {})
                result.update({"containers": told.get("containers", {})} | settled)
            else:
                told["pending"] = started
        return result | {"ansible_facts": {f"{STACK_FACT}{args['name']}": told}}

    def _render(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the module that runs on the guest."""
        nonce = secrets.token_hex(8)
        generated = {
            entry["path"]: _desired.secret_marker(nonce, entry["path"]) for entry in args["files"] if entry["generate"]
        }
        compose = self._render_compose(args, generated, nonce, task_vars)
        texts = {_desired.COMPOSE_FILE: compose.text}
        secret_texts: dict[str, str] = {}
        for entry in args["files"]:
            if entry["generate"]:
                continue
            text = self._render_file(entry, generated, task_vars)
            (secret_texts if entry["sensitive"] else texts)[entry["path"]] = text
        compose_entry = {
            "path": _desired.COMPOSE_FILE,
            "mode": "0644",
            "owner": "root",
            "group": "root",
            "services": [],
        }
        return {
            "name": args["name"],
            "project_dir": args["project_dir"],
            "state_dir": args["state_dir"],
            "nonce": nonce,
            **{key: args[key] for key in _SHIPPED_AS_GIVEN},
            "files": [
                {key: value for key, value in entry.items() if key not in ("template", "content", "top_level_keys")}
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
            "external_volumes": compose.external_volumes,
        }

    def _render_compose(self, args, generated, nonce, task_vars) -> _compose_file.Compose:
        text = self._template(args["compose"], generated, task_vars)
        try:
            return _compose_file.parse(
                text, f"stack {args['name']}: {args['compose']}", args["name"], args["project_dir"], nonce
            )
        except _compose_file.ComposeError as error:
            raise AnsibleActionFail(str(error)) from None

    def _render_file(self, entry: dict[str, Any], generated: dict[str, str], task_vars: dict[str, Any]) -> str:
        if entry["template"] is None:
            return entry["content"]
        text = self._template(entry["template"], generated, task_vars)
        if entry["top_level_keys"] is not None:
            # The quick loader takes no string of Ansible's: "a string or stream input is required".
            keys = yaml.load(text.encode(), Loader=yaml.CSafeLoader) or {}
            unknown = sorted(set(keys) - set(entry["top_level_keys"]))
            if unknown:
                raise AnsibleActionFail(
                    f"stack {self._task.args['name']}: {entry['path']}: found the unknown key {unknown[0]!r} at the "
                    f"top; expected {', '.join(entry['top_level_keys'])}"
                )
        return text

    def _template(self, name: str, generated: dict[str, str], task_vars: dict[str, Any]) -> str:
        """A template's text. The lookup is Ansible's public way to it: search path, trust, header, all as in a role."""
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        variables = _Shared(task_vars | {"compose_stack_generated": generated})
        try:
            # Ansible makes None of a template that renders to nothing.
            return lookup.run([name], variables=variables)[0] or ""
        except AnsibleError as error:
            raise AnsibleActionFail(f"stack {self._task.args['name']}: template {name}: {error.message}") from error

    def _run_target(self, shipped: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        # A module logs its parameters to the guest's journal: whole files every few minutes, which the manifest and
        # the diff already tell better.
        quiet = task_vars | {"ansible_no_target_syslog": True}
        return self._execute_module(
            module_name="felhom.base_infra.guest_apply", module_args={"stack": shipped}, task_vars=quiet
        )


class _Shared(dict):
    """Variables that are only read: the lookup copies all deeply for each template, which costs more than rendering."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


def _is_as_seen(args: dict[str, Any], rendering: str) -> bool:
    """Whether a look at the guest earlier in this run found this very rendering applied, and nothing different."""
    return _seen(args) == {"rendering": rendering, "reasons": []}


def _seen(args: dict[str, Any]) -> dict[str, Any]:
    """What an earlier look at the guest saw of the stack, {} where there was none."""
    return (args["observed"].get("stacks") or {}).get(args["name"], {})


@functools.cache
def _code() -> bytes:
    """What makes a stack of a rendering: another version of it may make another stack."""
    packages = pathlib.Path(_desired.__file__).parents[1]
    # What guest_apply imports to make one, and not what else the collection brings.
    shipped = [packages / "_tasks/apply.py", *packages.glob("_stack/*.py"), *packages.glob("_guest/*.py")]
    return b"".join(path.read_bytes() for path in sorted(shipped))


def _check_places(args: dict[str, Any]) -> None:
    """What types alone can't say of paths and modes."""
    folders = {entry["path"] for entry in args["directories"]} | {""}
    for entry in args["files"] + args["directories"]:
        path = entry["path"]
        if not _PATH.fullmatch(path) or path == _desired.COMPOSE_FILE:
            raise AnsibleActionFail(f"stack {args['name']}: path {path!r}: expected a plain relative path")
        if not _MODE.fullmatch(entry["mode"]):
            raise AnsibleActionFail(f"stack {args['name']}: {path}: mode {entry['mode']!r}: expected four octal digits")
        if posixpath.dirname(path) not in folders:
            raise AnsibleActionFail(f"stack {args['name']}: {path}: its folder is not among the directories")
