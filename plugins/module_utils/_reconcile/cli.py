# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program 'felhom-base-infra' on a guest does, but for the gate. Private to this collection."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import time

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import (
    clock as _clock,
    files as _files,
    lock as _lock,
    paths as _paths,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import (
    gate as _gate,
    ledger as _ledger,
    repository as _repository,
    state as _state,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import manifest as _manifest

_ROUNDS = 3  # converges in a row when the configuration changes while one runs
# The guest's name in its own inventory. ansible-pull looks for no other when it updates the checkout: "Specified
# inventory, host pattern and/or --limit leaves us with no hosts to target".
_GUEST = "localhost"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_PAUSE = 7 * 86400


def main(words: list[str]) -> int:
    """Run one command. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="felhom-base-infra", description="Keeps this guest's base stack in its desired state."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("gate", help="say whether a converge is needed: status 0 for yes, 10 for no")
    commands.add_parser("converge", help="converge now, without asking the gate")
    commands.add_parser("fetch", help="take new commits over from where they come from")
    commands.add_parser("status", help="what the last run did, and what the next one would")
    paused = commands.add_parser("pause", help="let nothing but an operator's run converge this guest for a time")
    meaning = "as 90s, 30m, 2h or 1d; an hour if not given"
    paused.add_argument("duration", nargs="?", default="1h", type=_seconds, help=meaning)
    commands.add_parser("resume", help="end the pause")
    commands.add_parser("unlock", help="void the lock of a run that died")
    arguments = parser.parse_args(words)
    try:
        settings = _state.settings()
        if arguments.command == "pause":
            return pause(settings, arguments.duration)
        return {"converge": converge, "fetch": fetch, "status": status, "resume": resume, "unlock": unlock}[
            arguments.command
        ](settings)
    except _state.SettingsError as error:
        return _fail(error)
    except OSError as error:
        return _fail(f"{error.filename or settings.state_dir}: {error.strerror}")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found or not 0 < int(found[1]) * _UNITS[found[2]] <= _LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a number and s, m, h or d, at most 7d")
    return int(found[1]) * _UNITS[found[2]]


def _fail(why: object) -> int:
    print(f"error: {why}", flush=True)
    return 1


def pause(settings: _state.Settings, seconds: int) -> int:
    """Begin a pause, or make the present one last until then."""
    now = time.time()
    _state.set_pause(settings.state_dir, _state.Pause(now, now + seconds))
    print(f"paused until {_clock.utc(now + seconds)}")
    return 0


def resume(settings: _state.Settings) -> int:
    """End the pause."""
    _state.set_pause(settings.state_dir, None)
    print("not paused")
    return 0


def unlock(_settings: _state.Settings) -> int:
    """Void the lock."""
    held = _lock.holder()
    _lock.give_back(None)
    print(f"was locked by {held}" if held else "was not locked")
    return 0


def status(settings: _state.Settings) -> int:
    """What a person wants to know first."""
    answer = _gate.decide(_gate.observe(settings))
    print(f"gate:   {'needs a converge: ' if answer.needed else ''}{answer.why}")
    print(f"commit: {_state.head(settings.mirror, settings.ref)[:12] or 'none'}")
    last = _ledger.last(settings.state_dir)
    if last:
        print(f"last:   {last.get('time')} {last.get('trigger')}: {last.get('result')}, health {last.get('verdict')}")
        if last.get("error"):
            print(f"        {last['error']}")
    return 0


def converge(settings: _state.Settings) -> int:
    """Converge, and again for what came up meanwhile. One at a time: two would check out into the same folder."""
    os.makedirs(_paths.RUNTIME, mode=0o755, exist_ok=True)
    with open(os.path.join(_paths.RUNTIME, "converging"), "w", encoding="ascii") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another converge is at work on this guest; waiting for it", flush=True)
            fcntl.flock(alone, fcntl.LOCK_EX)
        return _converge(settings)


def _converge(settings: _state.Settings) -> int:
    code = 0
    for _round in range(_ROUNDS):
        observed = _gate.observe(settings)
        why = _gate.decide(observed).why
        _files.write_atomic(os.path.join(_paths.RUNTIME, "converged"), b"", "0644", 0, 0)
        print(f"converging: {why}", flush=True)
        code = _play(settings, why)
        if code:
            # The play itself counts no further than one, and does not get that far at all where Ansible fails.
            of = _gate.key(observed)
            number = observed.failures.number + 1 if observed.failures.of == of else 1
            _state.set_failures(settings.state_dir, _state.Failures(number, observed.now, of))
        else:
            _state.set_failures(settings.state_dir, None)
        # It may not have observed what changed while it ran.
        if not _gate.decide(_gate.observe(settings)).needed:
            break
    return code


def _play(settings: _state.Settings, why: str) -> int:
    """Run the playbook: from the checkout where that is the mirror's commit, by ansible-pull where not."""
    mirror = _repository.Repository(settings.mirror, settings.ref)
    if not mirror.is_whole():
        # The bundle is what this guest was baked or last shipped with.
        sources = [(f"{settings.checkout}/.git", "HEAD"), (settings.bundle, "HEAD")]
        try:
            print(f"the mirror is broken; made anew from {_repository.remake(mirror, sources)}", flush=True)
        except _repository.GitError as error:
            return _fail(error)
    words = ["--inventory", settings.inventory, "--limit", _GUEST]
    words += ["--extra-vars", json.dumps({"base_infra_trigger": f"gate: {why}"[:300]})]
    commit, clean = _checked_out(settings.checkout)
    if clean and commit == mirror.head():
        command = ["ansible-playbook", *words, "playbooks/first_boot.yml"]
    else:
        if not clean:
            shutil.rmtree(settings.checkout, ignore_errors=True)
        command = ["ansible-pull", "--url", f"file://{settings.mirror}", "--checkout", settings.ref, "--full"]
        command += ["--directory", settings.checkout, *words, "playbooks/first_boot.yml"]
    os.makedirs(settings.checkout, mode=0o755, exist_ok=True)
    # Ansible finds the checkout, below ansible_collections/NAMESPACE/NAME, by the folder above these.
    collections = settings.checkout.rpartition("/ansible_collections/")[0]
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": f"{collections}:/usr/share/ansible/collections",
        # Its inventory is one JSON file; each other plugin is loaded, and asked for it, in every run.
        "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
        "ANSIBLE_NOCOLOR": "1",
        # A fleet's report is nothing for the guest itself.
        "FELHOM_BASE_INFRA_REPORTS": "",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # The journal is to say what happens while it happens.
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.run(command, check=False, cwd=settings.checkout, env=environment).returncode


def _checked_out(checkout: str) -> tuple[str, bool]:
    """The commit of a checkout, and whether it is one in which nothing differs from its commit."""
    repository = _repository.Repository(f"{checkout}/.git", "")
    try:
        at = repository.git("rev-parse", "--verify", "HEAD^{commit}")
        return at, not repository.git("--work-tree", checkout, "status", "--porcelain", "--ignored=no")
    except _repository.GitError:
        return "", False


def fetch(settings: _state.Settings) -> int:
    """Take new commits over. Nothing of the guest depends on that it works."""
    source = settings.fetch
    if not source["url"]:
        print("nowhere to fetch from: reconcile_url is empty")
        return 0
    try:
        customer = _manifest.read(settings.state_dir)["converged"].get("customer", "")
    except _manifest.ManifestError:
        customer = ""
    ring = source["ring"] or ring_of(customer, source["shares"])
    ref = source["refs"][ring]
    mirror = _repository.Repository(settings.mirror, settings.ref)
    try:
        commit = mirror.receive(source["url"], f"refs/heads/{ref}")
        moved = mirror.advance(commit, source["allowed_signers"])
    except _repository.GitError as error:
        print(f"ring {ring}: nothing fetched: {error}")
        return 0
    except _repository.Refused as error:
        return _fail(f"ring {ring}: refused: {error}; the guest stays on {mirror.head()[:12]}")
    print(f"ring {ring}: {f'now at {commit[:12]}' if moved else 'nothing new'}")
    return 0


def ring_of(customer: str, shares: dict[str, int]) -> str:
    """The ring of a guest that none was named for: the same for ever, and each of its share of all guests.

    shares says how many of a hundred are canary and early.
    """
    if not customer:
        return "all"
    bucket = int(_files.digest(customer.encode())[:8], 16) % 100
    if bucket < shares["canary"]:
        return "canary"
    return "early" if bucket < shares["canary"] + shares["early"] else "all"
