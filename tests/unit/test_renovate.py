"""The bot that bumps the pins finds every one of them, tag and digest together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import pins as _pins

ROOT = Path(__file__).resolve().parents[2]
(MANAGER,) = json.loads((ROOT / "renovate.json").read_text())["customManagers"]
PLACES = ("roles/*/defaults/main.yml", "roles/*/meta/argument_specs.yml", "docs/roles/*.md")
FILES = [str(path.relative_to(ROOT)) for place in PLACES for path in sorted(ROOT.glob(place))]
PIN = re.compile(r"sha256:[0-9a-f]{64}")


def python(pattern: str) -> str:
    """A pattern in Python's way to write it."""
    return pattern.replace("(?<", "(?P<")


def test_there_are_pins():
    assert sum(len(PIN.findall((ROOT / name).read_text())) for name in FILES) >= 3 * 4


@pytest.mark.parametrize("name", FILES)
def test_every_pin_is_found(name):
    assert any(re.search(pattern.strip("/"), name) for pattern in MANAGER["managerFilePatterns"])
    (match,) = MANAGER["matchStrings"]
    text = (ROOT / name).read_text()
    found = list(re.finditer(python(match), text))
    assert len(found) == len(PIN.findall(text))
    for pin in found:
        assert _pins.is_pin("{depName}:{currentValue}@{currentDigest}".format(**pin.groupdict()))


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("defaults/main.yml")])
def test_every_image_is_pinned(name):
    # An image that is empty is one that nobody but the user can name.
    for image in re.findall(r'^\w+_image: (?!""$)(.*)$', (ROOT / name).read_text(), re.MULTILINE):
        assert _pins.is_pin(image)
