"""Builds OCI images from local files and pushes them to a registry. The same inputs give the same digests."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

_TYPE = "application/vnd.oci.image."
_MANIFEST, _INDEX = _TYPE + "manifest.v1+json", _TYPE + "index.v1+json"


class Image(NamedTuple):
    """What is pushed: an index, the manifests it names, and all their blobs."""

    index: bytes
    manifests: list[bytes]
    blobs: list[bytes]

    @property
    def digest(self) -> str:
        """The digest that a pin carries: the index's, as with the images of Docker Hub."""
        return digest(self.index)


def digest(data: bytes) -> str:
    """A digest as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files: dict[str, tuple[Path | bytes, int]], links: dict[str, str]) -> bytes:
    """A layer of files (path to source and mode) and symbolic links (path to target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted({str(parent) for path in [*files, *links] for parent in Path(path).parents} - {".", "/"}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, (source, mode) in sorted(files.items()):
            data = source if isinstance(source, bytes) else source.read_bytes()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.size = mode, len(data)
            archive.addfile(entry, io.BytesIO(data))
        for path, target in sorted(links.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def image(layers: list[bytes], config: dict[str, Any]) -> Image:
    """An image of uncompressed layers. config is the OCI configuration's own `config`.

    The index is as buildx makes them and the Hub serves them: several platforms, and an attestation for each. Only
    amd64 can be run; what arm64 has instead of the layers says so.
    """
    # First what is not to be taken: who takes the first entry takes the wrong one.
    platforms = {
        "arm64": [layer({"/README": (b"The test bed has this image for amd64 only.\n", 0o644)}, {})],
        "amd64": layers,
    }
    manifests, blobs, entries, attestations = [], [], [], []
    for architecture, contents in platforms.items():
        platform = {"architecture": architecture, "os": "linux"}
        described = _config(platform, contents, {"config": config})
        manifest = _manifest(described, [_descriptor(_TYPE + "layer.v1.tar", data) for data in contents])
        statement = _json(
            {
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": "https://slsa.dev/provenance/v0.2",
                "subject": [{"name": "_", "digest": {"sha256": digest(manifest).removeprefix("sha256:")}}],
                "predicate": {"builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1"},
            }
        )
        nowhere = {"architecture": "unknown", "os": "unknown"}
        attesting = _config(nowhere, [statement], {})
        annotation = {"annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}
        attestation = _manifest(attesting, [_descriptor("application/vnd.in-toto+json", statement) | annotation])
        about = {"vnd.docker.reference.digest": digest(manifest), "vnd.docker.reference.type": "attestation-manifest"}
        manifests += [manifest, attestation]
        blobs += [*contents, described, statement, attesting]
        entries.append(_descriptor(_MANIFEST, manifest) | {"platform": platform})
        attestations.append(_descriptor(_MANIFEST, attestation) | {"platform": nowhere, "annotations": about})
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries + attestations})
    return Image(index, manifests, blobs)


def _config(platform: dict[str, str], layers: list[bytes], more: dict[str, Any]) -> bytes:
    contents = {"type": "layers", "diff_ids": [digest(data) for data in layers]}
    return _json({"created": "1970-01-01T00:00:00Z", "rootfs": contents} | platform | more)


def _manifest(config: bytes, layers: list[dict[str, Any]]) -> bytes:
    described = _descriptor(_TYPE + "config.v1+json", config)
    return _json({"schemaVersion": 2, "mediaType": _MANIFEST, "config": described, "layers": layers})


def push(registry: str, repository: str, tag: str, built: Image) -> None:
    """Bring an image to a registry, blob by blob, but for what it has already."""
    base = f"{registry}/v2/{repository}"
    for blob in built.blobs:
        _push_blob(base, registry, blob)
    for manifest in built.manifests:
        _request("PUT", f"{base}/manifests/{digest(manifest)}", manifest, _MANIFEST)
    _request("PUT", f"{base}/manifests/{tag}", built.index, _INDEX)


def _push_blob(base: str, registry: str, blob: bytes) -> None:
    name = digest(blob)
    try:
        _request("HEAD", f"{base}/blobs/{name}")
        return
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    place = _request("POST", f"{base}/blobs/uploads/", b"").headers["Location"]
    place = registry + place if place.startswith("/") else place
    _request("PUT", f"{place}{'&' if '?' in place else '?'}digest={name}", blob, "application/octet-stream")


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


# The registry is on the bed's own bridge; a proxy that this machine may use for the outside must not be asked for it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _request(method: str, url: str, data: bytes | None = None, kind: str | None = None):
    headers = {"Content-Type": kind} if kind else {}
    return _DIRECT.open(urllib.request.Request(url, data=data, method=method, headers=headers), timeout=60)
