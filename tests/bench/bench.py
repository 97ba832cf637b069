#!/usr/bin/env python3
"""What a converge costs, measured in a guest of the test bed side by side with other ways to do the same: `make bench`.

Absolute figures move with the machine, ratios hold. They are written to build/bench.json.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median

import guests
import pve

ROOT = Path(__file__).resolve().parents[2]
BED = ROOT / "tests/bed/bed"
CUSTOMER = ROOT / "tests/bed/customer"
GUEST = "bench"

COLLECTION = "/usr/share/ansible/collections/ansible_collections/felhom/base_infra"
BENCH = "/opt/bench"
OURS = ["env", f"ANSIBLE_CONFIG={BENCH}/ansible.cfg", "ansible-playbook", "-i", f"{BENCH}/inventory", "-c", "local"]
OURS += [f"{COLLECTION}/playbooks/site.yml"]
USUAL = ["ansible-playbook", "-i", "localhost,", "-e", f"@{BENCH}/pins.json", f"{BENCH}/usual/site.yml"]
CHANGES = {
    "base_traefik_log_level": "WARN",
    "base_cloudflared_log_level": "warn",
    "base_filebrowser_memory_limit": "1g",
}
EMPTY = ["ansible-playbook", "-i", "localhost,", f"{BENCH}/empty.yml"]

# What the guest's own units run.
STATE = "/var/lib/felhom-base-infra"
GATE = ["felhom-base-infra", "gate"]
UNIT = ["systemctl", "start", "felhom-base-infra.service"]
PULL = ["env", f"ANSIBLE_COLLECTIONS_PATH={STATE}/checkout", "ansible-pull", "--url", f"file://{STATE}/mirror.git"]
PULL += ["--checkout", "main", "--full", "--directory", f"{STATE}/checkout/ansible_collections/felhom/base_infra"]
PULL += ["--inventory", "/etc/felhom-base-infra/inventory.json", "--limit", "localhost", "playbooks/first_boot.yml"]
RAW = ["docker", "compose", "--project-directory", "/opt/docker/stacks/filebrowser", "up", "-d", "--wait"]
CONTROLLER_FILE = "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml"
REMOVED = "docker rm --force filebrowser"

FOLDERS = ["/opt/docker/traefik", "/opt/docker/cloudflared", "/opt/docker/stacks/filebrowser"]
CONTAINERS = "traefik traefik-socket-proxy cloudflared filebrowser"
NOTHING_RUNS = f"docker rm -f {CONTAINERS}; docker network rm traefik-public traefik_socket"
# The certificate stays, as on every guest that had one: its issuance, which Traefik begins when it starts, would be in
# the measurement of whoever starts without.
NOTHING_IS_THERE = f"{NOTHING_RUNS}; rm -rf /opt/docker /var/lib/felhom-base-infra; "
NOTHING_IS_THERE += f"install -D -m 600 {BENCH}/acme.json /opt/docker/traefik/acme/acme.json"
IN_A_ROW = "".join(f"docker compose --project-directory {folder} up -d --wait; " for folder in FOLDERS)


def main() -> None:
    prepare_guest()
    measured = measure(of_a_converge())
    run("ansible-playbook", "tests/bench/reconcile.yml")
    # The first run makes the checkout.
    run(BED, "shell", GUEST, *UNIT)
    measured |= measure(of_a_guest_by_itself())
    phases = first_boot()
    changed = [*OURS, "--extra-vars", json.dumps(CHANGES)]
    runs = {"ours": OURS, "usual": USUAL, "three changed stacks": changed}
    executions = {name: count_executions(command) for name, command in runs.items()}
    show(measured, executions)
    print(f"\nfirst boot of an offline clone, from controller.yaml to health {sum(phases.values()):.1f} s")
    for name, seconds in phases.items():
        print(f"  {name:<50} {seconds:6.1f} s {seconds / sum(phases.values()):5.0%}")
    of_fleet = guests.measure()
    guests.show(of_fleet)
    pve_figures, pve_seconds = pve.bench()
    pve.show(pve_seconds)
    ratios = ratios_of(measured) | guests.ratios(of_fleet) | pve_figures
    ratios |= {
        "noop_module_executions": executions["ours"].total(),
        "three_changed_stacks_module_executions": executions["three changed stacks"].total(),
    }
    found = {"measured": measured, "first_boot_seconds": phases, "fleet": of_fleet, "pve_seconds": pve_seconds}
    report = ROOT / "build/bench.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps({"ratios": ratios} | found, indent=1) + "\n")
    print("\nratios (build/bench.json)")
    for name, value in ratios.items():
        print(f"  {name:<34} {value}")


def prepare_guest() -> None:
    run(BED, "up")
    run(BED, "guest", GUEST, "--fresh")
    run(CUSTOMER, "provision", GUEST)
    run(CUSTOMER, "configure", GUEST)
    pins = json.loads(run(BED, "inventory", "--list"))["guests"]["vars"]
    put(["galaxy.yml", "meta", "playbooks", "plugins", "roles"], ROOT, COLLECTION)
    put(["usual", "measure.py", "ansible.cfg"], ROOT / "tests/bench", BENCH)
    inventory = {"guests": {"hosts": {"localhost": {}}, "vars": pins}}
    for name, text in {
        "pins.json": json.dumps(pins),
        "inventory": json.dumps(inventory),
        "empty.yml": "[{hosts: localhost, gather_facts: false}]\n",
    }.items():
        run(BED, "shell", GUEST, "tee", f"{BENCH}/{name}", input=text.encode())
    # Byte code, images and both sets' files are there: what is measured is not the first run ever.
    for command in (OURS, USUAL):
        run(BED, "shell", GUEST, *command)
    issued = "until grep -q '\"certificate\"' /opt/docker/traefik/acme/acme.json; do sleep 0.5; done"
    run(BED, "shell", GUEST, "timeout", "300", "sh", "-c", issued)
    run(BED, "shell", GUEST, "cp", "-p", "/opt/docker/traefik/acme/acme.json", BENCH)


def contender(command: list[str], before: str | None = None, status: int = 0) -> dict[str, object]:
    return {"run": command, "prepare": before, "status": status}


def of_a_converge() -> list[dict[str, object]]:
    return [
        {
            "name": "no-op",
            "rounds": 5,
            "contenders": {
                "empty play": contender(EMPTY),
                "three raw compose up -d": contender(["sh", "-ec", IN_A_ROW.replace(" --wait", "")]),
                "felhom.base_infra": contender(OURS),
                "usual role set": contender(USUAL),
            },
        },
        {
            "name": "first converge, images present",
            "rounds": 5,
            "contenders": {
                "empty play": contender(EMPTY),
                "felhom.base_infra": contender(OURS, NOTHING_IS_THERE),
                # The files of the run before are still there: Compose has only to start what they say.
                "three raw compose up -d --wait": contender(
                    ["sh", "-ec", IN_A_ROW], f"{NOTHING_RUNS}; docker network create traefik-public"
                ),
            },
        },
    ]


def of_a_guest_by_itself() -> list[dict[str, object]]:
    return [
        {
            "name": "the gate, nothing to do",
            "rounds": 15,
            "contenders": {"docker ps": contender(["docker", "ps"]), "gate": contender(GATE, status=10)},
        },
        {
            "name": "ansible-pull, nothing to do",
            "rounds": 5,
            "contenders": {"ansible-pull": contender(PULL), "gate": contender(GATE, status=10)},
        },
        {
            "name": "a removed container",
            "rounds": 5,
            "contenders": {
                "the unit, nothing to do": contender(UNIT),
                "the unit repairs": contender(UNIT, REMOVED),
                "raw compose up -d --wait": contender(RAW, REMOVED),
            },
        },
    ]


def measure(comparisons: list[dict[str, object]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    text = run(BED, "shell", GUEST, f"{BENCH}/measure.py", input=json.dumps(comparisons).encode())
    return json.loads(text)


# Where a phase begins, by what the unit's journal says.
PHASES = {
    "the unit starts": "controller.yaml",
    "Ansible starts, code is checked": "converging: ",
    "configuration": "TASK [felhom.base_infra.guest_config : Begin",
    "stacks compared, written, started": "TASK [felhom.base_infra.base_traefik : Converge",
    "waiting for health, and health of the whole guest": "TASK [felhom.base_infra.base_health : Settle",
    "end": "TASK [felhom.base_infra.base_health : Show",
}


def first_boot() -> dict[str, float]:
    """Seconds of each phase from the moment when an offline clone's configuration arrives until it is well."""
    golden, clone = "bench-golden", "bench-first"
    run(BED, "down", clone, golden)
    run(BED, "guest", golden)
    run("ansible-playbook", "playbooks/bake.yml", "--extra-vars", f"base_infra_hosts={golden}")
    run(BED, "clone", golden, clone, "--offline")
    run(CUSTOMER, "provision", clone)
    waiting = "until [ \"$(felhom-base-infra gate)\" = 'waiting for a configuration' ]; do sleep 1; done"
    run(BED, "shell", clone, "timeout", "300", "sh", "-c", waiting)
    run(CUSTOMER, "configure", clone)
    done = "until [ \"$(felhom-base-infra gate)\" = 'nothing to do' ]; do sleep 1; done"
    run(BED, "shell", clone, "timeout", "300", "sh", "-c", done)
    arrival = run(
        BED,
        "shell",
        clone,
        "stat",
        "-c",
        "%.6Y",
        "/var/lib/docker/volumes/felhom-controller-data/_data/controller.yaml",
    )
    journal = run(BED, "shell", clone, "journalctl", "--unit", "felhom-base-infra.service", "--output", "short-unix")
    run(BED, "down", clone, golden)
    lines = [line.split(" ", 1) for line in journal.splitlines() if line[:1].isdigit()]
    begins = [float(arrival)]
    for words in list(PHASES.values())[1:]:
        begins.append(next(float(at) for at, text in lines if words in text and float(at) >= begins[-1]))
    return {
        name: round(after - before, 2)
        for name, before, after in zip(list(PHASES)[:-1], begins[:-1], begins[1:], strict=True)
    }


