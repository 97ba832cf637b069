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
  - Returns stacks of M(felhom.base_infra.compose_stack) to the files and images of the generation before their last
    change, and settles them. The current generation becomes the previous one, so a second rollback undoes the first.
  - Certificates, data and generated passwords have no generations and stay.
  - The next converge applies the current variables again. Pause the guest's own runs first, or change the variables.
extends_documentation_fragment:
  - felhom.base_infra.lock
attributes:
  check_mode:
    support: full
    description: Says which stacks would be rolled back.
  diff_mode:
    support: none
    description: The generations hold secrets.
options:
  stacks:
    description:
      - The stacks to roll back. Empty for all that run and have a previous generation; a removed one has to be named.
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
