# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait for another run."""

from __future__ import annotations


class ModuleDocFragment:
    """How long to wait for another run."""

    DOCUMENTATION = r"""
options:
  lock_timeout:
    description: Seconds to wait for another run on the guest to end.
    type: int
    default: 600
"""
