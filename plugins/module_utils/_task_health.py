# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging a guest's health, on the guest. Run by guest_target; options and results: base_health_info. Private."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.felhom.base_infra.plugins.module_utils import (
    _engine,
    _files,
    _health,
    _health_controller,
    _health_guest,
    _identity,
    _ledger,
    _lock,
    _manifest,
    _probe,
    _reconcile,
)

_LOG_LINES = 200  # of Traefik's log, searched for what it said of certificates
_ANSWER_TIMEOUT = 5.0  # seconds for one answer of the proxy


def run(module: AnsibleModule) -> None:
    """Observe, judge, report."""
    checks = run_checks(module.params, may_probe=not module.check_mode)
    verdict = _health.verdict(checks)
    report = {"verdict": verdict, "checks": [check._asdict() for check in checks]}
    if not module.check_mode:
        try:
            write_status(module.params["status_file"], report)
            if module.params["run"]:
                write_ledger(module.params, verdict)
                record_converge(module.params, verdict)
        except OSError as error:
            module.fail_json(msg=f"{error.filename}: {error.strerror}")
        finally:
            if module.params["lock"]:
                module.params["lock"].pop("void")
                _lock.give_back(_lock.Holder(**module.params["lock"]))
    module.exit_json(changed=False, table=_health.table(socket.gethostname(), checks), **report)


def run_checks(params: dict[str, Any], may_probe: bool) -> list[_health.Check]:
    """All checks that apply to the guest's state."""
    checks = _health_guest.pause_check(_reconcile.pause(params["state_dir"], time.time()))
    if params["waiting_for"]:
        fix = "let the controller fetch the customer's configuration"
        return [*checks, _health.Check("configuration", "waiting", params["waiting_for"], fix)]
    checks += _health_guest.converge_check(last_error(params))
    checks += _health_guest.identity_checks(_identity.look())
    try:
        engine = _engine.observe()
    except _engine.EngineError as error:
        return [*checks, _health.Check("engine", "fail", str(error), "start the Docker engine")]
    never_booted = os.path.exists(os.path.join(params["state_dir"], _reconcile.NEVER_BOOTED))
    checks += _health_guest.golden_check(_identity.golden(), engine, never_booted)
    try:
        stacks = _manifest.load(params["state_dir"])
    except _manifest.ManifestError as error:
        stacks = {}
        checks.append(_health.Check("manifest", "fail", str(error), "run playbooks/site.yml for this guest"))
    else:
        nothing_applied = _health.applied_check(stacks)
        checks += [nothing_applied] if nothing_applied else []
    checks += _health.container_checks(params["protected"], stacks, engine)
    checks += _health.pin_checks(stacks, engine)
    checks.append(_health.network_check(params["network"], engine))
    checks += _health.stack_checks(stacks, engine)
    checks += controller_checks(params, stacks, engine, may_probe)
    if params["proxy_host"]:
        checks += proxy_checks(params)
        checks += certificate_checks(params, engine)
    return checks


def controller_checks(
    params: dict[str, Any], stacks: dict[str, Any], engine: _engine.Engine, may_probe: bool
) -> list[_health.Check]:
    """The controller's host name and paths, and the proof of the latter where it is asked for."""
    try:
        found = _health_controller.checks(engine, params["customer_id"], params["stacks_dir"], stacks)
        return found + (_probe.check(engine, params["stacks_dir"]) if params["probe"] and may_probe else [])
    except _engine.EngineError as error:
        # It may have been recreated since the engine was asked for all.
        return [_health.Check("stack_paths", "degraded", f"not compared: {error}", "ask again")]


def last_error(params: dict[str, Any]) -> str:
    """What the run that asks failed for, or the last one that was recorded."""
    run = params["run"] or _ledger.last(params["state_dir"])
    return str(run.get("error") or "")


