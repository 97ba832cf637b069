# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a guest's configuration. Options and results: plugins/modules/bootstrap_info.py."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.plugin_utils._guest_task import GuestTask


class ActionModule(GuestTask):
    """One module execution."""

    task = "configuration"
