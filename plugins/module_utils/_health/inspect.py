# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observing a guest and running all checks over what was seen. Private to this collection."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    identity as _identity,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    controller as _controller,
    guest as _guest,
    proxy as _proxy,
    stacks as _stacks,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import Check
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import ledger as _ledger, state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest

_DISKS = ("/", "/var/lib/docker")

_LOG_LINES = 200  # of Traefik's log, searched for what it said of certificates
_ANSWER_TIMEOUT = 5.0  # seconds for one answer of the proxy


def look(params: dict[str, Any], may_probe: bool) -> tuple[list[Check], dict[str, Any]]:
    """All checks that apply to the guest's state, and what else a report tells of the guest."""
    facts = {"certificate": {}, "converged": converged(params["state_dir"]), "pins": {}}
    checks = _guest.pause_check(_state.pause(params["state_dir"], time.time()))
    if params["waiting_for"]:
        return [*checks, _guest.configuration_check(params["waiting_for"])], facts
    checks += _guest.converge_check(last_error(params))
    checks += _guest.identity_checks(_identity.look())
    checks += [_guest.disk_check(space) for space in spaces(_DISKS)]
    try:
        engine, version = _engine.observe(), _engine.get("/version")
    except _engine.EngineError as error:
        return [*checks, _guest.engine_check(error)], facts
    never_booted = os.path.exists(os.path.join(params["state_dir"], _paths.NEVER_BOOTED))
    checks += _guest.golden_check(_identity.golden(), engine, never_booted)
    try:
        stacks = _manifest.load(params["state_dir"])
    except _manifest.ManifestError as error:
        stacks = {}
        checks.append(_guest.manifest_check(error))
    else:
        nothing_applied = _stacks.applied_check(stacks)
        checks += [nothing_applied] if nothing_applied else []
    facts["pins"] = _stacks.pins(stacks)
    checks.append(_guest.engine_api_check(version, facts["pins"].get("traefik", "")))
    of_containers = _stacks.container_checks(params["protected"], stacks, engine)
    checks += of_containers
    checks += _stacks.pin_checks(stacks, engine)
    checks.append(_stacks.network_check(params["network"], engine))
    checks += _stacks.stack_checks(stacks, engine)
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
        hops[_proxy.answering_hop(answer, certificate is not None, app_is_well)].append(served)
        checks.append(_proxy.probe_check(params["proxy_host"], hops))
    return checks, facts


def converged(state_dir: str) -> dict[str, Any]:
    """When the last converge that ended well was, from which commit, and with which result; {} for none."""
    try:
        record = _manifest.read(state_dir)["converged"]
    except _manifest.ManifestError:
        return {}  # said by its own check
    return {key: record[key] for key in ("time", "commit", "result")} if record else {}


def spaces(paths: tuple[str, ...]) -> list[_guest.Space]:
    """The room of each file system that one of the paths lies on."""
    found: dict[int, _guest.Space] = {}
    for path in paths:
        try:
            device, room = os.stat(path).st_dev, os.statvfs(path)
        except FileNotFoundError:
            continue
        total = room.f_blocks * room.f_frsize
        free = room.f_bavail * room.f_frsize
        found.setdefault(device, _guest.Space(path, free, total, room.f_favail, room.f_files))
    return list(found.values())


def controller_checks(
    params: dict[str, Any], stacks: dict[str, Any], engine: _engine.Engine, may_probe: bool
) -> list[Check]:
    """The controller's host name and paths, and the proof of the latter where it is asked for."""
    try:
        found = _controller.checks(engine, params["customer_id"], params["stacks_dir"], stacks)
        if not (params["probe"] and may_probe):
            return found
        # Compiled anew in every execution, and seldom asked for.
        from ansible_collections.felhom.base_infra.plugins.module_utils._health import stack_probe as _stack_probe

        return found + _stack_probe.check(engine, params["stacks_dir"])
    except _engine.EngineError as error:
        # It may have been recreated since the engine was asked for all.
        return [Check("stack_paths", "degraded", f"not compared: {error}", "ask again")]


def last_error(params: dict[str, Any]) -> str:
    """What the run that asks failed for, or the last one that was recorded."""
    run = params["run"] or _ledger.last(params["state_dir"])
    return str(run.get("error") or "")


def tunnel_checks(container: _engine.Container | None) -> list[Check]:
    """Whether the tunnel is connected, and what it says of it where it is not."""
    lines = log_of(container) if container is not None and container.health != "healthy" else []
    return _proxy.tunnel_check(container, _proxy.tunnel_error(lines))


def log_of(container: _engine.Container | None) -> list[str]:
    """The last lines of a container's log."""
    try:
        return _engine.log_lines(container.id, _LOG_LINES) if container is not None else []
    except _engine.EngineError:
        return []  # removed since the engine was asked for all


def proxy_checks(params: dict[str, Any]) -> tuple[int | str, bytes, Check, Check]:
    """What the proxy answers, and with which certificate; asked again until it serves the name or patience is over."""
    host, address = params["proxy_host"], params["proxy_address"]
    end = time.monotonic() + params["patience"]
    while True:
        encrypted = _Https(address, params["proxy_https_port"], host)
        answer, _location = ask(encrypted, host, "/")
        served = _proxy.proxy_check(host, answer)
        if served.verdict == "ok" or time.monotonic() > end:
            break
        time.sleep(0.1)
    plain = HTTPConnection(address, params["proxy_http_port"], timeout=_ANSWER_TIMEOUT)
    redirected, location = ask(plain, host, "/a?b=c")
    return answer, encrypted.certificate, served, _proxy.redirect_check(host, redirected, location)


def certificate_checks(
    host: str, encoded: bytes, proxy: _engine.Container | None
) -> tuple[_proxy.Certificate | None, list[Check]]:
    """The certificate that the proxy serves and what it is worth; none where it serves none, which was said already."""
    if not encoded:
        return None, []
    # Python decodes a certificate only where it has verified it.
    command = ["openssl", "x509", "-inform", "der", "-noout", "-issuer", "-enddate"]
    try:
        printed = subprocess.run(command, input=encoded, capture_output=True, check=False).stdout
        found = _proxy.parse_certificate(printed.decode(errors="replace"))
    except OSError as error:
        return None, [Check(f"certificate.{host}", "degraded", f"not read: {error}", "install openssl")]
    except ValueError as error:
        return None, [Check(f"certificate.{host}", "fail", str(error), "see 'docker logs traefik'")]
    check = _proxy.certificate_check(host, found, time.time(), "")
    if check.verdict != "ok":
        check = _proxy.certificate_check(host, found, time.time(), _proxy.issuance_error(log_of(proxy)))
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
