"""A guest is looked at as a whole: what applies, what the gate says to the same, and a check that can't be made."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    engine as _engine,
    identity as _identity,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    check as _check,
    inspect as _inspect,
    registry as _registry,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import gate as _gate, state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift
from sample import PIN, engine_for

PARAMS = {
    "waiting_for": "",
    "protected": ["traefik"],
    "network": "traefik-public",
    "proxy_host": "files.example.test",
    "proxy_http_port": 1,
    "proxy_https_port": 1,
    "patience": 0,
    "customer_id": "acme-0001",
    "stacks_dir": "/opt/docker/stacks",
    "probe": True,
    "run": {},
}
VERSION = {"ApiVersion": "1.52", "MinAPIVersion": "1.44", "Version": "29.1.0"}
TICKING = {declared.id: declared for declared in _registry.ASKED if declared.cost == _check.TICK}


class Guest:
    """What health and the gate look at."""

    def __init__(self, stack, engine, root):
        self.stack, self.engine, self.root, self.state = stack, engine, root, root / "state"
        self.state.mkdir()
        self.applied({"traefik": stack.record})

    def applied(self, stacks):
        converged = {"time": int(time.time()), "commit": "", "customer": "", "result": "unchanged", "inputs": {}}
        record = {"version": 1, "stacks": stacks, "converged": converged if stacks else {}}
        (self.state / "manifest.json").write_text(json.dumps(record))

    def failed(self):
        (self.state / "ledger.jsonl").write_text('{"error": "no image"}\n')
        (self.state / "failures.json").write_text('{"number": 1, "last": 1.0, "of": ""}')

    def survey(self, **params):
        checks, facts = _inspect.survey(PARAMS | params, may_probe=True)
        return {check.id: check for check in checks}, facts

    def gate(self):
        settings = _state.Settings(str(self.state), "", "main", "", "", [], "", {})
        return _gate.decide(_gate.observe(settings))

    def drifts(self):
        found = _drift.file_reasons(self.stack.record)
        return {reason.kind for reason in found + _drift.engine_reasons("traefik", self.stack.record, self.engine)}


@pytest.fixture
def guest(applied, tmp_path, monkeypatch):
    found = Guest(*applied, tmp_path)

    def observe():
        if isinstance(found.engine, Exception):
            raise found.engine
        return found.engine

    monkeypatch.setattr(_engine, "observe", observe)
    monkeypatch.setattr(_engine, "get", lambda path: VERSION)
    monkeypatch.setattr(_identity, "observed", list)
    monkeypatch.setattr(_identity, "golden", dict)
    monkeypatch.setattr(_paths, "STATE_DIR", str(found.state))
    monkeypatch.setattr(_paths, "RUNTIME", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/converged").touch()
    return found


def test_a_guest_on_which_all_is_as_it_should_be(guest):
    checks, facts = guest.survey(proxy_host="")
    # The machine of the tests may be short of room.
    assert {check.id for check in checks.values() if check.verdict != "ok"} <= {"disk./", "disk./var/lib/docker"}
    assert {"engine", "engine.api", "container.traefik", "pin.traefik", "network.traefik-public"} <= checks.keys()
    assert checks["stack.traefik"].reason == "as applied"
    assert facts["pins"] == {"traefik": PIN} and facts["converged"]["result"] == "unchanged"
    assert guest.gate() == (False, "nothing to do")


def test_a_guest_that_waits_is_asked_nothing_else(guest):
    checks, _facts = guest.survey(waiting_for="customer.domain in controller.yaml")
    assert list(checks) == ["configuration"]


def test_what_needs_the_engine_is_not_said_without_it(guest):
    guest.engine = _engine.EngineError("no answer from the Docker engine")
    checks, facts = guest.survey()
    assert [name for name in checks if not name.startswith("disk.")] == ["engine"]
    assert (checks["engine"].verdict, checks["engine"].reason) == ("fail", "no answer from the Docker engine")
    assert facts["pins"] == facts["certificate"] == {}


def test_a_proxy_that_does_not_listen(guest):
    checks, facts = guest.survey()
    host = PARAMS["proxy_host"]
    assert [checks[f"{name}.{host}"].verdict for name in ("proxy.https", "proxy.http", "probe")] == ["fail"] * 3
    assert checks[f"probe.{host}"].reason.startswith("stops at the proxy: no answer from the proxy")
    assert f"certificate.{host}" not in checks and facts["certificate"] == {}


@pytest.mark.parametrize(
    "break_it, check_id, reason",
    [
        # All that is asked of the engine fails for the same, and is said once.
        (lambda guest: setattr(guest, "engine", KeyError("Id")), "engine", "not checked: KeyError: 'Id'"),
        (
            lambda guest: setattr(guest, "engine", guest.engine._replace(networks=None)),
            "network",
            "not checked: TypeError: argument of type 'NoneType' is not iterable",
        ),
    ],
)
def test_what_can_not_be_checked_is_one_line_and_the_rest_is_said(guest, break_it, check_id, reason):
    break_it(guest)
    checks, _facts = guest.survey()
    odd = [check for check in checks.values() if check.reason.startswith("not checked: ")]
    assert [(check.id, check.verdict, check.reason) for check in odd] == [(check_id, "degraded", reason)]
    assert any(name.startswith("disk.") for name in checks)


def run_by(**changes):
    return lambda guest: setattr(guest, "engine", engine_for(guest.stack, **changes))


# A state for each check that the gate makes too.
BREAKS = {
    "converge": Guest.failed,
    "engine": lambda guest: setattr(guest, "engine", _engine.EngineError("no answer")),
    "manifest": lambda guest: (guest.state / "manifest.json").write_text("{"),
    "stacks": lambda guest: guest.applied({}),
    "container.{name}": run_by(state="exited", health=""),
    "pin.{name}": run_by(image_id="sha256:other"),
    "network.{network}": lambda guest: setattr(guest, "engine", guest.engine._replace(networks={})),
    "stack.{stack}": lambda guest: (guest.root / "traefik.yml").unlink(),
}


@pytest.mark.parametrize("check_id", TICKING)
def test_the_gate_starts_a_converge_for_what_costs_a_tick(guest, check_id):
    BREAKS[check_id](guest)
    checks, _facts = guest.survey(proxy_host="")
    prefix = check_id.partition("{")[0]
    assert any(name.startswith(prefix) and check.verdict != "ok" for name, check in checks.items())
    assert guest.gate().needed
    if TICKING[check_id].drifts:
        assert guest.drifts() & set(TICKING[check_id].drifts)


def test_the_registry_and_the_gate_know_the_same_drifts():
    named = {kind for declared in TICKING.values() for kind in declared.drifts}
    # What a run that did not end left is nothing that anybody notices; the next converge removes it.
    assert named == set(_drift.KINDS) - {"leftover", "unsettled"}


def test_every_name_is_one_that_a_survey_knows():
    named = {name for declared in _registry.ASKED for name in (*declared.observes, *declared.needs)}
    assert {name for name in named if name not in PARAMS and not hasattr(_inspect.Survey, name)} == set()
