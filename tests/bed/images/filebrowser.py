#!/usr/bin/python3 -I
"""Stand-in for FileBrowser Quantum 1.5: the same configuration, strictness, files, port, health and login.

Read at upstream 1.5.4 (backend/common/settings, backend/http) and shared/facts/images.md; not run there. It serves the
login, the user's sources, the list of a source, a page that shows these to a browser, and nothing else.
"""

import base64
import hashlib
import hmac
import html
import json
import os
import secrets
import signal
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

# The keys of 1.5 below each of its top-level keys. An unknown key there is fatal; at the top it is dropped silently.
KNOWN = {
    "server": """minSearchLength disableUpdateCheck numImageProcessors socket tlsKey tlsCert disablePreviews
        disablePreviewResize disableTypeDetectionByHeader port listen baseURL logging database sources externalUrl
        internalUrl cacheDir cacheDirCleanup maxArchiveSize filesystem indexSqlConfig disableWebDAV""",
    "auth": "tokenExpirationHours methods key adminUsername adminPassword totpSecret",
    "http": "trustedHeaders disableRateLimit",
    "frontend": """name disableDefaultLinks disableUsedPercentage externalLinks disableNavButtons styling favicon
        description loginIcon loginButtonText oidcLoginButtonText""",
}
KNOWN_SOURCE = ["path", "name", "config"]
KNOWN_SOURCE_CONFIG = [
    "denyByDefault",
    "private",
    "readOnly",
    "disabled",
    "indexingIntervalMinutes",
    "conditionals",
    "rules",
    "defaultUserScope",
    "defaultEnabled",
    "createUserDir",
    "useLogicalSize",
]
KNOWN_LOGGING = ["levels", "apiLevels", "output", "noColors", "json", "utc", "apiFilter"]

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
  const found = await list(`api/resources?source=${encodeURIComponent(button.textContent)}`);
  for (const other of sources.children) other.setAttribute("aria-pressed", String(other === button));
  source.textContent = found.items.length ? found.name : `${found.name}: no files yet`;
  items.replaceChildren(...found.items.map(name => Object.assign(document.createElement("li"), {textContent: name})));
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

BURST, PER_SECOND = 8, 10 / 60  # of logins, for each client address


def log(text, level="info"):
    print(json.dumps({"level": level, "msg": text}), flush=True)


def fatal(text):
    log(text, "fatal")
    time.sleep(5)
    sys.exit(1)


def check_keys(where, found, known):
    if not isinstance(found, dict):
        fatal(f"error unmarshaling YAML: {where} is not a mapping")
    for key in found:
        if key not in known:
            fatal(f'error unmarshaling YAML: unknown field "{key}" in {where}')


def configuration():
    path = os.environ.get("FILEBROWSER_CONFIG", "/home/filebrowser/data/config.yaml")
    folder = os.path.dirname(path)
    try:
        names = [path] + sorted(
            os.path.join(folder, name) for name in os.listdir(folder) if name.endswith("-config.yaml")
        )
        merged = {}
        for name in names:
            with open(name) as stream:
                merged.update(yaml.safe_load(stream) or {})
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        fatal(f"could not load config file {path}: {type(error).__name__}")
    for section, known in KNOWN.items():
        check_keys(section, merged.get(section, {}), known.split())
    sources = merged.get("server", {}).get("sources")
    if not sources:
        fatal("server.sources is required")
    for source in sources:
        check_keys("server.sources", source, KNOWN_SOURCE)
        check_keys("server.sources.config", source.get("config", {}), KNOWN_SOURCE_CONFIG)
        if not os.path.isdir(source["path"]):
            log(f"source path {source['path']} is currently not available", "warning")
    for logger in merged["server"].get("logging", []):
        check_keys("server.logging", logger, KNOWN_LOGGING)
    return merged


