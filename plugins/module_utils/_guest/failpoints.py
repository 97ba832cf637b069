# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named moments of a change. Private to this collection.

Does nothing. The fault tests run a copy of the collection in which this file ends the process at the moment they name,
so that no line of what is shipped is there for them.
"""

from __future__ import annotations


def failpoint(moment: str) -> None:
    """The change has come this far."""
