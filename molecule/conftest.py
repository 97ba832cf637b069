"""What the scenarios' tests share: the guest, the test customer, playbook runs, and what to print when a test fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import subprocess

import pytest
import runs
from healing import HEALED, Healing
from runs import GUEST, ROOT
from tunnels import MEASURED, Tunnel
from waiting import ANSWER, served_certificate

BED = ROOT / "tests/bed/bed"


class Run:
    """A finished ansible-playbook: status, output, and the guest's line of the recap."""

    def __init__(self, playbook: str, *options: str, **settings: str) -> None:
        words = ["-i", "inventories/demo", str(ROOT / "playbooks" / playbook), "-e", f"base_infra_hosts={GUEST}"]
        done = runs.run(*words, *options, **settings)
        self.status, self.output = done.status, done.output
        recap = re.search(rf"^{GUEST}\s+: (.*)$", done.output, re.MULTILINE)
        self.recap = dict(pair.split("=") for pair in recap[1].split()) if recap else {}

    @property
    def changed(self) -> int:
        return int(self.recap["changed"])


@pytest.fixture(scope="session")
def play():
    """Run a playbook against the scenario's guest: play("site.yml", "--check")."""
    return Run


class Guest:
    """The scenario's guest, for what most tests look at."""

    def __init__(self, host) -> None:
        self.run = host.check_output
        self.host = host

    def ids(self) -> dict[str, str]:
        """Container names and ids, also of stopped ones."""
        lines = self.run("docker ps --all --no-trunc --format '{{.Names}} {{.ID}}'").splitlines()
        return dict(line.split() for line in lines)

    def disk(self) -> str:
        """Digests of all that was written, and not made by a program for itself."""
        return self.run(
            "find /opt/docker -type f ! -path '*/data/*' ! -name acme.json -print0 | sort -z | xargs -0 sha256sum"
        )

    def changed_since(self, before: dict[str, str]) -> set[str]:
        """Containers that are others, or gone, since."""
        now = self.ids()
        return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}

    def ledger(self) -> list[dict]:
        """The ledger's lines, oldest first."""
        return [json.loads(line) for line in self.run("cat /var/lib/felhom-base-infra/ledger.jsonl").splitlines()]


@pytest.fixture
def guest(host) -> Guest:
    """The scenario's guest."""
    return Guest(host)


@pytest.fixture(scope="session")
def customer() -> dict:
    """The test customer and its secrets."""
    return json.loads(subprocess.run([ROOT / "tests/bed/customer", "show"], check=True, capture_output=True).stdout)


@pytest.fixture(scope="session")
def address() -> str:
    """The guest's address on the bed's bridge."""
    inventory = subprocess.run([BED, "inventory", "--host", GUEST], check=True, capture_output=True).stdout
    return json.loads(inventory)["ansible_host"]


@pytest.fixture
def browse(address):
    """Ask as a browser outside of the guest would: status code and Location."""

    def ask(url: str) -> tuple[int, str]:
        scheme, _, rest = url.partition("://")
        name = rest.partition("/")[0]
        port = {"http": 80, "https": 443}[scheme]
        command = ["curl", "-sk", "--max-time", str(ANSWER), "--noproxy", "*", "-o", os.devnull]
        command += ["--resolve", f"{name}:{port}:{address}", "-w", "%{http_code} %{redirect_url}", url]
        code, _, location = subprocess.run(command, capture_output=True, text=True).stdout.partition(" ")
        return int(code), location

    return ask


@pytest.fixture
def ask(address):
    """Ask from outside of the guest, with curl's options: status line and headers, in lower case."""

    def answer(url: str, *options: str) -> str:
        scheme, _, rest = url.partition("://")
        name, _colon, port = rest.partition("/")[0].partition(":")
        port = port or {"http": "80", "https": "443"}[scheme]
        command = ["curl", "-sk", "--max-time", str(ANSWER), "--noproxy", "*", "--resolve", f"{name}:{port}:{address}"]
        command += ["-D", "-", "-o", os.devnull, *options, url]
        return subprocess.run(command, capture_output=True, text=True).stdout.lower()

    return answer


@pytest.fixture(scope="session")
def authority() -> str:
    """The certificate, PEM, to which what the bed's authority issued leads up."""
    return subprocess.run([BED, "issuer"], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def served(address, authority):
    """The certificate that is served for a name, checked against the bed's authority; waits for its issuance."""
    trust = ssl.create_default_context(cadata=authority)
    return lambda name: served_certificate(address, 443, name, trust)


@pytest.fixture
def browser():
    """Open a real browser, or several: browser({"files.example.org": "192.0.2.1"}, authority)."""
    # It takes a third of a second that most scenarios need not spend.
    from browser import opened

    with contextlib.ExitStack() as all_opened:
        yield lambda *words: all_opened.enter_context(opened(*words))


@pytest.fixture
def registry():
    """Say how the bed's registries answer this guest; no other one notices."""

    def answers(*states: str) -> None:
        subprocess.run([BED, "hub", GUEST, *states], check=True)

    yield answers
    answers("plain")


@pytest.fixture
def tunnel():
    """The guest's tunnel as the edge sees it, from here on."""
    seen = Tunnel()
    yield seen
    seen.secret("plain")


@pytest.fixture
def heal(guest, request) -> Healing:
    """The guest that is to heal itself, when a test says so and not at the timer's next tick, which is chance."""
    guest.run("systemctl stop felhom-base-infra.timer")
    # testinfra makes the host the first parameter of every test.
    _host, _dash, fault = request.node.callspec.id.partition(f"{GUEST}-")
    return Healing(guest, fault or request.node.originalname.removeprefix("test_").replace("_", " "))


@pytest.fixture
def heals(guest, play):
    """Whatever a test changed on the guest, one plain converge ends well and leaves nothing to do."""
    before = guest.ids(), guest.disk()
    yield
    if (guest.ids(), guest.disk()) != before:
        run = play("site.yml")
        assert run.status == 0, run.output
        assert run.changed == 0 or play("site.yml").changed == 0


def pytest_terminal_summary(terminalreporter) -> None:
    if HEALED:
        terminalreporter.write_sep("-", "seconds from the tick, or the changed configuration, to health")
    for name, seconds in HEALED.items():
        terminalreporter.write_line(f"{seconds:6.1f}  {name}")
    for name, seconds in MEASURED.items():
        terminalreporter.write_line(f"{seconds:6.1f}  s: {name}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the guest's journal and its containers' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        logs = subprocess.run([BED, "logs", GUEST], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        report.sections.append((f"guest {GUEST}", logs))
