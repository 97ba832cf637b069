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

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.outcome import failure
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _compose_file, _options, _outcome
from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_actions import Answer, GuestAction, this_run

_SHIPPED_AS_GIVEN = (
    "state",
    "wait",
    "wait_timeout",
    "pull_timeout",
    "foreign",
    "program",
    "gates",
    "accepted_gates",
    "replaces_units",
    "inherits",
)
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MODE = re.compile(r"0[0-7]{3}")


class ActionModule(GuestAction):
    """No module execution when an earlier survey found the stack as desired, else one."""

    options = _options.STACK

    def act(self, arguments: dict[str, Any]) -> Answer:
        _check_places(arguments)
        clock = _outcome.Clock()
        shipped = self._render(arguments)
        shipped["rendering"] = _desired.rendering_digest(shipped, _code())
        clock.lap("render")
        if arguments["state"] == "present" and _is_as_desired(arguments, shipped["rendering"]):
            done: Answer = {"changed": False, "reasons": [], "drift": [], "pending": False}
        else:
            done = self.on_guest(
                "guest_apply",
                "stack",
                {key: value for key, value in shipped.items() if key != "secret_contents"}
                | {"run": this_run()._asdict(), "settle": arguments["settle"]},
                secret_contents=shipped["secret_contents"],
            )
            clock.lap("apply")
        wrong = done.pop("wrong", {})
        if not done.get("failed"):
            done |= {"name": arguments["name"], "drifted": bool(_observed(arguments).get("reasons"))}
        done["timings"] = clock.laps
        return done | _outcome.failed(failure(wrong, {arguments["name"]: done}))

    def _render(self, args: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the module that runs on the guest."""
        nonce = secrets.token_hex(8)
        generated = {
            entry["path"]: _desired.secret_marker(nonce, entry["path"]) for entry in args["files"] if entry["generate"]
        }
        compose = self._render_compose(args, generated, nonce)
        texts = {_desired.COMPOSE_FILE: compose.text}
        secret_texts: dict[str, str] = {}
        for entry in args["files"]:
            if entry["generate"]:
                continue
            text = self._render_file(entry, generated)
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
            "nonce": nonce,
            **{key: args[key] for key in _SHIPPED_AS_GIVEN},
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
            "external_volumes": compose.external_volumes,
        }

    def _render_compose(self, args: dict[str, Any], generated: dict[str, str], nonce: str) -> _compose_file.Compose:
        text = self._template(args["compose"], generated)
        try:
            return _compose_file.parse(
                text, f"stack {args['name']}: {args['compose']}", args["name"], args["project_dir"], nonce
            )
        except _compose_file.ComposeError as error:
            raise AnsibleActionFail(str(error)) from None

    def _render_file(self, entry: dict[str, Any], generated: dict[str, str]) -> str:
        if entry["template"] is None:
            return str(entry["content"])
        return self._template(entry["template"], generated)

    def _template(self, name: str, generated: dict[str, str]) -> str:
        """A template's text. The lookup is Ansible's public way to it: search path, trust, header, all as in a role."""
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        variables = _Shared(self.variables | {"compose_stack_generated": generated})
        try:
            # Ansible makes None of a template that renders to nothing.
            return str(lookup.run([name], variables=variables)[0] or "")
        except AnsibleError as error:
            raise AnsibleActionFail(f"stack {self._task.args['name']}: template {name}: {error.message}") from error


class _Shared(dict[str, Any]):
    """Variables that are only read: the lookup copies all deeply for each template, which costs more than rendering."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


def _is_as_desired(args: dict[str, Any], rendering: str) -> bool:
    """Whether the survey at the begin of this run found this very rendering applied, and no drift."""
    return _observed(args) == {"rendering": rendering, "reasons": []}


def _observed(args: dict[str, Any]) -> dict[str, Any]:
    """What the survey observed of the stack, {} where there was none."""
    stacks: dict[str, dict[str, Any]] = args["observed"].get("stacks") or {}
    return stacks.get(args["name"], {})


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
