"""What it costs to find that 1,000 guests have their names: pve_ct_hostname beside one call for each guest.

On the doubles of tests/pve, which take a part of what Proxmox takes: a real 'pct config' needs a second, the double's
30 ms. So the ratios here are what remains of the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/pve"))

import fleet  # noqa: E402

GUESTS = 1000
ROUNDS = 5
SAMPLE = 20  # of one call for each guest; the cost of a thousand is fifty times theirs

# What is done today: a task in a loop, for which Ansible runs a module for each guest.
ONE_EACH = {
    "pct": {"ansible.builtin.command": {"argv": ["{{ pct }}", "config", "{{ item.key }}"]}, "changed_when": False},
    "api": {
        "community.proxmox.proxmox": {
            "vmid": "{{ item.key }}",
            "hostname": "{{ item.value }}",
            "node": "pve1",
            "state": "present",
            "update": True,
            "api_host": "{{ api.api_host }}",
            "api_port": "{{ api.api_port }}",
            "api_user": "{{ api.api_user }}",
            "api_token_id": "{{ api.api_token_id }}",
            "api_token_secret": "{{ api.api_token_secret }}",
            "validate_certs": True,
        }
    },
}


def bench() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The two figures for build/bench.json, the worse of both methods, and all seconds by method."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        cluster = Path(folder) / "cluster"
        wanted = fleet.make(cluster, GUESTS)
        api = fleet.Api(cluster)
        try:
            for method in ONE_EACH:
                seconds[method] = of_a_method(method, cluster, wanted, api)
        finally:
            api.stop()
    keys = {
        "pve_1000_right_seconds": max(figures["1,000 guests at once"] for figures in seconds.values()),
        "pve_1000_vs_one_call_each": round(
            min(figures["one call each"] / figures["1,000 guests at once"] for figures in seconds.values())
        ),
    }
    return keys, seconds


def of_a_method(method: str, cluster: Path, wanted: dict[int, str], api: fleet.Api) -> dict[str, float]:
    """Seconds of an empty ansible-playbook, and of what each of two tasks adds to it."""
    options = api.options if method == "api" else {"method": "pct", "pve_dir": str(cluster / "pve")}
    ours = {"felhom.base_infra.pve_ct_hostname": {"hostnames": "{{ wanted }}", **options}}
    variables = {"api": api.options, "pct": str(cluster / "bin/pct")}
    # Ansible takes no interpreter whose path has a space, as that of this checkout may have.
    variables["ansible_python_interpreter"] = str(cluster / "bin/python")
    empty, ours_took, sample = [], [], []
    for number in range(ROUNDS):
        print(f"1,000 guests by {method}: round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        empty.append(play(cluster, [], variables | {"wanted": wanted}, api))
        ours_took.append(play(cluster, [ours], variables | {"wanted": wanted}, api))
    for _round in range(2):
        some = dict(list(wanted.items())[:SAMPLE])
        each = ONE_EACH[method] | {"loop": "{{ wanted | dict2items }}"}
        sample.append(play(cluster, [each], variables | {"wanted": some}, api))
    # The quickest round of each: what else the machine does can only add.
    start = min(empty)
    return {
        "empty play": round(start, 2),
        "1,000 guests at once": round(min(ours_took) - start, 2),
        "one call each": round((min(sample) - start) * GUESTS / SAMPLE, 1),
    }


def play(cluster: Path, tasks: list[dict], variables: dict, api: fleet.Api) -> float:
    """Seconds of a playbook of these tasks."""
    playbook = cluster / "play.json"
    host = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    playbook.write_text(json.dumps([host | {"tasks": tasks, "vars": variables}]))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "REQUESTS_CA_BUNDLE": str(api.ca)}
    environment |= {"NO_PROXY": "*", "PATH": f"{cluster / 'bin'}:{os.environ['PATH']}"}
    begin = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", str(playbook)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    took = time.monotonic() - begin
    if done.returncode or (tasks and "changed=0 " not in done.stdout):
        sys.exit(f"error: {playbook.read_text()[:500]} did not find all guests right:\n{done.stdout[-3000:]}")
    return took


def show(seconds: dict[str, dict[str, float]]) -> None:
    for method, figures in seconds.items():
        told = ", ".join(f"{what} {number:.2f} s" for what, number in figures.items())
        print(f"1,000 guests that have their names, by {method}: {told}")


if __name__ == "__main__":
    found, took = bench()
    show(took)
    print(json.dumps(found))
