"""What FileBrowser needs of a change beside its start: with a process that does what the real one does."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import commands as _commands, engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    aftercare as _aftercare,
    filebrowser as _filebrowser,
    wait as _wait,
)
from filebrowsers import PASSWORD, FileBrowser

NEW = "second-password"


class Guest:
    """A stack with one container, which is a process on loopback."""

    def __init__(self, folder, stack: contextlib.ExitStack):
        self.browser, self._all = FileBrowser(folder), stack
        self._running: contextlib.ExitStack | None = None
        self.container, self.restarts = 0, 0
        self.before: dict[str, dict] = {}

    def configure(self, *names, password=PASSWORD):
        self.browser.serve(*names)
        self.browser.config["auth"]["adminPassword"] = password

    def _start(self):
        if self._running:
            self._running.close()
        self._running = self._all.enter_context(contextlib.ExitStack())
        self._running.enter_context(self.browser.running())

    def restart(self, words, **_options):
        assert words == ["docker", "restart", f"id{self.container}"]
        self.restarts += 1
        self._start()
        return 0, "", ""

    def observe(self):
        return _engine.Engine(
            [SimpleNamespace(project="files", service="filebrowser", id=f"id{self.container}")], {}, {}
        )

    def generation(self):
        return {
            "program": "filebrowser",
            "contents": {"config/config.yaml": yaml.safe_dump(self.browser.config)},
            "record": {
                "project_dir": str(self.browser.folder),
                "services": {"filebrowser": {"networks": ["traefik-public"]}},
            },
            "ids_before": {"filebrowser": f"id{self.container}"},
        }

    def change(self):
        """Start a container with what is configured, and see it through. Returns why it does not serve."""
        generation = self.generation()
        self.container += 1
        self.restarts = 0
        self._start()
        failed = _aftercare.take({"files": generation}, self.before, set())
        if not failed:
            self.before = {"files": generation}
        return failed.get("files", "")

    def links(self, password=PASSWORD):
        account = self.browser.account(self.browser.token(password))
        return [link["name"] for link in account["sidebarLinks"] if link["category"] == "source"]


@pytest.fixture
def guest(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        found = Guest(tmp_path, stack)
        monkeypatch.setattr(_engine, "observe", found.observe)
        monkeypatch.setattr(_engine, "address", lambda _id, _network: "127.0.0.1")
        monkeypatch.setattr(_commands, "run", found.restart)
        monkeypatch.setattr(_wait, "wait", lambda _generations, _healthy: {})
        yield found


@pytest.fixture
def settled(guest):
    """One with two sources that has been started before."""
    guest.configure("a", "b")
    assert guest.change() == ""
    return guest


def test_tokens_of_the_first_day_survive(guest):
    guest.configure("a")
    assert guest.change() == "" and guest.restarts == 1
    token = guest.browser.token()
    guest.restart(["docker", "restart", "id1"])
    assert guest.browser.list("A", token)[0] == 200


def test_a_first_start_is_followed_by_another_at_once(guest):
    """While other stacks are still started; the settling then finds nothing to do."""
    guest.configure("a")
    begin = _aftercare.at_the_start("files", guest.generation())
    guest.container += 1
    guest._start()
    begin()
    assert guest.restarts == 1
    guest.before = {}
    assert _aftercare.take({"files": guest.generation() | {"ids_before": {}}}, {}, set()) == {}
    assert guest.restarts == 1


def test_a_first_start_that_never_answers_is_left_to_the_settling(guest, monkeypatch):
    monkeypatch.setattr(_aftercare, "_FIRST_ANSWER", 0.2)
    guest.configure("a")
    begin = _aftercare.at_the_start("files", guest.generation())
    begin()
    assert guest.restarts == 0


def test_a_database_that_is_there_needs_no_second_start(guest):
    guest.configure("a")
    (guest.browser.folder / "data").mkdir()
    (guest.browser.folder / "data/database.db").touch()
    _aftercare.at_the_start("files", guest.generation())()
    assert guest.restarts == 0


def test_one_whose_database_exists_needs_no_restart(settled):
    assert settled.change() == "" and settled.restarts == 0


def test_a_swapped_source_and_a_new_password_are_carried_through(settled):
    settled.configure("a", "c", password=NEW)
    assert settled.change() == "" and settled.restarts == 1
    token = settled.browser.token(NEW)
    for source in ("A", "C"):
        assert settled.browser.list(source, token)[0] == 200
        assert settled.browser.upload(source, token) == 200 and settled.browser.webdav(source, token) == 207
    assert settled.links(NEW) == ["A", "C"]


def test_a_removed_source_leaves_no_link_over_which_a_later_change_falls(settled):
    settled.configure("a")
    assert settled.change() == "" and settled.restarts == 0
    settled.configure("a", password=NEW)
    assert settled.change() == "" and settled.restarts == 0
    assert settled.browser.list("A", settled.browser.token(NEW))[0] == 200


def test_an_added_source_is_shown(settled):
    settled.configure("a", "b", "c")
    assert settled.change() == "" and settled.restarts == 0
    assert settled.links() == ["A", "B", "C"]


def test_the_way_back(settled):
    """Rolled back, for instance since another stack failed: the links are those of before."""
    settled.configure("a", "c")
    assert settled.change() == ""
    settled.configure("a", "b")
    assert settled.change() == ""
    token = settled.browser.token()
    assert settled.browser.list("B", token)[0] == 200
    assert settled.links() == ["A", "B"]


def test_a_guest_that_an_earlier_version_locked_out_is_opened(settled):
    """Nothing is known of the configuration before."""
    settled.configure("a", "c", password=NEW)
    settled.before = {}
    assert settled.change() == ""
    assert settled.browser.list("C", settled.browser.token(NEW))[0] == 200


def test_a_password_changed_in_the_browser_is_no_obstacle(settled):
    """The update fails, so neither the password of the file nor the one before is the account's."""
    token = settled.browser.token()
    headers = {"Authorization": f"Bearer {token}", "X_Password": PASSWORD}
    put = {"which": ["Password"], "data": {"password": "changed-by-hand"}}
    assert settled.browser.ask("PUT", "api/users?id=1", put, **headers)[0] == 204
    settled.configure("a", "c")
    assert settled.change() == ""
    assert settled.browser.list("C", settled.browser.token())[0] == 200


