"""The front that plays Docker Hub, asked on loopback as an engine asks it. Guests are told apart by their address."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import threading
import time
from urllib.parse import urlsplit

import hub
import pytest
from images import oci

LAYER = bytes(range(256)) * 1024
IMAGE = oci.image([LAYER], {"Cmd": ["true"]})
GUEST, OTHER = "127.0.0.1", "127.0.0.2"
LOGIN = "Basic " + base64.b64encode(f"{hub.ACCOUNT}:{hub.PASSWORD}".encode()).decode()


def store(folder, repository: str, tag: str) -> hub.Store:
    """The storage as docker-registry leaves it after a push."""
    root = folder / "docker/registry/v2"
    of_it = root / "repositories" / repository
    for data in [IMAGE.index, *IMAGE.manifests, *IMAGE.blobs]:
        name = oci.digest(data)
        kind = "_layers" if data in IMAGE.blobs else "_manifests/revisions"
        for path, content in (
            (of_it / kind / name.replace(":", "/") / "link", name.encode()),
            (root / "blobs/sha256" / name[7:9] / name[7:] / "data", data),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (of_it / "_manifests/tags" / tag / "current").mkdir(parents=True)
    (of_it / "_manifests/tags" / tag / "current/link").write_text(IMAGE.digest)
    return hub.Store(folder)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=hub -keyout key -out crt"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "crt", folder / "key")
    return made


@pytest.fixture
def front(tmp_path, context):
    (tmp_path / "faults").mkdir()
    stored = store(tmp_path, "library/traefik", "v3")
    store(tmp_path, "felhom/controller", "1")
    with hub.Hub((GUEST, 0), stored, context, tmp_path / "faults") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def ask(front):
    """One request, and its answer before the body is read."""
    opened = []
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def request(url: str, method: str = "GET", guest: str = GUEST, **headers: str) -> http.client.HTTPResponse:
        address = urlsplit(url)
        connection = http.client.HTTPSConnection(
            GUEST, front.server_address[1], timeout=5, context=trusting, source_address=(guest, 0)
        )
        opened.append(connection)
        connection.request(method, url.partition(address.netloc)[2], headers={"Host": address.netloc} | headers)
        return connection.getresponse()

    yield request
    for connection in opened:
        connection.close()


def suffers(front, guest: str, *faults: str) -> None:
    (front.folder / guest).write_text(" ".join(faults))


@pytest.fixture
def authorized(ask):
    """What an engine sends once it has a token."""

    def headers(repository: str = "library/traefik", **login: str) -> dict[str, str]:
        scope = f"repository:{repository}:pull"
        answer = ask(f"https://{hub.TOKENS}/token?service={hub.SERVICE}&scope={scope}", **login)
        return {"Authorization": f"Bearer {json.loads(answer.read())['token']}"}

    return headers


def test_it_asks_everybody_for_a_token_and_says_where(ask):
    answer = ask(f"https://{hub.HUB}/v2/")
    assert answer.status == 401
    asked = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    assert answer.headers["WWW-Authenticate"] == asked
    manifest = ask(f"https://{hub.HUB}/v2/library/traefik/manifests/v3")
    assert manifest.status == 401
    assert manifest.headers["WWW-Authenticate"] == f'{asked},scope="repository:library/traefik:pull"'


@pytest.mark.parametrize("reference", ["v3", IMAGE.digest])
def test_a_manifest(ask, authorized, reference):
    url = f"https://{hub.HUB}/v2/library/traefik/manifests/{reference}"
    answer = ask(url, **authorized())
    assert (answer.status, answer.read()) == (200, IMAGE.index)
    assert answer.headers["Docker-Content-Digest"] == IMAGE.digest
    assert answer.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    assert answer.headers["ratelimit-limit"] == "100;w=21600"
    assert answer.headers["ratelimit-remaining"] == "100;w=21600"
    assert answer.headers["docker-ratelimit-source"] == GUEST
    head = ask(url, "HEAD", **authorized())
    assert head.read() == b""
    assert {**head.headers} == {**answer.headers} | {"Date": head.headers["Date"]}


def test_a_blob_comes_from_elsewhere_and_in_parts(ask, authorized):
    answer = ask(f"https://{hub.HUB}/v2/library/traefik/blobs/{oci.digest(LAYER)}", **authorized())
    assert answer.status == 307
    place = answer.headers["Location"]
    assert urlsplit(place).netloc == "production.cloudflare.docker.com"
    # Without the token: it is the address that opens it.
    assert ask(place).read() == LAYER
    part = ask(place, Range=f"bytes=1000-{len(LAYER) - 2}")
    assert (part.status, part.read()) == (206, LAYER[1000:-1])
    assert part.headers["Content-Range"] == f"bytes 1000-{len(LAYER) - 2}/{len(LAYER)}"
    assert ask(place, Range="bytes=1000-").read() == LAYER[1000:]
    assert ask(place, Range=f"bytes={len(LAYER)}-").status == 416
    assert ask(place.replace(oci.digest(LAYER)[7:], "0" * 64)).status == 403
    assert ask(place.partition("?")[0]).status == 403


@pytest.mark.parametrize("path", ["manifests/v4", f"blobs/sha256:{'0' * 64}"])
def test_what_there_is_not(ask, authorized, path):
    assert ask(f"https://{hub.HUB}/v2/library/traefik/{path}", **authorized()).status == 404


def test_a_token_opens_what_it_was_asked_for(ask, authorized):
    other = f"https://{hub.HUB}/v2/felhom/controller/manifests/1"
    refused = ask(other, **authorized())
    assert refused.status == 401 and 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert ask(other, **authorized("felhom/controller")).status == 200
    assert ask(f"https://{hub.HUB}/v2/no/such/manifests/1", **authorized("no/such")).status == 401


def test_a_token_of_somebody_else_and_one_that_ran_out(ask, front, authorized):
    url = f"https://{hub.HUB}/v2/library/traefik/manifests/v3"
    granted = hub.Token("", ["library/traefik"])
    old = hub.Signer(lambda: time.time() - hub.TOKEN_LIFE - 1)
    old._key = front.signer._key
    for token in (hub.Signer().token(granted), old.token(granted), authorized()["Authorization"][7:-1], "\xe9"):
        refused = ask(url, Authorization=f"Bearer {token}")
        assert refused.status == 401 and 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    old._now = time.time
    assert ask(url, Authorization=f"Bearer {old.token(granted)}").status == 200


def test_a_login_at_the_token_service_is_checked(ask):
    url = f"https://{hub.TOKENS}/token?service={hub.SERVICE}"
    assert ask(url, Authorization=LOGIN).status == 200
    assert ask(url, Authorization=LOGIN[:-4] + "AAAA").status == 401


def test_one_guest_over_its_limit(ask, front, authorized):
    url = f"https://{hub.HUB}/v2/library/traefik/manifests/v3"
    suffers(front, GUEST, "limited")
    refused = ask(url, **authorized())
    assert (refused.status, refused.headers["Retry-After"]) == (429, "21600")
    assert refused.headers["ratelimit-remaining"] == "0;w=21600"
    assert json.loads(refused.read())["errors"] == [{"code": "TOOMANYREQUESTS", "message": hub.LIMITED}]
    # As the Hub does: asking how many are left costs none, and an account is counted for itself.
    head = ask(url, "HEAD", **authorized())
    assert (head.status, head.headers["ratelimit-remaining"]) == (200, "0;w=21600")
    logged_in = ask(url, **authorized(Authorization=LOGIN))
    assert (logged_in.status, logged_in.headers["docker-ratelimit-source"]) == (200, hub.ACCOUNT_ID)
    assert ask(url, guest=OTHER, **authorized()).status == 200
    suffers(front, GUEST)
    assert ask(url, **authorized()).status == 200


def test_one_guest_whose_transfers_stall(ask, front, authorized):
    answer = ask(f"https://{hub.HUB}/v2/library/traefik/blobs/{oci.digest(LAYER)}", **authorized())
    place, half = answer.headers["Location"], len(LAYER) // 2
    suffers(front, GUEST, "stalled")
    stalled = ask(place)
    assert stalled.headers["Content-Length"] == str(len(LAYER))
    assert stalled.read(half) == LAYER[:half]
    assert ask(place, guest=OTHER).read() == LAYER
    raw = stalled.fp.raw._sock
    raw.settimeout(0.5)
    with pytest.raises(TimeoutError):
        raw.recv(1)
    suffers(front, GUEST)
    raw.settimeout(5)
    assert raw.recv(1) == b""
    assert ask(place, Range=f"bytes={half}-").read() == LAYER[half:]


def test_the_private_registry_wants_a_login_when_told_to(ask, front):
    url = f"https://{hub.PRIVATE}/v2/felhom/controller/manifests/1"
    assert ask(url).status == 200
    assert ask(url, Authorization=LOGIN[:-4] + "AAAA").status == 401
    suffers(front, GUEST, "login")
    refused = ask(url)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="registry.felhom.test"')
    assert ask(url, Authorization=LOGIN).status == 200
    assert ask(url, guest=OTHER).status == 200
    blob = ask(f"https://{hub.PRIVATE}/v2/felhom/controller/blobs/{oci.digest(LAYER)}", Authorization=LOGIN)
    assert (blob.status, blob.read()) == (200, LAYER)


def test_an_index_is_of_several_platforms_and_always_the_same():
    assert oci.image([LAYER], {"Cmd": ["true"]}) == IMAGE
    entries = json.loads(IMAGE.index)["manifests"]
    platforms = [f"{entry['platform']['os']}/{entry['platform']['architecture']}" for entry in entries]
    assert platforms == ["linux/arm64", "linux/amd64", "unknown/unknown", "unknown/unknown"]
    by_digest = {oci.digest(data): json.loads(data) for data in IMAGE.manifests}
    amd64 = by_digest[entries[1]["digest"]]
    assert [layer["digest"] for layer in amd64["layers"]] == [oci.digest(LAYER)]
    for about, attestation in zip(entries[:2], entries[2:], strict=True):
        assert attestation["annotations"]["vnd.docker.reference.digest"] == about["digest"]
        (layer,) = by_digest[attestation["digest"]]["layers"]
        assert layer["mediaType"] == "application/vnd.in-toto+json"
    blobs = {oci.digest(data) for data in IMAGE.blobs}
    for manifest in by_digest.values():
        assert {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])} <= blobs
