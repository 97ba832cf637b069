# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging a guest's health, on the guest. Run by guest_look; options and results: base_health_info. Private."""

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
    _metrics,
    _reconcile,
)

_DISKS = ("/", "/var/lib/docker")
_METRICS_DIR = "/var/lib/prometheus/node-exporter"  # Debian's

_LOG_LINES = 200  # of Traefik's log, searched for what it said of certificates
_ANSWER_TIMEOUT = 5.0  # seconds for one answer of the proxy


def run(module: AnsibleModule) -> None:
    """Observe, judge, report."""
    params = module.params
    try:
        checks, facts = look(params, may_probe=not module.check_mode)
        if not module.check_mode:
            checks += record(params, checks, facts)
    finally:
        if params["lock"] and not module.check_mode:
            params["lock"].pop("void")
            _lock.give_back(_lock.Holder(**params["lock"]))
    module.exit_json(changed=False, table=_health.table(socket.gethostname(), checks), **report_of(checks, facts))


def record(params: dict[str, Any], checks: list[_health.Check], facts: dict[str, Any]) -> list[_health.Check]:
    """Write down what was seen, and what the run did. A check for what could not be written."""
    try:
        if params["run"]:
            verdict = _health.verdict(checks)
            write_ledger(params, verdict)
            record_converge(params, verdict)
            facts["converged"] = converged(params["state_dir"])
        report = report_of(checks, facts)
        write_status(params["status_file"], report)
        write_metrics(params["metrics_dir"], report)
    except OSError as error:
        reason = f"{error.filename or params['state_dir']}: {error.strerror}"
        return [_health.Check("report", "fail", reason, "make room on the guest's disk, or see 'dmesg'")]
    return []


def report_of(checks: list[_health.Check], facts: dict[str, Any]) -> dict[str, Any]:
    """What is written, and returned."""
    return {"verdict": _health.verdict(checks), "checks": [check._asdict() for check in checks], "facts": facts}


def look(params: dict[str, Any], may_probe: bool) -> tuple[list[_health.Check], dict[str, Any]]:
    """All checks that apply to the guest's state, and what else a report tells of the guest."""
    facts = {"certificate": {}, "converged": converged(params["state_dir"]), "pins": {}}
    checks = _health_guest.pause_check(_reconcile.pause(params["state_dir"], time.time()))
    if params["waiting_for"]:
        return [*checks, _health_guest.configuration_check(params["waiting_for"])], facts
    checks += _health_guest.converge_check(last_error(params))
    checks += _health_guest.identity_checks(_identity.look())
    checks += [_health_guest.disk_check(space) for space in spaces(_DISKS)]
    try:
        engine, version = _engine.observe(), _engine.get("/version")
    except _engine.EngineError as error:
        return [*checks, _health_guest.engine_check(error)], facts
    never_booted = os.path.exists(os.path.join(params["state_dir"], _reconcile.NEVER_BOOTED))
    checks += _health_guest.golden_check(_identity.golden(), engine, never_booted)
    try:
        stacks = _manifest.load(params["state_dir"])
    except _manifest.ManifestError as error:
        stacks = {}
        checks.append(_health_guest.manifest_check(error))
    else:
        nothing_applied = _health.applied_check(stacks)
        checks += [nothing_applied] if nothing_applied else []
    facts["pins"] = _health.pins(stacks)
    checks.append(_health_guest.engine_api_check(version, facts["pins"].get("traefik", "")))
    of_containers = _health.container_checks(params["protected"], stacks, engine)
    checks += of_containers
    checks += _health.pin_checks(stacks, engine)
    checks.append(_health.network_check(params["network"], engine))
    checks += _health.stack_checks(stacks, engine)
    by_name = {container.name: container for container in engine.containers}
    of_tunnel = tunnel_checks(by_name.get("cloudflared"))
    checks += of_tunnel
    checks += controller_checks(params, stacks, engine, may_probe)
    if params["proxy_host"]:
        answer, encoded, served, redirected = proxy_checks(params)
        certificate, of_certificate = certificate_checks(params["proxy_host"], encoded, by_name.get("traefik"))
        if certificate is not None:
            facts["certificate"] = {"host": params["proxy_host"], **certificate._asdict()}
        checks += [served, redirected, *of_certificate]
        hops = {"tunnel": of_tunnel, "proxy": [redirected], "certificate": of_certificate, "app": []}
        for hop, name in (("tunnel", "cloudflared"), ("proxy", "traefik"), ("app", "filebrowser")):
            hops[hop] = [check for check in of_containers if check.id == f"container.{name}"] + hops[hop]
        app_is_well = all(check.verdict == "ok" for check in hops["app"])
        hops[_health.answering_hop(answer, certificate is not None, app_is_well)].append(served)
        checks.append(_health.probe_check(params["proxy_host"], hops))
    return checks, facts


def converged(state_dir: str) -> dict[str, Any]:
    """When the last converge that ended well was, from which commit, and with which result; {} for none."""
    try:
        record = _manifest.read(state_dir)["converged"]
    except _manifest.ManifestError:
        return {}  # said by its own check
    return {key: record[key] for key in ("time", "commit", "result")} if record else {}


