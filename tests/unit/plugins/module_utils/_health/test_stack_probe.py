"""What the probe read, and what it leaves."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._health import stack_probe as _stack_probe
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import controller as _controller

STACKS = "/opt/docker/stacks"


@pytest.mark.parametrize(
    "out, err, verdict, words",
    [
        ("token\n", "", "ok", "was read by a stack"),
        ("", "pulling\ncat: can't open '/probe/token': No such file or directory\n", "fail", "No such file"),
        ("", "", "fail", "it printed nothing"),
        ("another", "", "fail", "it printed nothing"),
    ],
)
def test_what_the_probe_read(out, err, verdict, words):
    (check,) = _controller.stack_probe(_controller.Proof(f"{STACKS}/probe", "token", out, err, 1.0))
    assert (check.id, check.verdict) == ("stack_probe", verdict)
    assert words in check.reason


def test_the_probe_removes_the_folders_that_it_made(tmp_path, monkeypatch):
    """Also where the engine makes what it misses, and on both sides."""
    mine, engines = tmp_path / "inside/stacks", tmp_path / "outside/stacks"

    def docker(*words):
        if "run" in words:
            assert (mine / "felhom-base-infra-probe/data/token").exists()
            (engines / "felhom-base-infra-probe/data").mkdir(parents=True)
        return _stack_probe.subprocess.CompletedProcess(words, 1, "", "cat: no such file")

    monkeypatch.setattr(_stack_probe, "_docker", docker)
    proof = _stack_probe._run(f"{engines}/felhom-base-infra-probe", str(mine), "sha256:0")
    assert proof.err == "cat: no such file"
    assert list(tmp_path.iterdir()) == []
