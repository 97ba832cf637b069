"""A guest that is to heal itself, and the table of how long that took."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import runs
from runs import GUEST

STATE = "/var/lib/felhom-base-infra"
CONFIGURATION = "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml"
HEALED: dict[str, float] = {}


class Healing:
    """What the timer would do in at most five minutes, done at once and measured."""

    def __init__(self, guest, name: str) -> None:
        self.guest, self.name = guest, name

    def now(self) -> None:
        """Start the unit as the timer does, and see it heal the guest."""
        start = time.monotonic()
        # A unit that is at work already is waited for and started again, as by the next tick.
        self.guest.host.run("systemctl start felhom-base-infra.service")
        self.by_itself(start)

    def by_itself(self, start: float | None = None, limit: float = 90) -> None:
        """Wait until the guest is well, whatever started it."""
        start = start or time.monotonic()
        wait_for(lambda: self.gate() == (10, "nothing to do") and not self.is_at_work(), limit, self.why)
        HEALED[self.name] = time.monotonic() - start
        # The run that healed looked at the whole guest; what needs longer is looked at again.
        assert self.status()["verdict"] == "ok" or self.verdict() == "ok", self.why()

    def gate(self) -> tuple[int, str]:
        done = self.guest.host.run("felhom-base-infra gate")
        return done.rc, done.stdout.strip()

    def is_at_work(self) -> bool:
        return self.guest.host.run("systemctl is-active felhom-base-infra.service").stdout.strip() == "activating"

    def verdict(self) -> str:
        """The health now, with what needs some seconds after a start: the tunnel's connection, the proxy's routers."""
        end = time.monotonic() + 45
        while True:
            runs.run("playbooks/health.yml", "-e", f"base_infra_hosts={GUEST}")
            verdict = self.status()["verdict"]
            if verdict == "ok" or time.monotonic() > end:
                return verdict

    def status(self) -> dict:
        return json.loads(self.guest.run(f"cat {STATE}/status.json"))

    def why(self) -> str:
        wrong = [check for check in self.status()["checks"] if check["verdict"] != "ok"]
        return f"gate: {self.gate()}; wrong: {wrong}; ledger: {self.guest.ledger()[-3:]}"


def wait_for(condition: Callable[[], bool], limit: float, why: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not within {limit} s. {why()}"
        time.sleep(0.5)
