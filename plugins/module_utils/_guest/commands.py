# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs of the guest, also ones that outlive the module that begins them. Private to this collection."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import syslog
from collections.abc import Callable
from typing import Any


class CommandError(Exception):
    """A program ended with an error. The text is one line."""


def run(words: list[str], check_rc: bool = False) -> tuple[int, str, str]:
    """Status, output and error output of a program, as AnsibleModule.run_command gives them.

    That one needs the module, which has ended when work of run_detached() still goes on. Raises CommandError where
    check_rc is set and the status is not 0.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )
    except OSError as error:
        raise CommandError(f"{words[0]}: {error.strerror}") from error
    if check_rc and done.returncode:
        raise CommandError(f"'{' '.join(words)}' failed: {last_line(done.stderr)}")
    return done.returncode, done.stdout, done.stderr


def docker(*words: str) -> str:
    """What a docker command prints. Raises CommandError."""
    return run(["docker", *words], check_rc=True)[1]


def last_line(text: str) -> str:
    """What a program said last, which is what it failed for."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason given"


def run_detached(work: Callable[[], None], keep: tuple[int, ...] = ()) -> None:
    """Do something in a process that outlives the module, its connection and its terminal. Returns at once.

    Everything that the work imports has to be imported before: Ansible removes the module's archive when the module
    ends. Descriptors are closed but for those to keep: who started the module reads its output until its end.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in keep:
                _close(int(name))
        for descriptor in (0, 1, 2):
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
        work()
    except Exception as error:
        syslog.syslog(syslog.LOG_ERR, f"felhom-base-infra: {error!r}")
    finally:
        os._exit(0)


def outlive(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What some work gives, as JSON has it. The work is done to its end also when the module that waits is killed.

    Raises CommandError for whatever the work raised.
    """
    ours, its = os.pipe()

    def answer() -> None:
        outcome: dict[str, Any]
        try:
            outcome = {"result": work()}
        except OSError as error:
            outcome = {"error": f"{error.filename or 'the system'}: {error.strerror}"}
        except Exception as error:
            outcome = {"error": str(error) or type(error).__name__}
        with os.fdopen(its, "w") as stream:
            json.dump(outcome, stream)

    run_detached(answer, keep=(its,))
    os.close(its)
    with os.fdopen(ours) as stream:
        outcome = json.loads(stream.read() or '{"error": "it was ended by something before it was done"}')
    if "error" in outcome:
        raise CommandError(outcome["error"])
    result: dict[str, Any] = outcome["result"]
    return result


def _close(descriptor: int) -> None:
    # That of the listing itself is closed already.
    with contextlib.suppress(OSError):
        os.close(descriptor)