def count_executions(command: list[str]) -> Counter[str]:
    """Modules that a run has executed: Ansible names each one's file, those that actions start on their own too."""
    said = run(BED, "shell", GUEST, *command, "-vvv")
    return Counter(Path(file).stem for file in re.findall(r"Using module file (\S+)", said))


def ratios_of(measured: dict) -> dict[str, float]:
    noop, first = measured["no-op"], measured["first converge, images present"]
    gate, pull = measured["the gate, nothing to do"], measured["ansible-pull, nothing to do"]
    removed = measured["a removed container"]
    repair = median(removed["the unit repairs"]["wall"]) - median(removed["the unit, nothing to do"]["wall"])
    ours = median(first["felhom.base_infra"]["wall"]) - median(first["empty play"]["wall"])
    raw_noop = [
        sum(costs) for costs in zip(noop["empty play"]["cpu"], noop["three raw compose up -d"]["cpu"], strict=True)
    ]
    return {
        "noop_cpu_vs_usual_roles": ratio(
            median(noop["felhom.base_infra"]["cpu"]), median(noop["usual role set"]["cpu"])
        ),
        "noop_cpu_vs_empty_play": ratio(median(noop["felhom.base_infra"]["cpu"]), median(noop["empty play"]["cpu"])),
        "noop_cpu_vs_empty_play_and_raw_compose": ratio(median(noop["felhom.base_infra"]["cpu"]), median(raw_noop)),
        "first_converge_vs_raw_compose": ratio(ours, median(first["three raw compose up -d --wait"]["wall"])),
        "gate_cpu_vs_docker_ps": ratio(median(gate["gate"]["cpu"]), median(gate["docker ps"]["cpu"])),
        "gate_cpu_vs_noop_pull": ratio(median(pull["gate"]["cpu"]), median(pull["ansible-pull"]["cpu"])),
        "repair_vs_raw_compose": ratio(repair, median(removed["raw compose up -d --wait"]["wall"])),
    }


