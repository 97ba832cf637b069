#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: compose_stack
short_description: Bring a Compose project to its desired state, atomically
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Renders all files of a Compose project in the controlling process and sends them to the guest in one module
    execution. What is as desired there is left alone.
  - If something differs, it makes sure that every pinned image is present before anything is stopped, writes the files
    atomically, and has Compose apply them, in a process that ends what it began even if the connection is cut.
  - If the controller dies before a change is settled, the guest settles it itself after ten minutes.
  - Refuses an image that is not pinned as C(name:tag@sha256:digest).
  - Compose's own interpolation is off. Every C($) of the Compose template reaches the container as written.
  - Each service gets a label with a digest of its definition and of the files named for it in O(files[].services).
    Compose therefore recreates exactly the services whose configuration or secret changed.
  - Removes files that an earlier run wrote and that are no longer declared, and nothing else.
  - Recreates a container that is cut off from its network, is paused, or mounts a folder that was deleted meanwhile,
    which C(docker compose up) alone does not do.
requirements:
  - Docker Engine with Compose v2 on the guest
attributes:
  check_mode:
    support: full
    description: Reports what differs and writes nothing. What the real run would refuse is refused too.
  diff_mode:
    support: full
    description: Shows every file that differs. Of secret content only the beginning of its SHA-256 is shown.
