"""Running programs, and keeping some of them running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .settings import RUN, fail, say

SILENCE = 4.0  # seconds without progress after which a line is printed


def run(*command: object, **options) -> str:
    """A program's output. Ends the bed with the program's last words when it fails."""
    words = [str(part) for part in command]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        last = (done.stdout or "").strip().splitlines()[-3:]
        fail(f"{' '.join(words[:6])} ended with status {done.returncode}: {' | '.join(last)}")
    return done.stdout or ""


def succeeds(*command: object) -> bool:
    """Whether a program ends well; its output is dropped."""
    return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0


def becomes(condition: Callable[[], bool], limit: float = 60) -> bool:
    """Whether a condition comes true within some seconds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def wait_with_progress(what: str, *processes: subprocess.Popen) -> None:
    """Wait for processes; say that they still run, and end the bed when one of them fails."""
    last = time.monotonic()
    while any(process.poll() is None for process in processes):
        time.sleep(0.2)
        if time.monotonic() - last > SILENCE:
            last = time.monotonic()
            say(f"... {what}")
    for process in processes:
        if process.returncode:
            fail(f"{what}: {process.args[0]} ended with status {process.returncode}")


def start_service(name: str, *command: object) -> None:
    """Keep a program running in the background, once."""
    pid_file = RUN / f"{name}.pid"
    if _is_running(name, pid_file):
        return
    with open(RUN / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A mark in the environment tells this process from a stranger that got its number later.
            env=os.environ | {"FELHOM_BED_SERVICE": name},
        )
    pid_file.write_text(str(process.pid))


def stop_service(name: str) -> None:
    """End a program of start_service and wait until it is gone."""
    pid_file = RUN / f"{name}.pid"
    if _is_running(name, pid_file):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        if not becomes(lambda: not _is_running(name, pid_file)):
            os.kill(pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


def _is_running(name: str, pid_file: Path) -> bool:
    try:
        pid = int(pid_file.read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ValueError):
        return False
    return state != "Z" and f"FELHOM_BED_SERVICE={name}".encode() in environment.split(b"\0")
