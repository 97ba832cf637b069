# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What FileBrowser keeps for itself, and what it is asked and told over its own API. Private to this collection.

At each start it sets the first account's password, the sources of every account and the links to these, which are what
a customer sees, in one update an account. One link to a source that is gone makes all of that update fail, with a line
in its log; it answers as healthy as ever. Its API takes the links without that one, and the next start is well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import documents as _documents

PROGRAM = "filebrowser"
SERVICE = "filebrowser"
CONFIGURATION = "config/config.yaml"
PASSWORD = "secrets/admin_password"
DATABASE = "data/database.db"

_MOUNTED_BELOW = "/srv"  # a source is at the path that it has on the guest, below this
_LONGEST = 72  # bytes that bcrypt takes; of a longer one it keeps what fits no password
_TIMEOUT = 20.0  # seconds for an answer
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class Source(NamedTuple):
    """A folder that is served. path is the guest's.

    Everybody's are those that every account has after a start. What is switched off is not listed, and neither is what
    is denied until somebody allows it.
    """

    name: str
    path: str
    is_everybodys: bool
    is_listed: bool


class Settings(NamedTuple):
    """What its configuration says."""

    username: str
    password: str
    key: str
    port: int
    shortest: int
    sources: list[Source]


class Unreachable(Exception):
    """It gives no answer. The text is one line."""


def settings(text: str) -> Settings:
    """A configuration that this collection rendered. Raises DocumentError."""
    found = _documents.parse_yaml(CONFIGURATION, _with_whole_characters(text))
    try:
        server, auth = found["server"], found["auth"]
        shortest = auth["methods"]["password"]["minLength"]
        sources = [_source(source, len(server["sources"])) for source in server["sources"]]
        return Settings(auth["adminUsername"], auth["adminPassword"], auth["key"], server["port"], shortest, sources)
    except (KeyError, TypeError) as error:
        raise _documents.DocumentError(f"{CONFIGURATION}: found no {error}, expected what this role renders") from error


def _source(given: dict[str, Any], number: int) -> Source:
    options = given["config"]
    is_everybodys = bool(options.get("defaultEnabled")) or number == 1
    path = given["path"].removeprefix(_MOUNTED_BELOW)
    return Source(given["name"], path, is_everybodys, _is_listed(options))


def _is_listed(options: dict[str, Any]) -> bool:
    return not (options.get("disabled") or options.get("denyByDefault"))


def _with_whole_characters(text: str) -> str:
    """What JSON writes as two halves is one character for FileBrowser, and two for PyYAML."""
    return _PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), text)


def refusal(text: str) -> str:
    """Why FileBrowser would let nobody in with this configuration, one line without any secret; "" where it would."""
    wanted = settings(text)
    by_name: dict[str, Source] = {}
    for source in wanted.sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            return (
                f"two sources have the name {source.name}: {other.path} and {source.path}. FileBrowser would let "
                "nobody into either; give one of them another name"
            )
    length = len(wanted.password.encode())
    if not wanted.shortest <= length <= _LONGEST:
        wrong = f"shorter than {wanted.shortest}" if length < wanted.shortest else f"longer than {_LONGEST}"
        return f"{PASSWORD}: found a password {wrong} bytes, which FileBrowser does not take; write another one there"
    if not wanted.password.isprintable():
        return f"{PASSWORD}: found more than a line of text, expected a password in one line"
    return ""


