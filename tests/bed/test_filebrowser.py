"""What the stand-in for FileBrowser does as the real one does it: each test names the fact.

The facts are those of "FileBrowser 1.5.5" among what was measured of the real programs. One that only was read in the
program's source says so.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values
from filebrowsers import KEY, PASSWORD, FileBrowser, admin

NO_CAPABILITY = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.fixture
def browser(tmp_path) -> FileBrowser:
    made = FileBrowser(tmp_path)
    made.serve("a", "b")
    return made


def test_the_first_process_signs_with_a_random_key(browser):
    """quickSetup sets Auth.Key to a random key in the process that makes the database, also when auth.key is given. All
    its sessions, API and WebDAV tokens are 401 after its first restart. From the second process on auth.key holds.
    """
    with browser.running():
        first = browser.token()
        assert browser.list("A", first)[0] == 200 and browser.webdav("A", first) == 207
        assert browser.list("A", admin(KEY))[0] == 401
    with browser.running():
        assert browser.list("A", first)[0] == 401 and browser.webdav("A", first) == 401
        assert browser.list("A", admin(KEY))[0] == 200
        second = browser.token()
    with browser.running():
        assert browser.list("A", second)[0] == 200 and browser.webdav("A", second) == 207


def test_without_a_key_anybody_is_let_in_later(browser):
    """Read: nothing loads the random key back, so without auth.key later processes sign with the empty one."""
    del browser.config["auth"]["key"]
    with browser.running():
        assert browser.list("A", admin(""))[0] == 401
    with browser.running():
        assert browser.list("A", admin(""))[0] == 200


def test_the_database_holds_the_first_configuration(browser):
    """It saves its whole configuration into database.db: the first admin password is in it, plain (mode 0600)."""
    with browser.running():
        pass
    database = browser.folder / "database.db"
    assert PASSWORD.encode() in database.read_bytes()
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_each_start_sets_the_password_of_the_file(browser):
    """Each start: admin's password is set from the file ("Resetting admin user to default username and password.")."""
    with browser.running():
        pass
    browser.config["auth"]["adminPassword"] = "second-password"
    with browser.running():
        assert browser.log_in()[0] == 401
        assert browser.log_in("second-password")[0] == 200
    assert "Resetting admin user to default username and password." in browser.log


def test_a_new_source_beside_old_ones_is_given_to_all(browser):
    """Scopes are set at each start: a source that is there by default is everybody's."""
    with browser.running():
        pass
    browser.serve("a", "b", "c")
    with browser.running():
        token = browser.token()
        assert browser.list("C", token)[0] == 200
        # But the links, which are what is shown, stay as they are while one of them is good.
        links = [link["name"] for link in browser.account(token)["sidebarLinks"]]
        assert links == ["A", "B", "Tools"]


def locked_out(browser: FileBrowser) -> None:
    """One of two sources is swapped, and the password changed."""
    with browser.running():
        pass
    browser.serve("a", "c")
    browser.config["auth"]["adminPassword"] = "second-password"


def test_one_gone_source_makes_the_whole_update_fail(browser):
    """Password, scopes and links are set in ONE update, which fails whole, with one ERROR line and a healthy program,
    when a link names a source that is gone while another is good: the new source answers nobody, the new password is
    ignored, only the last good one works.
    """
    locked_out(browser)
    with browser.running():
        assert browser.ask("GET", "health")[0] == 200
        assert browser.log_in("second-password")[0] == 401
        token = browser.token()
        assert browser.list("A", token)[0] == 200
        # Of the list the status was read (errToStatus), of the other two it was seen.
        status, answer = browser.list("C", token)
        assert (status, answer["message"]) == (500, "user has no access to source: C")
        assert browser.upload("C", token) == 403 and browser.webdav("C", token) == 403
    errors = [line for line in browser.log.splitlines() if '"error"' in line]
    assert len(errors) == 1
    assert f"could not update user: source not found: {browser.folder}/b (link name: B)" in errors[0]


