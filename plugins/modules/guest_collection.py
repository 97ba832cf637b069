#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guest_collection
short_description: Bring a guest to a commit of this collection
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Moves the guest's mirror of the collection's repository to a commit, and installs from that commit what must work
    without Ansible, such as the gate and the program C(felhom-base-infra).
  - The program comes first, and works with the library of the commit before. So a run that is killed between the two
    leaves a guest that still converges itself.
  - A mirror that is ahead of the commit, or has another history, is left alone with a warning.
requirements:
  - Git on the guest
attributes:
  check_mode:
    support: full
    description: Says whether the guest has to be changed, and whether a bundle is needed for that.
  diff_mode:
    support: full
    description: The commits before and after.
options:
  commit:
    description: The commit.
    type: str
    required: true
  ref:
    description: Branch of the mirror.
    type: str
    default: main
  mirror:
    description: The mirror, a bare repository.
    type: path
    default: /var/lib/felhom-base-infra/mirror.git
  bundle:
    description: A bundle on the guest whose C(HEAD) is O(commit), for a mirror without that commit.
    type: path
    default: /usr/share/felhom-base-infra/collection.bundle
  library:
    description: Where the library is installed, a folder for each commit and a link C(current).
    type: path
    default: /usr/local/lib/felhom-base-infra
  program:
    description: Where the program is installed.
    type: path
    default: /usr/local/sbin/felhom-base-infra
  install:
    description: Install library and program too; V(false) only moves the mirror.
    type: bool
    default: true
  rewind:
    description: Move the mirror even to an older commit or another history, as in a bake.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Check whether the guest has the commit
  felhom.base_infra.guest_collection:
    commit: 1770ad90b6c37f4c6f4f2d2d3aef2cbf2bb8d1c4
  check_mode: true
  register: collection
"""

RETURN = r"""
needs_bundle:
  description: Whether the mirror lacks the commit.
  type: bool
  returned: always
mirror:
  description: The commit of the mirror's branch, afterwards.
  type: str
  returned: always
library:
  description: The commit of the installed library, afterwards.
  type: str
  returned: always
