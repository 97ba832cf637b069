"""What a guest remembers between runs."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state

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
