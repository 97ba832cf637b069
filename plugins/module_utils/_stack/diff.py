# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs, as it is shown: Ansible's diff, and the lines of a report. Private to this collection."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.files import digest, read_state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import desired as _desired
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.drift import Reason

SHOWN_DIGITS = 12  # of a SHA-256


def diff(stack: _desired.Stack, reasons: list[Reason], recorded: dict[str, Any]) -> list[dict[str, str]]:
    """Ansible's diff: each file's change, and in one more entry what is wrong with the containers.

    recorded are the files of the stack's record: what somebody else put in their place may hold anything, a token too.
    """
    entries = []
    for path in dict.fromkeys(reason.subject for reason in reasons if reason.remedy == "write"):
        full = os.path.join(stack.record["project_dir"], path)
        file = stack.files.get(path)
        entries.append(
            _diff_entry(
                full,
                _shown_now(full, file is not None and not file.sensitive and path in recorded),
                _shown_wanted(file, stack.record["directories"].get(path)),
            )
        )
    wrong = [f"{reason.text}\n" for reason in reasons if reason.remedy != "write"]
    if wrong:
        entries.append(_diff_entry(f"containers of {stack.name}", "".join(wrong), ""))
    return entries


def drift(stack: _desired.Stack, reasons: list[Reason]) -> list[dict[str, str]]:
    """What differs, a line each, for reports: where it is a file's content with the fingerprints of both."""
    lines = []
    for reason in reasons:
        line = {"reason": reason.text, "was": "", "wanted": ""}
        file = stack.files.get(reason.subject)
        if reason.kind in ("file_content", "file_missing") and file is not None and not file.create_only:
            found = read_state(os.path.join(stack.record["project_dir"], reason.subject))
            line |= {"was": (found.sha256 or "")[:SHOWN_DIGITS], "wanted": digest(file.data)[:SHOWN_DIGITS]}
        lines.append(line)
    return lines


def _diff_entry(header: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _shown_now(path: str, with_content: bool) -> str:
    found = read_state(path)
    if found.kind == "absent":
        return ""
    text = f"{found.kind}, mode {found.mode}, owner {found.uid}:{found.gid}\n"
    if found.kind != "file":
        return text
    if not with_content:
        return text + _fingerprint(found.sha256 or "")
    with open(path, encoding="utf-8", errors="replace") as stream:
        return text + stream.read()


def _shown_wanted(file: _desired.File | None, directory: dict[str, Any] | None) -> str:
    if directory is not None:
        return f"directory, mode {directory['mode']}, owner {directory['uid']}:{directory['gid']}\n"
    if file is None:
        return ""
    text = f"file, mode {file.mode}, owner {file.uid}:{file.gid}\n"
    return text + (_fingerprint(digest(file.data)) if file.sensitive else file.data.decode())


def _fingerprint(sha256: str) -> str:
    """Enough to see that two contents differ, and which of two known ones it is."""
    return f"content not shown, SHA-256 begins with {sha256[:SHOWN_DIGITS]}\n"
