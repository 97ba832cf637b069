"""The bot that bumps the pins finds every one of them, tag and digest together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils import _image

ROOT = Path(__file__).resolve().parents[2]
(MANAGER,) = json.loads((ROOT / "renovate.json").read_text())["customManagers"]
DEFAULTS = sorted(ROOT.glob("roles/*/defaults/main.yml"))


def python(pattern: str) -> str:
    """A pattern in Python's way to write it."""
    return pattern.replace("(?<", "(?P<")


def test_there_are_pins():
    assert sum(path.read_text().count("@sha256:") for path in DEFAULTS) >= 4


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda path: path.parent.parent.name)
def test_every_pin_is_found(path):
    (pattern,) = MANAGER["managerFilePatterns"]
    assert re.search(pattern.strip("/"), str(path.relative_to(ROOT)))
    (match,) = MANAGER["matchStrings"]
    text = path.read_text()
    found = list(re.finditer(python(match), text))
    # An image that is empty is one that nobody but the user can name.
    named = re.findall(r'^\w+_image: (?!""$)', text, re.MULTILINE)
    assert len(found) == text.count("@sha256:") == len(named)
    for pin in found:
        assert _image.is_pin("{depName}:{currentValue}@{currentDigest}".format(**pin.groupdict()))
