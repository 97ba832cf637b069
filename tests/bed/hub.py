"""Plays Docker Hub, and a private registry beside it, from the storage of a registry on this disk.

hub.py ADDRESS PORT STORE CERTIFICATE KEY FAULTS   One port for all names; FAULTS is a folder, see faults().
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import select
import ssl
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

HUB, TOKENS, BLOBS = "registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com"
PRIVATE = "registry.felhom.test"
SERVICE = "registry.docker.io"
# The only account there is, of the Hub and of the private registry.
ACCOUNT, PASSWORD = "felhom-bed", "test-registry" + "-password"
ACCOUNT_ID = "5e8f4f0c-0b5a-4f0e-9d55-3c1f6f1d2a41"
FAULTS = ("limited", "stalled", "login")

TOKEN_LIFE = 300  # seconds
# What the Hub answered in 2025: "ratelimit-limit: 100;w=21600".
ALLOWANCE, WINDOW = 100, 21600
LIMITED = "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
# A transfer is cut off within a layer; small blobs are through before anybody could tell.
STALLS_FROM = 64 * 1024  # bytes
CHUNK = 1024 * 1024

_NAME = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_DIGEST = r"sha256:[0-9a-f]{64}"
_MANIFEST = re.compile(rf"/v2/({_NAME})/manifests/({_DIGEST}|[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})")
_BLOB = re.compile(rf"/v2/({_NAME})/blobs/({_DIGEST})")
_STORED_BLOB = re.compile(r"/registry-v2/docker/registry/v2/blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data")
_SCOPE = re.compile(rf"repository:({_NAME}):([a-z,*]+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Store:
    """The storage of Debian's docker-registry, read only."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "docker/registry/v2"

    def has(self, repository: str) -> bool:
        """Whether there is such a repository."""
        return (self._root / "repositories" / repository / "_manifests").is_dir()

    def manifest(self, repository: str, reference: str) -> str | None:
        """The digest of a manifest that a repository has under a tag or a digest."""
        folder = self._root / "repositories" / repository / "_manifests"
        if reference.startswith("sha256:"):
            link = folder / "revisions" / reference.replace(":", "/") / "link"
        else:
            link = folder / "tags" / reference / "current/link"
        return link.read_text() if link.is_file() else None

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob; that another one has it gives nobody a right to it."""
        return (self._root / "repositories" / repository / "_layers" / digest.replace(":", "/") / "link").is_file()

    def path(self, digest: str) -> Path:
        """Where a blob's bytes lie."""
        hexadecimal = digest.removeprefix("sha256:")
        return self._root / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


class Token(NamedTuple):
    """What a token says: whose it is, "" for nobody's, and what may be pulled with it."""

    account: str
    repositories: list[str]


class Signer:
    """Tokens and blob addresses that nobody else can make, and that run out."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._key, self._now = secrets.token_bytes(32), now

    def token(self, granted: Token) -> str:
        """A token, of the shape of a JWT."""
        claims = {"sub": granted.account, "access": granted.repositories, "exp": int(self._now()) + TOKEN_LIFE}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{signed}.{self._sign(signed)}"

    def read(self, token: str) -> Token | None:
        """What a token says, if it was made here and is still good."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode()):
            return None
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        return Token(claims["sub"], claims["access"]) if self._now() < claims["exp"] else None

    def proof(self, path: str) -> str:
        """What makes the address of a blob good for a while."""
        end = str(int(self._now()) + TOKEN_LIFE)
        return f"{end}-{self._sign(f'{end} {path}')}"

    def proves(self, path: str, proof: str) -> bool:
        """Whether an address is still good."""
        end, _, signature = proof.partition("-")
        good = hmac.compare_digest(self._sign(f"{end} {path}").encode(), signature.encode())
        return good and self._now() < int(end)

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Hub(ThreadingHTTPServer):
    """Everything that a guest meets on port 443."""

    daemon_threads = True
    # A pull opens some connections for each layer, and guests boot together.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], store: Store, context: ssl.SSLContext, folder: Path) -> None:
        super().__init__(address, Front)
        self.store, self.signer, self.folder = store, Signer(), folder
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, in the connection's own thread: a client that never greets must not keep the others out.
        with self._context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away, or does not trust the certificate, is no fault of the Hub's.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def faults(self, guest: str) -> list[str]:
        """What a guest suffers: words of FAULTS in a file of FAULTS that bears its address. No other guest notices."""
        try:
            return (self.folder / guest).read_text().split()
        except FileNotFoundError:
            return []


