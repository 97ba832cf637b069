# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned image references: name:tag@sha256:digest. Private to this collection."""

from __future__ import annotations

import re

# The grammar of the distribution project's reference package, narrowed: tag and digest are both required, since a
# reference without a digest starts whatever the tag points at today, and one without a tag is pruned as
# dangling and tells nobody which version it is.
_PIN = re.compile(
    r"(?P<name>(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
    r"@(?P<digest>sha256:[0-9a-f]{64})"
)


def is_pin(reference: object) -> bool:
    """Whether a reference is a whole pin."""
    return isinstance(reference, str) and _PIN.fullmatch(reference) is not None


def repo_digest(pin: str) -> str:
    """The engine's own name for a pinned image, as found in an image's RepoDigests.

    The engine drops the tag, and for Docker Hub the host and the `library/` folder as well.
    """
    name, _at, digest = pin.partition("@")
    return _short(name[: name.rindex(":")]) + "@" + digest


def repo_tag(pin: str) -> str:
    """The engine's own name for a pin's tag, as found in an image's RepoTags."""
    return _short(pin.partition("@")[0])


def _short(name: str) -> str:
    for prefix in ("docker.io/", "index.docker.io/"):
        name = name.removeprefix(prefix)
    return name.removeprefix("library/")


def version_numbers(text: str) -> tuple[int, ...]:
    """The numbers that a version such as v3.7.14 or 1.44 begins with; none where it begins with something else."""
    found = re.match(r"v?([0-9]{1,18}(?![0-9])(?:\.[0-9]{1,18}(?![0-9]))*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()
