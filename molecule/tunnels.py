"""A guest's tunnel as Cloudflare's edge sees it, and how long there was none."""

from __future__ import annotations

import json
import subprocess
import time

from runs import GUEST, ROOT
from waiting import wait_for

BED = ROOT / "tests/bed/bed"
MEASURED: dict[str, float] = {}


class Tunnel:
    """What the bed's edge noted of it."""

    def __init__(self) -> None:
        self._begin = time.time()

    def notes(self) -> list[dict]:
        """From the beginning of the test on, oldest first."""
        told = subprocess.run([BED, "tunnel", GUEST, "notes"], check=True, capture_output=True, text=True).stdout
        return [note for note in map(json.loads, told.splitlines()) if note["time"] >= self._begin]

    def secret(self, state: str) -> None:
        """plain, or rotated, as by somebody at Cloudflare: then the edge takes no other for a new connection."""
        subprocess.run([BED, "tunnel", GUEST, state], check=True)

    def recreated(self, what: str) -> float:
        """The seconds from the end of the last connection to the next one; it was connected before."""
        wait_for(lambda: self._gap(self.notes()) is not None, self.notes)
        MEASURED[what] = seconds = self._gap(self.notes())
        return seconds

    @staticmethod
    def _gap(notes: list[dict]) -> float | None:
        ended = None
        for note in notes:
            if note["what"] in ("unregistered", "lost"):
                ended = note["time"]
            elif note["what"] == "registered" and ended is not None:
                return note["time"] - ended
        return None
