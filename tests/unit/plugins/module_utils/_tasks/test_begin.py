"""The beginning of a run: reading the guest's configuration."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import generations as _generations
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import begin as _begin
from sample import BOOTSTRAP, CONTROLLER


def warn(text):
    raise AssertionError(text)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("bootstrap", b"{", "bootstrap.json: line 1 column 2: not valid JSON"),
        ("controller", b"", "controller.yaml: found an empty file"),
        ("controller", b"a: [", "controller.yaml: line 1 column 5: not valid YAML"),
        ("compose", b"services: [", "docker-compose.yml: line 1 column 12: not valid YAML"),
        ("compose", b"services: 1", "docker-compose.yml: services: found a number; expected a mapping"),
    ],
)
def test_the_module_reads_all_files_and_reports_what_it_can_not_read(tmp_path, name, content, words):
    files = {
        "bootstrap": tmp_path / "bootstrap.json",
        "controller": tmp_path / "controller.yaml",
        "compose": tmp_path / "docker-compose.yml",
    }
    files["bootstrap"].write_text(json.dumps(BOOTSTRAP))
    files["controller"].write_text(json.dumps(CONTROLLER))
    params = {
        "bootstrap_file": str(files["bootstrap"]),
        "controller_file": str(files["controller"]),
        "filebrowser_compose_file": str(files["compose"]),
        "overrides": {},
        "state_dir": str(tmp_path),
    }
    assert _begin.read_guest(params, warn)[0].state == "configured"
    files[name].write_bytes(content)
    guest, _digests = _begin.read_guest(params, warn)
    assert guest.state == "invalid"
    assert any(words in problem for problem in guest.problems), guest.problems


def test_inputs_are_digested_as_a_converge_does_it(tmp_path):
    """Byte order mark and all, and through a link; nothing where there is no file."""
    (tmp_path / "real.json").write_bytes(b"\xef\xbb\xbf{}")
    (tmp_path / "bootstrap.json").symlink_to("real.json")
    (tmp_path / "folder").mkdir()
    paths = [str(tmp_path / name) for name in ("bootstrap.json", "folder", "none")]
    params = {
        "bootstrap_file": paths[0],
        "controller_file": paths[2],
        "filebrowser_compose_file": paths[2],
        "overrides": {},
        "state_dir": str(tmp_path),
    }
    _guest, read = _begin.read_guest(params, warn)
    assert _state.input_digests(paths) == read
    assert list(read) == paths[:1]


APPLIED = "services: {filebrowser: {volumes: ['/mnt/disk:/srv/disk:ro', '/opt/fb/data:/data']}}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"services: [",
        b"services: 1",
        b"\0" * 3000,
        b"8080: a",
        b"a: 1\na: 2",
        b"\xff",
        b"services: !!python/none x",
    ],
)
def test_a_compose_file_of_ours_that_can_not_be_read_is_made_anew_from_the_record(tmp_path, monkeypatch, content):
    """Nothing else of the guest waits for it: it is ours to write."""
    monkeypatch.setattr(_paths, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(os, "fchown", lambda *_arguments: None)
    generation = {"record": {}, "contents": {"docker-compose.yml": APPLIED}}
    _generations.save(str(tmp_path / "state"), "filebrowser", _generations.GOOD, generation)
    file = tmp_path / "docker-compose.yml"
    file.write_bytes(content)
    told = []
    mounted = _begin.mounted(str(file), told.append)
    assert [(entry["path"], entry["read_only"]) for entry in mounted.storage][0] == ("/mnt/disk", True)
    assert mounted.problem == ""
    assert len(told) == 1 and told[0].startswith(f"{file}: ")
    assert told[0].endswith(". It is rendered anew, with the folders that were applied last")


@pytest.mark.parametrize("record", [None, {"contents": {}}, {"contents": {"docker-compose.yml": "services: ["}}])
def test_without_a_record_it_is_a_problem(tmp_path, monkeypatch, record):
    monkeypatch.setattr(_paths, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(_generations, "load", lambda *_arguments: record)
    file = tmp_path / "docker-compose.yml"
    file.write_bytes(b"")
    mounted = _begin.mounted(str(file), warn)
    assert mounted.storage == [] and mounted.problem.startswith(f"{file}: found an empty file")
