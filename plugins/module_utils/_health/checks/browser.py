# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what the customer finds in FileBrowser: the way in, and the files. Private to this collection."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import (
    COMMAND,
    CONVERGING,
    PASSES,
    PERSON,
    Check,
    Outcome,
    Remedy,
    declare,
)

_NEEDS = ("configured", "engine", "browser")
_SHOWN = 300  # characters of what a program says
_MADE_ANEW = Remedy(
    COMMAND,
    "run 'docker rm --force filebrowser; felhom-base-infra converge' on the guest, which sets both anew",
)
_LOG = Remedy(PERSON, "see 'docker logs filebrowser'")

Browser = namedtuple("Browser", "username login accounts sources said", defaults=[""])
Browser.__doc__ = """A running FileBrowser as its first account finds it.

login is the status of a log in with the password in the file, or a text for no answer; accounts are the names of all,
[] where they could not be read; said is the error for which its start set no password and no sources.
"""

Listed = namedtuple("Listed", "name path has_access status message")
Listed.__doc__ = """A source that was asked for: path is the guest's, status 0 where there was no answer in time."""


@declare(
    "filebrowser.login",
    cost=CONVERGING,
    observes=("browser",),
    needs=_NEEDS,
    ok=Outcome("ok", "{username} is let in"),
    second_factor=Outcome("ok", "{username} is asked for a second factor"),
    not_set=Outcome("fail", "its start could not set password and sources: {said}", _MADE_ANEW),
    unknown=Outcome(
        "fail",
        "there is no account {username}: FileBrowser makes one only with its database",
        Remedy(PERSON, "give base_filebrowser_admin_username the name of an account that there is"),
    ),
    refused=Outcome(
        "degraded",
        "{username} is not let in with the password in secrets/admin_password, which the next start sets again",
        _MADE_ANEW,
    ),
    limited=Outcome(
        "degraded",
        "nobody is let in as {username} now: too many tries",
        Remedy(PASSES, "wait some minutes; 'docker logs filebrowser' says from where it is tried"),
    ),
    other=Outcome("fail", "{answer}", _LOG),
)
def login(say: Any, browser: Browser) -> Iterator[Check]:
    """The first account is let in with the password in the guest's file."""
    outcome = {200: "ok", 403: "second_factor", 401: "refused", 429: "limited"}.get(browser.login, "other")
    # A start that could not is no more than a line in the log where nothing of it is missing.
    if browser.said and (outcome == "refused" or not all(listed.has_access for listed in browser.sources)):
        outcome = "not_set"
    elif browser.accounts and browser.username not in browser.accounts:
        outcome = "unknown"
    answer = f"answers {browser.login} to a log in" if isinstance(browser.login, int) else browser.login
    yield say(outcome, username=browser.username, answer=answer, said=browser.said)


@declare(
    "filebrowser.source.{name}",
    cost=CONVERGING,
    observes=("browser",),
    needs=_NEEDS,
    ok=Outcome("ok", "lists its files"),
    locked=Outcome("fail", "{username} has no access to it", _MADE_ANEW),
    failed=Outcome(
        "fail",
        "{answer}",
        Remedy(PERSON, "see whether the user under whom FileBrowser runs may read {path}, and its container's log"),
    ),
)
def source(say: Any, browser: Browser) -> Iterator[Check]:
    """Every folder that is configured shows its files to the first account."""
    for listed in browser.sources:
        outcome = "locked" if not listed.has_access else "ok" if listed.status == 200 else "failed"
        answer = f"answers {listed.status}: {listed.message}" if listed.status else listed.message
        yield say(outcome, name=listed.name, path=listed.path, username=browser.username, answer=answer[:_SHOWN])


def start_error(lines: list[str]) -> str:
    """What FileBrowser's log says of the last start, where that set no account; "" for nothing."""
    found = ""
    for line in lines:
        if "Resetting admin user" in line:
            found = ""
        elif "could not update user" in line:
            found = " ".join(line.partition("could not update user")[2].strip(' :"}').split())[:_SHOWN]
    return found
