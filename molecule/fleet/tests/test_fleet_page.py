"""The page that a run leaves, opened from the disk in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def page(fleet) -> Path:
    """Of a fleet in which one guest's proxy does not run."""
    fleet.wait_until_well("fleet-well", "fleet-ill")
    fleet.shell("fleet-ill", "docker stop traefik")
    yield fleet.play("health.yml").page
    fleet.shell("fleet-ill", "docker start traefik")


def test_an_operator_reads_the_page(browser, page):
    window = browser({})
    window.open(page.as_uri())
    assert window.driver.title == "Guests: 2 of 4 are not well"
    assert window.texts("h1") == ["4 guests"]
    verdicts = ["fail", "unreachable", "waiting", "ok"]
    assert window.texts(".totals button") == [f"1\n{verdict}" for verdict in verdicts]
    worst_first = ["fleet-ill", "fleet-gone", "fleet-new", "fleet-well"]
    assert window.texts("#guests td.name") == worst_first
    assert window.texts("#guests .guest > tr:first-child > td.verdict") == verdicts

    assert not window.all("details h2")
    window.all("summary")[0].click()
    assert window.wait(lambda: window.texts("details h2")) == ["Checks", "Pins", "Drift"]
    assert "Protected container not running: traefik (exited)" in window.texts("details td")
    window.picture("fleet.png")

    head = "//th/button[text()='Guest']"
    window.driver.find_element("xpath", head).click()
    assert window.texts("#guests td.name") == sorted(worst_first)
    window.driver.find_element("css selector", ".totals button.ok").click()
    assert window.texts("#guests td.name") == ["fleet-well"]

    assert window.complaints() == []
    assert [sent["request"]["url"] for sent in window.traffic().sent] == [page.as_uri()]
