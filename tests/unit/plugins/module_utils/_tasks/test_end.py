"""The end of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    inspect as _inspect,
    registry as _registry,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import end as _end
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _options


def test_a_report_that_can_not_be_written_is_a_check(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(_paths, "STATE_DIR", str(tmp_path / "file"))
    (check,) = _end.record({"run": {}, "metrics_dir": ""}, [], {})
    assert (check.id, check.verdict) == ("report", "fail")
    assert check.reason == f"{tmp_path}/file: File exists"


@pytest.mark.parametrize("run", [{"kind": "converge"}, {}])
def test_the_end_hands_over_what_the_run_did(monkeypatch, run):
    """And no name of it hides something that is observed."""
    seen = {}
    monkeypatch.setattr(_inspect, "survey", lambda params, may_probe: seen.update(params) or ([], {"certificate": {}}))
    monkeypatch.setattr(_end, "record", lambda *_arguments: [])
    monkeypatch.setattr(_end._remedies, "heal", lambda *_arguments: False)
    stacks = {"traefik": {"changed": True, "state": "kept"}}
    asked = {"stacks_of_run": stacks, "pending": [], "error": "no network", "run": run, "holder": None}
    found = _end.end(SimpleNamespace(check_mode=False), asked)
    assert (found["stacks"], found["error"]) == (stacks, "no network")
    assert seen["run"] == (run | {"stacks": stacks, "error": "no network"} if run else {})
    observed = {name for each in _registry.ASKED for name in (*each.observes, *each.needs)}
    assert observed & set(asked) <= set(_options.END)
