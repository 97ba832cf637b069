# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a converge mends at its end, beside the stacks: a certificate that the proxy did not get. Private.

Traefik asks for a certificate when it starts and when its configuration changes, and never else. On a guest whose
network came a moment later its log ends with "lookup … on 127.0.0.11:53: server misbehaving", for ever. A restart makes
it ask again, and gives its container the name servers that the guest has today.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._health import inspect as _inspect
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import proxy as _of_proxy
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state

_SECOND_LOOK = 10.0  # seconds; a certificate may just be under way
_POLL = 2.0  # seconds


def heal(params: dict[str, Any], served: dict[str, Any]) -> bool:
    """Wait for a certificate that is under way; let the proxy ask for it again where that is due.

    served is the certificate among the facts of a report, {} where none could be read. Returns whether there is
    something to observe anew. Each try in vain doubles the time until the next, which the guest's gate waits for. The
    first comes after a second look: in this run where Traefik said that it failed, else in the guest's next one.
    """
    now = time.time()
    if served and _of_proxy.is_good(_of_proxy.Certificate(served["issuer"], served["expires"]), now):
        _state.set_certificate(_paths.STATE_DIR, None)
        return False
    tried = _state.certificate(_paths.STATE_DIR)
    if _state.next_certificate(tried, now):
        return False
    if not served:
        # Another check says what is wrong.
        if tried:
            _state.set_certificate(_paths.STATE_DIR, tried._replace(last=now))
        return False
    said = _wait(params)
    if said and not tried and params["patience"]:
        time.sleep(_SECOND_LOOK)
        said = _said(params)
    if said is not None:
        due = bool(tried or (said and params["patience"]))
        _state.set_certificate(_paths.STATE_DIR, _state.Tries((tried.number if tried else 0) + due, time.time()))
        said = _ask_again(params) if due else said
    if said is None:
        _state.set_certificate(_paths.STATE_DIR, None)
    return True


def _ask_again(params: dict[str, Any]) -> str | None:
    # What keeps it from a restart is said by the check of the container.
    with contextlib.suppress(_commands.CommandError):
        _commands.docker("restart", _inspect.PROXY_CONTAINER)
    return _wait(params)


def _wait(params: dict[str, Any]) -> str | None:
    """Until the proxy serves a good certificate, says why it does not, or patience is over."""
    end = time.monotonic() + params["patience"]
    while (said := _said(params)) == "" and time.monotonic() < end:
        time.sleep(_POLL)
    return said


def _said(params: dict[str, Any]) -> str | None:
    """What Traefik said of a failed issuance since its start; "" for nothing yet, None where it serves a good one."""
    survey = _inspect.Survey(params | {"patience": 0}, may_probe=False)
    served = survey.served
    if served and served.certificate and _of_proxy.is_good(served.certificate, survey.now):
        return None
    return served.said if served else ""
