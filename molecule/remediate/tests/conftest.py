"""The guest that is to heal itself, and the table of how long that took."""

from __future__ import annotations

import pytest
from healing import HEALED, Healing


@pytest.fixture
def heal(guest, request) -> Healing:
    # testinfra makes the host the first parameter of every test.
    _host, _dash, fault = request.node.callspec.id.partition("remediate-")
    return Healing(guest, fault or request.node.originalname.removeprefix("test_").replace("_", " "))


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.write_sep("-", "seconds from the timer's tick, or from the change of the configuration, to health")
    for name, seconds in HEALED.items():
        terminalreporter.write_line(f"{seconds:6.1f}  {name}")
