"""The end of a run."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import end as _end


def test_a_report_that_can_not_be_written_is_a_check(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(_paths, "STATE_DIR", str(tmp_path / "file"))
    (check,) = _end.record({"run": {}, "metrics_dir": ""}, [], {})
    assert (check.id, check.verdict) == ("report", "fail")
    assert check.reason == f"{tmp_path}/file: File exists"
