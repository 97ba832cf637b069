"""What may import what. `python tests/unit/test_imports.py` prints the packages by level, and their arrows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PREFIX = "ansible_collections.felhom.base_infra.plugins."
# What a package of module_utils may import beside itself.
MAY_IMPORT = {
    "_guest": set(),
    "_stack": {"_guest"},
    "_configuration": {"_guest"},
    "_golden": {"_guest"},
    "_proxmox": {"_guest"},
    "_reconcile": {"_guest", "_stack"},
    "_health": {"_guest", "_stack", "_reconcile"},
    "_tasks": {"_guest", "_stack", "_configuration", "_reconcile", "_health"},
}
# A module is about one subject; these are about two.
SUBJECTS = {
    "guest_run": {"_tasks"},
    "guest_apply": {"_tasks"},
    # Reads whose guest a container is, in the guest's own files.
    "pve_ct_bootstrap_info": {"_proxmox", "_configuration"},
}
# What runs on the controlling machine: packages, or single modules of packages that are the guest's.
CONTROLLING = {"_guest", "_stack", "_configuration", "_proxmox.names", "_golden.secret_scan"}


def imports(path: Path) -> Iterator[str]:
    """Everything that a file imports, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import, which these rules do not read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The module_utils that a file imports, as PACKAGE.MODULE."""
    prefix = f"{PREFIX}module_utils."
    found = [name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)]
    return {".".join(name.split(".")[:2]) for name in found}


def package(name: str) -> str:
    return name.partition(".")[0]


def home(path: Path) -> str:
    """The package of module_utils that a file is in, however deep."""
    return path.relative_to(PLUGINS / "module_utils").parts[0]


def arrows() -> dict[str, set[str]]:
    """Each package of module_utils, and the other ones that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PLUGINS.glob("module_utils/*/**/*.py")):
        own = home(path)
        found.setdefault(own, set()).update({package(name) for name in ours(path)} - {own})
    return found


def levels(graph: dict[str, set[str]]) -> list[list[str]]:
    """The packages from the ground up: each stands above all that it imports. Raises CycleError for a circle."""
    order = TopologicalSorter(graph)
    order.prepare()
    found = []
    while order.is_active():
        found.append(sorted(order.get_ready()))
        order.done(*found[-1])
    return found


def picture(graph: dict[str, set[str]]) -> str:
    rows = [f"level {number}: {', '.join(names)}" for number, names in enumerate(levels(graph), 1)]
    rows += [f"{name} -> {', '.join(sorted(graph[name])) or 'nothing'}" for row in levels(graph) for name in row]
    return "\n".join([*rows, f"{len(levels(graph))} levels, {sum(map(len, graph.values()))} arrows"])


def test_a_package_imports_what_its_row_names_and_there_is_no_circle():
    graph = arrows()
    print(picture(graph))
    assert {name: found - MAY_IMPORT[name] for name, found in graph.items() if found - MAY_IMPORT[name]} == {}
    assert set(graph) == set(MAY_IMPORT)
    assert len(levels(graph)) <= 5
    assert sum(map(len, graph.values())) <= 15


def test_the_page_says_the_same():
    page = (PLUGINS.parent / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `(_\w+)` \|[^|]*\| (.*) \|$", page, re.MULTILINE)
    assert {name: set(re.findall(r"_\w+", may)) for name, may in rows} == MAY_IMPORT
    assert {name: found for name, found in arrows().items()} == MAY_IMPORT


def test_all_of_module_utils_is_in_a_package():
    # But for what a program of 0.1.0 imports.
    assert [path.name for path in PLUGINS.glob("module_utils/*.py")] == ["_commands.py"]


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("module_utils/**/*.py")), ids=home)
def test_only_a_task_knows_the_module_in_which_it_runs(path):
    assert home(path) == "_tasks" or not any(name.startswith("ansible.") for name in imports(path)), path


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("modules/*.py")), ids=lambda path: path.stem)
def test_a_module_is_about_one_subject(path):
    found = {package(name) for name in ours(path)} - {"_guest"}
    if path.stem in SUBJECTS:
        assert found == SUBJECTS[path.stem]
    else:
        assert len(found) <= 1 and "_tasks" not in found, found


@pytest.mark.parametrize(
    "path",
    sorted(path for kind in ("action", "filter", "callback", "plugin_utils") for path in PLUGINS.glob(f"{kind}/*.py")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_the_controlling_machine_does_nothing_of_the_guest_s(path):
    assert {name for name in ours(path) if name not in CONTROLLING and package(name) not in CONTROLLING} == set()


if __name__ == "__main__":
    print(picture(arrows()))
