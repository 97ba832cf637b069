#!/usr/bin/env python3
"""Runs in the guest: times commands side by side, round after round, and prints what it saw as JSON.

Standard input is a list of {"name", "rounds", "contenders": {NAME: {"prepare": shell text or null, "run": argv,
"status": the exit status it must have}}}.
CPU is user and system time of the command and of all its descendants; what dockerd does for it is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    measured = {}
    for comparison in json.load(sys.stdin):
        seen = measured[comparison["name"]] = {name: {"wall": [], "cpu": []} for name in comparison["contenders"]}
        for number in range(comparison["rounds"]):
            print(f"{comparison['name']}: round {number + 1} of {comparison['rounds']}", file=sys.stderr, flush=True)
            for name, contender in comparison["contenders"].items():
                if contender["prepare"]:
                    must_succeed(["sh", "-ec", contender["prepare"]])
                wall, cpu = timed(contender["run"], contender["status"])
                seen[name]["wall"].append(wall)
                seen[name]["cpu"].append(cpu)
    json.dump(measured, sys.stdout)


def must_succeed(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{command} ended with status {done.returncode}:\n{done.stdout[-3000:]}")


def timed(command: list[str], expected: int) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    with open("/run/bench-output", "w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            output.seek(0)
            sys.exit(f"{command} ended with status {process.returncode}:\n{output.read()[-3000:]}")
    return wall, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
