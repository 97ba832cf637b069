# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where 0.1.0's program comes in when it finds this release. Goes with 0.3.0. Private to this collection.

A guest that lost its library runs from its checkout. One that is killed between the update of that checkout and the
installation of this release's program would otherwise say at every converge "ImportError: cannot import name
'_commands'".
"""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile.cli import main

__all__ = ["main"]
