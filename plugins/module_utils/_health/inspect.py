# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observing a guest, and running all checks over what was found. Private to this collection."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import time
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    identity as _identity,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    access as _access,
    browser as _browser,
    check as _check,
    controller as _controller,
    registry as _registry,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import (
    browser as _of_browser,
    controller as _of_controller,
    guest as _of_guest,
    proxy as _of_proxy,
    stacks as _of_stacks,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import ledger as _ledger, state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift, manifest as _manifest

_DISKS = ("/", "/var/lib/docker")
_PROXY = "127.0.0.1"  # its ports are published on all addresses
PROXY_CONTAINER = "traefik"

_LOG_LINES = 200  # of a log that is searched for what is wrong
_ANSWER_TIMEOUT = 5.0  # seconds for one answer of the proxy


def survey(params: dict[str, Any], may_probe: bool) -> tuple[list[_check.Check], dict[str, Any]]:
    """All checks that apply to the guest's state, and what else a report says of the guest."""
    survey = Survey(params, may_probe)
    return _check.run(_registry.ASKED, survey.get), survey.facts()


def converged() -> dict[str, Any]:
    """When the last converge that ended well was, from which commit, and with which result; {} for none."""
    try:
        record = _manifest.read(_paths.STATE_DIR)["converged"]
    except _manifest.ManifestError:
        return {}  # said by its own check
    return {key: record[key] for key in ("time", "commit", "result")} if record else {}


class Survey:
    """What is observed of a guest: each thing when it is first asked for, and then once. Names are those of checks."""

    def __init__(self, params: dict[str, Any], may_probe: bool) -> None:
        self._params = params
        self._may_probe = may_probe

    def get(self, name: str) -> Any:
        """An option of the one who asks, or something observed."""
        return self._params[name] if name in self._params else getattr(self, name)

    def facts(self) -> dict[str, Any]:
        """What a report says beside the checks."""
        facts = {"certificate": {}, "converged": converged(), "pins": {}}
        # What can't be observed was said by the check that asks for it.
        with contextlib.suppress(Exception):
            if self.configured and self.engine:
                facts["pins"] = _of_stacks.pins(self.stacks)
                served = self.served if self._params["proxy_host"] else None
                if served and served.certificate:
                    facts["certificate"] = {"host": self._params["proxy_host"], **served.certificate._asdict()}
        return facts

    @cached_property
    def configured(self) -> bool:
        return not self._params["waiting_for"]

    @cached_property
    def now(self) -> float:
        return time.time()

    @cached_property
    def pause(self) -> _state.Pause | None:
        return _state.pause(_paths.STATE_DIR, self.now)

    @cached_property
    def last_error(self) -> str:
        """What the run that asks failed for, or the last one that was recorded."""
        run = self._params["run"] or _ledger.last(_paths.STATE_DIR)
        return str(run.get("error") or "")

    @cached_property
    def shared_identity(self) -> list[str]:
        return _identity.observed()

    @cached_property
    def golden_image(self) -> dict[str, Any]:
        return _identity.golden()

    @cached_property
    def never_booted(self) -> bool:
        return os.path.exists(os.path.join(_paths.STATE_DIR, _paths.NEVER_BOOTED))

    @cached_property
    def spaces(self) -> list[_of_guest.Space]:
        """The room of each file system that one of the paths lies on."""
        found: dict[int, _of_guest.Space] = {}
        for path in _DISKS:
            try:
                device, room = os.stat(path).st_dev, os.statvfs(path)
            except FileNotFoundError:
                continue
            total = room.f_blocks * room.f_frsize
            free = room.f_bavail * room.f_frsize
            found.setdefault(device, _of_guest.Space(path, free, total, room.f_favail, room.f_files))
        return list(found.values())

    @cached_property
    def _asked(self) -> tuple[_engine.Engine | None, dict[str, Any], str]:
        """What the engine has and its version, or why it does not answer."""
        try:
            return _engine.observe(), _engine.get("/version"), ""
        except _engine.EngineError as error:
            return None, {}, str(error)

    @property
    def engine(self) -> _engine.Engine | None:
        return self._asked[0]

    @property
    def version(self) -> dict[str, Any]:
        return self._asked[1]

    @property
    def engine_error(self) -> str:
        return self._asked[2]

    @cached_property
    def _recorded(self) -> tuple[dict[str, Any], str]:
        """The stacks that were applied, or why their record can't be read."""
        try:
            return _manifest.load(_paths.STATE_DIR), ""
        except _manifest.ManifestError as error:
            return {}, str(error)

    @property
    def stacks(self) -> dict[str, Any]:
        return self._recorded[0]

    @property
    def manifest_error(self) -> str:
        return self._recorded[1]

    @property
    def traefik_pin(self) -> str:
        return _of_stacks.pins(self.stacks).get("traefik", "")

    @cached_property
    def drift(self) -> dict[str, list[str]]:
        """What differs from the record of each stack."""
        engine = self.engine
        return {name: drift_of(name, record, engine) for name, record in self.stacks.items()} if engine else {}

    def _container(self, name: str) -> _engine.Container | None:
        containers = self.engine.containers if self.engine else ()
        return next((container for container in containers if container.name == name), None)

    @property
    def tunnel(self) -> _engine.Container | None:
        return self._container("cloudflared")

    @cached_property
    def tunnel_log(self) -> list[str]:
        return log_of(self.tunnel)

    @cached_property
    def access(self) -> list[_of_stacks.Access]:
        return _access.observe(self._container("filebrowser")) if "filebrowser" in self.stacks else []

    @cached_property
    def browser(self) -> _of_browser.Browser | None:
        container = self._container("filebrowser")
        said = _of_browser.start_error(log_of(container))
        return _browser.observe(
            self.stacks.get("filebrowser"), container, said, self._params["patience"], self._may_probe
        )

    @cached_property
    def controller(self) -> _of_controller.Sight | None:
        return _controller.observe(self.engine, self._params["stacks_dir"], self.stacks) if self.engine else None

    @cached_property
    def is_to_prove(self) -> bool:
        return self._params["probe"] and self._may_probe

    @cached_property
    def proof(self) -> _of_controller.Proof:
        # Compiled anew in every execution, and seldom asked for.
        from ansible_collections.felhom.base_infra.plugins.module_utils._health import stack_probe as _stack_probe

        return _stack_probe.prove(self.controller, self._container(_stack_probe.IMAGE_OF), self._params["stacks_dir"])

    @cached_property
    def answers(self) -> _of_proxy.Answers:
        """What the proxy answers; asked again until it serves the name or patience is over."""
        params = self._params
        host, address = params["proxy_host"], _PROXY
        end = time.monotonic() + params["patience"]
        while True:
            encrypted = _Https(address, params["proxy_https_port"], host)
            answer, _location = ask(encrypted, host, "/")
            answers = _of_proxy.Answers(answer, encrypted.certificate)
            if _check.verdict(_of_proxy.https(host, answers)) == "ok" or time.monotonic() > end:
                break
            time.sleep(0.1)
        plain = HTTPConnection(address, params["proxy_http_port"], timeout=_ANSWER_TIMEOUT)
        status, location = ask(plain, host, "/a?b=c")
        return answers._replace(http=status, location=location)

    @cached_property
    def served(self) -> _of_proxy.Served | None:
        """The certificate that the proxy serves; None where it serves none, which another check says."""
        if not self.answers.certificate:
            return None
        # Python decodes a certificate only where it has verified it.
        command = ["openssl", "x509", "-inform", "der", "-noout", "-issuer", "-enddate"]
        try:
            printed = subprocess.run(command, input=self.answers.certificate, capture_output=True, check=False).stdout
            served = _of_proxy.Served(_of_proxy.parse_certificate(printed.decode(errors="replace")))
        except (OSError, ValueError) as error:
            return _of_proxy.Served(None, error)
        if _of_proxy.is_good(served.certificate, self.now):
            return served
        return served._replace(said=_of_proxy.issuance_error(log_of(self._container(PROXY_CONTAINER))))

    @cached_property
    def certificate_tries(self) -> int:
        """How many times the proxy was made to ask again."""
        tried = _state.certificate(_paths.STATE_DIR)
        return tried.number if tried else 0

    @cached_property
    def hops(self) -> dict[str, list[_check.Check]]:
        """The checks of each hop of a browser's request."""
        host = self._params["proxy_host"]
        of_containers = _of_stacks.container(self._params["protected"], self.stacks, self.engine)

        def of_container(name: str) -> list[_check.Check]:
            return [check for check in of_containers if check.id == f"container.{name}"]

        hops = {
            # Of two that are as bad, the first is what the probe says; the log knows more than the engine.
            "tunnel": _of_proxy.tunnel(self.tunnel, self.tunnel_log) + of_container("cloudflared"),
            "proxy": of_container("traefik") + _of_proxy.http(host, self.answers),
            "certificate": _of_proxy.certificate(host, self.served, self.now, self.certificate_tries),
            "app": of_container("filebrowser"),
        }
        app_is_healthy = all(check.verdict == "ok" for check in hops["app"])
        proxy_is_alive = self.served is not None and self.served.certificate is not None
        answering = _of_proxy.answering_hop(self.answers.https, proxy_is_alive, app_is_healthy)
        hops[answering] += _of_proxy.https(host, self.answers)
        return hops


def drift_of(name: str, record: dict[str, Any], engine: _engine.Engine) -> list[str]:
    """What differs between a stack and its record."""
    try:
        found = _drift.file_reasons(record) + _drift.unit_reasons(record)
        return [reason.text for reason in found + _drift.engine_reasons(name, record, engine)]
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]


def log_of(container: _engine.Container | None) -> list[str]:
    """The last lines of a container's log since it was started."""
    try:
        return _engine.log_lines(container.id, _LOG_LINES, _engine.started(container.id)) if container else []
    except _engine.EngineError:
        return []  # removed since the engine was asked for all


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