class Answer(NamedTuple):
    """What came of a request: retry_after is in seconds, 0 where nothing is said of it."""

    status: int
    text: str
    retry_after: int

    @property
    def content(self) -> Any:
        """What it says as JSON; None for what is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """What an answer says that is no success."""
        content = self.content
        return str(content.get("message", "")) if isinstance(content, dict) else ""


class Api:
    """A running FileBrowser, asked at its container's own address."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port

    def log_in(self, username: str, password: str) -> Answer:
        """The text of the answer is a token, if it is 200."""
        path = f"/api/auth/login?{urlencode({'username': username})}"
        return self._ask("POST", path, {"X-Password": quote(password)})

    def accounts(self, token: str) -> Answer:
        return self._ask("GET", "/api/users", _bearer(token))

    def listing(self, token: str, source: str) -> Answer:
        return self._ask("GET", f"/api/resources?{urlencode({'path': '/', 'source': source})}", _bearer(token))

    def set_links(self, token: str, password: str, account: int, links: list[dict[str, Any]]) -> Answer:
        """Set an account's links.

        An account may change its own; for what it may not, 1.5 wants the password once more.
        """
        body = json.dumps({"which": ["SidebarLinks"], "data": {"sidebarLinks": links}})
        headers = _bearer(token) | {"X-Password": quote(password), "Content-Type": "application/json"}
        return self._ask("PUT", f"/api/users?id={account}", headers, body)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        connection = HTTPConnection(self._address, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise Unreachable(f"FileBrowser gives no answer: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        after = answer.getheader("Retry-After") or ""
        return Answer(answer.status, text, int(after) if after.isdecimal() else 0)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token_of(key: str, account: int = 1) -> str:
    """A token as FileBrowser itself would sign it, for the account that it makes with its database, for a minute.

    A log in counts against the limit of the account's owner, and is not possible with a second factor, or where the
    password was not set.
    """

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    now = int(time.time())
    payload = {"belongsTo": account, "iat": now - 60, "exp": now + 60}
    signed = f"{encoded(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())}.{encoded(json.dumps(payload).encode())}"
    return f"{signed}.{encoded(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())}"


def is_signing_with_another_key(api: Api, key: str) -> bool:
    """Whether this is the process that made the database: it signs with a key of its own, which dies with it."""
    return api.accounts(token_of(key)).status == 401


class State(NamedTuple):
    """What there is after a start: what the log in gave, and all accounts, with the token by which they were read."""

    login: int
    retry_after: int
    token: str
    accounts: list[dict[str, Any]]


def state(api: Api, wanted: Settings, was_let_in: bool = False) -> State:
    """Log in as a customer would, where that was not done before, and read the accounts."""
    login = Answer(200, "", 0) if was_let_in else api.log_in(wanted.username, wanted.password)
    token = token_of(wanted.key)
    answer = api.accounts(token)
    if answer.status != 200 and login.status == 200 and not was_let_in:
        # The first account was removed, by another one.
        token, answer = login.text, api.accounts(login.text)
    accounts = answer.content if answer.status == 200 else None
    return State(
        login.status,
        login.retry_after,
        token,
        [account for account in accounts or [] if {"id", "username"} <= set(account)],
    )


def own(found: State, wanted: Settings) -> dict[str, Any] | None:
    """The account that the configuration names."""
    return next((account for account in found.accounts if account["username"] == wanted.username), None)


def was_updated(found: State, wanted: Settings) -> bool:
    """Whether the update at the start was made, of every account, as far as that shows."""
    is_in = found.login != 401 or own(found, wanted) is None
    return is_in and not any(missing(account, wanted) for account in found.accounts)


def failure(found: State, wanted: Settings) -> str:
    """What a customer can't do now, "" for nothing.

    Who renamed or removed the account that the configuration names finds that in the guest's health: it is no fault of
    a change.
    """
    account = own(found, wanted)
    if account is None:
        return ""
    if found.login == 401:
        return f"{wanted.username} is not let in with the password in {PASSWORD}"
    closed = missing(account, wanted)
    return f"{wanted.username} has no access to {', '.join(closed)}" if closed else ""


def missing(account: dict[str, Any], wanted: Settings) -> list[str]:
    """Sources that every account has after a start, and this one has not."""
    has = {scope.get("name") for scope in account.get("scopes") or []}
    wants = [source.name for source in wanted.sources if source.is_everybodys and source.is_listed]
    return [name for name in wants if name not in has]


def mend_links(api: Api, found: State, wanted: Settings, before: Iterable[Source]) -> None:
    """Take away the links to what is gone, which the API does not show, and add those to what is new.

    before are the sources of the configuration before. If all links of an account were bad, the start made new ones.
    """
    old = {source.path for source in before}
    new = [source for source in wanted.sources if source.is_everybodys and old and source.path not in old]
    for account in found.accounts:
        links = account.get("sidebarLinks") or []
        linked = {link.get("sourceName") for link in links if str(link.get("category")).startswith("source")}
        if linked:
            links = links + [_link(source) for source in new if source.name not in linked]
            api.set_links(found.token, wanted.password, account["id"], links)


def _link(source: Source) -> dict[str, str]:
    return {"name": source.name, "category": "source", "target": "/", "icon": "", "sourceName": source.name}
