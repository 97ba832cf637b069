#!/usr/bin/env python3
"""The tests, as jobs side by side, and what each cost: `make test` and its parts.

gate.py NAME...   all, quick, lint, unit, molecule, published, or single jobs; build/gate.json says what they took

A job's output goes to build/gate/NAME.log and is shown when it fails; that of a single job is shown as it comes.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent / "bed"))
from lib.settings import GUESTS, HOME  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
BED = ROOT / "tests/bed/bed"
PUBLISHED = ROOT / "build/published"
LOGS = ROOT / "build/gate"
REPORT = ROOT / "build/gate.json"
# Much of a scenario is waiting for a guest. With one more job than cores 1.73 of 2 were busy.
SLOTS = int(os.environ.get("FELHOM_GATE_JOBS", (os.cpu_count() or 1) + 2))
HEARTBEAT = 60  # seconds between two lines about what is running
GRACE = 10  # seconds for the last of a job's output
REASON = 200  # characters of why a test failed that the closing list shows
# All that a job starts has this in its environment, so that the next run finds what a killed one left.
MARK = ("FELHOM_GATE", str(HOME))
START = time.monotonic()

PHASE = re.compile(r"INFO +(\S+) ➜ (\w+): Executing")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Job:
    """One command, and how it went."""

    name: str
    command: str
    needs: tuple[str, ...] = ()
    guests: str = ""  # the name that its guests begin with
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = ROOT
    status: int | None = None
    begin: float = 0.0
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    reader: threading.Thread | None = None

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"

    @property
    def results(self) -> Path:
        return LOGS / f"{self.name}.xml"


def scenario(name: str, *needs: str, **options) -> Job:
    return Job(
        name,
        f"molecule test --scenario-name {name} --destroy=never --no-command-borders",
        ("venv", "bed", *needs),
        guests=name,
        **options,
    )


# Those that take longest first, so that none of them is left alone at the end.
JOBS = [
    Job("venv", "make --no-print-directory venv"),
    Job("bed", "tests/bed/bed up"),
    Job("prepared-golden", "tests/bed/prepared golden", ("venv", "bed")),
    Job("prepared-configured", "tests/bed/prepared configured", ("venv", "bed")),
    scenario("remediate", "prepared-golden"),
    scenario("faults", "prepared-configured"),
    scenario("reconcile", "prepared-golden"),
    scenario("interrupted", "prepared-configured"),
    scenario("golden", "prepared-golden"),
    Job("publish", "tests/published/build", ("venv",)),
    scenario("default"),
    scenario("controller"),
    scenario(
        "published",
        "publish",
        directory=PUBLISHED,
        environment={
            "PATH": f"{PUBLISHED}/.venv/bin:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": f"{PUBLISHED}/ansible.cfg",
        },
    ),
    Job("sanity", "python tests/sanity/check.py", ("venv",)),
    Job("ansible-lint", "ansible-lint --offline", ("venv",)),
    scenario("fleet", "prepared-configured"),
    scenario("pve_hostname"),
    scenario("alternative"),
    Job("unit", "python -m pytest -n 2 tests/unit tests/bed tests/report tests/versions tests/test_gate.py", ("venv",)),
    Job("types", "make --no-print-directory types", ("venv",)),
    Job("style", "ruff check && ruff format --check && yamllint --strict . && antsibull-changelog lint", ("venv",)),
]
LINT = ["style", "types", "ansible-lint", "sanity"]
MOLECULE = [job.name for job in JOBS if job.guests and job.name != "published"]
GROUPS = {
    "all": [job.name for job in JOBS],
    "quick": [*LINT, "unit", "default"],
    "lint": LINT,
    "molecule": MOLECULE,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [job.name for job in JOBS]
    parser.add_argument("names", nargs="+", choices=[*GROUPS, *names], metavar="NAME")
    asked = list(dict.fromkeys(name for word in parser.parse_args().names for name in GROUPS.get(word, [word])))
    jobs = wanted(asked)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: ended by a signal"))
    with alone():
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir(parents=True)
        clean_up(jobs)
        busy = cpu_seconds()
        try:
            run(jobs, follow=len(asked) == 1)
        finally:
            clean_up(jobs)
        seconds = time.monotonic() - START
        report(jobs, seconds, (cpu_seconds() - busy) / seconds)
    sys.exit(any(job.status != 0 for job in jobs))


def wanted(asked: list[str]) -> list[Job]:
    """The named jobs and what they need, in the order of JOBS."""
    by_name = {job.name: job for job in JOBS}
    found: set[str] = set()
    left = list(asked)
    while left:
        name = left.pop()
        found.add(name)
        left += by_name[name].needs
    return [job for job in JOBS if job.name in found]


def run(jobs: list[Job], follow: bool) -> None:
    """Run the jobs, as many at once as there are slots; one that needs a failed one is not run."""
    waiting, running, said = list(jobs), [], time.monotonic()
    done: dict[str, Job] = {}
    while waiting or running:
        for job in [job for job in running if job.process and job.process.poll() is not None]:
            running.remove(job)
            finish(job, follow)
            done[job.name] = job
        for job in [job for job in waiting if any(name in done and done[name].status for name in job.needs)]:
            waiting.remove(job)
            job.status = 1
            job.failures = [f"not run, since it needs {', '.join(job.needs)}"]
            done[job.name] = job
            say(f"not run   {job.name}: it needs {', '.join(job.needs)}")
        ready = [job for job in waiting if all(name in done for name in job.needs)]
        for job in ready[: SLOTS - len(running)]:
            waiting.remove(job)
            running.append(job)
            start(job, follow)
        if time.monotonic() - said > HEARTBEAT and not follow:
            said = time.monotonic()
            at_work = (f"{job.name} {list(job.phases)[-1] if job.phases else ''}".strip() for job in running)
            say(f"running   {', '.join(at_work)}")
        time.sleep(0.1)


def start(job: Job, follow: bool) -> None:
    say(f"begun     {job.name}")
    job.begin = time.monotonic() - START
    environment = os.environ | dict([MARK]) | job.environment
    options = f"--junit-xml={shlex.quote(str(job.results))} -o junit_family=xunit1"
    environment["PYTEST_ADDOPTS"] = f"{os.environ.get('PYTEST_ADDOPTS', '')} {options}"
    # Outside of the checkout, whose path may hold a space.
    environment["MOLECULE_EPHEMERAL_DIRECTORY"] = str(ephemeral(job))
    job.process = subprocess.Popen(
        ["bash", "-c", job.command],
        cwd=job.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    job.reader = threading.Thread(target=keep, args=(job, follow), daemon=True)
    job.reader.start()


def ephemeral(job: Job) -> Path:
    return HOME / "molecule" / job.name


def keep(job: Job, follow: bool) -> None:
    """Write a job's output down as it comes, and when each of its phases begins."""
    begin = last = time.monotonic()
    phase = ""
    assert job.process and job.process.stdout
    with open(job.log, "w", buffering=1) as log:
        for line in job.process.stdout:
            now = time.monotonic()
            plain = COLOUR.sub("", line)
            log.write(f"{now - begin:7.1f} {plain}")
            if follow:
                print(line, end="", flush=True)
            if match := PHASE.search(plain):
                if phase:
                    job.phases[phase] += round(now - last, 1)
                phase, last = match[2], now
                job.phases.setdefault(phase, 0.0)
    if phase:
        job.phases[phase] += round(time.monotonic() - last, 1)