def spaces(paths: tuple[str, ...]) -> list[_health_guest.Space]:
    """The room of each file system that one of the paths lies on."""
    found: dict[int, _health_guest.Space] = {}
    for path in paths:
        try:
            device, room = os.stat(path).st_dev, os.statvfs(path)
        except FileNotFoundError:
            continue
        total = room.f_blocks * room.f_frsize
        free = room.f_bavail * room.f_frsize
        found.setdefault(device, _health_guest.Space(path, free, total, room.f_favail, room.f_files))
    return list(found.values())


def controller_checks(
    params: dict[str, Any], stacks: dict[str, Any], engine: _engine.Engine, may_probe: bool
) -> list[_health.Check]:
    """The controller's host name and paths, and the proof of the latter where it is asked for."""
    try:
        found = _health_controller.checks(engine, params["customer_id"], params["stacks_dir"], stacks)
        if not (params["probe"] and may_probe):
            return found
        # Compiled anew in every execution, and seldom asked for.
        from ansible_collections.felhom.base_infra.plugins.module_utils import _probe

        return found + _probe.check(engine, params["stacks_dir"])
    except _engine.EngineError as error:
        # It may have been recreated since the engine was asked for all.
        return [_health.Check("stack_paths", "degraded", f"not compared: {error}", "ask again")]


def last_error(params: dict[str, Any]) -> str:
    """What the run that asks failed for, or the last one that was recorded."""
    run = params["run"] or _ledger.last(params["state_dir"])
    return str(run.get("error") or "")


def tunnel_checks(container: _engine.Container | None) -> list[_health.Check]:
    """Whether the tunnel is connected, and what it says of it where it is not."""
    lines = log_of(container) if container is not None and container.health != "healthy" else []
    return _health.tunnel_check(container, _health.tunnel_error(lines))


def log_of(container: _engine.Container | None) -> list[str]:
    """The last lines of a container's log."""
    try:
        return _engine.log_lines(container.id, _LOG_LINES) if container is not None else []
    except _engine.EngineError:
        return []  # removed since the engine was asked for all


def proxy_checks(params: dict[str, Any]) -> tuple[int | str, bytes, _health.Check, _health.Check]:
    """What the proxy answers, and with which certificate; asked again until it serves the name or patience is over."""
    host, address = params["proxy_host"], params["proxy_address"]
    end = time.monotonic() + params["patience"]
    while True:
        encrypted = _Https(address, params["proxy_https_port"], host)
        answer, _location = ask(encrypted, host, "/")
        served = _health.proxy_check(host, answer)
        if served.verdict == "ok" or time.monotonic() > end:
            break
        time.sleep(0.1)
    plain = HTTPConnection(address, params["proxy_http_port"], timeout=_ANSWER_TIMEOUT)
    redirected, location = ask(plain, host, "/a?b=c")
    return answer, encrypted.certificate, served, _health.redirect_check(host, redirected, location)


def certificate_checks(
    host: str, encoded: bytes, proxy: _engine.Container | None
) -> tuple[_health.Certificate | None, list[_health.Check]]:
    """The certificate that the proxy serves and what it is worth; none where it serves none, which was said already."""
    if not encoded:
        return None, []
    # Python decodes a certificate only where it has verified it.
    command = ["openssl", "x509", "-inform", "der", "-noout", "-issuer", "-enddate"]
    try:
        printed = subprocess.run(command, input=encoded, capture_output=True, check=False).stdout
        found = _health.parse_certificate(printed.decode(errors="replace"))
    except OSError as error:
        return None, [_health.Check(f"certificate.{host}", "degraded", f"not read: {error}", "install openssl")]
    except ValueError as error:
        return None, [_health.Check(f"certificate.{host}", "fail", str(error), "see 'docker logs traefik'")]
    check = _health.certificate_check(host, found, time.time(), "")
    if check.verdict != "ok":
        check = _health.certificate_check(host, found, time.time(), _health.issuance_error(log_of(proxy)))
    return found, [check]


class _Https(HTTPConnection):
    """A connection that asks for the certificate of a name other than the address, as a browser does; any will do."""

    def __init__(self, address: str, port: int, name: str) -> None:
        super().__init__(address, port, timeout=_ANSWER_TIMEOUT)
        self._name = name
        self.certificate = b""

    def connect(self) -> None:
        super().connect()
        # Not the default context: that reads all authorities which the guest trusts.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        encrypted = context.wrap_socket(self.sock, server_hostname=self._name)
        self.certificate = encrypted.getpeercert(binary_form=True) or b""
        self.sock = encrypted


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
    # A machine that is still the golden image's was converged from afar; its own next run gives it an identity.
    if result != "waiting" and not {"machine-id", "ssh-host-keys"} & set(_identity.look()):
        _files.remove_if_there(os.path.join(params["state_dir"], _reconcile.NEVER_BOOTED))


def now() -> str:
    """The time as it is written everywhere."""
    return _reconcile.clock(time.time())
