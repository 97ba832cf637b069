# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's ledger: a JSON line for every run, also for failed and refused ones. Private to this collection."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files

NAME = "ledger.jsonl"
MAX_SIZE = 1 << 20  # bytes; about three thousand runs, and one older file of that size is kept


def append(state_dir: str, entry: dict[str, Any], max_size: int = MAX_SIZE) -> None:
    """Add a line. A line that a power cut left half-written stays alone: the next one begins on a new line."""
    _files.make_directory(state_dir, "0755", 0, 0)
    path = os.path.join(state_dir, NAME)
    line = json.dumps(entry, sort_keys=True).encode() + b"\n"
    if (size := _size(path)) > 0 and size + len(line) > max_size:
        os.replace(path, f"{path}.1")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def outcome(run: dict[str, Any], verdict: str) -> str:
    """One word for a run: failed, waiting, changed or unchanged."""
    if run.get("error"):
        return "failed"
    if verdict == "waiting":
        return "waiting"
    return "changed" if any(stack.get("changed") for stack in run.get("stacks", {}).values()) else "unchanged"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def last(state_dir: str) -> dict[str, Any]:
    """The newest entry that can be read, {} where there is none."""
    try:
        with open(os.path.join(state_dir, NAME), "rb") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            return entry
    return {}
