# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having a pinned image on the guest, by digest and by tag. Private to this collection."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Callable

from ansible_collections.felhom.base_infra.plugins.module_utils import _image

Run = Callable[..., tuple[int, str, str]]
"""AnsibleModule.run_command: status, output, error output."""


class PullError(Exception):
    """An image can't be had. The text is one line and says why."""


class Credential:
    """A registry's user name and password, in a configuration of Docker's that lives in memory and for a while only.

    Docker takes them from a file alone: `docker login` leaves it behind, and arguments are seen by everybody.
    """

    def __init__(self, registry: str, username: str, password: str) -> None:
        self._content = {"auths": {registry: {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}}}

    def __enter__(self) -> str:
        # /run is never part of an image, and gone with the next boot where this is killed.
        self._folder = tempfile.mkdtemp(prefix="felhom-base-infra-", dir="/run")
        descriptor = os.open(os.path.join(self._folder, "config.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(self._content, stream)
        return self._folder

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._folder)


def pull(run: Run, pin: str, config: str | None = None) -> None:
    """Pull a pinned image and give it its tag. config is a folder with Docker's config.json. Raises PullError."""
    command = ["docker"] + (["--config", config] if config else []) + ["pull", "--quiet", pin]
    code, _out, err = run(command)
    if code:
        raise PullError(f"image {pin} is not on the guest and can't be pulled: {last_line(err)}")
    tag(run, pin)


def tag(run: Run, pin: str) -> None:
    """Give a pulled image its tag: without one a plain 'docker image prune' takes it for a dangling one."""
    code, _out, err = run(["docker", "tag", _image.repo_digest(pin), pin.partition("@")[0]])
    if code:
        raise PullError(f"image {pin} can't be given its tag: {last_line(err)}")


def last_line(text: str) -> str:
    """What a program said last, which is what it failed for."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason given"
