"""What a guest remembers between runs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from hypothesis import example, given, strategies as st

HEAD = "a" * 40
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"since": 1}', '{"since": "x", "until": 2}', '{"since": null, "until": null}', "[" * 100000],
)
def test_half_written_state_is_none(tmp_path, content):
    for name in ("pause.json", "failures.json"):
        (tmp_path / name).write_text(content)
    assert _state.pause(str(tmp_path), NOW) is None
    assert _state.failures(str(tmp_path)).number == 0


def test_a_pause_ends_by_itself_and_with_a_clock_that_was_set_back(tmp_path):
    (tmp_path / "pause.json").write_text('{"since": 1000, "until": 2000}')
    assert [_state.pause(str(tmp_path), now) is not None for now in (999, 1000, 1999, 2000)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_head_of_a_mirror(tmp_path):
    assert _state.head(str(tmp_path), "main") == ""
    (tmp_path / "packed-refs").write_text(f"# pack-refs with: peeled\n{HEAD} refs/heads/main\n^{'c' * 40}\n")
    assert _state.head(str(tmp_path), "main") == HEAD
    (tmp_path / "refs/heads").mkdir(parents=True)
    (tmp_path / "refs/heads/main").write_text("b" * 40 + "\n")
    assert _state.head(str(tmp_path), "main") == "b" * 40
    (tmp_path / "refs/heads/main").write_bytes(b"\xff\xfe")
    assert _state.head(str(tmp_path), "main") == HEAD


@pytest.mark.parametrize("content", ["", "{}", '{"mirror": 1}', "[]"])
def test_settings_that_are_none(tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(_state.SettingsError, match="settings.json: "):
        _state.settings(str(tmp_path / "settings.json"))


NUMBERS = st.one_of(st.none(), st.text(max_size=4), st.integers(), st.floats())


@given(st.fixed_dictionaries({"since": NUMBERS, "until": NUMBERS}))
@example({"since": 0, "until": 10**400})
def test_a_pause_of_any_content_holds_or_does_not(content):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pause.json").write_text(json.dumps(content))
        held = _state.pause(folder, NOW)
    assert held is None or held.since <= NOW < held.until


@given(st.fixed_dictionaries({"number": NUMBERS, "last": NUMBERS, "of": st.one_of(st.just("x"), NUMBERS)}))
@example({"number": 10**400, "last": 10**400, "of": "x"})
@example({"number": float("inf"), "last": NOW, "of": "x"})
def test_failures_of_any_content_put_a_try_off_for_some_hours_at_most(content):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "failures.json").write_text(json.dumps(content))
        at = _state.retry_at(_state.failures(folder), "x", NOW)
    assert at == 0 or NOW < at <= NOW + 6 * 3600


@given(st.one_of(st.binary(max_size=80), st.text("a^# /refs\nheadsmin", max_size=80).map(str.encode)))
def test_the_head_of_a_broken_mirror_is_a_word_or_none(content):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "packed-refs").write_bytes(content)
        assert len(_state.head(folder, "main").split()) <= 1
