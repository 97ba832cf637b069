"""Programs of the guest, and work that outlives who asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands
from hypothesis import given, strategies as st


def test_what_a_program_says():
    assert _commands.run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\n", "err\n")


def test_a_failure_is_its_last_line():
    with pytest.raises(_commands.CommandError, match="^'sh -c .*' failed: the reason$"):
        _commands.run(["sh", "-c", "echo first >&2; echo the reason >&2; exit 1"], check_rc=True)


def test_a_program_that_is_not_there_is_one_line():
    with pytest.raises(_commands.CommandError, match="^no-such-program: No such file or directory$"):
        _commands.run(["no-such-program"])


def test_outlive_gives_what_the_work_gives():
    assert _commands.outlive(lambda: {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("a reason"), "a reason"),
        (FileNotFoundError(2, "No such file", "/x"), "/x: No such file"),
        (OSError(28, "No space left on device"), "the system: No space left on device"),
        (KeyError(), "KeyError"),
    ],
)
def test_outlive_tells_what_went_wrong(error, words):
    def work():
        raise error

    with pytest.raises(_commands.CommandError, match=f"^{words}$"):
        _commands.outlive(work)


def test_work_that_is_killed_is_no_success():
    with pytest.raises(_commands.CommandError, match="ended by something before it was done"):
        _commands.outlive(lambda: os.kill(os.getpid(), signal.SIGKILL))  # type: ignore[arg-type, return-value]


def test_the_work_ends_what_it_began_when_who_waits_is_killed(tmp_path):
    """As a connection that is cut: its process group is hung up, and nobody reads any more."""
    script = (
        "import sys, time\n"
        "from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands\n"
        f"def work():\n    open({str(tmp_path / 'begun')!r}, 'w')\n    time.sleep(1)\n"
        f"    open({str(tmp_path / 'done')!r}, 'w')\n    return {{}}\n"
        "commands.outlive(work)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    waiting = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(waiting.pid, signal.SIGHUP)
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.wait()
    while not (tmp_path / "done").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


@given(st.text(max_size=60))
def test_the_last_line_is_one_line(text):
    line = _commands.last_line(text)
    assert line and len(line.splitlines()) == 1
    assert line in text or line == "no reason given"
