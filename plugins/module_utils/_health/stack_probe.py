# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away stack that proves what the check of the controller's paths concludes from devices and inodes. Private.

It is written where the controller sees the stacks' folder, started by the guest's engine as an app is, and must read
what was written. Whatever it made is gone afterwards, also on the guest's side of a path that was not the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import controller as _controller
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.controller import Proof, Sight

_NAME = "felhom-base-infra-probe"
_LIMIT = 60  # seconds for a run of Compose
IMAGE_OF = "traefik"  # a container of the base stack whose image has 'cat'


def prove(sight: Sight | None, lender: _engine.Container | None, stacks_dir: str) -> Proof:
    """Run the probe, with the image of the lender."""
    pid = sight.controller.pid if sight and sight.controller else 0
    if not pid:
        return Proof(untried="the controller does not run")
    if lender is None:
        return Proof(untried=f"there is no container {IMAGE_OF} whose image to use")
    return _run(os.path.join(stacks_dir, _NAME), _controller.inside(pid, stacks_dir), lender.image_id)


def _run(folder: str, written_in: str, image: str) -> Proof:
    """folder is where the stack lies for the engine, written_in the stacks' folder as the controller has it."""
    own = os.path.join(written_in, _NAME)
    token = secrets.token_hex(16)
    # On both sides: where the engine misses a folder it makes that and all above it.
    made = _missing(written_in) + _missing(os.path.dirname(folder))
    start = time.monotonic()
    try:
        # A probe that was killed left its own.
        _remove(own, folder)
        os.makedirs(os.path.join(own, "data"))
        for path, text in (("data/token", token), ("docker-compose.yml", _compose(image))):
            with open(os.path.join(own, path), "w", encoding="utf-8") as stream:
                stream.write(text)
        # As the controller does it: its own copy of the file, and paths that mean the guest's to the engine.
        files = ["--file", os.path.join(own, "docker-compose.yml"), "--project-directory", folder]
        done = _docker("compose", "--project-name", _NAME, *files, "run", "--rm", "--no-TTY", "probe")
        return Proof(folder, token, done.stdout, done.stderr, time.monotonic() - start)
    except OSError as error:
        return Proof(untried=error)
    except subprocess.TimeoutExpired:
        return Proof(seconds=_LIMIT, untried=TimeoutError())
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            _docker("compose", "--project-name", _NAME, "down", "--remove-orphans", "--timeout", "0")
        _remove(own, folder)
        for path in made:
            # Not what is in use meanwhile.
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _compose(image: str) -> str:
    """A compose file; JSON is YAML."""
    service = {
        "image": image,
        "pull_policy": "never",
        "entrypoint": ["cat", "/probe/token"],
        "user": "0:0",
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "no",
        # As in a catalogue app: relative, and in the form for which the engine makes what it misses.
        "volumes": ["./data:/probe:ro"],
    }
    return json.dumps({"services": {"probe": service}})


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], check=False, capture_output=True, text=True, errors="replace", timeout=_LIMIT
    )


def _remove(*folders: str) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _missing(path: str) -> list[str]:
    """The folders that would have to be made for a path, the deepest first."""
    found = []
    while not os.path.exists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found
