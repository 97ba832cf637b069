# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of a guest, in the order in which they are shown. Private to this collection.

Health runs them, the documentation is written from them, and the tests break a guest for each. What a guest must have
before there is anything to check is preflight.py's, for the bake.
"""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import (
    browser as _browser,
    controller as _controller,
    engine as _engine,
    guest as _guest,
    proxy as _proxy,
    stacks as _stacks,
)

ASKED = (
    _guest.pause,
    _guest.configuration,
    _guest.converge,
    _guest.identity,
    _guest.disk,
    _engine.answers,
    _guest.golden,
    _stacks.manifest,
    _stacks.applied,
    _engine.api,
    _stacks.container,
    _stacks.pin,
    _stacks.network,
    _stacks.stack,
    _stacks.access,
    _proxy.tunnel,
    _browser.login,
    _browser.source,
    _controller.hostname,
    _controller.paths,
    _controller.stack_probe,
    _proxy.https,
    _proxy.http,
    _proxy.certificate,
    _proxy.probe,
)
# The last is said by whoever writes what the others said.
CHECKS = (*ASKED, _guest.report)
