# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest's health is judged by."""

from __future__ import annotations


class ModuleDocFragment:
    """What a guest's health is judged by."""

    DOCUMENTATION = r"""
options:
  waiting_for:
    description:
      - What the guest still waits for to be configured, in one line. If set, nothing else is checked and the verdict is
        V(waiting).
    type: str
    default: ""
  protected:
    description: Names of the containers that must run.
    type: list
    elements: str
    default: []
  network:
    description: Name of the network that all stacks share.
    type: str
    default: traefik-public
  proxy_host:
    description: The name for which the proxy must answer.
    type: str
    default: ""
  proxy_http_port:
    description: The proxy's port for HTTP.
    type: int
    default: 80
  proxy_https_port:
    description: Its port for HTTPS. The certificate is not verified here.
    type: int
    default: 443
  patience:
    description:
      - Seconds to retry while the proxy does not serve the name yet.
      - It finds a new container after some seconds.
    type: int
    default: 60
  customer_id:
    description: The host name that the controller should report. Empty for not checking it.
    type: str
    default: ""
  stacks_dir:
    description: The folder in which the controller keeps catalogue apps.
    type: path
    default: /opt/docker/stacks
"""
