# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the docker program does: pulling, tagging, moving containers. Private to this collection."""

from __future__ import annotations

import base64
import errno
import json
import os
import pty
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, pins as _pins

Run = Callable[..., tuple[int, str, str]]
"""AnsibleModule.run_command: status, output, error output."""


class PullError(Exception):
    """An image can't be had. The text is one line and says why."""


class Credential:
    """A registry's user name and password, in a configuration of Docker's that lives in memory and for a while only.

    Docker takes them from a file alone: `docker login` leaves it behind, and arguments are visible to everybody.
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


def pull(run: Run, pin: str, silence: float, config: str | None = None) -> None:
    """Pull a pinned image and give it its tag. Raises PullError, also when nothing of it comes for silence seconds.

    config is a folder with Docker's config.json.
    """
    try:
        code, err = _watch(["docker"] + (["--config", config] if config else []) + ["pull", pin], silence)
    except FileNotFoundError as error:
        # Debian has the engine and the program in packages of their own.
        reason = f"{error.filename}: {error.strerror}"
        raise PullError(f"image {pin} is not on the guest and can't be pulled: {reason}") from error
    if code != 0:
        reason = _reason(code, _commands.last_line(err), silence)
        raise PullError(f"image {pin} is not on the guest and can't be pulled: {reason}")
    tag(run, pin)


def _watch(command: list[str], silence: float) -> tuple[int | None, str]:
    """A program's status and error output. None: it showed no progress for silence seconds and was ended.

    The engine waits for ever for a transfer whose other end keeps the connection and sends nothing, and a deadline for
    the whole would be too short for a slow line. On a terminal alone Docker says how many bytes there are.
    """
    ours, its = pty.openpty()
    silent = False
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its, stderr=errors) as process:
            os.close(its)
            try:
                while select.select([ours], [], [], silence)[0]:
                    os.read(ours, 65536)
                silent = True
                # The engine gives a pull up when nobody is there any more who asked for it.
                process.kill()
            except OSError as error:
                # So a terminal says that whoever had it is gone.
                if error.errno != errno.EIO:
                    process.kill()
                    raise
            finally:
                os.close(ours)
        errors.seek(0)
        return None if silent else process.returncode, errors.read().decode(errors="replace")


def _reason(code: int | None, said: str, silence: float) -> str:
    """Why a pull failed, and what helps where the registry's own words do not say."""
    if code is None:
        return f"nothing more of it came for {silence:g} s; run this again when the registry is in reach"
    if "toomanyrequests" in said.lower():
        return (
            f"the registry's rate limit is reached ({said}); log in to it on the guest with 'docker login', wait "
            "(Docker Hub counts the pulls of the last 6 hours), or use a golden image that has it (playbooks/bake.yml)"
        )
    return said


def tag(run: Run, pin: str) -> None:
    """Give a pulled image its tag: without one a plain 'docker image prune' takes it for a dangling one."""
    code, _out, err = run(["docker", "tag", _pins.repo_digest(pin), pin.partition("@")[0]])
    if code:
        raise PullError(f"image {pin} can't be given its tag: {_commands.last_line(err)}")
