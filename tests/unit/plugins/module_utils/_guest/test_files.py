"""Atomic writes: the old file or the new one, with owner and mode from the start, and nothing left over."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files

OWN = (os.getuid(), os.getgid())


def write(path, data=b"new"):
    _files.write_atomic(str(path), data, "0400", *OWN)


def test_a_file_is_written_with_its_mode(tmp_path):
    write(tmp_path / "token")
    state = _files.read_state(str(tmp_path / "token"))
    assert (state.kind, state.mode, state.sha256) == ("file", "0400", _files.digest(b"new"))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "token").write_bytes(b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "token")
    assert (tmp_path / "token").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["token"]


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    pathlib.Path(_files.temporary_of(str(tmp_path / "token"))).write_bytes(b"half")
    write(tmp_path / "token")
    assert os.listdir(tmp_path) == ["token"]


def test_a_temporary_file_is_left_over_when_its_process_is_gone():
    ours = os.path.basename(_files.temporary_of("/var/lib/status.json"))
    assert not _files.is_left_over(ours)
    assert _files.is_left_over(ours.replace(str(os.getpid()), "999999999"))
    assert _files.is_left_over(f".status.json{_files.TEMPORARY}")
    assert not _files.is_left_over("status.json")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"somebody's")
    (tmp_path / "token").symlink_to("elsewhere")
    assert _files.read_state(str(tmp_path / "token")).kind == "other"
    write(tmp_path / "token")
    assert (tmp_path / "elsewhere").read_bytes() == b"somebody's"
    assert not (tmp_path / "token").is_symlink()


def test_a_planted_temporary_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"somebody's")
    pathlib.Path(_files.temporary_of(str(tmp_path / "token"))).symlink_to("elsewhere")
    write(tmp_path / "token")
    assert (tmp_path / "elsewhere").read_bytes() == b"somebody's"


def test_a_folder_keeps_its_content(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/customer").write_text("x")
    _files.make_directory(str(tmp_path / "data"), "0750", *OWN)
    assert (tmp_path / "data/customer").read_text() == "x"
    assert _files.read_state(str(tmp_path / "data")).mode == "0750"


def test_what_is_below_a_file_is_absent(tmp_path):
    (tmp_path / "file").write_text("")
    assert _files.read_state(str(tmp_path / "file/below")) == _files.ABSENT
