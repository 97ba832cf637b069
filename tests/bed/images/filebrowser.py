#!/usr/bin/python3 -I
"""Stand-in for FileBrowser Quantum 1.5: the same configuration, strictness, files, port, users, limits and API.

What it does was observed of upstream's 1.5.5 (shared/facts/real-programs.md) or, where that says nothing, read there
(backend/cmd/user.go, common/settings, database, http). It serves log in, users, lists, uploads, WebDAV, and a page that
shows these to a browser. What is not there: shares, archives, search, second factors, other ways to log in.
"""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import html
import json
import os
import secrets
import shutil
import signal
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml


def each(kind, names):
    return dict.fromkeys(names.split(), kind)


# What 1.5 knows, and of which type, below each of its top-level keys; None: it is not checked here. An unknown key or
# another type is fatal; a key at the top that is not here is dropped silently.
RULE = each(bool, "viewable ignoreHidden ignoreZeroSizeFolders ignoreSymlinks")
RULE |= each(str, "neverWatchPath includeRootItem fileStartsWith folderStartsWith fileEndsWith folderEndsWith")
RULE |= each(str, "folderPath filePath fileNames folderNames fileName folderName")
OPTIONS = each(bool, "denyByDefault private readOnly disabled defaultEnabled createUserDir useLogicalSize")
OPTIONS |= {"indexingIntervalMinutes": int, "defaultUserScope": str, "rules": [RULE]}
OPTIONS["conditionals"] = each(bool, "hidden ignoreHidden ignoreZeroSizeFolders") | {"rules": [RULE]}
SERVER = each(int, "minSearchLength numImageProcessors port maxArchiveSize")
SERVER |= each(bool, "disableUpdateCheck disablePreviews disablePreviewResize disableTypeDetectionByHeader")
SERVER |= each(bool, "cacheDirCleanup disableWebDAV")
SERVER |= each(str, "socket tlsKey tlsCert listen baseURL database externalUrl internalUrl cacheDir")
SERVER["logging"] = [each(str, "levels apiLevels output apiFilter") | each(bool, "noColors json utc")]
SERVER["sources"] = [{"path": str, "name": str, "config": OPTIONS}]
SERVER |= {"filesystem": each(str, "createFilePermission createDirectoryPermission"), "indexSqlConfig": None}
METHODS = each(None, "proxy oidc ldap jwt passkey") | {"noauth": bool}
METHODS["password"] = each(bool, "enabled signup enforcedOtp") | {"minLength": int, "recaptcha": None}
AUTH = each(str, "key adminUsername adminPassword totpSecret") | {"tokenExpirationHours": int, "methods": METHODS}
FRONTEND = each(str, "name favicon description loginIcon loginButtonText oidcLoginButtonText")
FRONTEND |= each(bool, "disableDefaultLinks disableUsedPercentage disableNavButtons")
KNOWN = {
    "server": SERVER,
    "auth": AUTH,
    "http": {"trustedHeaders": [str], "disableRateLimit": bool},
    "frontend": FRONTEND | each(None, "externalLinks styling"),
    "userDefaults": None,
    "integrations": None,
}

# Not the real program's page, but what it does is asked of the same API in the same way.
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<base href="BASE">
<link rel="icon" href="data:,">
<title>FileBrowser (stand-in)</title>
<style>
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b2430; --faint: #5b6675; --line: #c9d0da;
  --accent: #2b5fb8; --on-accent: #fff; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --card: #1a2029; --text: #e4e9f0; --faint: #98a4b3;
  --line: #3a4554; --accent: #8ab4ff; --on-accent: #12161c; --wrong: #ff8a80; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 40em; margin: 0 auto; padding: 24px 16px }
h1 { margin: 0; font-size: 24px }
h2 { margin: 16px 0 4px; font-size: 18px }
.stand-in { margin: 0 0 16px; color: var(--faint) }
form, #files { padding: 16px; border: 1px solid var(--line); border-radius: 8px; background: var(--card) }
form { max-width: 22em }
label { display: block; margin-bottom: 12px }
input { display: block; width: 100%; padding: 8px; border: 1px solid var(--line); border-radius: 4px;
  background: var(--back); color: inherit; font: inherit }
