#!/usr/bin/env python3
"""The main job, once, for real, for a person to watch: `make demo`."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "molecule"))
from waiting import ANSWER, served_certificate, wait_for  # noqa: E402

BED = ROOT / "tests/bed/bed"
CUSTOMER = ROOT / "tests/bed/customer"
GOLDEN, GUEST = "demo-golden", "demo"
SILENCE = 4.0  # seconds without a line after which one is printed, so that nobody thinks it hangs

START = time.monotonic()


def main() -> None:
    step("The test bed: a root filesystem, a bridge, a registry with pinned images")
    run(BED, "up")
    step("A fresh guest: an unprivileged LXC container with systemd and its own Docker engine")
    run(BED, "down", GUEST, GOLDEN)
    run(BED, "guest", GOLDEN)
    say_what_is_real()
    step("playbooks/bake.yml makes it the golden image: images, collection, units; audited, sealed, audited again")
    run("ansible-playbook", "playbooks/bake.yml", "--extra-vars", f"base_infra_hosts={GOLDEN}")
    step("A clone of it boots, without a registry and without a name server; it converges itself at its start")
    run(BED, "clone", GOLDEN, GUEST, "--offline")
    step("The provisioner puts bootstrap.json there and starts the controller: the guest waits for its configuration")
    run(CUSTOMER, "provision", GUEST)
    wait_for_gate("waiting for a configuration")
    step("The controller writes controller.yaml: the guest sees it and configures itself, still without a network")
    run(CUSTOMER, "configure", GUEST)
    wait_for_gate("nothing to do")
    in_guest("journalctl --unit felhom-base-infra.service --output cat --lines 60 | sed -n '/msg:/,/PLAY RECAP/p'")
    step("Carried to where there is a network, and started there")
    run(BED, "stop", GUEST)
    run(BED, "start", GUEST, "--online")
    step("What the customer's browser sees, with the certificate that Traefik gets by DNS-01 now")
    show_answers()
    step("Somebody removes a container; the guest's timer finds that (here at once, else within five minutes)")
    wait_for_gate("nothing to do")
    in_guest("docker rm --force filebrowser; felhom-base-infra gate; systemctl start felhom-base-infra.service")
    wait_for_gate("nothing to do")
    step("playbooks/health.yml")
    run("ansible-playbook", "playbooks/health.yml", "--extra-vars", f"base_infra_hosts={GUEST}")
    print(
        f"""
Done in {time.monotonic() - START:.0f} s. The guest goes on running. Look around:
  tests/bed/bed shell {GUEST}                      a shell in the guest; try 'docker ps'
  tests/bed/bed logs {GUEST}                       its journal and its containers' logs
  .venv/bin/ansible-playbook playbooks/health.yml  its health
  tests/bed/bed shell {GUEST} felhom-base-infra status
Clean up:
  make demo-clean"""
    )


def step(title: str) -> None:
    print(f"\n=== {time.monotonic() - START:3.0f} s  {title}", flush=True)


def run(*command: object) -> None:
    """Run a command and show what it prints, and that it still runs when it prints nothing."""
    process = subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    last = [time.monotonic()]

    def heartbeat() -> None:
        while process.poll() is None:
            time.sleep(0.5)
            if time.monotonic() - last[0] > SILENCE:
                last[0] = time.monotonic()
                print(f"    ... {time.monotonic() - START:.0f} s", flush=True)

    threading.Thread(target=heartbeat, daemon=True).start()
    assert process.stdout
    for line in process.stdout:
        last[0] = time.monotonic()
        print(f"    {line}", end="", flush=True)
    if process.wait():
        sys.exit(f"error: {Path(str(command[0])).name} ended with status {process.returncode}; see above")


def in_guest(script: str) -> None:
    run(BED, "shell", GUEST, "sh", "-c", script)


def wait_for_gate(expected: str) -> None:
    """Until the guest's gate says so, and its unit has ended."""
    asked = "felhom-base-infra gate; systemctl is-active felhom-base-infra.service"
    command = [BED, "shell", GUEST, "sh", "-c", asked]

    def says() -> list[str]:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")

    wait_for(lambda: (said := says())[0] == expected and said[1] != "activating", lambda: f"The gate: {says()[0]!r}")
    print(f"    {time.monotonic() - START:.0f} s: the guest's gate says: {expected}", flush=True)


def inventory() -> dict:
    return json.loads(subprocess.run([BED, "inventory", "--list"], check=True, capture_output=True).stdout)


def say_what_is_real() -> None:
    stand_ins = [name for name in inventory()["guests"]["vars"] if name.endswith("_image")]
    if "base_traefik_image" in stand_ins:
        print(
            "    No Docker Hub here: Traefik is the real binary in an image made here; cloudflared, FileBrowser, the\n"
            "    socket proxy and the controller are stand-ins that take and refuse what the real ones do."
        )
    else:
        print("    Docker Hub is in reach: the real pinned images. Only the controller is a stand-in.")


def show_answers() -> None:
    """Ask as a browser would, and end with an error where the answer is not what a customer needs."""
    address = inventory()["_meta"]["hostvars"][GUEST]["ansible_host"]
    domain = json.loads(subprocess.run([CUSTOMER, "show"], check=True, capture_output=True).stdout)["customer"][
        "domain"
    ]
    root = subprocess.run([BED, "issuer"], check=True, capture_output=True, text=True).stdout
    certificate = served_certificate(address, 443, f"files.{domain}", ssl.create_default_context(cadata=root))
    print(f"    certificate for {', '.join(name for _kind, name in certificate['subjectAltName'])}")
    print(f"    issued by {dict(pair for part in certificate['issuer'] for pair in part)['commonName']}")
    asked = {
        f"https://files.{domain}/": "200",
        f"https://unknown.{domain}/": "404",
        f"http://files.{domain}/some/path?query=kept": f"301 https://files.{domain}/some/path?query=kept",
    }
    wrong = []
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trusted.write(root)
        trusted.flush()
        for url, expected in asked.items():
            host, port = url.split("/")[2], "443" if url.startswith("https") else "80"
            answer = subprocess.run(
                [
                    "curl",
                    "--silent",
                    "--cacert",
                    trusted.name,
                    "--max-time",
                    str(ANSWER),
                    "--noproxy",
                    "*",
                    "--output",
                    os.devnull,
                ]
                + ["--resolve", f"{host}:{port}:{address}", "--write-out", "%{http_code} %{redirect_url}", url],
                capture_output=True,
                text=True,
            ).stdout.strip()
            print(f"    {url:<60} {answer}")
            if answer != expected:
                wrong.append(f"{url} answered {answer}, expected {expected}")
    if wrong:
        sys.exit("error: " + "; ".join(wrong))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"error: {error}; see 'tests/bed/bed logs {GUEST}'")
