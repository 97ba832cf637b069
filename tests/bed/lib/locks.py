"""Who may change what, when several commands of the bed run side by side."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from .settings import HOME, say


@contextlib.contextmanager
def alone(guest: str = "") -> Iterator[None]:
    """One command at a time changes a guest, or what all guests share: bridge, services, addresses.

    A guest's lock is taken before the bed's, never after it; of two guests the clone's before its source's. That of the
    machine's packages is the last.
    """
    folder = HOME / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / (guest or "bed"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command to end with {guest or 'the bed'}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
