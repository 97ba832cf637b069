#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge_unlock
short_description: Give a guest's lock back
version_added: 0.2.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Gives back the lock that M(felhom.base_infra.converge_begin) took in this run, never another run's.
  - M(felhom.base_infra.converge_end) does the same, so this is for a run that ended before it.
attributes:
  check_mode:
    support: full
    description: In check mode no lock was taken.
  diff_mode:
    support: none
    description: Changes nothing but the lock.
"""

EXAMPLES = r"""
- name: Give the guest's lock back
  felhom.base_infra.converge_unlock:
"""

RETURN = r"""
# Nothing of its own.
"""
