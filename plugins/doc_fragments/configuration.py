# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a guest's configuration is read."""

from __future__ import annotations


class ModuleDocFragment:
    """Where a guest's configuration is read."""

    DOCUMENTATION = r"""
options:
  bootstrap_file:
    description: The provisioner's file, JSON.
    type: path
    default: /etc/felhom-bootstrap/bootstrap.json
  controller_file:
    description: The controller's file, YAML. Missing or incomplete until the guest is configured.
    type: path
    default: /var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml
  filebrowser_compose_file:
    description: A Compose file whose mounts are kept if nothing else names storage.
    type: path
    default: /opt/docker/stacks/filebrowser/docker-compose.yml
  overrides:
    description:
      - Values of the inventory. Each wins over both files, unless it is empty.
      - The keys are V(customer_id), V(domain), V(email), V(cf_tunnel_token), V(cf_api_token), V(storage_paths),
        V(protected).
    type: dict
    default: {}
  engine_timeout:
    description: Seconds to wait until the engine answers, for a guest that has just started.
    type: int
    default: 0
"""