button { padding: 8px 16px; border: 1px solid var(--accent); border-radius: 4px; background: none; color: var(--accent);
  font: inherit; cursor: pointer }
form button, button[aria-pressed=true] { background: var(--accent); color: var(--on-accent) }
#sources { display: flex; flex-wrap: wrap; gap: 8px }
[role=alert] { color: var(--wrong); font-weight: 600 }
ul { margin: 0; padding: 0; list-style: none }
li { padding: 6px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
<h1>FileBrowser</h1>
<p class="stand-in">This is the test bed's stand-in for FileBrowser Quantum.</p>
<form id="login">
<label>User name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
<p id="message" role="alert"></p>
<section id="files" aria-label="Files" hidden>
<div id="sources" role="group" aria-label="Sources"></div>
<h2 id="source"></h2>
<ul id="items" aria-labelledby="source"></ul>
</section>
</main>
<script>
"use strict";
const [form, message, files, sources, source, items] =
  ["login", "message", "files", "sources", "source", "items"].map(id => document.getElementById(id));
const REFUSED = {401: "Wrong user name or password.", 429: "Too many tries. Wait a minute, then try again."};
let token = "";

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(REFUSED[answer.status] ?? `The server answered ${answer.status}.`);
  return answer;
}

async function list(path) {
  return (await ask(path, {headers: {Authorization: `Bearer ${token}`}})).json();
}

async function open(button) {
  const found = await list(`api/resources?path=%2F&source=${encodeURIComponent(button.textContent)}`);
  const names = [...found.folders ?? [], ...found.files ?? []].map(item => item.name);
  for (const other of sources.children) other.setAttribute("aria-pressed", String(other === button));
  source.textContent = names.length ? found.source : `${found.source}: no files yet`;
  items.replaceChildren(...names.map(name => Object.assign(document.createElement("li"), {textContent: name})));
}

function tell(work) {
  message.textContent = "";
  work.catch(error => { message.textContent = error.message; });
}

async function logIn() {
  const {username, password} = form.elements;
  const path = `api/auth/login?username=${encodeURIComponent(username.value)}`;
  const headers = {"X-Password": encodeURIComponent(password.value)};
  password.value = "";
  token = await (await ask(path, {method: "POST", headers})).text();
  sources.replaceChildren(...(await list("api/users?id=self")).scopes.map(({name}) => {
    const button = Object.assign(document.createElement("button"), {textContent: name});
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => tell(open(button)));
    return button;
  }));
  form.hidden = true;
  files.hidden = false;
}

