"""The documentation says what the code does: pages are those that the code makes, defaults are those of the specs."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import cli as _cli

pytestmark = pytest.mark.ansible

ROOT = pathlib.Path(__file__).resolve().parents[2]


# Of "`make demo`" and of "    make demo     # ...": the line as somebody would type it.
PROGRAMS = "make|ansible-playbook|felhom-base-infra|tests/bed/bed"
COMMAND = re.compile(rf"(?:^|`|[ ]{{4}})((?:{PROGRAMS}) [^`\n#…]+)", re.MULTILINE)


def commands():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in COMMAND.findall(path.read_text()):
            yield pytest.param(line.split(), id=f"{path.name}: {line.strip()}")


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


def test_every_check_is_on_the_page():
    """Its id is what alerts and other programs know it by."""
    page = (ROOT / "docs/health.md").read_text()
    assert sorted(re.findall(r"^## `([^`]+)`$", page, re.MULTILINE)) == [
        *(
            "access.<path>",
            "certificate.<host>",
            "compose",
            "configuration",
            "container.<name>",
            "controller_hostname",
            "converge",
        ),
        *("disk", "disk.<path>", "engine", "engine.api", "filebrowser.login", "filebrowser.source.<name>", "golden"),
        *("identity.<part>", "keyctl", "manifest", "nesting"),
        *("network.<network>", "pause", "pin.<name>", "probe.<host>", "proxy.http.<host>", "proxy.https.<host>"),
        *("report", "stack.<stack>", "stack_paths", "stack_probe", "stacks", "storage", "time", "tunnel"),
    ]


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_of_the_documentation_is_one(words):
    """Whether it does what is said is for the scenarios; a command that was renamed is found here."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[0] == "ansible-playbook":
        named = [word for word in words if word.startswith(("playbooks/", "inventories/"))]
        assert named and all((ROOT / name).exists() for name in named)
    elif words[0] == "felhom-base-infra":
        # 1, since this machine is no guest; words that are no command end the program with 2.
        assert _cli.main(words[1:]) == 1
    else:
        subprocess.run([ROOT / words[0], words[1], "--help"], check=True, stdout=subprocess.DEVNULL)
