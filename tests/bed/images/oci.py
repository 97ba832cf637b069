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


class Image(NamedTuple):
    """What is pushed: an index that names one manifest, its configuration, and its layers."""

    index: bytes
    manifest: bytes
    config: bytes
    layers: list[bytes]

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
    """An image for amd64 Linux of uncompressed layers. config is the OCI configuration's own `config`."""
    described = _json(
        {
            "created": "1970-01-01T00:00:00Z",
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _TYPE + "manifest.v1+json",
            "config": _descriptor("config.v1+json", described),
            "layers": [_descriptor("layer.v1.tar", data) for data in layers],
        }
    )
    platform = {"platform": {"architecture": "amd64", "os": "linux"}}
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": _TYPE + "index.v1+json",
            "manifests": [_descriptor("manifest.v1+json", manifest) | platform],
        }
    )
    return Image(index, manifest, described, layers)


def push(registry: str, repository: str, tag: str, built: Image) -> None:
    """Bring an image to a registry, blob by blob, but for what it has already."""
    base = f"{registry}/v2/{repository}"
    for blob in [*built.layers, built.config]:
        _push_blob(base, registry, blob)
    _request("PUT", f"{base}/manifests/{digest(built.manifest)}", built.manifest, _TYPE + "manifest.v1+json")
    _request("PUT", f"{base}/manifests/{tag}", built.index, _TYPE + "index.v1+json")


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
    return {"mediaType": _TYPE + kind, "digest": digest(data), "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


# The registry is on the bed's own bridge; a proxy that this machine may use for the outside must not be asked for it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _request(method: str, url: str, data: bytes | None = None, kind: str | None = None):
    headers = {"Content-Type": kind} if kind else {}
    return _DIRECT.open(urllib.request.Request(url, data=data, method=method, headers=headers), timeout=60)
