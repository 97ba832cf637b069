"""Runs over all four guests, by ansible-playbook and by ansible-runner, and what their reports say."""

from __future__ import annotations

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import ansible_runner
import pytest
import runs
from waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
BED = ROOT / "tests/bed/bed"
HOSTS = "fleet-*"


class Rows(HTMLParser):
    """The first row of each guest in the page, as its cells' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.guests: dict[str, list[str]] = {}
        self._row: list[str] | None = None
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag == "tbody":
            self._row = []
        elif tag == "td" and self._row is not None:
            self._row.append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._in_cell = False
        elif tag == "tr" and self._row:
            self.guests[self._row[0]] = self._row[1:]
            self._row = None

    def handle_data(self, text: str) -> None:
        if self._in_cell and self._row is not None:
            self._row[-1] += text


class Fleet:
    """The fleet as an operator meets it. Each run leaves its report in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def reports(self) -> str:
        self._number += 1
        return str(self.folder / f"reports-{self._number}")

    def play(self, playbook: str, *options: str, **variables) -> Run:
        directory = self.reports()
        words = ["-i", "inventories/demo", f"playbooks/{playbook}", *options]
        words += ["--extra-vars", json.dumps({"base_infra_hosts": HOSTS} | variables)]
        done = runs.run(*words, FELHOM_BASE_INFRA_REPORTS=directory)
        return Run(done.status, done.output, directory)

    def runner(self, playbook: str, **variables) -> tuple[Run, list[dict]]:
        """The same as AWX and ansible-navigator do it, with the events that they read."""
        directory = self.reports()
        private = self.folder / "runner"
        private.mkdir(exist_ok=True)
        done = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=str(ROOT),
            playbook=f"playbooks/{playbook}",
            inventory=str(ROOT / "inventories/demo"),
            extravars={"base_infra_hosts": HOSTS} | variables,
            envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "FELHOM_BASE_INFRA_REPORTS": directory},
            quiet=True,
        )
        return Run(done.rc, done.stdout.read(), directory), list(done.events)

    def shell(self, guest: str, script: str) -> str:
        command = [BED, "shell", guest, "sh", "-ec", script]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ids(self, guest: str) -> str:
        return self.shell(guest, "docker ps --all --no-trunc --format '{{.Names}} {{.ID}}' | sort")

    def wait_until_well(self, *names: str) -> None:
        """What needs some seconds after a start: a certificate, a container's health check, the tunnel's connection."""

        def well() -> Run | None:
            run = self.play("health.yml", "--limit", ",".join(names))
            return run if run.report["verdicts"]["ok"] == len(names) else None

        assert wait_for(well).status == 0


class Run:
    """A finished run: status, output, and the report it left."""

    def __init__(self, status: int, output: str, directory: str) -> None:
        self.status, self.output = status, output
        folder = Path(directory)
        self.page = folder / "health.html"
        self.report = json.loads((folder / "health.json").read_text()) if folder.exists() else {}
        self.rows = Rows(self.page.read_text()).guests if folder.exists() else {}
        self.guests = {guest["name"]: guest for guest in self.report.get("guests", [])}

    def told(self, guest: str, check_id: str) -> tuple[str, str]:
        """Verdict and reason of a guest's check."""
        (found,) = (check for check in self.guests[guest]["checks"] if check["id"] == check_id)
        return found["verdict"], found["reason"]

    def outcomes(self) -> dict[str, str]:
        return {name: guest["outcome"] for name, guest in self.guests.items()}


@pytest.fixture(scope="session")
def fleet(tmp_path_factory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"))
