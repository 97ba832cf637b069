"""The controlling machine dies, or its connection, in the middle of a change that must be rolled back.

Nobody helps: what was begun on the guest ends there, on one whole generation, healthy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from runs import GUEST, ROOT
from waiting import wait_for

# Here the run stops, says so, and goes on when it may.
STOP, REACHED, GO = "/run/felhom-stop-at", "/run/felhom-reached", "/run/felhom-go"
FAILPOINT = f"""
import os, time


def failpoint(moment):
    try:
        with open({STOP!r}) as stream:
            wanted = stream.read().strip()
    except OSError:
        return
    if moment == wanted:
        os.unlink({STOP!r})
        os.mknod({REACHED!r})
        while not os.path.exists({GO!r}):
            time.sleep(0.1)
"""
# "time: invalid duration": it exits at its start, so this must be rolled back.
BAD = {"base_traefik_acme_propagation": {"delayBeforeChecks": "bogus"}}


@pytest.fixture(scope="module")
def stopping_collection(altered_collection):
    """A copy of the collection that can be stopped on the guest, and whose guests have less patience."""

    def less(name: str, seconds: str):
        def change(text: str) -> str:
            (line,) = (line for line in text.splitlines() if line.startswith(f"{name} = "))
            return text.replace(line, f"{name} = {seconds}")

        return change

    return altered_collection(
        {
            "_guest/failpoints.py": lambda _text: FAILPOINT,
            "_tasks/guard.py": less("PATIENCE", "4.0"),
            "_stack/wait.py": less("_PATIENCE", "1.0"),
        }
    )


def controller(collections: str) -> subprocess.Popen[bytes]:
    """An operator's run, as processes of its own that can be killed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": collections}
    words = ["-i", "inventories/demo", "playbooks/site.yml", "-e", f"base_infra_hosts={GUEST}", "-e", json.dumps(BAD)]
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return subprocess.Popen(
        [program, *words],
        cwd=ROOT,
        env=kept | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(run: subprocess.Popen[bytes], _address: str) -> None:
    os.killpg(run.pid, signal.SIGKILL)
    # Its modules on the guest are left to themselves, and so is the connection that it had opened.
    run.wait()


def cut(run: subprocess.Popen[bytes], address: str) -> None:
    subprocess.run(["pkill", "--signal", "KILL", "--full", f"ssh.*{address}"], check=True)
    assert run.wait() != 0


@pytest.mark.parametrize("end", [kill, cut])
@pytest.mark.parametrize(
    "moment",
    [
        "traefik: journal written",
        "docker-compose.yml: renamed",
        "traefik: files written",
        "traefik: started",
        "settling",
        "traefik: rolling back",
        "traefik: files restored",
        "traefik: rejected",
    ],
)
def test_nobody_is_needed(guest, address, stopping_collection, moment, end):
    state = "/var/lib/felhom-base-infra"
    before, good = guest.disk(), guest.run(f"sha256sum {state}/generations/*/good.json")
    guest.run(f"rm -f {REACHED} {GO}; echo '{moment}' > {STOP}")
    run = controller(stopping_collection)
    try:
        wait_for(lambda: guest.host.file(REACHED).exists)
        end(run, address)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    guest.run(f"touch {GO}")

    def is_over() -> bool:
        # The lock too: the guest's own runs are not held up by one that is no more.
        waiting = f"ls {state}/generations/*/next.json /run/felhom-base-infra/lock 2>/dev/null"
        return guest.host.run(waiting).stdout == ""

    wait_for(is_over, lambda: guest.run(f"ls -l {state}/generations/* /run/felhom-base-infra; ps -ef"))
    health = "docker inspect --format '{{.State.Health.Status}}' traefik"
    wait_for(lambda: guest.run(health) == "healthy")
    assert guest.disk() == before
    assert guest.run(f"sha256sum {state}/generations/*/good.json") == good