def test_other_accounts_see_a_swapped_source_too(settled):
    headers = {"Authorization": f"Bearer {settled.browser.token()}", "X_Password": PASSWORD}
    account = {"which": [], "data": {"username": "aunt", "password": "password-of-aunt"}}
    assert settled.browser.ask("POST", "api/users", account, **headers)[0] == 201
    settled.configure("a", "c")
    assert settled.change() == ""
    status, token = settled.browser.log_in("password-of-aunt", "aunt")
    assert status == 200 and settled.browser.list("C", token)[0] == 200


def test_one_who_has_hidden_all_links_has_none_later(settled):
    headers = {"Authorization": f"Bearer {settled.browser.token()}"}
    put = {"which": ["SidebarLinks"], "data": {"sidebarLinks": []}}
    assert settled.browser.ask("PUT", "api/users?id=1", put, **headers)[0] == 204
    settled.configure("a", "c")
    assert settled.change() == ""
    assert settled.links() == []


def test_what_a_change_makes_worse_is_a_failure(settled, monkeypatch):
    monkeypatch.setattr(_filebrowser.Api, "set_links", lambda *_words: None)
    settled.configure("a", "c")
    assert settled.change() == "admin has no access to C"
    settled.configure("a", "b", "c", password=NEW)
    assert settled.change() == ""
    settled.configure("a", "c", password="third-password")
    assert settled.change() == "admin is not let in with the password in secrets/admin_password"


def test_an_account_that_there_is_not_is_no_fault_of_the_change(settled):
    """FileBrowser makes the account of its configuration only with its database. Health says it."""
    settled.browser.config["auth"]["adminUsername"] = "boss"
    assert settled.change() == ""


def test_what_gives_no_answer_is_no_fault_of_the_change(settled, monkeypatch):
    monkeypatch.setattr(_engine, "address", lambda _id, _network: "127.0.0.2")
    settled.configure("a", "c")
    assert settled.change() == ""


def test_a_container_that_is_the_same_is_asked_nothing(settled, monkeypatch):
    monkeypatch.setattr(_engine, "address", lambda *_words: pytest.fail("asked"))
    assert _aftercare.take({"files": settled.generation()}, settled.before, set()) == {}
    other = settled.generation() | {"program": ""}
    assert _aftercare.take({"files": other}, {}, set()) == {}


def test_a_log_in_too_many_is_no_fault_of_the_change(settled):
    settled.configure("a", "c")
    settled.change()
    for _ in range(8):
        settled.browser.log_in("wrong")
    # With a container of its own the limit begins anew; here it is the one that was asked too often.
    config = settled.browser.config
    found = _filebrowser.state(
        _filebrowser.Api("127.0.0.1", settled.browser.port), _filebrowser.settings(yaml.safe_dump(config))
    )
    assert found.login == 429 and found.retry_after > 0
    assert _filebrowser.failure(found, _filebrowser.settings(yaml.safe_dump(config))) == ""


def text(sources=("a",), **auth):
    config = FileBrowser.__new__(FileBrowser)
    config.config = {"server": {"port": 1}, "auth": {"adminUsername": "admin", "adminPassword": PASSWORD, "key": "k"}}
    config.config["auth"] |= {"methods": {"password": {"minLength": 12}}} | auth
    config.config["server"]["sources"] = [
        {"path": f"/srv/mnt/{number}", "name": name, "config": {}} for number, name in enumerate(sources)
    ]
    return json.dumps(config.config)


@pytest.mark.parametrize(
    "rendered, words",
    [
        (text(["Disk", "Photos", "Disk"]), "two sources have the name Disk: /mnt/0 and /mnt/2."),
        (text(["\U0001f4f7", "\U0001f4f7"]), "two sources have the name \U0001f4f7: /mnt/0 and /mnt/1."),
        (text(adminPassword="hunter2hunt"), "found a password shorter than 12 bytes, which FileBrowser does not take"),
        (text(adminPassword="x" * 73), "found a password longer than 72 bytes, which FileBrowser does not take"),
        (text(adminPassword="hunter2-hunter2\nhunter2"), "found more than a line of text"),
        ("server: {}", "config/config.yaml: found no 'auth'"),
    ],
)
def test_what_would_let_nobody_in_is_refused_in_one_line(rendered, words):
    files = {"config/config.yaml": SimpleNamespace(data=rendered.encode())}
    said = _aftercare.refusal("filebrowser", files)
    assert words in said and "\n" not in said and "hunter2" not in said


@pytest.mark.parametrize("password", ["x" * 12, "x" * 72, "Grüße-von-hier", "0123456789012 # ' \" {{ x }}"])
def test_what_lets_somebody_in_is_not(password):
    files = {"config/config.yaml": SimpleNamespace(data=text(["Disk", "Photos"], adminPassword=password).encode())}
    assert _aftercare.refusal("filebrowser", files) == ""
    assert _aftercare.refusal("", {}) == ""


def test_what_is_not_json_is_no_content():
    assert _filebrowser.Answer(200, "token", 0).content is None
    assert _filebrowser.Answer(500, "page", 0).message == ""
