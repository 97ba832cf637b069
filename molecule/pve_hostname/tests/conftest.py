"""Clusters of doubles, playbook runs on their nodes, and the table of what a run over a thousand guests cost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import fleet
import proxmox
import pytest
import runs

ROOT = Path(__file__).resolve().parents[3]
COSTS: list[tuple[str, float, str]] = []


class Bench:
    """A cluster with its nodes, and who plays on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = proxmox.Cluster(folder)
        self.api: fleet.Api | None = None

    def serve(self, acl: dict[str, list[str]] | None = None) -> fleet.Api:
        self.api = fleet.Api(self.folder, acl)
        return self.api

    def play(
        self, *options: str, nodes: tuple[str, ...] = ("pve1",), environment: dict[str, str] | None = None, **variables
    ):
        """Run the playbook on nodes, or with an API's options from this machine."""
        hosts = {}
        for node in nodes:
            folder = self.folder if node == "pve1" else self.cluster.seen_from(node)
            hosts[node] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": str(folder / "bin/python"),
                "pve_hostname_pve_dir": str(folder / "pve"),
            }
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps({"pve_nodes": {"hosts": hosts}}))
        prefixed = self.folder / "variables.json"
        prefixed.write_text(json.dumps({f"pve_hostname_{key}": value for key, value in variables.items()}))
        before = len(self.calls)
        begin = time.monotonic()
        # JSON: one line is one message.
        done = runs.run(
            *["-i", str(inventory), "playbooks/pve_hostname.yml", "-e", f"@{prefixed}", *options],
            **{"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "NO_PROXY": "*"} | (environment or {}),
        )
        return SimpleNamespace(
            status=done.status,
            output=done.output,
            calls=self.calls[before:],
            seconds=time.monotonic() - begin,
            changed="changed=0 " not in done.output,
        )

    @property
    def calls(self) -> list[str]:
        return self.cluster.calls.read_text().splitlines()

    def from_here(self, **variables) -> dict[str, object]:
        """Variables for a play by the API."""
        options = {key: value for key, value in self.api.options.items() if key.startswith("api_")}
        return {
            "hosts": "localhost",
            "method": "api",
            "api_ca_path": self.api.options["ca_path"],
            **options,
            **variables,
        }


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "cluster")
    yield made
    if made.api:
        made.api.stop()
    if made.cluster.pve.exists():
        made.cluster.stop_all()


@pytest.fixture
def clones(bench):
    """The cluster with fresh clones; their ids by customer."""
    bench.ids = fleet.clones(bench.folder)
    return bench


@pytest.fixture
def cost():
    """Put a run into the table."""
    return lambda what, run, told: COSTS.append((what, run.seconds, told))


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.write_sep("-", "1,000 guests: seconds of the whole playbook, what it says")
    for what, seconds, told in COSTS:
        terminalreporter.write_line(f"{seconds:6.1f}  {what:<22} {told}")
