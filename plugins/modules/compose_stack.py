#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: compose_stack
short_description: Make a Compose project right, atomically, in one module execution when it already is
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Renders all files of a Compose project in the controlling process and ships them to the guest in one module
    execution. What is right there is left alone.
  - When something differs, it proves that every pinned image is present before anything is stopped, writes the files
    atomically, and has Compose apply them, in a process that ends what it began also when the connection is cut.
  - A change that nobody settles, because its controller died, is settled by the guest itself after ten minutes.
  - Refuses an image that is not pinned as C(name:tag@sha256:digest).
  - Compose's own interpolation is off. Every C($) in the Compose template reaches the container as it is written.
  - Each service gets a label with a digest of its definition and of the files named for it in O(files[].services).
    Compose therefore recreates exactly the services whose configuration or secret changed.
  - Files that an earlier run wrote and that are no longer declared are removed. Nothing else ever is.
  - A container that lost its network, is paused, or mounts a folder that was deleted meanwhile is recreated, which
    C(docker compose up) alone does not do.
requirements:
  - Docker Engine with Compose v2 on the guest
attributes:
  check_mode:
    support: full
    description: Reports what differs and writes nothing. What would stop the real run stops this one too.
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
      - V(absent) takes its containers, its own networks and the files it wrote away. Data, certificates and what else
        is made once and kept stay.
      - V(rendered) writes the files to O(project_dir) and asks no engine. Owners are set only by root.
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
      top_level_keys:
        description:
          - The keys that may stand at the top of the file, which is YAML. Another one is an error, for programs that
            ignore a misspelt one.
        type: list
        elements: str
      content:
        description: The content, for a file that a program fills itself. Use O(files[].template) for secrets.
        type: str
      generate:
        description: Make the file once, with the URL-safe text of this many random bytes and a newline.
        type: int
      create_only:
        description:
          - Never overwrite the file once it exists. Owner and mode are still kept right. Always so with
            O(files[].generate).
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
          - Refuse a change while something directly in it belongs to another user than the folder should, which the
            service could not write then.
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
      - With V(none) a service that is unhealthy or that the engine restarts again and again is left to itself. Only a
        change to a stack that was well just before is waited for, and goes back if it makes the stack ill.
    type: str
    choices: [healthy, running, none]
    default: healthy
  gates:
    description:
      - Versions that a service does not cross by a change of its pin alone. Crossing one is refused, in check mode too,
        before anything is touched.
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
        description: Refuse whatever is older, also where nothing runs yet.
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
      - Bring the stack up here, wait for it, and go back to its last good generation when it does not become well.
      - With V(false) it is brought up and not waited for. M(felhom.base_infra.compose_settle) has to follow, which
        waits once for all stacks of a run and decides for all together.
    type: bool
    default: true
  observed:
    description:
      - What a survey of the guest earlier in this run returned, RV(felhom.base_infra.bootstrap_info#module:observed).
      - When it says that this very rendering of the stack was applied and nothing differs from it, the guest is not
        asked again. With nothing given, it is asked.
    type: dict
    default: {}
  foreign:
    description:
      - What to do when a container that is not the project's has the name of one of its containers.
      - V(adopt) takes its place when it runs the pinned image and belongs to no project, and fails otherwise.
        V(replace) takes its place in any case. V(fail) never does.
      - Such a container is stopped and renamed, never removed, and comes back when the stack does not become well, and
        with O(state=absent).
    type: str
    choices: [adopt, fail, replace]
    default: adopt
  replaces_units:
    description:
      - systemd units that start containers in whose place the stack is. One that is enabled is a difference, also for
        the guest's gate; it is disabled and stopped before its containers are moved out of the way. It is enabled, and
        started if it was active, when the stack does not become well, and with O(state=absent).
      - A unit that does not exist is no difference.
    type: list
    elements: str
    default: []
  inherits:
    description:
      - Folders of the guest to which files are copied that only a container that O(foreign) moved out of the way has
        under the same path. What is there already stays as it is.
    type: list
    elements: path
    default: []
  wait_timeout:
    description: Seconds to wait for O(wait=healthy). A stack that is not well by then goes back.
    type: int
    default: 120
  pull_timeout:
    description:
      - Seconds without progress after which the pull of an image is given up. How long it takes in all is not bounded.
      - The engine tells of progress every 512 KiB, or every hundredth of a layer where that is less.
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
  description: Whether M(felhom.base_infra.compose_settle) has to decide about it.
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
  description: Whether the stack differed from what was last applied, as far as O(observed) tells.
  returned: success
  type: bool
containers:
  description: The stack's containers by service, after the run.
  returned: with O(state=present), when the guest was asked and nothing differed or O(settle=true) saw it through
  type: dict
  sample:
    traefik:
      name: traefik
      id: 3f1c0d6b2a94
      state: running
      health: healthy
      image: traefik:v3.7.14@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c
displaced:
  description: Containers that were moved out of the way, with C(name) and the name that they have now (C(aside)).
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
