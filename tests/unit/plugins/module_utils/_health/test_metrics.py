"""A report as Prometheus text."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    metrics as _metrics,
)


def test_metrics_for_node_exporter():
    report = {
        "verdict": "fail",
        "checks": [{"id": 'odd"\\\nid', "verdict": "fail", "reason": "", "fix": ""}],
        "facts": {
            "certificate": {"host": "files.example.test", "issuer": "CN=R11", "expires": 1800000000},
            "converged": {"time": 1790000000, "commit": "c0ffee", "result": "unchanged"},
        },
    }
    lines = _metrics.text(report, 1795000000).splitlines()
    assert 'felhom_base_infra_verdict{verdict="fail"} 1' in lines
    assert 'felhom_base_infra_verdict{verdict="ok"} 0' in lines
    assert 'felhom_base_infra_check{check="odd\\"\\\\\\nid",verdict="fail"} 1' in lines
    assert (
        'felhom_base_infra_certificate_expiry_timestamp_seconds{host="files.example.test",issuer="CN=R11"} 1800000000'
        in lines
    )
    assert 'felhom_base_infra_converged_timestamp_seconds{result="unchanged"} 1790000000' in lines
    assert "felhom_base_infra_health_timestamp_seconds 1795000000" in lines
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert {line.split()[2] for line in lines if line.startswith("# TYPE ")} == names
    bare = _metrics.text(report | {"facts": {"certificate": {}, "converged": {}}}, 1795000000)
    assert "certificate" not in bare and "converged" not in bare