def proxy_checks(params: dict[str, Any]) -> list[_health.Check]:
    """What the proxy answers, asked again until it serves the name or patience is over."""
    host, address = params["proxy_host"], params["proxy_address"]
    end = time.monotonic() + params["patience"]
    while True:
        answer, _location = ask(_Https(address, params["proxy_https_port"], host), host, "/")
        served = _health.proxy_check(host, answer)
        if served.verdict == "ok" or time.monotonic() > end:
            break
        time.sleep(0.1)
    plain = HTTPConnection(address, params["proxy_http_port"], timeout=_ANSWER_TIMEOUT)
    redirected, location = ask(plain, host, "/a?b=c")
    return [served, _health.redirect_check(host, redirected, location)]


def certificate_checks(params: dict[str, Any], engine: _engine.Engine) -> list[_health.Check]:
    """What the certificate is worth that the proxy serves; nothing where it serves none, which was said already."""
    host = params["proxy_host"]
    connection = _Https(params["proxy_address"], params["proxy_https_port"], host)
    try:
        connection.connect()
        encrypted: Any = connection.sock
        certificate = encrypted.getpeercert(binary_form=True)
    except OSError:
        return []
    finally:
        connection.close()
    command = ["openssl", "x509", "-inform", "der", "-noout", "-issuer", "-enddate"]
    printed = subprocess.run(command, input=certificate, capture_output=True, check=False).stdout.decode(
        errors="replace"
    )
    try:
        found = _health.parse_certificate(printed)
    except ValueError as error:
        return [_health.Check(f"certificate.{host}", "fail", str(error), "see 'docker logs traefik'")]
    proxies = [container.id for container in engine.containers if container.name == "traefik"]
    lines = [line for proxy in proxies for line in _engine.log_lines(proxy, _LOG_LINES)]
    return [_health.certificate_check(host, found, time.time(), _health.issuance_error(lines))]


class _Https(HTTPConnection):
    """A connection that asks for the certificate of a name other than the address, as a browser does; any will do."""

    def __init__(self, address: str, port: int, name: str) -> None:
        super().__init__(address, port, timeout=_ANSWER_TIMEOUT)
        self._name = name

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname=self._name)


def ask(connection: HTTPConnection, host: str, path: str) -> tuple[int | str, str | None]:
    """Status and Location of an answer, or a text that says why there is none."""
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.getheader("Location")
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}", None
    finally:
        connection.close()


def write_status(path: str, report: dict[str, Any]) -> None:
    """The report as a file. Others than root may read it: it holds no secret."""
    _files.make_directory(os.path.dirname(path), "0755", 0, 0)
    stamped = {"version": 1, "time": now()} | report
    _files.write_atomic(path, (json.dumps(stamped, indent=1) + "\n").encode(), "0644", 0, 0)


def write_ledger(params: dict[str, Any], verdict: str) -> None:
    """A line about the run."""
    run = params["run"]
    _ledger.append(
        params["state_dir"], {"time": now(), "result": _ledger.outcome(run, verdict), "verdict": verdict} | run
    )


def record_converge(params: dict[str, Any], verdict: str) -> None:
    """What the gate compares with. A failed run leaves the record of the one before, and is tried again."""
    run = params["run"]
    result = _ledger.outcome(run, verdict)
    if run.get("kind") != "converge":
        return
    if result == "failed":
        _reconcile.set_failures(params["state_dir"], _reconcile.Failures(1, time.time(), ""))
        return
    _reconcile.set_failures(params["state_dir"], None)
    converged = {key: run.get(key) or "" for key in ("commit", "customer")}
    converged |= {"inputs": run.get("inputs") or {}, "result": result, "time": int(time.time())}
    _manifest.save_converged(params["state_dir"], converged)
    if result != "waiting":
        _files.remove_if_there(os.path.join(params["state_dir"], _reconcile.NEVER_BOOTED))


def now() -> str:
    """The time as it is written everywhere."""
    return _reconcile.clock(time.time())
