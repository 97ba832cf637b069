"""Checks of what the customer finds in FileBrowser: verdicts and their words."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import browser as _browser

FOUND = _browser.Browser("admin", 200, ["admin"], [])
SAID = "source not found: /srv/mnt/b (link name: b)"
LOG = [
    '{"level": "info", "msg": "Resetting admin user to default username and password."}',
    '{"level": "error", "msg": "could not update user: ' + SAID + '"}',
    '{"level": "info", "msg": "GET /api/users 200 172.18.0.1"}',
]


def listed(**changes):
    return _browser.Listed("Photos", "/mnt/photos", True, 200, "")._replace(**changes)


@pytest.mark.parametrize(
    "changes, verdict, words",
    [
        ({}, "ok", "admin is let in"),
        ({"login": 403}, "ok", "admin is asked for a second factor"),
        ({"login": 401}, "degraded", "admin is not let in with the password in secrets/admin_password"),
        ({"login": 401, "said": SAID}, "fail", f"its start could not set password and sources: {SAID}"),
        ({"sources": [listed(has_access=False)], "said": SAID}, "fail", "its start could not set password and sources"),
        # The links were mended since.
        ({"said": SAID, "sources": [listed()]}, "ok", "admin is let in"),
        ({"login": 401, "accounts": ["boss"]}, "fail", "there is no account admin"),
        # Nothing is known of the accounts.
        ({"login": 401, "accounts": []}, "degraded", "admin is not let in"),
        ({"login": 429}, "degraded", "nobody is let in as admin now: too many tries"),
        ({"login": 500}, "fail", "answers 500 to a log in"),
        (
            {"login": "FileBrowser gives no answer: timed out"},
            "fail",
            "FileBrowser gives no answer: timed out",
        ),
    ],
)
def test_the_log_in(changes, verdict, words):
    (check,) = _browser.login(FOUND._replace(**changes))
    assert (check.id, check.verdict) == ("filebrowser.login", verdict)
    assert words in check.reason


def test_each_source():
    found = FOUND._replace(
        sources=[
            listed(),
            listed(name="Disk", has_access=False, status=500, message="user has no access to source: Disk"),
            listed(name="Old", path="/mnt/old", status=403, message="open /srv/mnt/old: permission denied" + "!" * 999),
            listed(name="Far", status=0, message="FileBrowser gives no answer: TimeoutError: timed out"),
        ]
    )
    ok, locked, failed, hangs = _browser.source(found)
    assert (ok.id, ok.verdict) == ("filebrowser.source.Photos", "ok")
    assert (locked.verdict, locked.reason) == ("fail", "admin has no access to it")
    assert failed.reason.startswith("answers 403: open /srv/mnt/old: permission denied") and len(failed.reason) < 400
    assert "may read /mnt/old" in failed.fix
    assert hangs.reason == "FileBrowser gives no answer: TimeoutError: timed out"


@pytest.mark.parametrize(
    "lines, said",
    [
        (LOG, SAID),
        # Since the last start it is well.
        ([*LOG, LOG[0]], ""),
        (LOG[:1], ""),
        (['{"msg":"could not update user: password does not meet complexity requirements"}'],
         "password does not meet complexity requirements"),
        ([], ""),
    ],
)  # fmt: skip
def test_what_the_log_says_of_the_last_start(lines, said):
    assert _browser.start_error(lines) == said
