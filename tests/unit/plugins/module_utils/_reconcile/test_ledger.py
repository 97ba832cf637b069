"""The ledger: whole lines, whatever happened before, and no growth without end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import ledger as _ledger
from hypothesis import given, strategies as st


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_in_their_order(tmp_path):
    for number in range(3):
        _ledger.append(str(tmp_path / "state"), {"number": number})
    path = tmp_path / "state" / _ledger.NAME
    assert lines(path) == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_half_line_stays_alone(tmp_path):
    path = tmp_path / _ledger.NAME
    path.write_text('{"number": 0}\n{"numb')
    _ledger.append(str(tmp_path), {"number": 1})
    assert path.read_text().splitlines() == ['{"number": 0}', '{"numb', '{"number": 1}']


def test_the_size_stays_below_twice_the_limit(tmp_path):
    for number in range(100):
        _ledger.append(str(tmp_path), {"number": number}, max_size=200)
    kept = lines(tmp_path / f"{_ledger.NAME}.1") + lines(tmp_path / _ledger.NAME)
    assert kept[-1] == {"number": 99}
    assert [entry["number"] for entry in kept] == list(range(kept[0]["number"], 100))
    assert sorted(path.name for path in tmp_path.iterdir()) == [_ledger.NAME, f"{_ledger.NAME}.1"]
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())


def test_an_entry_above_the_limit_is_written_all_the_same(tmp_path):
    _ledger.append(str(tmp_path), {"text": "x" * 300}, max_size=200)
    _ledger.append(str(tmp_path), {"text": "y" * 300}, max_size=200)
    assert lines(tmp_path / _ledger.NAME) == [{"text": "y" * 300}]


@pytest.mark.parametrize(
    "run, verdict, word",
    [
        ({"error": "it broke"}, "healthy", "failed"),
        ({"error": "", "stacks": {}}, "waiting", "waiting"),
        ({"stacks": {"traefik": {"changed": True}}}, "healthy", "changed"),
        ({"stacks": {"traefik": {"changed": False}}}, "healthy", "unchanged"),
        ({}, "healthy", "unchanged"),
    ],
)
def test_a_word_for_a_run(run, verdict, word):
    assert _ledger.outcome(run, verdict) == word


JUNK = st.one_of(st.binary(max_size=40), st.sampled_from([b"7", b"null", b"[]", b'"x"', b"[" * 5000]))


@given(st.lists(JUNK, max_size=4), st.lists(JUNK, max_size=4))
def test_the_last_whole_entry_is_found_among_anything(before, after):
    entry = {"result": "changed"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, _ledger.NAME)
        path.write_bytes(b"\n".join([*before, json.dumps(entry).encode(), *after]) + b"\n")
        assert _ledger.last(folder) == entry
