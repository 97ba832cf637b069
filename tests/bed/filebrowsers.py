"""The stand-in for FileBrowser as a process of its own on loopback, for tests of it and of what speaks with it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import yaml

PROGRAM = Path(__file__).resolve().parent / "images/filebrowser.py"
KEY, PASSWORD = "the-signing-key-of-the-file", "first-password"


class FileBrowser:
    """One database and the processes that have it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = {
            "server": {
                "port": self.port,
                "listen": "127.0.0.1",
                "database": str(folder / "database.db"),
                "cacheDir": str(folder / "tmp"),
                "sources": [],
            },
            "auth": {
                "adminUsername": "admin",
                "adminPassword": PASSWORD,
                "key": KEY,
                "methods": {"password": {"enabled": True, "minLength": 12, "signup": False}},
            },
            "http": {"trustedHeaders": ["X-Forwarded-For"]},
        }
        self.log = ""

    def serve(self, *names: str) -> None:
        """Configure folders of these names as sources."""
        for name in names:
            (self.folder / name).mkdir(exist_ok=True)
        sources = [
            {"path": str(self.folder / name), "name": name.upper(), "config": {"defaultEnabled": True}}
            for name in names
        ]
        self.config["server"]["sources"] = sources

    def start(self, *before: str) -> subprocess.Popen[str]:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        environment = {"FILEBROWSER_CONFIG": str(self.folder / "config.yaml")}
        return subprocess.Popen(
            [*before, sys.executable, "-I", PROGRAM],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextlib.contextmanager
    def running(self, *before: str) -> Iterator[FileBrowser]:
        process = self.start(*before)
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    self.ask("GET", "health")
                    break
                time.sleep(0.02)
            yield self
        finally:
            process.terminate()
            self.log = process.communicate()[0]

    def end(self) -> tuple[int, str]:
        """Start one that does not stay, and wait for its end."""
        process = self.start()
        output = process.communicate(timeout=30)[0]
        return process.returncode, output

    def ask(
        self, method: str, path: str, body: bytes | dict | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method, f"/{path}", data, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, text

    def log_in(self, password: str = PASSWORD, username: str = "admin", **headers: str) -> tuple[int, str]:
        path = f"api/auth/login?username={username}"
        status, _headers, text = self.ask("POST", path, X_Password=quote(password), **headers)
        return status, text

    def token(self, password: str = PASSWORD) -> str:
        status, token = self.log_in(password)
        assert status == 200
        return token

    def list(self, source: str, token: str) -> tuple[int, dict]:
        path = f"api/resources?path=%2F&source={source}"
        status, _headers, text = self.ask("GET", path, Authorization=f"Bearer {token}")
        return status, json.loads(text)

    def upload(self, source: str, token: str, name: str = "new.txt") -> int:
        path = f"api/resources?path=%2F{name}&source={source}"
        return self.ask("POST", path, b"content", Authorization=f"Bearer {token}")[0]

    def webdav(self, source: str, token: str, method: str = "PROPFIND", path: str = "") -> int:
        login = base64.b64encode(f"anybody:{token}".encode()).decode()
        return self.ask(method, f"dav/{source}/{path}", Authorization=f"Basic {login}")[0]

    def account(self, token: str) -> dict:
        return json.loads(self.ask("GET", "api/users?id=1", Authorization=f"Bearer {token}")[2])


def signed(key: str, **payload: int) -> str:
    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    head = encoded(b'{"alg":"HS256","typ":"JWT"}') + "." + encoded(json.dumps(payload).encode())
    return f"{head}.{encoded(hmac.new(key.encode(), head.encode(), hashlib.sha256).digest())}"


def admin(key: str) -> str:
    return signed(key, belongsTo=1, exp=int(time.time()) + 600)
