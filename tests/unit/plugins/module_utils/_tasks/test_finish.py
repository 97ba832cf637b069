"""The end of a run."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import finish as _finish


def test_a_report_that_can_not_be_written_is_a_check(tmp_path):
    (tmp_path / "file").touch()
    params = {"run": {}, "state_dir": str(tmp_path), "status_file": str(tmp_path / "file/status.json")}
    (check,) = _finish.record(params, [], {})
    assert (check.id, check.verdict) == ("report", "fail")
    assert check.reason == f"{tmp_path}/file: File exists"
