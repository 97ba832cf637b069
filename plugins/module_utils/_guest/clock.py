# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to write a time. Private to this collection."""

from __future__ import annotations

import time


def utc(moment: float) -> str:
    """A time as it is written everywhere."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
