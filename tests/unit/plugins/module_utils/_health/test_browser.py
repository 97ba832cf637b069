"""FileBrowser is asked as its first account: by a process that answers as the real one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._health import browser as _browser
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import filebrowser as _filebrowser
from filebrowsers import PASSWORD, FileBrowser

CONTAINER = SimpleNamespace(id="id1", health="healthy")


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack's folder, and the program that runs from it."""
    for name in ("config", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(_paths, "RUNTIME", str(tmp_path / "run"))
    monkeypatch.setattr(_engine, "address", lambda _id, _network: "127.0.0.1")
    found = FileBrowser(tmp_path)
    found.config["server"]["database"] = str(tmp_path / "data/database.db")
    found.serve("a", "b")
    with found.running():
        pass  # that makes the database
    with found.running():
        (tmp_path / "config/config.yaml").write_text(json.dumps(found.config))
        yield found


def observe(stack, container=CONTAINER, may_write=True, patience=0):
    record = {"project_dir": str(stack.folder), "services": {"filebrowser": {"networks": ["traefik-public"]}}}
    return _browser.observe(record, container, "", patience, may_write)


def log_ins(stack):
    """How many log ins of the account the program still takes at once."""
    return [stack.log_in("wrong", X_Forwarded_For=f"192.0.2.{number}")[0] for number in range(8)].count(401)


def test_all_is_well(stack):
    found = observe(stack)
    assert (found.username, found.login, found.accounts) == ("admin", 200, ["admin"])
    assert [(source.name, source.has_access, source.status) for source in found.sources] == [
        ("A", True, 200),
        ("B", True, 200),
    ]


def test_who_was_let_in_is_not_tried_again(stack):
    """Each log in counts against its owner's limit."""
    for _ in range(12):
        assert observe(stack).login == 200
    assert log_ins(stack) == 7


def test_what_may_not_be_noted_is_tried_again(stack):
    for _ in range(2):
        assert observe(stack, may_write=False).login == 200
    assert log_ins(stack) == 6


def test_a_password_that_was_changed_is_noticed_at_once(stack):
    assert observe(stack).login == 200
    headers = {"Authorization": f"Bearer {stack.token()}", "X_Password": PASSWORD}
    put = {"which": ["Password"], "data": {"password": "changed-by-hand"}}
    assert stack.ask("PUT", "api/users?id=1", put, **headers)[0] == 204
    assert observe(stack).login == 401


def test_another_container_is_tried(stack):
    assert observe(stack).login == 200
    stack.log_in("wrong")
    assert observe(stack, SimpleNamespace(id="id2", health="healthy")).login == 200
    assert log_ins(stack) == 5


def test_one_log_in_too_many_is_waited_for(stack):
    assert log_ins(stack) == 8
    assert observe(stack, patience=0).login == 429
    assert observe(stack, patience=60).login == 200


def test_a_source_without_access_and_one_that_is_gone(stack):
    headers = {"Authorization": f"Bearer {stack.token()}", "X_Password": PASSWORD}
    put = {"which": ["Scopes"], "data": {"scopes": [{"name": "B", "scope": "/"}]}}
    assert stack.ask("PUT", "api/users?id=1", put, **headers)[0] == 204
    (stack.folder / "b").rmdir()
    closed, gone = observe(stack).sources
    assert not closed.has_access and closed.message == "user has no access to source: A"
    assert gone.has_access and gone.status == 404


def test_a_disk_that_hangs_is_said_of_that_source(stack, monkeypatch):
    whole = _filebrowser.Api.listing

    def hanging(api, token, source):
        if source == "A":
            raise _filebrowser.Unreachable("FileBrowser gives no answer: TimeoutError: timed out")
        return whole(api, token, source)

    monkeypatch.setattr(_filebrowser.Api, "listing", hanging)
    found = observe(stack)
    assert found.login == 200
    assert [(source.status, source.message[:30]) for source in found.sources] == [
        (0, "FileBrowser gives no answer: T"),
        (200, ""),
    ]


def test_nothing_that_runs_is_nothing_to_ask(stack):
    assert _browser.observe(None, CONTAINER, "", 0, True) is None
    assert observe(stack, None) is None
    assert observe(stack, SimpleNamespace(id="id1", health="starting")) is None
    (stack.folder / "config/config.yaml").write_text("server: {}")
    assert observe(stack) is None


def test_no_answer_is_said(stack, monkeypatch):
    monkeypatch.setattr(_engine, "address", lambda _id, _network: "127.0.0.2")
    found = observe(stack)
    assert found.login == "FileBrowser gives no answer: ConnectionRefusedError: [Errno 111] Connection refused"
    assert (found.accounts, found.sources) == ([], [])