class Front(BaseHTTPRequestHandler):
    """One connection of a guest."""

    server: Hub
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nginx", ""
    disable_nagle_algorithm = True
    timeout = 120

    def do_GET(self) -> None:
        self._faults = self.server.faults(self.client_address[0])
        url = urlsplit(self.path)
        host = (self.headers.get("Host") or "").partition(":")[0]
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if host == TOKENS and url.path == "/token":
            self._token(parse_qs(url.query).get("scope", []))
        elif host == BLOBS and (found := _STORED_BLOB.fullmatch(url.path)):
            if self.server.signer.proves(url.path, query.get("verify", "-")):
                self._blob(f"sha256:{found[1]}")
            else:
                self._answer(403, b"", {})
        elif host in (HUB, PRIVATE):
            self._registry(host, url.path)
        else:
            self._refuse(404, "NOT_FOUND", "page not found")

    do_HEAD = do_GET

    def _token(self, scopes: list[str]) -> None:
        account = self._basic()
        if account is None:
            self._json(401, {"details": "incorrect username or password"})
            return
        wanted = [found for scope in scopes if (found := _SCOPE.fullmatch(scope))]
        # What there is can be pulled by anybody and pushed by nobody. The Hub does not say what there is not.
        repositories = [
            found[1] for found in wanted if "pull" in found[2].split(",") and self.server.store.has(found[1])
        ]
        token = self.server.signer.token(Token(account, repositories))
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._json(200, {"token": token, "access_token": token, "expires_in": TOKEN_LIFE, "issued_at": issued})

    def _basic(self) -> str | None:
        """Who a login names, "" where there is none, None where it is wrong."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return ""
        good = base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()
        return ACCOUNT if hmac.compare_digest(value.encode(), good.encode()) else None

    def _registry(self, host: str, path: str) -> None:
        manifest, blob = _MANIFEST.fullmatch(path), _BLOB.fullmatch(path)
        repository = next((found[1] for found in (manifest, blob) if found), "")
        account = self._who(host, repository)
        if account is None:
            return
        if path == "/v2/":
            self._json(200, {})
        elif manifest:
            self._manifest(host, account, repository, manifest[2])
        elif blob and self.server.store.has_blob(repository, blob[2]):
            if host == HUB:
                place = str(self.server.store.path(blob[2])).partition("/docker/registry/v2/")[2]
                place = f"/registry-v2/docker/registry/v2/{place}"
                address = f"https://{BLOBS}{place}?verify={self.server.signer.proof(place)}"
                self._answer(307, b"", {"Location": address, "Content-Type": "application/octet-stream"})
            else:
                self._blob(blob[2])
        else:
            self._refuse(404, "BLOB_UNKNOWN" if blob else "NOT_FOUND", "blob unknown to registry")

    def _who(self, host: str, repository: str) -> str | None:
        """Whose request it is, "" for nobody's. None where it was refused."""
        if host == PRIVATE:
            account = self._basic()
            if account or (account == "" and "login" not in self._faults):
                return account
            self._challenge(f'Basic realm="{PRIVATE}"')
            return None
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        asked = f'Bearer realm="https://{TOKENS}/token",service="{SERVICE}"'
        if repository:
            asked += f',scope="repository:{repository}:pull"'
        if kind != "Bearer":
            self._challenge(asked)
            return None
        token = self.server.signer.read(value)
        if token is None:
            self._challenge(f'{asked},error="invalid_token"')
            return None
        if repository and repository not in token.repositories:
            self._challenge(f'{asked},error="insufficient_scope"')
            return None
        return token.account

    def _challenge(self, how: str) -> None:
        self._refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": how})

    def _manifest(self, host: str, account: str, repository: str, reference: str) -> None:
        headers: dict[str, str] = {}
        if host == HUB:
            # Who is logged in is told apart from the others behind one address.
            limited = "limited" in self._faults and not account
            headers = {
                "ratelimit-limit": f"{ALLOWANCE};w={WINDOW}",
                # Not counted: the bed's guests would use up a true allowance in an hour of tests.
                "ratelimit-remaining": f"{0 if limited else ALLOWANCE};w={WINDOW}",
                "docker-ratelimit-source": ACCOUNT_ID if account else self.client_address[0],
            }
            # HEAD counts for nothing and is answered to the end.
            if limited and self.command == "GET":
                self._refuse(429, "TOOMANYREQUESTS", LIMITED, headers | {"Retry-After": str(WINDOW)})
                return
        digest = self.server.store.manifest(repository, reference)
        if digest is None:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        content = self.server.store.path(digest).read_bytes()
        headers |= {"Docker-Content-Digest": digest, "Etag": f'"{digest}"'}
        self._answer(200, content, headers | {"Content-Type": json.loads(content)["mediaType"]})

    def _blob(self, digest: str) -> None:
        path = self.server.store.path(digest)
        size = path.stat().st_size if path.is_file() else -1
        first, last = 0, size - 1
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if size < 0:
            self._answer(404, b"", {})
            return
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            if first > last:
                self._answer(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head(206 if asked else 200, headers | {"Content-Length": str(last + 1 - first)})
        if self.command == "HEAD":
            return
        stalls = "stalled" in self._faults and size >= STALLS_FROM
        end = min(last + 1, size // 2) if stalls else last + 1
        with open(path, "rb") as stream:
            stream.seek(first)
            while first < end:
                chunk = stream.read(min(CHUNK, end - first))
                self.connection.sendall(chunk)
                first += len(chunk)
        if stalls:
            self._hold()

    def _hold(self) -> None:
        """Leave the connection open, and send nothing on it, until the client goes or the fault does."""
        while "stalled" in self.server.faults(self.client_address[0]):
            readable, _writable, _other = select.select([self.connection], [], [], 0.2)
            if readable:
                break
        self.close_connection = True

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._json(status, {"errors": [{"code": code, "message": message}]}, headers)

    def _json(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(content).encode(), (headers or {}) | {"Content-Type": "application/json"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self._head(status, headers | {"Content-Length": str(len(content))})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    address, port, store, certificate, key, folder = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    Hub((address, int(port)), Store(Path(store)), context, Path(folder)).serve_forever()


if __name__ == "__main__":
    main()
