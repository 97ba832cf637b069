# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloudflare's tokens in templates: passed on when they have the right shape. Described in the .yml files beside."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values


def _checked(check: Callable[[object], str]) -> Callable[[object], str]:
    def checked(value: object) -> str:
        try:
            return check(value)
        except _values.Invalid as error:
            # Without its cause: the value is a secret.
            raise AnsibleFilterError(str(error)) from None

    return checked


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[[object], str]]:
        return {
            "cf_tunnel_token": _checked(_values.check_tunnel_token),
            "cf_api_token": _checked(_values.check_api_token),
        }
