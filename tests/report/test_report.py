"""The fleet's report: what it counts, what the summary says, and the page in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _report
from browser import Browser, opened
from fleet_sample import HOSTILE, fleet, report

ROOT = Path(__file__).resolve().parents[2]


def test_each_guest_is_counted_once():
    found = report()
    assert found["verdicts"] == {"fail": 2, "unreachable": 1, "unknown": 1, "degraded": 1, "waiting": 1, "ok": 3}
    assert found["outcomes"] == {
        **{"failed": 2, "unreachable": 1, "healed": 1, "changed": 0, "waiting": 1, "unchanged": 3, "not run": 1}
    }
    assert [guest["verdict"] for guest in found["guests"]][:3] == ["fail", "fail", "unreachable"]
    assert found["slowest"][:2] == ["gone", "guest-3"]
    by_name = {guest["name"]: guest for guest in found["guests"]}
    assert by_name["guest-2"]["certificate_days"] == 61
    assert by_name["new"]["certificate_days"] is None
    assert by_name["guest-3"]["drift"][0]["stack"] == "cloudflared"
    json.dumps(found)


def test_a_health_run_tells_the_drift_of_the_checks():
    check = {"id": "stack.traefik", "verdict": "fail", "reason": "traefik.yml is missing", "fix": ""}
    guest = _report.Guest("ill", health={"verdict": "fail", "checks": [check]}, started=True)
    (entry,) = _report.report([guest], "health.yml", False, 0, 1)["guests"]
    assert entry["drift"] == [{"stack": "traefik", "reason": "traefik.yml is missing", "was": "", "wanted": ""}]


def test_the_summary():
    lines = _report.summary(report(), ["reports/health.html"])
    assert lines[0] == "9 guests in 35.2 s: ok 3  waiting 1  degraded 1  unknown 1  unreachable 1  fail 2"
    assert "  failed        ill: Protected container not running: traefik (exited)" in lines
    assert "  unreachable   gone: Failed to connect: Connection refused" in lines
    assert "  healed        guest-3" in lines
    assert "  not run       later" in lines
    assert lines[-1] == "  report        reports/health.html"
    assert "  would change  guest-3" in _report.summary(report(check_mode=True), [])


def test_a_long_fleet_is_cut_short():
    many = [_report.Guest(f"guest-{number}", started=True) for number in range(200)]
    lines = _report.summary(_report.report(many, "site.yml", False, 0, 1), [])
    assert lines[1].endswith(" and 190 more") and len(lines[1]) < 150


DIRECTORY = """
from ansible.plugins.loader import callback_loader, init_plugin_loader
init_plugin_loader()
callback = callback_loader.get("felhom.base_infra.fleet")
callback.set_options()
print(repr(callback.get_option("directory")))
"""


@pytest.mark.parametrize("given, found", [("", ""), ("elsewhere", "elsewhere"), (None, "reports")])
def test_where_the_report_goes(given, found):
    """Nowhere on a guest: in its checkout, which is then no longer as its commit has it, least of all."""
    environment = {key: value for key, value in os.environ.items() if key != "FELHOM_BASE_INFRA_REPORTS"}
    environment |= {"FELHOM_BASE_INFRA_REPORTS": given} if given is not None else {}
    environment |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    command = [sys.executable, "-c", DIRECTORY]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"{found!r}\n"


@pytest.fixture(scope="module")
def window() -> Browser:
    with opened({}) as window:
        yield window


@pytest.fixture
def page(window, tmp_path) -> Browser:
    """The page, just opened."""
    path = tmp_path / "health.html"
    path.write_text(_report.page(report()))
    window.traffic()
    window.open(path.as_uri())
    return window


NAME = "#guests td.name"


def column(page: Browser, title: str) -> None:
    page.driver.find_element("xpath", f"//th/button[text()='{title}']").click()


def test_every_guest_has_its_row(page):
    assert sorted(page.texts(NAME)) == sorted(guest.name for guest in fleet())
    row = page.all("#guests [data-verdict=ok] > tr:first-child")[0]
    assert [cell.text for cell in row.find_elements("tag name", "td")] == [
        *("guest-10", "ok", "", "59", "2026-11-22 13:00\nc0ffeec0ff", "–", "unchanged", "2.1"),
    ]


def test_nothing_of_a_guest_s_is_run(page):
    assert page.driver.title == "Guests: 4 of 9 are not well"
    assert len(page.driver.find_elements("tag name", "script")) == 1  # the page's own
    assert page.driver.find_elements("tag name", "img") == []
    assert HOSTILE in page.texts(NAME)
    assert page.complaints() == []


def test_nothing_is_fetched(page):
    assert [sent["request"]["url"] for sent in page.traffic().sent] == [page.driver.current_url]


def test_columns_sort_both_ways(page):
    column(page, "Guest")
    assert [name for name in page.texts(NAME) if name.startswith("guest")] == ["guest-2", "guest-3", "guest-10"]
    column(page, "Certificate days")
    assert page.texts(NAME)[:2] == [HOSTILE, "ill"]
    column(page, "Seconds")
    column(page, "Seconds")
    assert page.texts(NAME)[:2] == ["gone", "guest-3"]


def test_a_total_shows_only_its_guests(page):
    (total,) = page.all(".totals [data-verdict=degraded]")
    total.click()
    assert page.texts(NAME) == ["cut-off"]
    total.click()
    assert len(page.texts(NAME)) == 9


def test_checks_pins_and_drift_are_one_click_away(page):
    guest = page.driver.find_element("xpath", "//tbody[.//td[@data-sort='guest-3']]")
    assert not guest.find_element("tag name", "h2").is_displayed()
    guest.find_element("tag name", "summary").click()
    assert guest.find_element("tag name", "h2").is_displayed()
    for words in (
        "traefik:v3.7.14@sha256:5555",
        "secrets/tunnel_token has other content",
        "0123456789ab → ba9876543210",
    ):
        assert words in guest.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_reader_s_colours(page, scheme):
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    colours = [page.all("body")[0].value_of_css_property(name) for name in ("background-color", "color")]
    back, text = (sum(int(part) for part in re.findall(r"\d+", colour)[:3]) for colour in colours)
    assert back > text if scheme == "light" else back < text
    page.picture(f"health-{scheme}.png")
