#!/usr/bin/env python3
"""What a fleet costs the machine that runs the playbooks: rendering and comparing for many guests, no engine.

All guests are this machine, each with a folder of its own; nothing differs any more when it is measured. Side by side
with the usual role set's tasks, but for those that need an engine. Part of `make bench`; alone: tests/bench/guests.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from measure import timed

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1, 10, 50, 200)
FORKS = 5  # Ansible's default
MORE_FORKS = 20
# Both ways are compared at this number of guests; the usual one would take half an hour for the largest.
COMPARED = 10
NEED_ENGINE = ("community.docker.", "ansible.builtin.uri")
TOKENS = {"cf_api_token": "a-token-of-the-bench-0123456789"}
CUSTOMER = {"domain": "acme.felhom.test", "email": "ops@acme.felhom.test"}
# Base64 of {"a": "0", "t": "00000000-1111-4222-8333-444455556666", "s": "AAAA"}: no such tunnel exists.
TUNNEL = "eyJhIjoiMCIsInQiOiIwMDAwMDAwMC0xMTExLTQyMjItODMzMy00NDQ0NTU1NTY2NjYiLCJzIjoiQUFBQSJ9"


def measure() -> dict[str, dict[str, float]]:
    """Seconds of wall clock and of CPU, in all and for each guest."""
    with tempfile.TemporaryDirectory(prefix="felhom-bench-") as name:
        folder = Path(name)
        # Ansible takes no interpreter whose path has a space, as that of this checkout may have.
        (folder / "venv").symlink_to(sys.prefix)
        ours, usual = _ours(folder), _usual(folder)
        # So that nothing differs any more when it is measured.
        for command, guests in ((ours, max(SIZES)), (usual, COMPARED)):
            _run(folder, command, guests, FORKS)
        seen = {"felhom.base_infra, 1 guest": _run(folder, ours, 1, FORKS)}
        for size in SIZES[1:]:
            seen[f"felhom.base_infra, {size} guests"] = _run(folder, ours, size, FORKS)
        seen[f"felhom.base_infra, 50 guests, {MORE_FORKS} forks"] = _run(folder, ours, 50, MORE_FORKS)
        seen[f"usual role set, {COMPARED} guests"] = _run(folder, usual, COMPARED, FORKS)
        seen["pull mode: a fetch without news"] = _fetch(folder)
        return seen


def ratios(seen: dict[str, dict[str, float]]) -> dict[str, float]:
    ours, usual = (seen[f"{way}, {COMPARED} guests"] for way in ("felhom.base_infra", "usual role set"))
    return {"fleet_cpu_per_guest_vs_usual_roles": round(ours["cpu_per_guest"] / usual["cpu_per_guest"], 3)}


def show(seen: dict[str, dict[str, float]]) -> None:
    print(
        f"\n{'a fleet, nothing to do, ' + str(FORKS) + ' forks':<44} {'wall s':>8} {'CPU s':>8} {'CPU s a guest':>14}"
    )
    for name, cost in seen.items():
        print(f"  {name:<42} {cost['wall']:8.2f} {cost['cpu']:8.2f} {cost['cpu_per_guest']:14.3f}")


def _run(folder: Path, command: list[str], guests: int, forks: int) -> dict[str, float]:
    """One run, with what it cost."""
    print(f"fleet: {Path(command[-1]).name}, {guests} guests, {forks} forks", file=sys.stderr, flush=True)
    hosts = {f"guest-{number}": None for number in range(guests)}
    local = {"ansible_connection": "local", "ansible_python_interpreter": str(folder / "venv/bin/python")}
    inventory = folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"guests": {"hosts": hosts, "vars": local | {"bench": str(folder)}}}))
    whole = [*command, "-i", str(inventory), "--forks", str(forks)]
    wall, cpu = timed(whole, 0)
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "cpu_per_guest": round(cpu / guests, 3)}


def _ours(folder: Path) -> list[str]:
    where = str(folder / "ours") + "/{{ inventory_hostname }}"
    given = {
        "base_traefik": {
            "domain": CUSTOMER["domain"],
            "acme_email": CUSTOMER["email"],
            "cf_api_token": TOKENS["cf_api_token"],
        },
        "base_filebrowser": {"host": f"files.{CUSTOMER['domain']}"},
        "base_cloudflared": {"tunnel_token": TUNNEL},
    }
    tasks = [
        {
            "ansible.builtin.import_role": {"name": f"felhom.base_infra.{role}"},
            "vars": {f"{role}_{name}": value for name, value in values.items()}
            | {f"{role}_state": "rendered", f"{role}_project_dir": f"{where}/{role}"},
        }
        for role, values in given.items()
    ]
    playbook = folder / "ours.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "guests", "gather_facts": False, "tasks": tasks}]))
    settings = [f"ANSIBLE_CONFIG={ROOT}/ansible.cfg", f"ANSIBLE_COLLECTIONS_PATH={ROOT}/.venv/collections"]
    return ["env", *settings, "FELHOM_BASE_INFRA_REPORTS=", "ansible-playbook", str(playbook)]


def _usual(folder: Path) -> list[str]:
    """The usual role set without what needs an engine, each guest in a folder of its own."""
    target = folder / "usual"
    shutil.copytree(ROOT / "tests/bench/usual", target)
    where = str(folder / "usual-guests") + "/{{ inventory_hostname }}"
    roles = ["traefik", "cloudflared", "filebrowser"]
    for role in roles:
        path = target / f"roles/{role}/tasks/main.yml"
        text = path.read_text().replace("/opt/usual", where)
        tasks = [task for task in yaml.safe_load(text) if not any(key.startswith(NEED_ENGINE) for key in task)]
        path.write_text(yaml.safe_dump(tasks))
    (folder / "pins.json").write_text(json.dumps(_pins()))
    facts = {"usual_customer": CUSTOMER, "usual_infrastructure": TOKENS | {"cf_tunnel_token": TUNNEL}}
    play = {"hosts": "guests", "vars": facts, "roles": roles}
    (target / "fleet.yml").write_text(yaml.safe_dump([play]))
    # Ansible as it comes.
    (target / "ansible.cfg").write_text("[defaults]\n")
    return [
        "env",
        f"ANSIBLE_CONFIG={target}/ansible.cfg",
        "ansible-playbook",
        "-e",
        f"@{folder}/pins.json",
        f"{target}/fleet.yml",
    ]


def _pins() -> dict[str, str]:
    """The images as the roles' defaults have them: which ones does not matter here."""
    pins: dict[str, str] = {}
    for role in ("base_traefik", "base_cloudflared", "base_filebrowser"):
        defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
        pins |= {name: value for name, value in defaults.items() if name.endswith("_image")}
    return pins


def _fetch(folder: Path) -> dict[str, float]:
    """All that is left of a guest that converges itself, both ends of it: its hourly question for new commits."""
    mirror = folder / "mirror.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", f"file://{ROOT}", str(mirror)], check=True)
    wall, cpu = timed(["git", "-C", str(mirror), "fetch", "--quiet", "origin"], 0)
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "cpu_per_guest": round(cpu, 3)}


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = measure()
    show(found)
    print(json.dumps(ratios(found)))
