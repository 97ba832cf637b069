# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding secrets in bytes: known ones by fingerprint, unknown ones by shape. Private to this collection.

A fingerprint says how long a secret is, two of its bytes, and its SHA-256. The two bytes make the search quick: only
where they occur is anything hashed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import mmap
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Union
from urllib.parse import quote

SHORTEST = 8  # characters of a secret that can be searched for; below, anything is found anywhere

# ansible-test: "unsupported-binary-operation: unsupported operand type(s) for |".
Data = Union[bytes, mmap.mmap]  # noqa: UP007
"""What is looked through."""

_LARGEST = 64 * 1024 * 1024  # bytes of a compressed file's content that are looked at


class Found(NamedTuple):
    """Where something was found: kind is the known secret's name or the shape's, offset is in bytes."""

    kind: str
    offset: int


class Fingerprint(NamedTuple):
    """A secret in one of the forms in which it may be written. anchor are two bytes that lie at an offset in it."""

    name: str
    length: int
    anchor: bytes
    offset: int
    sha256: str


def fingerprints(name: str, secret: str) -> list[dict[str, str | int]]:
    """A secret's fingerprints as plain data, one for each form: as it is, in JSON, in a URL, in base64, in hex.

    Raises ValueError for one that is too short.
    """
    if len(secret) < SHORTEST:
        raise ValueError(f"{name}: found a secret of {len(secret)} characters; expected at least {SHORTEST}")
    data = secret.encode()
    forms = {data, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), binascii.hexlify(data)}
    for shift in range(3):
        # What stands before and after shares characters with it: those are left out.
        encoded = base64.b64encode(b"\0" * shift + data)
        first = (shift * 8 + 5) // 6
        forms.add(encoded[first : (shift + len(data)) * 8 // 6])
    return [
        {
            "name": name,
            "length": len(form),
            "anchor": form[place : place + 2].decode("latin-1"),
            "offset": place,
            "sha256": hashlib.sha256(form).hexdigest(),
        }
        for form in sorted(forms)
        for place in [_rarest(form)]
    ]


def _rarest(form: bytes) -> int:
    """Where the two bytes lie that are met least: not letters in a row, rather digits beside capitals."""
    classes = [re.compile(pattern) for pattern in (rb"[a-z ]", rb"[A-Z]", rb"[0-9]")]

    def weight(place: int) -> int:
        first, second = (
            next((number for number, known in enumerate(classes) if known.match(form, at)), 3)
            for at in (place, place + 1)
        )
        return (first != second) * 4 + first + second

    return max(range(len(form) - 1), key=weight)


def parse_fingerprints(given: Iterable[Any]) -> list[Fingerprint]:
    """Fingerprints from plain data. Raises ValueError that names the entry by its number."""
    parsed = []
    for number, entry in enumerate(given, 1):
        try:
            fingerprint = Fingerprint(
                str(entry["name"]),
                int(entry["length"]),
                str(entry["anchor"]).encode("latin-1"),
                int(entry["offset"]),
                str(entry["sha256"]),
            )
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ValueError(f"fingerprint {number}: expected what the filter secret_fingerprints makes") from error
        if len(fingerprint.anchor) != 2 or not 0 <= fingerprint.offset <= fingerprint.length - 2:
            raise ValueError(f"fingerprint {number}: expected what the filter secret_fingerprints makes")
        parsed.append(fingerprint)
    return parsed


# What secrets look like wherever they stand. That a program knows the words around one is no finding.
_SHAPES = {
    "private key": rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)+[A-Za-z0-9+/=]{16}",
    # base64 of {"a":"
    "tunnel token": rb"eyJhIjoi[A-Za-z0-9+/_=-]{80,}",
    "JSON Web Token": rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,}",
    "registry login": rb"\"auths\"\s*:\s*\{[^}]{0,300}?\"(?:auth|identitytoken|password)\"\s*:\s*\"[^\"]{4,}\"",
    "Cloudflare API token": (
        # Spelt out: a pattern that ignores case throughout takes ten times as long.
        rb"(?:[cC][fF]|[cC]loud[fF]lare|CLOUDFLARE)[A-Za-z_.-]{0,16}(?:[tT]oken|TOKEN|[kK]ey|KEY)"
        rb"[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
        rb"[A-Za-z0-9_-]{37,64}(?![A-Za-z0-9_-])"
    ),
}
_SHAPE_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _SHAPES.items()}
# Their content is a secret whatever it looks like, where the name is this one.
_NAMED = {
    ".git-credentials": ("git credentials", re.compile(rb"://[^/\s:@]*:[^/\s@]+@")),
    ".netrc": ("netrc password", re.compile(rb"\bpassword\s+\S+")),
}


def scan(data: Data, known: Iterable[Fingerprint], name: str = "") -> Iterator[Found]:
    """What is found in bytes or in a mapped file whose base name is name. Each kind once, where it is first."""
    found = set()
    for fingerprint in known:
        if fingerprint.name not in found and (offset := _find(data, fingerprint)) is not None:
            found.add(fingerprint.name)
            yield Found(fingerprint.name, offset)
    for kind, pattern in _SHAPE_PATTERNS.items():
        if match := pattern.search(data):
            yield Found(kind, match.start())
    if name in _NAMED:
        kind, pattern = _NAMED[name]
        if match := pattern.search(data):
            yield Found(kind, match.start())


def _find(data: Data, fingerprint: Fingerprint) -> int | None:
    position = data.find(fingerprint.anchor)
    while position >= 0:
        start = position - fingerprint.offset
        if start >= 0:
            window = data[start : start + fingerprint.length]
            if hashlib.sha256(window).hexdigest() == fingerprint.sha256:
                return start
        position = data.find(fingerprint.anchor, position + 1)
    return None


def unpacked(data: bytes) -> bytes:
    """The beginning of what a gzip file holds; nothing for what is none."""
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _LARGEST)
    except zlib.error:
        return b""
