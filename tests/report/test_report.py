"""The fleet's report: what it counts, what the summary says, and the page in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _report
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


@pytest.fixture(scope="session")
def chromium() -> str:
    if not shutil.which("chromium"):
        apt = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        done = subprocess.run(apt, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True)
        if done.returncode:
            subprocess.run(["apt-get", "update"], check=True, capture_output=True)
            subprocess.run(apt, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=True, capture_output=True)
    return "chromium"


class Browser:
    """The page in Chromium, with nothing in reach but the file."""

    def __init__(self, program: str, folder: Path) -> None:
        self._command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/profile",
        ]
        self._command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--no-first-run"]
        self._folder = folder
        self._page = folder / "health.html"
        self._page.write_text(_report.page(report()))

    def answer(self, script: str, *options: str):
        """What a script finds in the page once all of the page's own has run."""
        asking = self._folder / "asking.html"
        ask = f"document.body.dataset.answer = JSON.stringify((() => {{ {script} }})());"
        asking.write_text(self._page.read_text().replace("</body>", f"<script>{ask}</script></body>"))
        command = [*self._command, *options, "--virtual-time-budget=2000", "--dump-dom", asking.as_uri()]
        dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        given = dom.partition('data-answer="')[2].partition('"')[0]
        for entity, sign in (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            given = given.replace(entity, sign)
        return json.loads(given)

    def screenshot(self, target: Path, *options: str) -> None:
        target.parent.mkdir(exist_ok=True)
        command = [*self._command, *options, "--window-size=1280,760", f"--screenshot={target}", self._page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=600)


@pytest.fixture(scope="session")
def browser(chromium, tmp_path_factory) -> Browser:
    return Browser(chromium, tmp_path_factory.mktemp("browser"))


NAMES = "[...document.querySelectorAll('tbody.guest')].filter(b => !b.hidden).map(b => b.rows[0].cells[0].innerText)"


def test_every_guest_has_its_row(browser):
    names = browser.answer(f"return {NAMES};")
    assert sorted(names) == sorted(guest.name for guest in fleet())
    cells = "[...document.querySelectorAll('tbody.guest')].find(b => b.dataset.verdict === 'ok').rows[0].cells"
    assert browser.answer(f"return [...{cells}].map(cell => cell.innerText);") == [
        *("guest-10", "ok", "", "59", "2026-11-22 13:00\nc0ffeec0ff", "–", "unchanged", "2.1"),
    ]


def test_nothing_of_a_guest_s_is_run(browser):
    script = "return [document.title, document.images.length, document.scripts.length, document.body.innerText];"
    title, images, scripts, text = browser.answer(script)
    assert title == "Guests: 4 of 9 are not well"
    assert (images, scripts) == (0, 2)  # the page's own, and the one that asks
    assert HOSTILE in text


def test_nothing_is_fetched(browser):
    assert browser.answer("return performance.getEntriesByType('resource').map(entry => entry.name);") == []


def test_columns_sort_both_ways(browser):
    click = "document.querySelectorAll('#guests thead button')[{0}].click();"
    by_name = browser.answer(click.format(0) + f"return {NAMES};")
    assert [name for name in by_name if name.startswith("guest")] == ["guest-2", "guest-3", "guest-10"]
    by_days = browser.answer(click.format(3) + f"return {NAMES};")
    assert by_days[:2] == [HOSTILE, "ill"]
    backwards = browser.answer(click.format(7) * 2 + f"return {NAMES};")
    assert backwards[:2] == ["gone", "guest-3"]


def test_a_total_shows_only_its_guests(browser):
    pressed = "document.querySelector('.totals [data-verdict=degraded]').click();"
    assert browser.answer(f"{pressed} return {NAMES};") == ["cut-off"]
    assert len(browser.answer(f"{pressed} {pressed} return {NAMES};")) == 9


def test_checks_pins_and_drift_are_one_click_away(browser):
    text = browser.answer(
        "const rows = [...document.querySelectorAll('tbody.guest')];"
        "const details = rows.find(row => row.innerText.startsWith('guest-3')).querySelector('details');"
        "const before = details.querySelector('h2').checkVisibility(); details.querySelector('summary').click();"
        "return [before, details.querySelector('h2').checkVisibility(), details.innerText];"
    )
    assert text[:2] == [False, True]
    for words in (
        "traefik:v3.7.14@sha256:5555",
        "secrets/tunnel_token has other content",
        "0123456789ab → ba9876543210",
    ):
        assert words in text[2]


@pytest.mark.parametrize("scheme, option", [("light", "1"), ("dark", "0")])
def test_it_follows_the_reader_s_colours(browser, scheme, option):
    wanted = f"--blink-settings=preferredColorScheme={option}"
    colours = browser.answer(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color];", wanted
    )
    back, text = (sum(int(part) for part in colour.strip("rgb()").split(",")) for colour in colours)
    assert back > text if scheme == "light" else back < text
    target = ROOT / f"build/health-{scheme}.png"
    target.unlink(missing_ok=True)
    browser.screenshot(target, wanted)
    width, height = struct.unpack(">II", target.read_bytes()[16:24])
    assert (width, height) == (1280, 760)
