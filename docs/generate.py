#!/usr/bin/env python3
"""Write docs/roles and docs/plugins, a page each, from what 'ansible-doc' reads, and docs/health.md: `make docs`.

generate.py [FOLDER] writes into another folder; a test compares it with what is committed.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import jinja2
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._health import preflight, registry
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLLECTION = "felhom.base_infra"
PRIVATE = {"guest_run", "guest_apply"}  # not for people


def main() -> int:
    """Write all pages."""
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    documented = ansible_doc()
    pages = {f"roles/{name}.md": ("role.md.j2", doc) for name, doc in documents(documented, "role").items()}
    for kind in ("module", "filter", "callback"):
        pages |= {
            f"plugins/{name}.md": ("plugin.md.j2", {"kind": kind} | doc)
            for name, doc in documents(documented, kind).items()
            if name not in PRIVATE
        }
    before = [check for check in preflight.CHECKS if check not in registry.CHECKS]
    pages["health.md"] = ("health.md.j2", {"checks": registry.CHECKS, "before": before, "drifts": drift.KINDS})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "docs/templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": text, "value": value, "cell": cell}
    for path, (template, doc) in pages.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(environment.get_template(template).render(doc | {"returned": doc.get("return") or {}}))
    return 0


def documents(documented: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The collection's content of a kind, by short name."""
    found = sorted(documented[kind].items())
    return {name.removeprefix(f"{COLLECTION}."): {"name": name} | doc for name, doc in found}


def ansible_doc() -> dict[str, Any]:
    """All that ansible-doc knows of the collection, by kind, in one start of it."""
    command = ["ansible-doc", "--metadata-dump", COLLECTION]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)["all"]


def text(description: str | list[str]) -> str:
    """Ansible's markup as Markdown, in one line."""
    joined = " ".join([description] if isinstance(description, str) else description)
    marked = re.sub(r"\b(?:C|E|V|O|RV|M|P)\(([^)]*)\)", lambda found: f"`{found[1].partition('#')[0]}`", joined)
    return " ".join(marked.split()).replace("|", "\\|")


def cell(words: str) -> str:
    """What a check says in a cell of a table, with what stands for a guest's own as code."""
    marked = re.sub(r"{(\w+)}", lambda found: f"`<{found[1].replace('_', ' ')}>`", words)
    # Two that stand side by side would be one with two marks around it.
    return marked.replace("``", "` `").replace("|", "\\|")


def value(given: Any) -> str:
    """A default as code."""
    if isinstance(given, str):
        return f"`{given}`" if given else "empty"
    return f"`{yaml.safe_dump(given, default_flow_style=True, width=10_000).removesuffix('...' + chr(10)).strip()}`"


if __name__ == "__main__":
    sys.exit(main())
