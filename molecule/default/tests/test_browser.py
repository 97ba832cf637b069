"""The customer's way with a real browser, from the typed address to the own files."""

from __future__ import annotations

import pytest
from browser import Browser
from waiting import wait_for

FILEBROWSER = "/opt/docker/stacks/filebrowser"
PHOTO = "Summer holiday.jpg"


@pytest.fixture
def name(customer, served, browse) -> str:
    """The file browser's name, once its certificate is issued and the proxy leads to it."""
    name = f"files.{customer['customer']['domain']}"
    served(name)
    wait_for(lambda: browse(f"https://{name}/")[0] == 200)
    return name


@pytest.fixture
def photo(host):
    """A file in the customer's storage."""
    path = f"'{FILEBROWSER}/files/{PHOTO}'"
    host.check_output(f"touch {path} && chown 1000:1000 {path}")
    yield PHOTO
    host.check_output(f"rm {path}")


def log_in(window: Browser, password: str) -> None:
    username, field = window.all("#login input")
    username.clear()
    username.send_keys("admin")
    field.send_keys(password)
    (button,) = window.all("#login button")
    button.click()


def test_a_browser_that_does_not_know_the_authority_refuses(browser, address, name):
    window = browser({name: address})
    window.open(f"https://{name}/")
    assert window.wait(lambda: window.texts("#error-code")) == ["NET::ERR_CERT_AUTHORITY_INVALID"]
    assert window.traffic().answers == []


def test_the_customer_sees_the_own_files(host, browser, address, authority, customer, name, photo):
    window = browser({name: address}, authority)
    window.open(f"http://{name}/some/path?query=kept")
    assert window.driver.current_url == f"https://{name}/some/path?query=kept"
    traffic = window.traffic()
    (redirect,) = [sent["redirectResponse"] for sent in traffic.sent if "redirectResponse" in sent]
    assert (redirect["url"], redirect["status"]) == (f"http://{name}/some/path?query=kept", 301)
    assert {answer["securityState"] for answer in traffic.answers} == {"secure"}
    domain, certificate = customer["customer"]["domain"], traffic.answers[0]["securityDetails"]
    assert set(certificate["sanList"]) == {domain, f"*.{domain}"} and "Pebble" in certificate["issuer"]
    # On a busy machine a health check now and then takes too long, and the proxy answers 404 for a moment.
    window.wait(lambda: window.all("#login") or window.driver.refresh())
    assert "stand-in" in window.driver.title
    window.complaints()

    log_in(window, "not-the-password")
    assert window.wait(lambda: window.texts("[role=alert]")) == ["Wrong user name or password."]
    assert not window.all("#files")

    log_in(window, host.file(f"{FILEBROWSER}/secrets/admin_password").content_string.strip())
    assert window.wait(lambda: window.texts("#sources button")) == ["Files"]
    assert window.texts("[role=alert]") == [] and not window.all("#login")
    window.all("#sources button")[0].click()
    assert photo in window.wait(lambda: window.texts("#items li"))
    window.picture("customer.png")
    # One, of the wrong password.
    (complaint,) = window.complaints()
    assert "the server responded with a status of 401" in complaint
