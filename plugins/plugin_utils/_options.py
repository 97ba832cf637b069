# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of this collection's actions, each written once. A test proves that their documentation says the same."""

from __future__ import annotations

from typing import Any

Options = dict[str, dict[str, Any]]

CONFIGURATION: Options = {
    "bootstrap_file": {"type": "path", "default": "/etc/felhom-bootstrap/bootstrap.json"},
    "controller_file": {
        "type": "path",
        "default": "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml",
    },
    "filebrowser_compose_file": {"type": "path", "default": "/opt/docker/stacks/filebrowser/docker-compose.yml"},
    "overrides": {"type": "dict", "default": {}},
    "engine_timeout": {"type": "int", "default": 0},
}
LOCK_TIMEOUT: Options = {"lock_timeout": {"type": "int", "default": 600}}
BEGIN = CONFIGURATION | LOCK_TIMEOUT | {"lock": {"type": "bool", "default": True}}

HEALTH: Options = {
    "waiting_for": {"type": "str", "default": ""},
    "protected": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "str", "default": "traefik-public"},
    "proxy_host": {"type": "str", "default": ""},
    "proxy_http_port": {"type": "int", "default": 80},
    "proxy_https_port": {"type": "int", "default": 443},
    "patience": {"type": "int", "default": 60},
    "customer_id": {"type": "str", "default": ""},
    "stacks_dir": {"type": "path", "default": "/opt/docker/stacks"},
}
END = HEALTH | {
    "applied": {"type": "list", "elements": "dict", "default": []},
    "error": {"type": "str", "default": ""},
    "probe": {"type": "bool", "default": False},
    "probe_after": {"type": "str", "default": ""},
    "run": {"type": "dict", "default": {}},
    "metrics_dir": {"type": "str", "default": ""},
}

_PLACE: Options = {
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
_DIRECTORY = _PLACE | {
    "mode": {"type": "str", "default": "0755"},
    "owned_content": {"type": "bool", "default": False},
}
_GATE: Options = {
    "service": {"type": "str", "required": True},
    "at": {"type": "str", "required": True},
    "floor": {"type": "bool", "default": False},
    "do": {"type": "str", "required": True},
}
_SOURCES = [["template", "content", "generate"]]
STACK: Options = {
    "name": {"type": "str", "required": True},
    "project_dir": {"type": "path", "required": True},
    "compose": {"type": "str", "default": "docker-compose.yml.j2"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _FILE,
        "required_one_of": _SOURCES,
        "mutually_exclusive": _SOURCES,
    },
    "directories": {"type": "list", "elements": "dict", "default": [], "options": _DIRECTORY},
    "state": {"type": "str", "choices": ["present", "absent", "rendered"], "default": "present"},
    "foreign": {"type": "str", "choices": ["adopt", "fail", "replace"], "default": "adopt"},
    "program": {"type": "str", "choices": ["", "filebrowser"], "default": ""},
    "gates": {"type": "list", "elements": "dict", "default": [], "options": _GATE},
    "accepted_gates": {"type": "list", "elements": "str", "default": []},
    "replaces_units": {"type": "list", "elements": "str", "default": []},
    "inherits": {"type": "list", "elements": "path", "default": []},
    "settle": {"type": "bool", "default": True},
    "observed": {"type": "dict", "default": {}},
    "wait": {"type": "str", "choices": ["healthy", "running", "none"], "default": "healthy"},
    "wait_timeout": {"type": "int", "default": 120},
    "pull_timeout": {"type": "int", "default": 300},
}
SETTLE: Options = {"applied": {"type": "list", "elements": "dict", "required": True}}
ROLLBACK = LOCK_TIMEOUT | {"stacks": {"type": "list", "elements": "str", "default": []}}
