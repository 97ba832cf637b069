"""The guest that is to heal itself, and the table of how long that took."""

from __future__ import annotations

import pytest
from healing import HEALED, Healing


@pytest.fixture
def heal(guest, request) -> Healing:
    name = request.node.callspec.id if hasattr(request.node, "callspec") else request.node.name
    return Healing(guest, name.removeprefix("ansible://remediate-").replace("_", " ").removeprefix("test "))


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.write_sep("-", "seconds from the timer's tick, or from the change of the configuration, to health")
    for name, seconds in HEALED.items():
        terminalreporter.write_line(f"{seconds:6.1f}  {name}")