class State:
    """Configuration, users and signing key, as the real program has them in its process."""

    def __init__(self):
        found = configuration()
        server, auth = found["server"], found.get("auth", {})
        # By name, which is the folder's where none is given.
        self.sources = {}
        for source in server["sources"]:
            self.sources.setdefault(source.get("name", os.path.basename(source["path"])), source["path"])
        self.base = "/" + server.get("baseURL", "/").strip("/")
        self.port, self.listen = server.get("port", 80), server.get("listen", "0.0.0.0")
        self.trusted = found.get("http", {}).get("trustedHeaders", [])
        self.username = auth.get("adminUsername", "admin")
        password = os.environ.get("FILEBROWSER_ADMIN_PASSWORD") or auth.get("adminPassword", "")
        # The variable wins over the file. With neither the key is random in the process that makes the database and
        # empty in every later one: the real program's flaw, kept.
        self.key = os.environ.get("FILEBROWSER_JWT_TOKEN_SECRET") or auth.get("key", "")
        database = os.environ.get("FILEBROWSER_DATABASE") or server.get("database", "database.db")
        users = self._users(database)
        if not users:
            self.key = self.key or secrets.token_hex(32)
            users = {self.username: password or "admin"}
        elif password:
            users[self.username] = password
        try:
            with open(database, "w") as stream:
                json.dump(users, stream)
            cache = server.get("cacheDir", "tmp")
            os.makedirs(cache, exist_ok=True)
            with open(os.path.join(cache, ".test"), "wb") as stream:
                stream.write(bytes(1 << 20))
            os.unlink(stream.name)
        except OSError as error:
            fatal(f"{error.filename} is not writable: {error.strerror}")
        self.users = users
        self.logins = {}

    @staticmethod
    def _users(database):
        try:
            with open(database) as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            fatal(f"could not open database {database}: {error}")

    def may_try(self, client):
        """A token bucket for each client address."""
        level, last = self.logins.get(client, (BURST, time.monotonic()))
        now = time.monotonic()
        level = min(BURST, level + (now - last) * PER_SECOND)
        self.logins[client] = (max(level - 1, 0), now)
        return level >= 1

    def sign(self, payload):
        head = _base64(b'{"alg":"HS256","typ":"JWT"}') + "." + _base64(json.dumps(payload).encode())
        return head + "." + _base64(hmac.new(self.key.encode(), head.encode(), hashlib.sha256).digest())

    def accepts(self, token):
        try:
            head, _, signature = token.rpartition(".")
            payload = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
        except (ValueError, IndexError):
            return False
        good = _base64(hmac.new(self.key.encode(), head.encode(), hashlib.sha256).digest())
        return hmac.compare_digest(signature, good) and payload.get("exp", 0) > time.time()


def _base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        route = self._route(path)
        if route == "health":
            self._answer(200, {"status": "OK"})
        elif route == "api/users":
            self._user(urllib.parse.parse_qs(query))
        elif route == "api/resources":
            self._list(urllib.parse.parse_qs(query))
        elif route is None or route.startswith("api/"):
            self._answer(404, {"status": 404, "message": "not found"})
        else:
            # The real program's page finds its way from any path.
            base = html.escape(self.state.base.rstrip("/") + "/")
            self._answer(200, PAGE.replace("BASE", base, 1), "text/html; charset=utf-8")

    def do_POST(self):
        path, _, query = self.path.partition("?")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._route(path) != "api/auth/login":
            self._answer(404, {"status": 404, "message": "not found"})
            return
        if not self.state.may_try(self._client()):
            self._answer(429, {"status": 429, "message": "too many requests"})
            return
        username = urllib.parse.parse_qs(query).get("username", [""])[0]
        password = urllib.parse.unquote(self.headers.get("X-Password", ""))
        known = self.state.users.get(username)
        if known is None or not hmac.compare_digest(known.encode(), password.encode()):
            self._answer(401, {"status": 401, "message": "invalid credentials"})
        else:
            self._answer(200, self.state.sign({"belongsTo": 1, "exp": int(time.time()) + 7200}))

    def _is_refused(self):
        authorization = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.state.accepts(authorization):
            return False
        self._answer(401, {"status": 401, "message": "unauthorized"})
        return True

    def _user(self, query):
        if self._is_refused():
            return
        if query.get("id") != ["self"]:
            self._answer(404, {"status": 404, "message": "not found"})
            return
        scopes = [{"name": name, "scope": "/"} for name in self.state.sources]
        self._answer(200, {"username": self.state.username, "scopes": scopes})

    def _list(self, query):
        if self._is_refused():
            return
        name = query.get("source", [""])[0]
        path = self.state.sources.get(name)
        if path is None or not os.path.isdir(path):
            self._answer(404, {"status": 404, "message": "source not found"})
        else:
            self._answer(200, {"name": name, "items": sorted(os.listdir(path))})

    def _route(self, path):
        base = self.state.base.rstrip("/") + "/"
        return path[len(base) :].strip("/") if path.startswith(base) else None

    def _client(self):
        if "X-Forwarded-For" in self.state.trusted and self.headers.get("X-Forwarded-For"):
            return self.headers["X-Forwarded-For"].split(",")[0].strip()
        return self.client_address[0]

    def _answer(self, status, body, kind="application/json"):
        if self._route(self.path) != "health":
            log(f"{self.command} {self.path.partition('?')[0]} {status} {self._client()}")
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        # The proxy forbids browsers to guess it.
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_words):
        pass


def main():
    log("Stand-in for FileBrowser Quantum, made for felhom.base_infra's tests")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Handler.state = State()
    log(f"Listening on {Handler.state.listen}:{Handler.state.port}")
    ThreadingHTTPServer((Handler.state.listen, Handler.state.port), Handler).serve_forever()


main()
