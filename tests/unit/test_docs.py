"""The documentation says what the code does: pages are those that the code makes, defaults are those of the specs."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pages(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for kind in ("roles/*", "plugins/*", "health.md")
        for path in folder.glob(kind)
    }


def test_the_pages_are_those_that_make_docs_writes(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs/generate.py", tmp_path], check=True)
    assert pages(ROOT / "docs") == pages(tmp_path), "run 'make docs' and commit what it writes"


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_defaults_and_argument_specs_agree(role):
    folder = ROOT / "roles" / role
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text())
    options = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    optional = {name: option["default"] for name, option in options.items() if not option.get("required")}
    assert optional == defaults
    assert all(name.startswith(f"{role}_") for name in options)


def test_every_check_is_on_the_page_with_its_verdict():
    page = (ROOT / "docs/health.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert {verdict for row in rows for verdict in row[1].split(" or ")} <= {"waiting", "degraded", "fail"}
    said = {row[0].removeprefix("| `").rstrip("`").partition(".")[0] for row in rows}
    assert said >= {
        *("certificate", "configuration", "container", "converge", "disk", "engine", "golden", "identity", "manifest"),
        *("network", "pause", "pin", "probe", "proxy", "stack", "stacks", "tunnel"),
    }