def test_the_api_mends_it(browser):
    """Cured by PUT /api/users?id=1 (X-Password: current one) with which [SidebarLinks] and links without the gone one
    (the API does not even show that one), then a restart.
    """
    locked_out(browser)
    with browser.running():
        token = browser.token()
        account = browser.account(token)
        assert [link["name"] for link in account["sidebarLinks"]] == ["A", "Tools"]
        assert [scope["name"] for scope in account["scopes"]] == ["A"]
        put = {"which": ["SidebarLinks"], "data": {"sidebarLinks": account["sidebarLinks"]}}
        headers = {"Authorization": f"Bearer {token}", "X_Password": PASSWORD}
        assert browser.ask("PUT", "api/users?id=1", put, **headers)[0] == 204
        assert browser.list("C", token)[0] == 500
    with browser.running():
        token = browser.token("second-password")
        assert browser.list("C", token)[0] == 200 and browser.upload("C", token) == 200


def test_a_link_to_a_source_that_is_not_there_is_not_taken(browser):
    """Read (GetBackendSidebarLinks): the API refuses what the start refuses."""
    with browser.running():
        links = [{"name": "B", "category": "source", "target": "/", "icon": "", "sourceName": "Nowhere"}]
        put = {"which": ["sidebarLinks"], "data": {"sidebarLinks": links}}
        token = browser.token()
        status, _headers, text = browser.ask("PUT", "api/users?id=1", put, Authorization=f"Bearer {token}")
        assert (status, json.loads(text)["message"]) == (400, "source not found: Nowhere (link name: B)")


def test_another_field_wants_the_password_once_more(browser):
    """Read (userPutHandler): more than what an account may change of itself is confirmed by X-Password."""
    with browser.running():
        token = browser.token()
        put = {"which": ["Password"], "data": {"password": "changed-by-hand"}}
        headers = {"Authorization": f"Bearer {token}"}
        assert browser.ask("PUT", "api/users?id=1", put, **headers)[0] == 401
        assert browser.ask("PUT", "api/users?id=1", put, X_Password=PASSWORD, **headers)[0] == 204
        assert browser.log_in("changed-by-hand")[0] == 200
    with browser.running():
        assert browser.log_in()[0] == 200


def test_all_links_gone_are_made_anew(browser):
    """All links bad (the one source replaced by another): links are rebuilt, all well."""
    browser.serve("a")
    with browser.running():
        pass
    browser.serve("c")
    browser.config["auth"]["adminPassword"] = "second-password"
    with browser.running():
        token = browser.token("second-password")
        assert browser.list("C", token)[0] == 200
        assert [link["name"] for link in browser.account(token)["sidebarLinks"]] == ["C", "Tools"]


def test_a_short_password_makes_the_whole_update_fail(browser):
    """The update fails whole when the password is shorter than minLength ("password does not meet complexity
    requirements"); only the last good one works.
    """
    with browser.running():
        pass
    browser.serve("a", "b", "c")
    browser.config["auth"]["adminPassword"] = "short"
    with browser.running():
        assert browser.log_in("short")[0] == 401
        assert browser.list("C", browser.token())[0] == 500
    assert "could not update user: password does not meet complexity requirements" in browser.log


def test_a_short_password_ends_the_first_start(browser):
    """Short password on the first start: exits 1, "store.Users.Save: password must be at least 12 characters long"."""
    browser.config["auth"]["adminPassword"] = "short"
    status, output = browser.end()
    assert status == 1
    assert "store.Users.Save: password must be at least 12 characters long" in output


def test_a_password_longer_than_bcrypt_takes_opens_nothing(browser):
    """Read (parseFields): the error of hashing is a line of the log, and what is kept instead fits no password."""
    with browser.running():
        pass
    browser.config["auth"]["adminPassword"] = "x" * 73
    with browser.running():
        assert browser.log_in("x" * 73)[0] == 401 and browser.log_in()[0] == 401


@pytest.mark.parametrize("password", ["0123456789012", "quote\"and's $HOME {{x}} #", "Grüße-von-hier", "a: [b, c]% \\"])
def test_any_characters_are_a_password(browser, password):
    """Special characters, leading zeros and umlauts in the password file survive our quoting."""
    browser.config["auth"]["adminPassword"] = password
    with browser.running():
        assert browser.log_in(password)[0] == 200


def test_of_two_sources_with_one_name_none_is_reached(browser):
    """Two sources of one name: the later wins the name, the earlier keeps the scope: nobody gets in ("user has no
    access to source: A", 403 on upload), one WARN "skipping source".
    """
    browser.config["server"]["sources"][1]["name"] = "A"
    with browser.running():
        token = browser.token()
        assert browser.list("A", token)[1]["message"] == "user has no access to source: A"
        assert browser.upload("A", token) == 403
    assert browser.log.count("skipping source") == 1


