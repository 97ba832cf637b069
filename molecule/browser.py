"""A real browser, for what only a browser shows: trust, redirects, scripts, and what a page looks like."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runs import ROOT
from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PICTURES = ROOT / "build/browser"
PATIENCE = 60  # seconds for what is a matter of milliseconds on an idle machine


class Traffic(NamedTuple):
    """As the browser's own developer tools tell it."""

    sent: list[dict[str, Any]]
    answers: list[dict[str, Any]]


class Browser:
    """An open window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def all(self, selector: str) -> list[WebElement]:
        """The elements that are to be seen, in their order."""
        return [found for found in self.driver.find_elements("css selector", selector) if found.is_displayed()]

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.all(selector)]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives as soon as that is true."""
        return WebDriverWait(self.driver, PATIENCE).until(lambda _driver: condition())

    def traffic(self) -> Traffic:
        """What was sent and answered since this was asked last; what a page has in itself (data:) is neither."""
        told = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]

        def part(method: str, key: str) -> list[dict[str, Any]]:
            found = [event["params"] for event in told if event["method"] == f"Network.{method}"]
            return [event for event in found if not event[key]["url"].startswith("data:")]

        answers = part("responseReceived", "response")
        return Traffic(part("requestWillBeSent", "request"), [event["response"] for event in answers])

    def complaints(self) -> list[str]:
        """What the console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(PICTURES / name))


@contextlib.contextmanager
def opened(addresses: dict[str, str], authority: str = "") -> Iterator[Browser]:
    """A browser without a past that knows no names but those given, and trusts an authority (PEM) more."""
    subprocess.run([ROOT / "tests/bed/bed", "browser"], check=True)
    # All that it writes; its own profile and sockets too.
    with tempfile.TemporaryDirectory(prefix="browser-") as home:
        if authority:
            trust(Path(home), authority)
        rules = [f"MAP {name} {address}" for name, address in addresses.items()] + ["MAP * ~NOTFOUND"]
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (
            "headless=new",
            # "Running as root without --no-sandbox is not supported."
            "no-sandbox",
            "disable-dev-shm-usage",
            "window-size=1280,960",
            "no-proxy-server",
            f"host-resolver-rules={','.join(rules)}",
            # It would go from http to https by itself, and the proxy's redirect would never be seen.
            "disable-features=HttpsUpgrades",
        ):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = os.environ | {"HOME": home, "TMPDIR": home}
        # Named, or selenium looks for one to download.
        service = webdriver.ChromeService(str(shutil.which("chromedriver")), env=environment)
        driver = webdriver.Chrome(options, service)
        try:
            driver.set_page_load_timeout(PATIENCE)
            yield Browser(driver)
        finally:
            driver.quit()


def trust(home: Path, authority: str) -> None:
    """Add an authority where chromium looks for what its user trusts."""
    database = home / ".pki/nssdb"
    database.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-n", "bed", "-t", "C,,"], check=True, input=authority, text=True)
