# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run: judge the guest, write down what was observed and done, give the lock back. Private.

Run by guest_run; options and results: converge_end and, for what writes nothing, base_health_info.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    files as _files,
    identity as _identity,
    lock as _lock,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    check as _check,
    inspect as _inspect,
    metrics as _metrics,
    remedies as _remedies,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import guest as _of_guest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import ledger as _ledger, state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest

_STATUS = "status.json"
_METRICS_DIR = "/var/lib/prometheus/node-exporter"  # Debian's


def observe(module: AnsibleModule, arguments: dict[str, Any]) -> tuple[list[_check.Check], dict[str, Any]]:
    """All checks, and what else is known of the guest."""
    return _inspect.survey(arguments, may_probe=not module.check_mode)


def judge(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Observe and judge, and change nothing."""
    return result(*observe(module, arguments | {"run": {}, "probe": False}))


def end(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Observe, judge, mend what a converge mends at its end, write down, give the lock back."""
    told = {"stacks": arguments["stacks_of_run"], "error": arguments["error"]}
    if arguments["run"]:
        arguments = arguments | {"run": arguments["run"] | told}
    try:
        checks, facts = observe(module, arguments)
        if not module.check_mode:
            if arguments["run"].get("kind") == "converge" and _remedies.heal(arguments, facts["certificate"]):
                checks, facts = observe(module, arguments)
            checks += record(arguments, checks, facts)
        return result(checks, facts) | told
    finally:
        unlock(module, arguments)


def unlock(module: AnsibleModule, arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the guest's lock back where the run has it."""
    if arguments["holder"] and not module.check_mode:
        _lock.give_back(_lock.Holder(**arguments["holder"]))
    return {"changed": False}


def record(arguments: dict[str, Any], checks: list[_check.Check], facts: dict[str, Any]) -> list[_check.Check]:
    """Write down what was observed, and what the run did. A check for what could not be written."""
    try:
        if arguments["run"]:
            verdict = _check.verdict(checks)
            write_ledger(arguments["run"], verdict)
            record_converge(arguments["run"], verdict)
            facts["converged"] = _inspect.converged()
        report = report_of(checks, facts)
        write_status(os.path.join(_paths.STATE_DIR, _STATUS), report)
        write_metrics(arguments["metrics_dir"], report)
    except OSError as error:
        return _of_guest.report(f"{error.filename or _paths.STATE_DIR}: {error.strerror}")
    return []


def result(checks: list[_check.Check], facts: dict[str, Any]) -> dict[str, Any]:
    """What a module returns."""
    return {"changed": False, "table": _check.table(socket.gethostname(), checks), **report_of(checks, facts)}


def report_of(checks: list[_check.Check], facts: dict[str, Any]) -> dict[str, Any]:
    """What is written, and returned."""
    return {"verdict": _check.verdict(checks), "checks": [check._asdict() for check in checks], "facts": facts}


def write_status(path: str, report: dict[str, Any]) -> None:
    """The report as a file. Others than root may read it: it holds no secret."""
    _files.make_directory(os.path.dirname(path), "0755", 0, 0)
    stamped = {"version": 1, "time": now()} | report
    _files.write_atomic(path, (json.dumps(stamped, indent=1) + "\n").encode(), "0644", 0, 0)


def write_metrics(folder: str, report: dict[str, Any]) -> None:
    """The report for node_exporter, where the folder is asked for or node_exporter is at home."""
    if folder:
        os.makedirs(folder, mode=0o755, exist_ok=True)
    elif os.path.isdir(_METRICS_DIR):
        folder = _METRICS_DIR
    else:
        return
    text = _metrics.text(report, int(time.time()))
    _files.write_atomic(os.path.join(folder, _metrics.NAME), text.encode(), "0644", 0, 0)


def write_ledger(run: dict[str, Any], verdict: str) -> None:
    """A line about the run."""
    _ledger.append(_paths.STATE_DIR, {"time": now(), "result": _ledger.outcome(run, verdict), "verdict": verdict} | run)


def record_converge(run: dict[str, Any], verdict: str) -> None:
    """What the gate compares with. A failed run leaves the record of the one before, and is tried again."""
    outcome = _ledger.outcome(run, verdict)
    if run.get("kind") != "converge":
        return
    if outcome == "failed":
        _state.set_failures(_paths.STATE_DIR, _state.Failures(1, time.time(), ""))
        return
    _state.set_failures(_paths.STATE_DIR, None)
    converged = {key: run.get(key) or "" for key in ("commit", "customer")}
    converged |= {"inputs": run.get("inputs") or {}, "result": outcome, "time": int(time.time())}
    _manifest.save_converged(_paths.STATE_DIR, converged)
    # A machine that is still the golden image's was converged from afar; its own next run gives it an identity.
    if outcome != "waiting" and not {"machine-id", "ssh-host-keys"} & set(_identity.observed()):
        _files.remove_if_there(os.path.join(_paths.STATE_DIR, _paths.NEVER_BOOTED))


def now() -> str:
    """The time as it is written everywhere."""
    return _clock.utc(time.time())
