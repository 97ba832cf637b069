"""The guest's own program: rings and durations."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import cli as _cli
from hypothesis import given, strategies as st

SHARES = {"canary": 5, "early": 20}


@given(st.text(max_size=40))
def test_a_ring_stays(customer):
    assert _cli.ring_of(customer, SHARES) == _cli.ring_of(customer, SHARES)


def test_rings_have_their_shares():
    rings = [_cli.ring_of(f"customer-{number}", SHARES) for number in range(4000)]
    assert 150 < rings.count("canary") < 250
    assert 700 < rings.count("early") < 900
    assert _cli.ring_of("", SHARES) == "all"


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800)])
def test_durations(text, seconds):
    assert _cli._seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "8d", "-1h", "1.5h", "1w", "9999999s"])
def test_no_durations(text):
    with pytest.raises(Exception, match="expected a number and s, m, h or d, at most 7d"):
        _cli._seconds(text)
