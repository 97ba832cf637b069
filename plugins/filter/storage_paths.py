# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FileBrowser's folders: passed on, complete, when FileBrowser takes them. Described in the .yml file beside."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values


def storage_paths(value: object) -> list[_values.Storage]:
    """The folders with all that each may have."""
    try:
        return _values.check_storage_paths(value)
    except _values.Invalid as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Callable[[object], list[_values.Storage]]]:
        return {"storage_paths": storage_paths}
