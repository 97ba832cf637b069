# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bill of materials of a golden image, in CycloneDX. Private to this collection.

Format: CycloneDX 1.6 (ECMA-424); package URLs: ECMA-427, types deb and docker.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import clock as _clock, identity as _identity


class Package(NamedTuple):
    """A Debian package that is installed."""

    name: str
    version: str
    architecture: str


def packages(listed: str) -> list[Package]:
    """The installed ones of dpkg-query's lines: ${Package} ${Version} ${Architecture} ${db:Status-Status}."""
    lines = (line.split(" ") for line in listed.splitlines())
    return sorted(Package(*words[:3]) for words in lines if len(words) == 4 and words[3] == "installed")


def document(manifest: _identity.Golden, installed: list[Package]) -> dict[str, Any]:
    """The bill of what is in an image: its Debian packages, its container images, this collection."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": _clock.utc(manifest["built"]),
            "component": {"type": "operating-system", "name": manifest["hostname"], "version": manifest["commit"]},
        },
        "components": [
            {"type": "library", "name": "felhom.base_infra", "version": manifest["commit"]},
            *(_package(package) for package in installed),
            *(_image(pin) for pin in manifest["pins"]),
        ],
    }


def _package(package: Package) -> dict[str, str]:
    purl = f"pkg:deb/debian/{_quoted(package.name)}@{_quoted(package.version)}?arch={_quoted(package.architecture)}"
    return {"type": "library", "name": package.name, "version": package.version, "purl": purl}


def _image(pin: str) -> dict[str, str]:
    reference, _at, digest = pin.partition("@")
    name, _colon, tag = reference.rpartition(":")
    registry, slash, path = name.partition("/")
    # As Docker tells a registry from a folder of its own one.
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = "", name
    qualifiers = (f"repository_url={_quoted(registry)}&" if registry else "") + f"tag={_quoted(tag)}"
    purl = f"pkg:docker/{quote(path)}@{_quoted(digest)}?{qualifiers}"
    return {"type": "container", "name": name, "version": f"{tag}@{digest}", "purl": purl}


def _quoted(text: str) -> str:
    return quote(text, safe="")
