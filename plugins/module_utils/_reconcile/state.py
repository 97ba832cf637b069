# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest that converges itself remembers between runs. Private to this collection.

Everything is a small file that may be absent, half-written by a power cut, or gone with its folder: then it is as if it
had never been. Nothing is imported that the gate does not need anyway.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypedDict

    class Fetch(TypedDict):
        """Where new commits come from, see the role reconcile: url is "" for nowhere.

        refs has the branch of each ring, shares how many of a hundred guests are canary and early; ring is "" for a
        guest of whichever ring its customer falls into; allowed_signers is a file, or "".
        """

        url: str
        refs: dict[str, str]
        ring: str
        shares: dict[str, int]
        allowed_signers: str


_FIRST_DELAY, _LONGEST_DELAY = 300, 6 * 3600  # seconds until what failed is tried again


class Settings(NamedTuple):
    """Where things are on this guest, from settings.json, which the reconcile role writes.

    state_dir, mirror, checkout, inventory and bundle are paths; ref is the mirror's branch; inputs are the files that
    make the guest's configuration.
    """

    state_dir: str
    mirror: str
    ref: str
    checkout: str
    inventory: str
    inputs: list[str]
    bundle: str
    fetch: Fetch


class Pause(NamedTuple):
    """Both in seconds since the epoch."""

    since: float
    until: float


class Failures(NamedTuple):
    """Converges that failed in a row: how many, when the last one began, and on what (see gate.key)."""

    number: int
    last: float
    of: str


class Tries(NamedTuple):
    """What a converge tried to mend, in vain so far: how many times, and when last or else first seen."""

    number: int
    last: float


class SettingsError(Exception):
    """settings.json can't be used. The text is one line."""


def settings(path: str = _paths.SETTINGS) -> Settings:
    """The guest's settings. Raises SettingsError."""
    found = _read(path)
    if found is None:
        raise SettingsError(f"{path}: absent or no JSON; run playbooks/bake.yml or site.yml for this guest")
    try:
        return Settings(**found)
    except TypeError as error:
        raise SettingsError(f"{path}: found other keys than expected ({', '.join(Settings._fields)})") from error


def input_digests(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file that there is, or that a link there points to."""
    digests = {}
    for path in paths:
        with suppress(FileNotFoundError):
            if os.path.isfile(path):
                with open(path, "rb") as stream:
                    digests[path] = _files.digest(stream.read())
    return digests


def head(mirror: str, ref: str) -> str:
    """The commit of a branch of a repository, "" where that can't be read. Without Git: this is the gate's."""
    try:
        with open(os.path.join(mirror, "refs/heads", ref), encoding="ascii") as stream:
            return stream.read().strip()
    except (OSError, ValueError):
        pass
    try:
        with open(os.path.join(mirror, "packed-refs"), encoding="utf-8") as stream:
            lines = [line.split() for line in stream]
    except (OSError, ValueError):
        return ""
    return next((words[0] for words in lines if words[1:] == [f"refs/heads/{ref}"]), "")


def pause(state_dir: str, now: float) -> Pause | None:
    """The pause that holds now."""
    found = _read(os.path.join(state_dir, "pause.json"))
    if found is None:
        return None
    try:
        held = Pause(float(found["since"]), float(found["until"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # A clock that was set back would make a pause of an hour one of a year.
    return held if held.since <= now < held.until else None


def set_pause(state_dir: str, held: Pause | None) -> None:
    """Begin a pause, or end it."""
    path = os.path.join(state_dir, "pause.json")
    if held is None:
        _files.remove_if_there(path)
    else:
        _write(path, held._asdict())


def failures(state_dir: str) -> Failures:
    """The failures since the last successful converge."""
    found = _read(os.path.join(state_dir, "failures.json")) or {}
    try:
        return Failures(int(found["number"]), float(found["last"]), str(found["of"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return Failures(0, 0.0, "")


def set_failures(state_dir: str, failed: Failures | None) -> None:
    """Remember failures, or that there are none any more."""
    path = os.path.join(state_dir, "failures.json")
    if failed is None:
        _files.remove_if_there(path)
    else:
        _write(path, failed._asdict())


def retry_at(failed: Failures, of: str, now: float) -> float:
    """When what failed is to be tried again, in seconds since the epoch; 0 for at once.

    Another configuration or another commit is another matter, and so is a clock that was set back.
    """
    if failed.number == 0 or failed.of != of or now < failed.last:
        return 0.0
    at = failed.last + _delay(failed.number)
    return at if now < at else 0.0


def certificate(state_dir: str) -> Tries | None:
    """How the proxy was made to ask for its certificate; None where the last converge saw nothing amiss."""
    found = _read(os.path.join(state_dir, "certificate.json"))
    try:
        return Tries(int(found["number"]), float(found["last"])) if found else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def set_certificate(state_dir: str, tried: Tries | None) -> None:
    """Remember that, or that there is a certificate."""
    path = os.path.join(state_dir, "certificate.json")
    if tried is None:
        _files.remove_if_there(path)
    else:
        _write(path, tried._asdict())


def next_certificate(tried: Tries | None, now: float) -> float:
    """When the proxy is to ask again, in seconds since the epoch; 0 for at once. Not where the clock was set back."""
    at = tried.last + _delay(tried.number) if tried and now >= tried.last else 0.0
    return at if now < at else 0.0


def _delay(number: int) -> float:
    return min(_FIRST_DELAY * 2.0 ** min(max(number - 1, 0), 10), _LONGEST_DELAY)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as stream:
            found = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: str, content: dict[str, Any]) -> None:
    _files.make_directory(os.path.dirname(path), "0755", 0, 0)
    _files.write_atomic(path, json.dumps(content).encode() + b"\n", "0644", 0, 0)
