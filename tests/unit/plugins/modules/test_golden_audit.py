"""The audit's report: what must not be in an image, from every place where it may be."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import (
    audit as _audit,
    secret_scan as _secret_scan,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, identity as _identity
from ansible_collections.felhom.base_infra.plugins.modules import golden_audit
from sample import SECRET

NETWORKS = [{"Name": name} for name in ("bridge", "host", "none")]
EMPTY = {"/containers/json?all=1": [], "/volumes": {"Volumes": None, "Warnings": None}, "/networks": NETWORKS}


@pytest.fixture
def image(tmp_path, monkeypatch):
    """A clean, sealed image: its files below a folder, and what its engine answers."""
    engine = dict(EMPTY)
    (tmp_path / "etc/felhom-bootstrap").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("")
    files = _audit.files
    monkeypatch.setattr(_engine, "get", engine.__getitem__)
    monkeypatch.setattr(_audit, "files", lambda _root, *rest: files(str(tmp_path), *rest))
    monkeypatch.setattr(_identity, "MACHINE_ID", str(tmp_path / "etc/machine-id"))
    for name in ("_MUST_BE_ABSENT", "_SEALED_AWAY"):
        patterns = [f"{tmp_path}{pattern}" for pattern in getattr(golden_audit, name)]
        monkeypatch.setattr(golden_audit, name, patterns)
    return tmp_path, engine


def audit(execute, image, **arguments):
    return execute(golden_audit.main, {"mirror": f"{image[0]}/mirror.git"} | arguments)


def told(result, image):
    """Path and kind of each finding, below the image's root."""
    return [(finding["path"].removeprefix(str(image[0])), finding["kind"]) for finding in result["findings"]]


def test_a_clean_image(execute, image):
    (image[0] / "readme").write_text("nothing")
    result = audit(execute, image)
    assert (result["findings"], result["changed"], "failed" in result) == ([], False, False)
    assert result["looked_at"] == {"files": 1, "bytes": 7, "packaged": 0, "unreadable": []}


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/etc/felhom-bootstrap/bootstrap.json", "left by a customer"),
        ("/opt/docker/stacks", "left by a customer"),
        ("/var/lib/felhom-base-infra/generations", "left by a customer"),
        ("/var/lib/felhom-base-infra/ledger.jsonl.1", "not sealed"),
        ("/etc/ssh/ssh_host_ed25519_key", "not sealed"),
        ("/var/lib/docker/engine-id", "not sealed"),
    ],
)
def test_what_a_customer_or_a_run_left(execute, image, path, kind):
    (image[0] / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (image[0] / path[1:]).touch()
    result = audit(execute, image)
    assert told(result, image) == [(path, kind)]
    assert result["failed"] and result["msg"] == f"the image is not clean: {image[0]}{path}: {kind}"
    assert ("failed" in audit(execute, image, sealed=False)) == (kind != "not sealed")


def test_a_machine_id(execute, image):
    (image[0] / "etc/machine-id").write_text("0" * 32 + "\n")
    assert told(audit(execute, image), image) == [("/etc/machine-id", "not sealed")]
    assert told(audit(execute, image, sealed=False), image) == []


def test_what_is_left_in_the_engine(execute, image):
    image[1]["/containers/json?all=1"] = [{"Id": "c" * 64, "Names": ["/traefik"], "State": "exited"}]
    image[1]["/volumes"] = {"Volumes": [{"Name": "felhom-controller-data"}]}
    image[1]["/networks"] = [*NETWORKS, {"Name": "traefik-public"}]
    assert told(audit(execute, image), image) == [
        ("container traefik", "left in the engine"),
        ("volume felhom-controller-data", "left in the engine"),
        ("network traefik-public", "left in the engine"),
    ]


def test_an_engine_that_does_not_answer_is_not_clean(execute, image, monkeypatch):
    def none(_path):
        raise _engine.EngineError("no answer from the Docker engine")

    monkeypatch.setattr(_engine, "get", none)
    assert told(audit(execute, image), image) == [("engine", "can't be asked: no answer from the Docker engine")]


def test_a_known_secret_is_found_and_not_said(execute, image):
    (image[0] / "env").write_text(f"PASSWORD={SECRET}\n")
    fingerprints = _secret_scan.fingerprints("hub password", SECRET)
    result = audit(execute, image, fingerprints=fingerprints)
    assert told(result, image) == [("/env", "hub password")]
    assert result["msg"] == f"the image is not clean: {image[0]}/env: hub password at byte 9"
    assert SECRET not in str(result)


def test_what_can_not_be_read_is_not_clean(execute, image, monkeypatch):
    def unreadable(_root, _known, tally):
        tally.unreadable.append("/bad-block: Input/output error")
        return iter(())

    monkeypatch.setattr(_audit, "files", unreadable)
    assert told(audit(execute, image), image) == [("/bad-block: Input/output error", "can't be read")]


def test_the_mirror_s_history_is_looked_through(execute, image):
    (image[0] / "mirror.git").mkdir()
    result = audit(execute, image)
    assert told(result, image) == [("/mirror.git", "a history that can't be read")]


def test_what_is_allowed_is_reported_with_the_reason(execute, image):
    (image[0] / "opt/docker/stacks").mkdir(parents=True)
    allow = [{"path": "*/opt/docker/*", "reason": "an image with stacks"}]
    result = audit(execute, image, allow=allow)
    assert "failed" not in result and result["findings"] == []
    (entry,) = result["allowed"]
    assert (entry["kind"], entry["reason"]) == ("left by a customer", "an image with stacks")


def test_a_long_list_is_cut_in_the_message_and_whole_in_the_result(execute, image):
    image[1]["/volumes"] = {"Volumes": [{"Name": f"v{number}"} for number in range(25)]}
    result = audit(execute, image)
    assert result["msg"].endswith("volume v19: left in the engine; and 5 more")
    assert len(result["findings"]) == 25


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"fingerprints": [{"name": "x"}]}, "fingerprint 1: expected what the filter secret_fingerprints makes"),
        ({"allow": [{"path": "/x"}]}, "missing required arguments: reason found in allow"),
    ],
)
def test_arguments_that_are_refused(execute, image, arguments, message):
    result = audit(execute, image, **arguments)
    assert result["failed"] and result["msg"] == message