def test_a_source_that_its_user_cannot_read(browser):
    """Source that uid 1000 can't read: healthy; list 403, upload 500, ERROR "Root scanner error"."""
    (browser.folder / "b").chmod(0)
    with browser.running(*(NO_CAPABILITY if os.geteuid() == 0 else [])):
        assert browser.ask("GET", "health")[0] == 200
        token = browser.token()
        assert browser.list("B", token)[0] == 403
        assert browser.upload("B", token) == 500
        assert browser.list("A", token)[0] == 200
    (line,) = (line for line in browser.log.splitlines() if "Root scanner error" in line)
    assert '"error"' in line


def test_a_source_that_is_not_there_is_a_warning(browser):
    """Missing source path: only a WARNING; it starts anyway, and the source does not answer."""
    (browser.folder / "b").rmdir()
    with browser.running():
        assert browser.list("B", browser.token())[0] == 404
    assert f"source path {browser.folder}/b is currently not available" in browser.log


WRONG = {
    "unknown in auth": ({"auth": {"bogus": 1}}, "unknown field"),
    "unknown in a source": ({"source": {"bogus": 1}}, "unknown field"),
    "unknown in a source's config": ({"config": {"bogus": 1}}, "unknown field"),
    "unknown in a rule": ({"config": {"rules": [{"bogus": 1}]}}, "unknown field"),
    "wrong type": ({"server": {"port": "many"}}, "cannot unmarshal str into Go struct field port of type int"),
    "wrong type of an option": ({"config": {"private": "yes, please"}}, "cannot unmarshal str"),
    "wrong type of rules": (
        {"config": {"rules": {"fileName": "a"}}},
        "cannot unmarshal map into Go struct field rules",
    ),
    "two files": ({}, 'mapping key "server" already defined'),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory) -> dict[str, tuple[int, str, float]]:
    """Status, output and seconds of each: side by side, since each of them waits before it ends."""
    started = {}
    for name, (change, _message) in WRONG.items():
        made = FileBrowser(tmp_path_factory.mktemp("wrong"))
        made.serve("a")
        source = made.config["server"]["sources"][0]
        for section, keys in change.items():
            {"source": source, "config": source["config"]}.get(section, made.config.get(section)).update(keys)
        if name == "two files":
            (made.folder / "x-config.yaml").write_text("server: {}\n")
        started[name] = made.start(), time.monotonic()
    ended = {}
    for name, (process, begun) in started.items():
        output = process.communicate(timeout=60)[0]
        ended[name] = process.returncode, output, time.monotonic() - begun
    return ended


@pytest.mark.parametrize("name", WRONG)
def test_what_it_does_not_know_ends_it(refusals, name):
    """Unknown key, wrong type, at any depth: exit 1 after 5 s, message [line:col] plus an excerpt of the configuration.
    x-config.yaml beside config.yaml with the same top-level key: exit 1, 'mapping key "server" already defined'.
    """
    status, output, seconds = refusals[name]
    assert status == 1 and seconds >= 5
    (line,) = (line for line in output.splitlines() if "[FATAL]" in line)
    assert WRONG[name][1] in line and "[" in line.partition("YAML data: ")[2]
    assert any(line.startswith("> ") for line in output.splitlines())


def test_the_excerpt_shows_password_and_key(refusals):
    """An excerpt of 3 lines around, merged and sorted (auth comes first): an unknown key in auth prints adminPassword
    and key to the container's log.
    """
    _status, output, _seconds = refusals["unknown in auth"]
    shown = output.partition("[FATAL]")[2].splitlines()
    assert PASSWORD in output and KEY in output
    assert [line.partition("|")[2].partition(":")[0].strip() for line in shown[1:] if "|" in line] == [
        "auth", "adminPassword", "adminUsername", "bogus", "key", "methods", "password"
    ]  # fmt: skip


def test_an_unknown_key_at_the_top_is_dropped(browser):
    """Read: unknown top-level keys are silently dropped."""
    browser.config["bogus"] = {"x": 1}
    with browser.running():
        assert browser.log_in()[0] == 200


