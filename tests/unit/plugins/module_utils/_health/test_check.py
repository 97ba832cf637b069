"""The verdict of several checks, and their table."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    check as _check,
)


def test_the_worst_check_is_the_verdict():
    def verdict(*verdicts):
        return _check.verdict([_check.Check("id", value, "", "") for value in verdicts])

    assert verdict() == "ok"
    assert verdict("ok", "degraded") == "degraded"
    assert verdict("fail", "ok", "degraded", "waiting") == "fail"


def test_the_table_names_the_guest_and_the_fix():
    checks = [_check.Check("a.b", "ok", "fine", ""), _check.Check("c", "fail", "broken", "mend it")]
    assert _check.table("guest", checks).splitlines() == [
        "guest: fail",
        "  ok        a.b  fine",
        "  fail      c    broken",
        "                 fix: mend it",
    ]