def ratio(one: float, other: float) -> float:
    return round(one / other, 3)


def show(measured: dict, executions: dict[str, Counter[str]]) -> None:
    for comparison, contenders in measured.items():
        print(f"\n{comparison:<34} {'wall s':>8} {'CPU s':>8}   medians of {rounds(contenders)}")
        for name, seen in contenders.items():
            print(f"  {name:<32} {median(seen['wall']):8.2f} {median(seen['cpu']):8.2f}")
    print("\nmodule executions")
    for name, counted in executions.items():
        each = ", ".join(f"{module} {number}" for module, number in counted.items())
        print(f"  {name:<32} {counted.total():>4}  {each}")


def rounds(contenders: dict) -> int:
    return len(next(iter(contenders.values()))["wall"])


def put(names: list[str], source: Path, target: str) -> None:
    """Copy files into the guest."""
    packed = subprocess.run(
        ["tar", "-C", str(source), "--exclude=__pycache__", "-c", *names], check=True, capture_output=True
    ).stdout
    run(BED, "shell", GUEST, "mkdir", "-p", target)
    run(BED, "shell", GUEST, "tar", "-C", target, "--no-same-owner", "-x", input=packed)


def run(*command: object, input: bytes | None = None) -> str:
    """A command's standard output. What it says of its progress goes to the terminal."""
    options = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, **options)
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        sys.exit(f"error: {' '.join(str(part) for part in command)} ended with {done.returncode}:\n{text[-3000:]}")
    return text


if __name__ == "__main__":
    main()