def test_a_locked_database_ends_it(browser):
    """Locked database: exit 1 within 1 s."""
    with browser.running():
        pass
    with open(browser.folder / "database.db", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        status, output = browser.end()
    assert status == 1 and "the database is locked" in output


def test_another_file_is_no_database(browser):
    """Not bolt: "invalid database"."""
    (browser.folder / "database.db").write_text('{"users": []}')
    status, output = browser.end()
    assert status == 1 and "invalid database" in output


@pytest.mark.parametrize("path", ["health", "api/health", "public/api/health"])
def test_health(browser, path):
    """health: 200 {"message":"ok"} on /health, /api/health, /public/api/health, without auth."""
    with browser.running():
        status, _headers, text = browser.ask("GET", path)
        assert (status, json.loads(text)) == (200, {"message": "ok"})


def test_what_is_not_open(browser):
    """Not open: signup 405; /api/* 401; admin/admin 401; "/" and any unknown path 200 (the page)."""
    with browser.running():
        assert browser.ask("POST", "api/auth/signup?username=x&password=y")[0] == 405
        for path in ("api/users", "api/resources?path=%2F&source=A", "api/settings", "api/nothing"):
            assert browser.ask("GET", path)[0] == 401
        assert browser.log_in("admin")[0] == 401
        for path in ("", "any/where"):
            assert browser.ask("GET", path)[0] == 200


def test_a_list_names_its_path(browser):
    """Read (checkPermissionsImpl): without a path nothing is listed."""
    with browser.running():
        headers = {"Authorization": f"Bearer {browser.token()}"}
        status, _headers, text = browser.ask("GET", "api/resources?source=A", **headers)
        assert (status, json.loads(text)["message"]) == (500, "path not provided")


def test_files_come_and_go_by_webdav(browser):
    """The password of WebDAV is a token, the user name says nothing; read: 403 for a source without scope."""
    with browser.running():
        token = browser.token()
        assert browser.webdav("A", token, "PUT", "new.txt") == 201
        assert browser.list("A", token)[1]["files"] == [{"name": "new.txt"}]
        assert browser.webdav("A", token, "GET", "new.txt") == 200
        assert browser.webdav("Nowhere", token) == 403
        assert browser.webdav("A", PASSWORD) == 401


def test_the_limiter_counts_by_address(browser):
    """Limiter: 8 at once then 10 a minute, per address. The address is the FIRST entry of X-Forwarded-For."""
    with browser.running():
        tries = [browser.log_in("wrong", f"user{number}", X_Forwarded_For="192.0.2.1")[0] for number in range(9)]
        assert tries == [401] * 8 + [429]
        assert browser.log_in(X_Forwarded_For="192.0.2.1, 192.0.2.2")[0] == 429
        assert browser.log_in(X_Forwarded_For="192.0.2.2, 192.0.2.1")[0] == 200


def test_the_limiter_counts_by_user_name_too(browser):
    """Per address AND per user name: a stranger's 8 wrong tries for admin give the owner 429 from another address."""
    with browser.running():
        for number in range(8):
            assert browser.log_in("wrong", X_Forwarded_For=f"192.0.2.{number}")[0] == 401
        status, headers, _text = browser.ask(
            "POST", "api/auth/login?username=admin", X_Password=PASSWORD, X_Forwarded_For="198.51.100.1"
        )
        # Ten a minute: one more after six seconds.
        assert status == 429 and 1 <= int(headers["Retry-After"]) <= 7


def test_wrong_passwords_lock_an_address_out(browser):
    """Read (recordAuthFailure): eight wrong ones for a user name from one address lock it there for 15 minutes."""
    with browser.running():
        for _ in range(8):
            browser.log_in("wrong", X_Forwarded_For="192.0.2.1")
        _status, headers, _text = browser.ask("POST", "api/auth/login?username=admin", X_Forwarded_For="192.0.2.1")
        assert int(headers["Retry-After"]) > 800


def test_it_takes_all_options_of_a_source_that_the_role_lets_through(browser):
    """Written to 1.5.5's SourceConfig both: what only one of them knows is a mistake of one of them."""
    right = {bool: True, str: "a", int: 4}

    def filled(wanted):
        if isinstance(wanted, dict):
            return {key: filled(inner) for key, inner in wanted.items()}
        return [filled(wanted[0])] if isinstance(wanted, list) else right[wanted]

    options = filled(_values.SOURCE_OPTIONS) | {"disabled": False}
    browser.config["server"]["sources"][0]["config"] |= options
    with browser.running():
        assert browser.list("A", browser.token())[0] == 200
    browser.config["server"]["sources"][0]["config"] |= {"indexingInterval": 4}
    assert browser.end()[0] == 1
