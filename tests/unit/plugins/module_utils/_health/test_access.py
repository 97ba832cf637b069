"""What FileBrowser's process may do in a folder, asked of the kernel of this machine."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import access, controller as _controller

USER = 1000
CONTAINER = _engine.Container(
    "c" * 64, "filebrowser", "", "", "running", "healthy", "filebrowser", "filebrowser", {}, {}
)


@pytest.fixture
def folder(tmp_path):
    """One that is below a folder which is closed to others, as the guest's folders may be."""
    tmp_path.chmod(0o700)
    made = tmp_path / "disk"
    made.mkdir()
    return made


@pytest.fixture
def observed(folder, monkeypatch):
    """FileBrowser in a container that has the folder."""
    mounts = [
        {"Type": "bind", "Source": "/data", "Destination": "/home/filebrowser/data", "RW": True},
        {"Type": "bind", "Source": "/mnt/disk", "Destination": "/srv/mnt/disk", "RW": True},
    ]
    monkeypatch.setattr(_engine, "get", lambda _path: {"State": {"Pid": os.getpid()}, "Mounts": mounts})
    monkeypatch.setattr(_controller, "inside", lambda _pid, path: {"/srv/mnt/disk": str(folder)}[path])
    monkeypatch.setattr(access, "_process", lambda pid: access._Process(pid, USER, USER, [USER]))
    return lambda: access.observe(CONTAINER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize(
    "owner, mode, may",
    [
        (USER, 0o750, (True, True)),
        (0, 0o755, (True, False)),
        (0, 0o750, (False, False)),
        (0, 0o777, (True, True)),
        (0, 0o666, (False, False)),
        (USER, 0o500, (True, False)),
    ],
)
def test_the_kernel_decides(observed, folder, owner, mode, may):
    os.chown(folder, owner, owner)
    folder.chmod(mode)
    (found,) = observed()
    assert (found.may_read, found.may_write) == may
    assert (found.path, found.owner, found.mode) == ("/mnt/disk", f"{owner}:{owner}", f"{mode:04o}")
    assert (found.read_only, found.mount_is_read_only, found.user) == (False, False, "1000:1000")
    # We are who we were.
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_group_of_the_process_counts(observed, folder, monkeypatch):
    os.chown(folder, 0, 50)
    folder.chmod(0o770)
    assert not observed()[0].may_read
    monkeypatch.setattr(access, "_process", lambda pid: access._Process(pid, USER, USER, [50]))
    assert observed()[0].may_write


def test_a_process_has_the_ids_that_it_opens_files_with():
    found = access._process(os.getpid())
    assert (found.uid, found.gid, set(found.groups)) == (os.geteuid(), os.getegid(), set(os.getgroups()))


@pytest.mark.parametrize("change", [{"state": "exited"}, None])
def test_a_container_that_does_not_run_is_another_check_s(observed, change):
    assert access.observe(CONTAINER._replace(**change) if change else None) == []


def test_one_that_ends_meanwhile_is_another_check_s(observed, folder):
    folder.rmdir()
    assert observed() == []


def test_root_is_not_asked_for(observed, monkeypatch):
    monkeypatch.setattr(access, "_process", lambda pid: access._Process(pid, 0, 0, []))
    assert observed() == []


def test_a_user_s_number_on_the_node(monkeypatch, tmp_path):
    table = tmp_path / "map"
    table.write_text(
        "         0     100000       1000\n      1000       1000          1\n      1001     101001      64535\n"
    )
    monkeypatch.setattr("builtins.open", lambda _path, **_how: table.open(**_how))
    assert [access._on_node("uid", number) for number in (0, 999, 1000, 1234, 70000)] == [
        100000,
        100999,
        1000,
        101234,
        70000,
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_disk_that_hangs_holds_nobody_up(observed, monkeypatch):
    monkeypatch.setattr(access, "_LIMIT", 0.05)
    monkeypatch.setattr(access, "_look", lambda *_words: time.sleep(60))
    assert observed() == []
