#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: compose_rollback
short_description: Return Compose projects to their previous generation
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Puts back the files and images with which stacks of M(felhom.base_infra.compose_stack) were well before their last
    change, brings them up, and waits for them. What was current becomes the previous generation, so that a second
    rollback undoes the first.
  - Certificates, data and generated passwords have no generations and stay as they are.
  - The next converge applies the current variables again. Pause the guest's own runs first, or change the variables.
extends_documentation_fragment:
  - felhom.base_infra.lock
attributes:
  check_mode:
    support: full
    description: Says which stacks would go back.
  diff_mode:
    support: none
    description: The generations hold secrets.
options:
  stacks:
    description:
      - The stacks to return. All that run and have a previous generation, when empty. One that was removed comes back
        by its name only.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Undo the proxy's last change
  felhom.base_infra.compose_rollback:
    stacks: [traefik]
"""

RETURN = r"""
stacks:
  description: For each stack its C(state), the services that were C(recreated), and its C(containers).
  type: dict
  returned: always
"""
