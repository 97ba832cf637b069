"""A collection that a test may stop at a moment of its choice."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from runs import ROOT


@pytest.fixture(scope="module", autouse=True)
def nothing_to_do(play):
    """After all of it a plain converge ends well, and the next one has nothing to do."""
    yield
    assert play("site.yml").status == 0
    assert play("site.yml").changed == 0


@pytest.fixture(scope="module")
def altered_collection(tmp_path_factory):
    """Make a copy of the collection with files of its module_utils changed; gives a path for Ansible to find it by."""

    def alter(changes: dict[str, Callable[[str], str]]) -> str:
        root = tmp_path_factory.mktemp("collections")
        ours = root / "ansible_collections/felhom/base_infra"
        for folder in ("plugins", "roles", "playbooks", "meta"):
            shutil.copytree(ROOT / folder, ours / folder)
        shutil.copy(ROOT / "galaxy.yml", ours)
        for name, change in changes.items():
            path = ours / "plugins/module_utils" / name
            path.write_text(change(path.read_text()))
        return f"{root}:{ROOT / '.venv/collections'}"

    return alter
