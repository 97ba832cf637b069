"""The runner of the tests: what it must not do is hide a failure or leave something running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gate  # noqa: E402

PASSES = 'printf \'<testsuites><testsuite tests="3" failures="0" errors="0"/></testsuites>\' > "$RESULTS"'
FAILURE = '<testcase file="test_a.py" name="test_b"><failure message="assert 1 == 2&#10; +  where"/></testcase>'
FAILS = f'printf \'<testsuites><testsuite tests="3">{FAILURE}</testsuite></testsuites>\' > "$RESULTS"; exit 1'


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Run jobs in a place of their own; the report, and how it ended."""
    for name, value in {"HOME": tmp_path / "home", "LOGS": tmp_path / "logs", "REPORT": tmp_path / "gate.json"}.items():
        monkeypatch.setattr(gate, name, value)
    monkeypatch.setattr(gate, "ROOT", tmp_path)
    monkeypatch.setattr(gate, "MARK", ("FELHOM_GATE", str(tmp_path)))

    def run(*jobs: gate.Job) -> tuple[dict, bool]:
        for job in jobs:
            job.directory = tmp_path
            job.environment["RESULTS"] = str(job.results)
        monkeypatch.setattr(gate, "JOBS", list(jobs))
        monkeypatch.setattr(sys, "argv", ["gate.py", *(job.name for job in jobs)])
        with pytest.raises(SystemExit) as ended:
            gate.main()
        return json.loads((tmp_path / "gate.json").read_text()), bool(ended.value.code)

    return run


def test_what_passes_is_counted(play, capsys):
    told, failed = play(gate.Job("one", PASSES), gate.Job("two", PASSES, ("one",)))
    assert not failed
    assert [told["jobs"][name]["passed"] for name in ("one", "two")] == [3, 3]
    assert told["jobs"]["two"]["begin"] + 0.2 > told["jobs"]["one"]["begin"] + told["jobs"]["one"]["seconds"]
    assert capsys.readouterr().out.splitlines()[-1] == "6 passed, 0 failed"


def test_a_failed_test_fails_the_run_and_its_log_is_shown(play, capsys):
    told, failed = play(gate.Job("good", PASSES), gate.Job("bad", f"echo the reason; {FAILS}"))
    assert failed
    assert told["jobs"]["bad"]["failures"] == ["test_a.py::test_b: assert 1 == 2 + where"]
    out = capsys.readouterr().out
    assert "the reason" in out
    assert out.splitlines()[-2:] == ["FAILED bad: test_a.py::test_b: assert 1 == 2 + where", "5 passed, 1 failed"]


def test_a_job_that_ends_badly_without_a_test_of_its_own_counts(play, capsys):
    _told, failed = play(gate.Job("good", PASSES), gate.Job("bad", "exit 3"))
    assert failed
    closing = capsys.readouterr().out.splitlines()[-2:]
    assert closing == ["FAILED bad: ended with status 3, see logs/bad.log", "3 passed, 1 failed"]


def test_what_needs_a_failed_job_is_not_run_and_fails_too(play, tmp_path):
    told, failed = play(gate.Job("bad", "exit 1"), gate.Job("next", f"touch {tmp_path}/ran", ("bad",)))
    assert failed
    assert told["jobs"]["next"]["status"] == 1
    assert not (tmp_path / "ran").exists()


def test_phases_are_told_apart(play):
    words = "INFO     default ➜ {}: Executing"
    told, _failed = play(
        gate.Job("one", f"echo '{words.format('create')}'; sleep 0.3; echo '\x1b[36m{words.format('verify')}\x1b[0m'")
    )
    phases = told["jobs"]["one"]["phases"]
    assert list(phases) == ["create", "verify"] and phases["create"] > 0


def test_what_a_killed_run_left_is_ended_by_the_next(play, tmp_path):
    """As `kill -9` leaves it: the runner is gone, what it started is not."""
    left = subprocess.Popen(["sleep", "600"], env=os.environ | {"FELHOM_GATE": str(tmp_path)}, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        play(gate.Job("one", PASSES))
        assert left.wait(300) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_job_s_children_do_not_outlive_the_run(play, monkeypatch, tmp_path):
    # It holds the job's output open, too.
    monkeypatch.setattr(gate, "GRACE", 1)
    play(gate.Job("one", f"sleep 600 & echo $! > {tmp_path}/child; {PASSES}; exit 0"))
    child = int((tmp_path / "child").read_text())
    for _ in range(3000):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("it still runs")


def test_every_job_is_in_the_whole_run():
    assert set(gate.GROUPS["all"]) == {job.name for job in gate.JOBS}
    scenarios = {path.parent.name for path in (gate.ROOT / "molecule").glob("*/molecule.yml")}
    assert {job.name for job in gate.JOBS if job.guests} == scenarios
