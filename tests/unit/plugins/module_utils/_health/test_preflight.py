"""What keeps a guest from running the stacks, and what to do about it."""

from __future__ import annotations

import ctypes
import errno
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health import preflight as _preflight

# Docker 26.1.5 of Debian 13, shortened to what is read.
ENGINE = {"Version": "26.1.5+dfsg1", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
NOW = 1_800_000_000.0
GOOD = _preflight.Observed(
    proc=0,
    proc_step="",
    keyctl=0,
    engine=ENGINE,
    engine_error="",
    driver="overlay2",
    compose="2.26.1-4",
    free=8 << 30,
    now=NOW,
)


def judge(**changes):
    checks = _preflight.judge(GOOD._replace(**changes), 2 << 30, NOW - 1)
    assert all(bool(check.fix) == (check.verdict != "ok") for check in checks), "a refusal comes with what to do"
    return {check.id: check for check in checks}


def test_a_guest_that_can():
    checks = judge()
    assert list(checks) == ["nesting", "keyctl", "engine", "engine.api", "storage", "compose", "disk", "time"]
    assert {check.verdict for check in checks.values()} == {"ok"}
    assert (checks["engine"].reason, checks["engine.api"].reason) == ("Docker 26.1.5+dfsg1", "1.24 to 1.45")


@pytest.mark.parametrize(
    "changes, what, verdict, reason, fix",
    [
        (
            {"proc": errno.EPERM, "proc_step": "fsmount"},
            "nesting",
            "fail",
            "a container's /proc can't be mounted (Operation not permitted at fsmount): nesting is off",
            "nesting=1",
        ),
        (
            {"proc": errno.EACCES, "proc_step": "reopen"},
            "nesting",
            "fail",
            "AppArmor keeps a container's /proc from being written: runc would fail for ip_unprivileged_port_start",
            "update lxc-pve",
        ),
        (
            {"keyctl": errno.ENOSYS},
            "keyctl",
            "degraded",
            "the guest has no keyctl, which older engines need",
            "keyctl=1",
        ),
        (
            {"engine": {}, "engine_error": "/var/run/docker.sock: no answer from the Docker engine"},
            "engine",
            "fail",
            "/var/run/docker.sock: no answer from the Docker engine",
            "systemctl restart docker",
        ),
        (
            {"driver": "vfs"},
            "storage",
            "fail",
            "storage driver vfs: every layer is a whole copy, the images take many times their size",
            "ext4",
        ),
        (
            {"driver": "fuse-overlayfs"},
            "storage",
            "degraded",
            "storage driver fuse-overlayfs: slow, and known for stuck backups",
            "ext4",
        ),
        ({"compose": ""}, "compose", "fail", "there is no 'docker compose'", "apt-get install -y docker-compose"),
        ({"compose": "1.29.2"}, "compose", "fail", "there is no 'docker compose'", "apt-get install -y docker-compose"),
        (
            {"free": (2 << 30) - 1},
            "disk",
            "fail",
            "2047 MiB free for the engine, 2048 are needed",
            "make the guest's disk larger",
        ),
        ({"now": NOW - 86400 * 3 - 1}, "time", "fail", "the clock is at least 3 days slow", "set the node's clock"),
    ],
)
def test_a_refusal_and_what_to_do(changes, what, verdict, reason, fix):
    checks = judge(**changes)
    assert (checks[what].verdict, checks[what].reason) == (verdict, reason)
    assert fix in checks[what].fix
    assert {check.verdict for name, check in checks.items() if name != what} <= {"ok"}


def test_an_engine_that_is_too_old():
    """Docker 24: Compose refuses the start_interval of every stack there."""
    check = judge(engine={"Version": "24.0.9", "ApiVersion": "1.43", "MinAPIVersion": "1.12"})["engine.api"]
    assert check.verdict == "fail" and check.reason.startswith("the engine's API is 1.43, older than 1.44: ")


@pytest.mark.parametrize("driver", ["overlay2", "overlayfs", "btrfs", "zfs"])
def test_drivers_that_will_do(driver):
    assert judge(driver=driver)["storage"].verdict == "ok"


def test_a_machine_whose_keyctl_number_is_not_known(monkeypatch):
    monkeypatch.setattr(_preflight.platform, "machine", lambda: "riscv64")
    assert _preflight.probe_keyctl() is None
    check = judge(keyctl=None)["keyctl"]
    assert (check.verdict, check.reason) == ("ok", "not known on this machine")


class Kernel:
    """A libc whose system calls are answered from a table: an error's number, or what opens a descriptor."""

    def __init__(self, **answers):
        self.answers = {getattr(_preflight, f"_{name.upper()}"): answer for name, answer in answers.items()}

    def syscall(self, number, *_arguments):
        answer = self.answers.get(number, 0)
        if callable(answer):
            return answer()
        if answer:
            ctypes.set_errno(answer)
            return -1
        return 0


def some_descriptor():
    return os.open("/dev/null", os.O_RDONLY)


@pytest.fixture
def probe(monkeypatch):
    def run(**answers):
        monkeypatch.setattr(_preflight.ctypes, "CDLL", lambda *_words, **_options: Kernel(**answers))
        before = os.listdir("/proc/self/fd")
        found = _preflight.probe_proc()
        assert os.listdir("/proc/self/fd") == before, "what was opened is closed"
        return found

    return run


@pytest.mark.parametrize(
    "answers, found",
    [
        ({"fsopen": errno.ENOSYS}, (errno.ENOSYS, "fsopen")),
        ({"fsopen": some_descriptor, "fsconfig": errno.EPERM}, (errno.EPERM, "fsconfig")),
        ({"fsopen": some_descriptor, "fsmount": errno.EPERM}, (errno.EPERM, "fsmount")),
    ],
)
def test_a_proc_that_can_not_be_mounted(probe, answers, found):
    assert probe(**answers) == found


@pytest.mark.parametrize("kind, found", [("file", (0, "")), ("folder", (errno.EISDIR, "reopen"))])
def test_whether_a_mounted_proc_can_be_written(probe, tmp_path, kind, found):
    """A folder in the setting's place can't be opened for writing, whoever asks."""
    setting = tmp_path / "sys/net/ipv4/ip_unprivileged_port_start"
    setting.parent.mkdir(parents=True)
    setting.touch() if kind == "file" else setting.mkdir()
    assert probe(fsopen=some_descriptor, fsmount=lambda: os.open(tmp_path, os.O_RDONLY)) == found