form.addEventListener("submit", event => {
  event.preventDefault();
  tell(logIn());
});
</script>
</body>
</html>
"""

BURST, PER_SECOND = 8, 10 / 60  # of logins, for each address and for each user name
LOCKED_AFTER, LOCKED_FOR = 8, 15 * 60  # wrong passwords for one user name from one address; seconds
MAGIC = b"\xed\x0c\xda\xed"  # a bolt file's
TEST_FILE = 10 << 20
LITTLE_SPACE = 20 << 30


def log(text, level="info"):
    print(json.dumps({"level": level, "msg": text}), flush=True)


def fatal(text, wait=0):
    log(text, "fatal")
    time.sleep(wait)
    sys.exit(1)


def refused(text):
    """What is wrong with the configuration: its own setting of the log is not read yet, so these lines are plain."""
    print("[ERROR] unable to load config, waiting 5 seconds before exiting...", flush=True)
    time.sleep(5)
    print(f"[FATAL] {text}", flush=True)
    sys.exit(1)


class Wrong(Exception):
    """Of the configuration, at a node."""

    def __init__(self, node, text):
        super().__init__(text)
        self.mark, self.text = node.start_mark, text


def excerpt(text, wrong):
    """The message with its place, and the three lines before and after that, whatever they hold."""
    line, lines = wrong.mark.line, text.splitlines()
    shown = [
        f"{'>' if number == line else ' '} {number + 1:2} | {lines[number]}"
        for number in range(max(line - 3, 0), min(line + 4, len(lines)))
    ]
    shown.insert(shown.index(f"> {line + 1:2} | {lines[line]}") + 1, " " * (wrong.mark.column + 7) + "^")
    return "\n".join([f"[{line + 1}:{wrong.mark.column + 1}] {wrong.text}", *shown])


def check(node, known, where=""):
    """Unknown keys and wrong types, at any depth."""
    if known is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"):
        return
    kind = {yaml.MappingNode: "map", yaml.SequenceNode: "[]interface {}"}.get(type(node), node.tag.rpartition(":")[2])
    wanted = "struct" if isinstance(known, dict) else "slice" if isinstance(known, list) else known.__name__
    if isinstance(known, dict) and isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value not in known:
                raise Wrong(key, f'unknown field "{key.value}"')
            check(value, known[key.value], key.value)
    elif isinstance(known, list) and isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check(value, known[0], where)
    # Numbers and truth values are taken for texts.
    elif known is str and isinstance(node, yaml.ScalarNode):
        return
    elif known not in (bool, int) or kind != known.__name__:
        raise Wrong(node, f"cannot unmarshal {kind} into Go struct field {where} of type {wanted}")


def without_repeated_keys(node):
    """YAML libraries of Python let the later one win."""
    if isinstance(node, yaml.MappingNode):
        seen = {}
        for key, value in node.value:
            if key.value in seen:
                place = seen[key.value].start_mark
                raise Wrong(key, f'mapping key "{key.value}" already defined at [{place.line + 1}:{place.column + 1}]')
            seen[key.value] = key
            without_repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            without_repeated_keys(value)


def combined(path):
    """The texts of all *-config.yaml beside the configuration, and then its own: put together, not merged."""
    folder, name = os.path.split(path)
    names = sorted(other for other in os.listdir(folder) if other.endswith(f"-{name}") and not other.startswith("."))
    text = ""
    for other in [*names, name]:
        with open(os.path.join(folder, other)) as stream:
            text += stream.read() + "\n"
    return text


def configuration():
    path = os.environ.get("FILEBROWSER_CONFIG", "/home/filebrowser/data/config.yaml")
    try:
        text = combined(path)
    except OSError as error:
        refused(f"failed to combine YAML files: {error.filename}: {error.strerror}")
    try:
        without_repeated_keys(yaml.compose(text, yaml.SafeLoader))
        # Of what JSON writes as two halves of a character PyYAML makes two.
        found = json.loads(json.dumps(yaml.safe_load(text) or {}, default=str))
    except Wrong as wrong:
        refused("error parsing YAML data: " + excerpt(text, wrong))
    except (yaml.YAMLError, ValueError) as error:
        refused(f"error parsing YAML data: {error}")
    # What is checked, and shown, is what it writes anew of all that it knows, in the order of the alphabet.
    text = yaml.safe_dump({key: found[key] for key in found if key in KNOWN}, width=1000, allow_unicode=True)
    try:
        check(yaml.compose(text, yaml.SafeLoader), KNOWN)
    except Wrong as wrong:
        refused("error unmarshaling YAML data: " + excerpt(text, wrong))
    found = yaml.safe_load(text)
    if not found.get("server", {}).get("sources"):
        log("The provided config file failed validation.", "error")
        fatal("Key: 'Settings.Server.Sources' Error: failed on the 'required' tag", wait=5)
    return found


class Sources:
    """What is served, by the name that is shown and by path."""

    def __init__(self, configured):
        by_path, self.by_name = {}, {}
        for number, given in enumerate(configured):
            source = {"config": {}, **given, "path": os.path.abspath(given["path"])}
            if source["config"].get("disabled"):
                continue
            if not os.path.exists(source["path"]):
                log(f"source path {source['path']} is currently not available", "warning")
            base = os.path.basename(source["path"])
            source["name"] = source.get("name") or (f"{base}-{number}" if source["path"] in by_path else base)
            by_path[source["path"]] = self.by_name[source["name"]] = source
        # Of two with one name the later one is found by it, and only the earlier one is given to the users.
        self.all = {}
        for given in configured:
            source = by_path.get(os.path.abspath(given["path"]))
            if source is None or source["name"] in [other["name"] for other in self.all.values()]:
                log(f"skipping source: {given['path']}", "warning")
            else:
                self.all[source["path"]] = source
        self.by_path = by_path
        self.default = [
            source for source in self.all.values() if source["config"].get("defaultEnabled") or len(configured) == 1
        ]
        for source in self.all.values():
            try:
                os.listdir(source["path"])
            except OSError as error:
                log(f"Root scanner error: open {source['path']}: {error.strerror.lower()}", "error")

    def resolve(self, key):
        return self.by_path.get(key) or self.by_name.get(key)


class Refused(Exception):
    """An update of a user that is not made."""


class Database:
    """The bolt file: it has one user at a time, and holds the users and the configuration of its first start."""

    def __init__(self, path):
        self.is_new = not os.path.exists(path) or os.path.getsize(path) == 0
        try:
            self.stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            fatal(f"could not open database: {error.filename}: {error.strerror}")
        end = time.monotonic() + 1
        while True:
            try:
                fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    fatal("the database is locked, please close all other instances of filebrowser before starting.")
                time.sleep(0.05)
        kept = self.stream.read()
        if kept and not kept.startswith(MAGIC):
            fatal("could not open database: invalid database")
        self.content = json.loads(kept[len(MAGIC) :]) if kept else {"users": []}

    def save(self):
        self.stream.seek(0)
        self.stream.write(MAGIC + json.dumps(self.content).encode())
        self.stream.truncate()
        self.stream.flush()
        os.fsync(self.stream.fileno())


class Users:
    """The accounts. Scopes and links of sources name paths in the database, and what is shown in the API."""

    def __init__(self, database, sources, auth):
        self.database, self.sources = database, sources
        self.least = auth.get("methods", {}).get("password", {}).get("minLength", 5)
        self.name, self.password = auth.get("adminUsername", "admin"), auth.get("adminPassword", "")
        self.all = database.content["users"]
        if database.is_new:
            self.create(self.name, self.password or "admin", admin=True)
        for user in self.all:
            self._update_at_start(user)
        database.save()

    def by_id(self, number):
        return next((user for user in self.all if user["id"] == number), None)

    def by_name(self, name):
        return next((user for user in self.all if user["username"] == name), None)

    def create(self, name, password, admin=False):
        if len(password.encode()) < self.least:
            raise Refused(f"password must be at least {self.least} characters long")
        if len(password.encode()) > 72:
            raise Refused("bcrypt: password length exceeds 72 bytes")
        user = {"id": len(self.all) + 1, "username": name, "password": hashed(password), "admin": admin}
        user["scopes"] = [{"name": source["path"], "scope": scope_of(source)} for source in self.sources.default]
        user["links"] = [link_to(source) for source in self.sources.default]
        self.all.append(user)
        return user

    def _update_at_start(self, user):
        """Scopes, links and, of the one in the configuration, the password: one update, made whole or not at all."""
        new = {"Scopes": self._scopes_at_start(user), "SidebarLinks": self._links_at_start(user)}
        if user["username"] == self.name and self.password:
            log("Resetting admin user to default username and password.")
            new["Password"] = self.password
        elif new["Scopes"] == self._resolved(user["scopes"]) and new["SidebarLinks"] == user["links"]:
            return
        try:
            self.update(user, new)
        except Refused as refusal:
            log(f"could not update user: {refusal}", "error")

    def _scopes_at_start(self, user):
        had = {}
        for scope in user["scopes"]:
            if source := self.sources.resolve(scope["name"]):
                had[source["path"]] = scope["scope"]
        return [
            {"name": path, "scope": had.get(path) or scope_of(source)}
            for path, source in self.sources.all.items()
            if path in had or source in self.sources.default
        ]

    def _links_at_start(self, user):
        """Made anew where not one of them leads anywhere, else left as they are."""
        of_sources = [link for link in user["links"] if link["category"].startswith("source")]
        if not of_sources or any(self.sources.resolve(link.get("sourceName")) for link in of_sources):
            return user["links"]
        found = [self.sources.resolve(scope["name"]) for scope in self._scopes_at_start(user)]
        return [link for link in user["links"] if link not in of_sources] + [
            link_to(source) for source in found if source
        ]

    def update(self, user, new):
        """Change fields of a user, named as in the API, all or none."""
        changed = {}
        if "Scopes" in new:
            changed["scopes"] = self._resolved(new["Scopes"])
        if new.get("Password"):
            if len(new["Password"].encode()) < self.least:
                raise Refused("password does not meet complexity requirements")
            # Longer than bcrypt takes: what is kept then fits no password.
            changed["password"] = hashed(new["Password"]) if len(new["Password"].encode()) <= 72 else ""
        if "SidebarLinks" in new:
            changed["links"] = [self._kept(link) for link in new["SidebarLinks"]]
        user |= changed

    def _resolved(self, scopes):
        """Without those of sources that are gone."""
        known = [(self.sources.resolve(scope["name"]), scope["scope"] or "/") for scope in scopes]
        return [{"name": source["path"], "scope": scope} for source, scope in known if source]

    def _kept(self, link):
        if not link["category"].startswith("source"):
            return link
        source = self.sources.resolve(link.get("sourceName"))
        if source is None:
            raise Refused(f"source not found: {link.get('sourceName')} (link name: {link['name']})")
        return link | {"sourceName": source["path"]}

    def shown(self, user):
        """As the API shows it: with names, and without what leads to a source that is gone."""
        resolve = self.sources.resolve
        links = []
        for link in user["links"]:
            if link["category"].startswith("source"):
                if source := resolve(link["sourceName"]):
                    links.append(link | {"sourceName": source["name"]})
            else:
                links.append(link)
        if not any(link["category"] == "tool" for link in links):
            links.append({"name": "Tools", "category": "tool", "target": "/tools", "icon": "build"})
        scopes = [
            scope | {"name": resolve(scope["name"])["name"]} for scope in user["scopes"] if resolve(scope["name"])
        ]
        return {
            "id": user["id"],
            "username": user["username"],
            "scopes": scopes,
            "sidebarLinks": links,
            "permissions": {"admin": user["admin"]},
            "loginMethod": "password",
        }


def scope_of(source):
    return source["config"].get("defaultUserScope") or "/"


def link_to(source):
    return {"name": source["name"], "category": "source", "target": "/", "icon": "", "sourceName": source["path"]}


def hashed(password, salt=None):
    salt = salt or secrets.token_hex(8)
    return salt + hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 1000).hex()


def fits(password, kept):
    return hmac.compare_digest(hashed(password, kept[:16]), kept)


class Limits:
    """Of the log in: a token bucket for each address and for each user name, and a lock after wrong passwords."""

    def __init__(self):
        self.buckets, self.wrong, self.locked = {}, {}, {}

    def seconds_to_wait(self, client, username):
        now = time.monotonic()
        if (left := self.locked.get((client, username), 0) - now) > 0:
            return int(left) + 1
        for key in (("address", client), ("user", username)):
            level, last = self.buckets.get(key, (BURST, now))
            level = min(BURST, level + (now - last) * PER_SECOND)
            self.buckets[key] = (level - 1 if level >= 1 else level, now)
            if level < 1:
                return int((1 - level) / PER_SECOND) + 1
        return 0

    def count(self, client, username, is_right):
        self.wrong[client, username] = 0 if is_right else self.wrong.get((client, username), 0) + 1
        if self.wrong[client, username] >= LOCKED_AFTER:
            self.locked[client, username] = time.monotonic() + LOCKED_FOR


class State:
    """Configuration, users and signing key, as the real program has them in its process."""

    def __init__(self):
        found = configuration()
        server, auth = found["server"], found.get("auth", {})
        self._check_cache(server.get("cacheDir", "tmp"))
        self.base = "/" + server.get("baseURL", "/").strip("/")
        self.port, self.listen = server.get("port", 80), server.get("listen", "0.0.0.0")
        self.trusted = {name.lower() for name in found.get("http", {}).get("trustedHeaders", [])}
        self.sources = Sources(server["sources"])
        auth["adminPassword"] = os.environ.get("FILEBROWSER_ADMIN_PASSWORD") or auth.get("adminPassword", "")
        # The variable wins over the file. With neither it is empty.
        self.key = os.environ.get("FILEBROWSER_JWT_TOKEN_SECRET") or auth.get("key", "")
        database = Database(os.environ.get("FILEBROWSER_DATABASE") or server.get("database", "database.db"))
        if database.is_new:
            # Whatever is given: the process that makes the database signs with a key that no later one knows.
            self.key = secrets.token_hex(32)
            database.content["settings"] = found
            database.save()
        try:
            self.users = Users(database, self.sources, auth)
        except Refused as refusal:
            fatal(f"store.Users.Save: {refusal}")
        self.database = database
        self.limits = None if found.get("http", {}).get("disableRateLimit") else Limits()

    @staticmethod
    def _check_cache(folder):
        try:
            os.makedirs(folder, exist_ok=True)
            name = os.path.join(folder, "speed_test.tmp")
            with open(name, "wb") as stream:
                stream.write(bytes(TEST_FILE))
                os.fsync(stream.fileno())
            os.unlink(name)
        except OSError as error:
            fatal(f"cacheDir failed to create test file: {error.filename}: {error.strerror}")
        if shutil.disk_usage(folder).free < LITTLE_SPACE:
            log("cacheDir has less free space than the 20 GB minimum recommended free space.", "warning")

    def sign(self, payload):
        head = _base64(b'{"alg":"HS256","typ":"JWT"}') + "." + _base64(json.dumps(payload).encode())
        return head + "." + _base64(hmac.new(self.key.encode(), head.encode(), hashlib.sha256).digest())

    def user_of(self, token):
        """Whose token that is; None where it is not accepted."""
        try:
            head, _, signature = token.rpartition(".")
            payload = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
        except (ValueError, IndexError):
            return None
        good = _base64(hmac.new(self.key.encode(), head.encode(), hashlib.sha256).digest())
        if not hmac.compare_digest(signature, good) or payload.get("exp", 0) < time.time():
            return None
        user = self.users.by_id(payload.get("belongsTo"))
        if user is None:
            raise failed(500, "the resource does not exist")
        return user


def _base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


# Fields that an account may change of itself without its password: not all of them.
OWN_FIELDS = {"SidebarLinks", "Locale", "ViewMode", "DarkMode", "ShowHidden"}


class Answer(Exception):
    """What a request ends with."""

    def __init__(self, status, body="", kind="application/json; charset=utf-8", **headers):
        super().__init__(status)
        self.status, self.body, self.kind, self.headers = status, body, kind, headers


def failed(status, message, **headers):
    return Answer(status, {"status": status, "message": message}, **headers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def _handle(self):
        path, _, query = self.path.partition("?")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.query = {key: values[0] for key, values in urllib.parse.parse_qs(query).items()}
        try:
            self._answer_to(self._route(path))
        except Answer as answer:
            # A client that read the status only may be gone.
            with contextlib.suppress(ConnectionError):
                self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PROPFIND = do_MKCOL = _handle

    def _answer_to(self, route):
        asked = f"{self.command} {route}"
        if asked in ("GET health", "GET api/health", "GET public/api/health"):
            raise Answer(200, {"message": "ok"})
        if asked == "POST api/auth/login":
            self._log_in()
        if asked == "POST api/auth/signup":
            raise failed(405, "signup is disabled")
        if route is not None and (route == "dav" or route.startswith("dav/")):
            self._webdav(route)
        if route is not None and route.startswith("api/"):
            user = self._user()
            handlers = {
                "GET api/users": self._show_users,
                "PUT api/users": self._change_user,
                "POST api/users": self._make_user,
                "GET api/resources": self._list,
                "POST api/resources": self._upload,
            }
            if asked not in handlers:
                raise failed(404, "not found")
            handlers[asked](user)
        if route is None:
            raise failed(404, "not found")
        # The real program's page finds its way from any path.
        base = html.escape(self.state.base.rstrip("/") + "/")
        raise Answer(200, PAGE.replace("BASE", base, 1), "text/html; charset=utf-8")

    def _log_in(self):
        state, client = self.state, self._client()
        username = self.query.get("username", "")
        if state.limits and (seconds := state.limits.seconds_to_wait(client, username)):
            raise failed(429, "too many requests", Retry_After=str(seconds))
        user = state.users.by_name(username)
        password = urllib.parse.unquote_plus(self.headers.get("X-Password", ""))
        is_right = user is not None and fits(password, user["password"])
        if state.limits:
            state.limits.count(client, username, is_right)
        if not is_right:
            raise failed(401, "unauthorized")
        raise Answer(200, state.sign({"belongsTo": user["id"], "exp": int(time.time()) + 7200}), "text/plain")

    def _user(self, token=None):
        if token is None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self.state.user_of(token)
        if user is None:
            raise failed(401, "invalid token")
        return user

    def _show_users(self, user):
        users = self.state.users
        asked = self.query.get("id", "")
        if not asked:
            raise Answer(200, [users.shown(other) for other in (users.all if user["admin"] else [user])])
        other = user if asked == "self" else users.by_id(int(asked) if asked.isdecimal() else 0)
        if other is None:
            raise failed(404, "the resource does not exist")
        if other is not user and not user["admin"]:
            raise Answer(403)
        raise Answer(200, users.shown(other))

    def _change_user(self, actor):
        users = self.state.users
        asked = self._json()
        which = [field[:1].upper() + field[1:] for field in asked.get("which", [])]
        user = users.by_id(int(self.query.get("id", "0") or 0))
        if user is not actor and not actor["admin"]:
            raise Answer(403)
        if user is None:
            raise failed(400, "no user not found, please provide a valid id or username")
        if not which or not set(which) <= OWN_FIELDS:
            self._confirm(actor)
        data = asked.get("data", {})
        given = {"Scopes": data.get("scopes", []), "SidebarLinks": data.get("sidebarLinks", [])}
        given["Password"] = data.get("password", "")
        try:
            users.update(user, {field: given[field] for field in which if field in given})
        except Refused as refusal:
            raise failed(400, str(refusal)) from None
        self.state.database.save()
        raise Answer(204)

    def _make_user(self, actor):
        if not actor["admin"]:
            raise Answer(403)
        self._confirm(actor)
        data = self._json()["data"]
        try:
            user = self.state.users.create(data["username"], data["password"])
        except Refused as refusal:
            raise failed(500, str(refusal)) from None
        if data.get("scopes"):
            self.state.users.update(user, {"Scopes": data["scopes"]})
        self.state.database.save()
        raise Answer(201)

    def _confirm(self, actor):
        """Whoever changes an account gives the own password once more."""
        if not fits(urllib.parse.unquote_plus(self.headers.get("X-Password", "")), actor["password"]):
            raise failed(401, "invalid password")

    def _json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise failed(400, "invalid JSON") from None

    def _has_scope(self, user, source):
        return any(scope["name"] == source["path"] for scope in user["scopes"])

    def _list(self, user):
        """The real program answers 500 for a source without scope, as it was read; uploads and WebDAV get 403."""
        name, path = self.query.get("source", ""), self.query.get("path", "")
        source = self.state.sources.by_name.get(name)
        if not path or not name:
            raise failed(500, f"{'source' if path else 'path'} not provided")
        if source is None:
            raise failed(500, f"could not get index: {name} ")
        if not self._has_scope(user, source):
            raise failed(500, f"user has no access to source: {name}")
        folder = inside(source, path)
        try:
            found = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except PermissionError as error:
            raise failed(403, f"open {folder}: {error.strerror.lower()}") from None
        except OSError as error:
            raise failed(404, f"stat {folder}: {error.strerror.lower()}") from None
        listed = {"folders": [], "files": []}
        for entry in found:
            listed["folders" if entry.is_dir() else "files"].append({"name": entry.name})
        # What is empty is left out.
        full = {kind: entries for kind, entries in listed.items() if entries}
        raise Answer(200, {"name": os.path.basename(folder), "type": "directory", "path": path, "source": name, **full})

    def _upload(self, user):
        source = self.state.sources.by_name.get(self.query.get("source", ""))
        if source is None:
            raise failed(404, f"source {self.query.get('source', '')} not found")
        if source["config"].get("readOnly"):
            raise failed(403, "source is read-only")
        if not self._has_scope(user, source):
            raise failed(403, f"scope not found for source {source['path']}")
        target = inside(source, self.query.get("path", ""))
        if os.path.exists(target) and self.query.get("override") != "true":
            raise Answer(409)
        try:
            with open(target, "wb") as stream:
                stream.write(self.body)
        except OSError as error:
            raise failed(500, f"open {target}: {error.strerror.lower()}") from None
        raise Answer(200)

    def _webdav(self, route):
        """The password is a token; the user name says nothing."""
        try:
            _basic, _, given = self.headers.get("Authorization", "").partition(" ")
            user = self._user(base64.b64decode(given).decode().partition(":")[2])
        except (Answer, binascii.Error, UnicodeDecodeError):
            raise failed(401, "invalid token", WWW_Authenticate='Basic realm="WebDAV"') from None
        _dav, _, rest = route.partition("/")
        name, _, path = urllib.parse.unquote(rest).partition("/")
        source = self.state.sources.by_name.get(name)
        if source is None or not self._has_scope(user, source):
            raise failed(403, f"user has no access to source: {name}")
        target = inside(source, path)
        try:
            self._webdav_method(target)
        except FileNotFoundError:
            raise Answer(404) from None
        except OSError:
            raise Answer(403) from None

    def _webdav_method(self, target):
        if self.command == "PROPFIND":
            names = sorted(os.listdir(target)) if os.path.isdir(target) else [os.path.basename(target)]
            found = "".join(f"<D:response><D:href>{html.escape(name)}</D:href></D:response>" for name in names)
            raise Answer(207, f'<D:multistatus xmlns:D="DAV:">{found}</D:multistatus>', "text/xml; charset=utf-8")
        if self.command == "GET":
            with open(target, errors="replace") as stream:
                raise Answer(200, stream.read(), "application/octet-stream")
        if self.command == "PUT":
            with open(target, "wb") as stream:
                stream.write(self.body)
            raise Answer(201)
        if self.command == "DELETE":
            os.unlink(target)
            raise Answer(204)
        if self.command == "MKCOL":
            os.mkdir(target)
            raise Answer(201)
        raise Answer(405)

    def _route(self, path):
        base = self.state.base.rstrip("/") + "/"
        return path[len(base) :].strip("/") if path.startswith(base) else None

    def _client(self):
        """The first entry that anybody put there is the client."""
        for header in ("X-Forwarded-For", "X-Real-IP"):
            if header.lower() in self.state.trusted and self.headers.get(header):
                return self.headers[header].split(",")[0].strip()
        return self.client_address[0]

    def _send(self, answer):
        if "health" not in self.path:
            log(f"{self.command} {self.path.partition('?')[0]} {answer.status} {self._client()}")
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        if answer.status != 204:
            # The proxy forbids browsers to guess it.
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode() if answer.status != 204 else b"")

    def log_message(self, *_words):
        pass


def inside(source, path):
    """A path of a source, whatever it is: nothing leads out of it."""
    return os.path.normpath(source["path"] + os.path.normpath("/" + path.strip("/")))


def main():
    log("Stand-in for FileBrowser Quantum, made for felhom.base_infra's tests")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Handler.state = State()
    log(f"Listening on {Handler.state.listen}:{Handler.state.port}")
    ThreadingHTTPServer((Handler.state.listen, Handler.state.port), Handler).serve_forever()


main()
