# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest may be called, and a name for any customer id. Private to this collection."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ansible_collections.felhom.base_infra.plugins.module_utils._guest.documents import kind

LONGEST_LABEL = 63
# Proxmox takes 255 characters. Then LXC refuses to start the guest: 'Failed to parse config file ".../config" at line
# "lxc.uts.name = ..."', for the kernel's names have 64, the domain included.
LONGEST_NAME = 64
# Names of the machine itself; another machine of that name can't be reached by it.
RESERVED = {"localhost"}

_LABEL = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?")
_DIGITS = 8  # of the hash: with 10,000 ids that need one, a collision, which is refused, once in 90 tries


class Invalid(Exception):
    """There is no name for this. The text says what was found and what is expected."""


def refusal(name: object) -> str:
    """What is wrong with a name, "" when nothing is: Proxmox takes it, and a guest starts with it."""
    expected = f"expected a DNS name of at most {LONGEST_NAME} characters"
    if not isinstance(name, str):
        return f"found {kind(name)}; {expected}, quoted"
    if not name:
        return f"found an empty text; {expected}"
    if len(name) > LONGEST_NAME:
        return f"found {len(name)} characters; {expected}, with more a guest does not start"
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            return f"found {name!r}; {expected}: letters, digits and inner hyphens, in labels between dots"
        if len(label) > LONGEST_LABEL:
            return f"found a label of {len(label)} characters; expected at most {LONGEST_LABEL}"
    if name.split(".")[0].lower() in RESERVED:
        return f"found {name!r}, which every machine calls itself; {expected}"
    return ""


def short(name: str) -> str:
    """What Proxmox writes into the guest's /etc/hostname."""
    return name.partition(".")[0]


def dns_label(text: object) -> str:
    """One DNS label, always the same for the same text.

    A text that is a label already stays, in lower case. From any other, marks are taken off letters, what is left of
    other characters becomes a hyphen, and a hash of the whole text is put behind, so that texts that look alike then
    are still told apart.
    """
    if not isinstance(text, str):
        raise Invalid(f"found {kind(text)}; expected a text")
    if not text.strip():
        raise Invalid("found an empty text; expected a customer id")
    # Not lower() first: it makes an ASCII letter of the Kelvin sign.
    if len(text) <= LONGEST_LABEL and _LABEL.fullmatch(text) and text.lower() not in RESERVED:
        return text.lower()
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter)
    )
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: LONGEST_LABEL - _DIGITS - 1].rstrip("-") or "guest"
    # Lone surrogates are no UTF-8, but a JSON file can have them.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{stem}-{digest[:_DIGITS]}"