options:
  name:
    description: The Compose project's name.
    type: str
    required: true
  state:
    description:
      - V(present) brings the project up.
      - V(absent) removes its containers, its own networks and the files it wrote. Data, certificates and other files
        that are made only once stay.
      - V(rendered) writes the files to O(project_dir) and needs no engine. Owners are set only by root.
    type: str
    choices: [present, absent, rendered]
    default: present
  project_dir:
    description: The project's folder on the guest, made when missing.
    type: path
    required: true
  compose:
    description:
      - Template of the C(docker-compose.yml), searched as M(ansible.builtin.template) does.
      - Its services have O(name) as their project. A bind mount with C(create_host_path=false) must exist on the guest.
    type: str
    default: docker-compose.yml.j2
  files:
    description:
      - The other files of the project. Each has exactly one of O(files[].template), O(files[].content) and
        O(files[].generate).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it lies, relative to O(project_dir).
        type: str
        required: true
      template:
        description:
          - Template of the file. The variable C(compose_stack_generated) maps the path of each generated file to its
            content, to be used as a whole YAML or JSON value and without quotes.
        type: str
      content:
        description: The content, for a file that a program fills itself. Use O(files[].template) for secrets.
        type: str
      generate:
        description: Make the file once, with the URL-safe text of this many random bytes and a newline.
        type: int
      create_only:
        description:
          - Never overwrite the file once it exists, except for its owner and mode. Implied by O(files[].generate).
        type: bool
        default: false
      sensitive:
        description: The content is a secret. Diffs show a fingerprint of it, logs nothing.
        type: bool
        default: false
      services:
        description: The services that read the file only when they start, and are recreated when it changes.
        type: list
        elements: str
        default: []
      mode:
        description: Octal mode.
        type: str
        default: "0644"
      owner:
        description: User name or id.
        type: str
        default: root
      group:
        description: Group name or id.
        type: str
        default: root
  directories:
    description: The folders of the project. Their content is left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it lies, relative to O(project_dir).
        type: str
        required: true
      services:
        description: The services that mount it, and are recreated when it was deleted under them.
        type: list
        elements: str
        default: []
      mode:
        description: Octal mode.
        type: str
        default: "0755"
      owned_content:
        description:
          - Refuse a change while something directly in it does not belong to O(directories[].owner), since the service
            could not write it.
        type: bool
        default: false
      owner:
        description: User name or id.
        type: str
        default: root
      group:
        description: Group name or id.
        type: str
        default: root
  wait:
    description:
      - What a service must reach. V(healthy) for services whose health does not depend on the outside world.
      - V(none) ignores a service that is unhealthy or that the engine restarts again and again. Only a change to a
        stack that was healthy just before is waited for, and rolled back if the stack does not become healthy again.
    type: str
    choices: [healthy, running, none]
    default: healthy
  program:
    description:
      - The program that the stack runs, where that needs more of a change than to be started.
      - V(filebrowser) wants O(files) to have C(config/config.yaml) and C(secrets/admin_password). What would lock
        everybody out is refused, in check mode too. Before a change is kept, FileBrowser is restarted once if it has
        just made its database, accounts are freed of links to sources that are gone, and the log in is tried.
    type: str
    choices: ['', filebrowser]
    default: ''
  gates:
    description:
      - Versions that a change of the pin alone must not cross. Crossing one is refused, in check mode too, before
        anything is touched.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: The service.
        type: str
        required: true
      at:
        description: The version, as the image's tag begins with it.
        type: str
        required: true
      floor:
        description: Refuse all older versions, even where nothing runs yet.
        type: bool
        default: false
      do:
        description: What to do instead, for the message.
        type: str
        required: true
  accepted_gates:
    description: Versions of O(gates) that may be crossed now.
    type: list
    elements: str
    default: []
  settle:
    description:
      - Wait here for the stack, and roll it back to its last good generation if it does not become healthy.
      - With V(false) M(felhom.base_infra.compose_settle) has to follow, which settles all stacks of a run together.
    type: bool
    default: true
  observed:
    description:
      - The survey of the guest in this run, RV(felhom.base_infra.bootstrap_info#module:observed).
      - If it says that this very rendering of the stack was applied and has not drifted, the stack is skipped, without
        an execution on the guest.
    type: dict
    default: {}
  foreign:
    description:
      - What to do when a container that is not the project's has the name of one of its containers.
      - V(adopt) replaces it if it runs the pinned image and belongs to no project, and fails otherwise. V(replace)
        replaces it in any case. V(fail) fails.
      - The container is stopped and renamed, never removed. It is restored if the stack does not become healthy, and
        with O(state=absent).
    type: str
    choices: [adopt, fail, replace]
    default: adopt
  replaces_units:
    description:
      - systemd units whose containers the stack replaces. An enabled one is drift, for the guest's gate too; it is
        disabled and stopped before its containers are replaced. It is restored, enabled and active as it was, if the
        stack does not become healthy, and with O(state=absent).
      - A unit that does not exist is no drift.
    type: list
    elements: str
    default: []
  inherits:
    description:
      - Folders of the guest. Files that only the container that O(foreign) replaced has under the same path are copied
        to them. Existing files stay as they are.
    type: list
    elements: path
    default: []
  wait_timeout:
    description: Seconds to wait for O(wait=healthy). A stack that is not healthy by then is rolled back.
    type: int
    default: 120
  pull_timeout:
    description:
      - Seconds without progress after which the pull of an image is given up. The whole pull has no time limit.
      - The engine reports progress every 512 KiB, or every hundredth of a layer where that is less.
    type: int
    default: 300
seealso:
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Converge the tunnel
  felhom.base_infra.compose_stack:
    name: cloudflared
    project_dir: /opt/docker/cloudflared
    wait: none
    directories:
      - path: secrets
        services: [cloudflared]
    files:
      - path: secrets/tunnel_token
        template: tunnel_token.j2
        sensitive: true
        mode: "0400"
        owner: "65532"
        group: "65532"
        services: [cloudflared]
"""

RETURN = r"""
name:
  description: O(name).
  returned: success
  type: str
  sample: traefik
pending:
  description: Whether M(felhom.base_infra.compose_settle) has to settle it.
  returned: success
  type: bool
reasons:
  description: What differed, a line each.
  returned: success
  type: list
  elements: str
  sample: [traefik.yml has other content, container traefik was made from another configuration]
drift:
  description:
    - The same for a report, each with C(reason), and for a file's content with the first digits of the SHA-256 of what
      C(was) there and of what is C(wanted).
  returned: success
  type: list
  elements: dict
drifted:
  description: Whether the stack had drifted, according to O(observed).
  returned: success
  type: bool
containers:
  description: The stack's containers by service, after the run.
  returned: with O(state=present), if the stack was compared and nothing differed, or was settled
  type: dict
  sample:
    traefik:
      name: traefik
      id: 3f1c0d6b2a94
      state: running
      health: healthy
      image: traefik:v3.7.14@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c
displaced:
  description: Containers that were replaced, with C(name) and the name that they have now (C(aside)).
  returned: when something was in the way
  type: list
  elements: dict
  sample: [{name: traefik, aside: traefik-displaced-3f1c0d6b, restart: unless-stopped, running: true}]
units:
  description: Units of O(replaces_units) that were disabled, and whether each was C(enabled) and C(active).
  returned: when something was in the way
  type: list
  elements: dict
  sample: [{unit: felhom-bootstrap.service, enabled: true, active: true}]
timings:
  description: Seconds that each part took.
  returned: success
  type: dict
  sample: {render: 0.11, apply: 0.6}
"""
