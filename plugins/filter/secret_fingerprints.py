# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets as the audit of a golden image looks for them. Described in secret_fingerprints.yml."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import secret_scan as _secret_scan


def secret_fingerprints(secrets: object) -> list[dict[str, str | int]]:
    """Fingerprints of all values of a mapping."""
    if not isinstance(secrets, dict) or not all(isinstance(value, str) for value in secrets.values()):
        raise AnsibleFilterError("secret_fingerprints: expected a mapping of names to secrets")
    try:
        return [
            entry for name, secret in secrets.items() for entry in _secret_scan.fingerprints(str(name), str(secret))
        ]
    except ValueError as error:
        raise AnsibleFilterError(f"secret_fingerprints: {error}") from None


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, Callable[[object], list[dict[str, str | int]]]]:
        return {"secret_fingerprints": secret_fingerprints}
