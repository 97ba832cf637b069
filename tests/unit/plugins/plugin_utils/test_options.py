"""An option is written twice, for Ansible's check and for people; both say the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
PREFIX = "ansible_collections.felhom.base_infra.plugins"
ACTIONS = sorted(path.stem for path in PLUGINS.glob("action/*.py") if path.stem != "explain_info")


def documented(name: str) -> dict[str, Any]:
    """A module's options as its page has them, with those of its fragments."""
    page = yaml.safe_load(importlib.import_module(f"{PREFIX}.modules.{name}").DOCUMENTATION)
    options = dict(page.get("options", {}))
    for fragment in page.get("extends_documentation_fragment", []):
        module = importlib.import_module(f"{PREFIX}.doc_fragments.{fragment.rpartition('.')[2]}")
        options |= yaml.safe_load(module.ModuleDocFragment.DOCUMENTATION)["options"]
    return {key: of_page(option) for key, option in options.items()}


def of_page(option: dict[str, Any]) -> dict[str, Any]:
    told = {key: option[key] for key in ("type", "elements", "choices", "default", "required") if key in option}
    if "suboptions" in option:
        told["options"] = {key: of_page(sub) for key, sub in option["suboptions"].items()}
    return told


def of_check(option: dict[str, Any]) -> dict[str, Any]:
    told = {key: option[key] for key in ("type", "elements", "choices", "default", "required") if key in option}
    if "options" in option:
        told["options"] = {key: of_check(sub) for key, sub in option["options"].items()}
    return told


@pytest.mark.parametrize("name", ACTIONS)
def test_page_and_check_agree(name):
    options = importlib.import_module(f"{PREFIX}.action.{name}").ActionModule.options
    assert documented(name) == {key: of_check(option) for key, option in options.items()}


def test_every_action_has_a_page():
    assert set(ACTIONS) <= {path.stem for path in PLUGINS.glob("modules/*.py")}