"""

import compileall
import os
import pathlib
import shutil
import tarfile
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    failpoints as _failpoints,
    files as _files,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import repository as _repository

_PROGRAM_MODE = "0755"
_PREFIX = "ansible_collections/felhom/base_infra/"
_PROGRAM = "roles/reconcile/files/felhom-base-infra"
_INSTALLED = ["plugins/module_utils", _PROGRAM]


class Found(NamedTuple):
    """Commits of the mirror and of the library, "" for none.

    has_commit: whether the mirror has the wanted one; has_program: whether the program is the library's.
    """

    mirror: str
    library: str
    has_commit: bool
    has_program: bool


def main() -> None:
    """Look, plan, move."""
    module = AnsibleModule(
        argument_spec={
            "commit": {"type": "str", "required": True},
            "ref": {"type": "str", "default": "main"},
            "mirror": {"type": "path", "default": f"{_paths.STATE_DIR}/mirror.git"},
            "bundle": {"type": "path", "default": f"{_paths.SHARE}/collection.bundle"},
            "library": {"type": "path", "default": _paths.LIBRARY},
            "program": {"type": "path", "default": _paths.PROGRAM},
            "install": {"type": "bool", "default": True},
            "rewind": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except _repository.GitError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")


def run(module: AnsibleModule) -> dict[str, Any]:
    """The result."""
    params = module.params
    wanted = params["commit"]
    mirror = _repository.Repository(params["mirror"], params["ref"])
    before = observe(mirror, params)
    move, install = plan(before, wanted)
    after = before
    if not module.check_mode:
        if move:
            try:
                mirror.receive(params["bundle"], "HEAD")
                mirror.advance(wanted, rewind=params["rewind"])
            except _repository.Refused as refused:
                module.warn(f"{params['mirror']}: {refused}; the guest keeps its own")
        head = mirror.head()
        if head != wanted and mirror.is_ancestor(wanted, head):
            module.warn(f"{params['mirror']}: the guest is ahead, at commit {head[:12]}")
        if install and params["install"] and head == wanted:
            install_library(mirror, wanted, params["library"], params["program"])
        after = observe(mirror, params)
    return {
        "changed": before != after if not module.check_mode else move or (install and params["install"]),
        "needs_bundle": not before.has_commit,
        "mirror": after.mirror,
        "library": after.library,
        "diff": {
            "before": f"mirror {before.mirror}\nlibrary {before.library}\n",
            "after": f"mirror {wanted}\nlibrary {wanted}\n",
        },
    }


def observe(mirror: _repository.Repository, params: dict[str, Any]) -> Found:
    """What the guest has."""
    current = os.path.join(params["library"], "current")
    library = os.readlink(current) if os.path.islink(current) and os.path.isdir(current) else ""
    program = _files.read_state(os.path.join(current, _PREFIX, _PROGRAM)).sha256
    installed = _files.read_state(params["program"])
    has_program = program is not None and (installed.sha256, installed.mode) == (program, _PROGRAM_MODE)
    return Found(mirror.head(), library, mirror.is_ancestor(params["commit"], params["commit"]), has_program)


def plan(found: Found, wanted: str) -> tuple[bool, bool]:
    """Whether the mirror has to be moved, and whether the library has to be installed."""
    return found.mirror != wanted, found.library != wanted or not found.has_program


def install_library(mirror: _repository.Repository, commit: str, library: str, program: str) -> None:
    """Unpack the library, install its program, and switch to it. What of that is done already is not done again."""
    # Where the link is on the commit, whoever runs just now runs from there.
    if not is_current(library, commit):
        unpack(mirror, commit, os.path.join(library, commit))
    # Before the switch: the program before this one may not know the new library's modules, and would then say for ever
    # "converge needed: the gate failed: ImportError".
    data = pathlib.Path(library, commit, _PREFIX, _PROGRAM).read_bytes()
    _files.write_atomic(program, data, _PROGRAM_MODE, os.geteuid(), os.getegid())
    _failpoints.failpoint("program: installed")
    if not is_current(library, commit):
        switch(library, commit)


def is_current(library: str, commit: str) -> bool:
    """Whether the library in use is a commit's, and has its program."""
    current = os.path.join(library, "current")
    on_it = os.path.islink(current) and os.readlink(current) == commit
    return on_it and os.path.isfile(os.path.join(current, _PREFIX, _PROGRAM))


def unpack(mirror: _repository.Repository, commit: str, folder: str) -> None:
    """Make a library of what the mirror has."""
    shutil.rmtree(f"{folder}.new", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}.new", mode=0o755)
    # In there, so that a run that is cut off leaves nothing beside it that the next one would not remove.
    tar = f"{folder}.new/library.tar"
    mirror.git("archive", "--output", tar, "--prefix", _PREFIX, commit, *_INSTALLED)
    with tarfile.open(tar) as archive:
        # Debian 12's Python has no filters: "extractall() got an unexpected keyword argument 'filter'".
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(f"{folder}.new")
    os.unlink(tar)
    # The gate runs every five minutes; compiling it each time would cost more than running it.
    compileall.compile_dir(f"{folder}.new", ddir=folder, quiet=1)
    sync(f"{folder}.new")
    os.rename(f"{folder}.new", folder)
    _failpoints.failpoint("library: unpacked")


def switch(library: str, commit: str) -> None:
    """Use a library from now on. The one before stays, for whoever runs from it just now."""
    current = os.path.join(library, "current")
    before = os.readlink(current) if os.path.islink(current) else ""
    # Left by a run that was cut off.
    _files.remove_if_there(f"{current}.new")
    os.symlink(commit, f"{current}.new")
    os.rename(f"{current}.new", current)
    _failpoints.failpoint("library: switched")
    for name in os.listdir(library):
        if name not in ("current", commit, before):
            shutil.rmtree(os.path.join(library, name), ignore_errors=True)


def sync(folder: str) -> None:
    """Have a folder and all in it on the disk: after a power cut its files would be there, and empty."""
    for path, _folders, names in os.walk(folder):
        for name in [".", *names]:
            _files.sync(os.path.join(path, name))


if __name__ == "__main__":
    main()