def finish(job: Job, follow: bool) -> None:
    """Take down what a job was, show the log of one that failed, and let its guests go."""
    assert job.process and job.reader
    job.status, job.seconds = job.process.returncode, time.monotonic() - START - job.begin
    # What it left running may hold the other end of its output for ever.
    job.reader.join(GRACE)
    if job.status and not follow:
        print(f"===== {job.name}\n{job.log.read_text()}", flush=True)
    if job.status and job.guests:
        subprocess.run([BED, "logs", *guests_of(job)])
    if names := guests_of(job):
        subprocess.run([BED, "down", *names], check=True)
    shutil.rmtree(ephemeral(job), ignore_errors=True)
    count(job)
    told = f", {job.passed} passed" if job.passed else ""
    say(f"{'FAILED   ' if job.status else 'passed   '} {job.name} in {job.seconds:.0f} s{told}")


def guests_of(job: Job) -> list[str]:
    names = [path.name for path in GUESTS.glob("*")] if job.guests else []
    return sorted(name for name in names if name == job.guests or name.startswith(f"{job.guests}-"))


def count(job: Job) -> None:
    """How many of a job's tests passed, and which failed and why."""
    if job.results.exists():
        results = ElementTree.parse(job.results)
        for test in results.iter("testcase"):
            for failure in [*test.iter("failure"), *test.iter("error")]:
                reason = " ".join(failure.get("message", "").split())[:REASON]
                job.failures.append(f"{test.get('file')}::{test.get('name')}: {reason}")
        job.passed = sum(int(suite.get("tests", 0)) for suite in results.iter("testsuite")) - len(job.failures)
    if job.status and not job.failures:
        job.failures.append(f"ended with status {job.status}, see {job.log.relative_to(ROOT)}")


def clean_up(jobs: list[Job]) -> None:
    """End what runs, also what a run that was killed left behind: processes, guests, bridge, mounts."""
    if any(job.name == "bed" for job in jobs) and HOME.exists():
        subprocess.run([BED, "down"], check=True, stdout=subprocess.DEVNULL)
    mark = "=".join(MARK).encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                os.kill(int(path.name), signal.SIGKILL)
    for job in jobs:
        shutil.rmtree(ephemeral(job), ignore_errors=True)


def report(jobs: list[Job], seconds: float, cores_busy: float) -> None:
    """The table for people, and build/gate.json."""
    phases = list(dict.fromkeys(phase for job in jobs for phase in job.phases))
    print(f"\n{'job':<20}{'from':>6}{'sec':>6}{'passed':>7}  " + "".join(f"{phase:>12}" for phase in phases))
    for job in sorted(jobs, key=lambda job: job.begin):
        spent = "".join(f"{job.phases.get(phase, 0):>12.0f}" if phase in job.phases else " " * 12 for phase in phases)
        print(f"{job.name:<20}{job.begin:>6.0f}{job.seconds:>6.0f}{job.passed or '':>7}  {spent}".rstrip())
    told = {
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "cores_busy": round(cores_busy, 2),
        "jobs": {
            job.name: {
                "status": job.status,
                "begin": round(job.begin, 1),
                "seconds": round(job.seconds, 1),
                "phases": job.phases,
                "passed": job.passed,
                "failures": job.failures,
            }
            for job in jobs
        },
    }
    REPORT.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{seconds:.0f} s, {cores_busy:.2f} of {os.cpu_count()} cores busy; {REPORT.relative_to(ROOT)}")
    failures = [f"FAILED {job.name}: {failure}" for job in jobs for failure in job.failures]
    print("\n".join([*failures, f"{sum(job.passed for job in jobs)} passed, {len(failures)} failed"]))


def cpu_seconds() -> float:
    """What all cores have worked since the machine's start."""
    user, nice, system = (int(word) for word in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def alone():
    """One run at a time on a bed."""
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "gate.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run on this test bed to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(f"[{time.monotonic() - START:5.0f} s] {text}", flush=True)


if __name__ == "__main__":
    main()
