# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter dns_label. Described in the .yml file beside."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import names as _names


def dns_label(value: object) -> str:
    """See the .yml file."""
    try:
        return _names.dns_label(value)
    except _names.Invalid as error:
        raise AnsibleFilterError(f"dns_label: {error}") from error


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Callable[[object], str]]:
        return {"dns_label": dns_label}
