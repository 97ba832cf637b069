"""The gate: when a converge is needed, and when not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import gate as _gate, state as _state
from hypothesis import given, strategies as st

HEAD = "a" * 40
INPUTS = {"/etc/felhom-bootstrap/bootstrap.json": "1" * 64, "/data/controller.yaml": "2" * 64}
NOW = 1_800_000_000.0
CONVERGED = {"time": int(NOW) - 600, "commit": HEAD, "customer": "acme", "result": "unchanged", "inputs": INPUTS}
RIGHT = _gate.Observed(
    now=NOW,
    pause=None,
    lock="",
    booting=False,
    failures=_state.Failures(0, 0.0, ""),
    inputs=INPUTS,
    head=HEAD,
    converged=CONVERGED,
    certificate=None,
    differences=[],
)
ILL = RIGHT._replace(differences=["container traefik is missing"])


def failed(look, number, ago):
    return look._replace(failures=_state.Failures(number, NOW - ago, _gate.key(look)))


@pytest.mark.parametrize(
    "look, needed, why",
    [
        (RIGHT, False, "nothing to do"),
        (RIGHT._replace(converged=CONVERGED | {"result": "waiting"}), False, "waiting for a configuration"),
        (RIGHT._replace(booting=True), True, "the guest has just started"),
        (RIGHT._replace(converged={}), True, "nothing was ever converged"),
        (ILL, True, "container traefik is missing"),
        (RIGHT._replace(head="b" * 40), True, f"the mirror is at commit {'b' * 12}, applied is {'a' * 12}"),
        (RIGHT._replace(head=""), True, f"the mirror can't be read, applied is {'a' * 12}"),
        (
            RIGHT._replace(converged=CONVERGED | {"commit": ""}),
            True,
            f"the mirror is at commit {'a' * 12}, applied is none",
        ),
        (RIGHT._replace(now=NOW + 86400), True, "a day has passed"),
        (RIGHT._replace(now=NOW - 365 * 86400), True, "the last converge is in the future of the clock"),
        (RIGHT._replace(inputs=INPUTS | {"/data/controller.yaml": "3" * 64}), True, "/data/controller.yaml changed"),
        (RIGHT._replace(inputs=INPUTS | {"/new": "3" * 64}), True, "/new appeared"),
        (
            RIGHT._replace(inputs={}),
            True,
            "/data/controller.yaml is gone; /etc/felhom-bootstrap/bootstrap.json is gone",
        ),
        (
            RIGHT._replace(failures=_state.Failures(1, NOW, "another configuration")),
            True,
            "the last converge failed",
        ),
        (RIGHT._replace(certificate=_state.Tries(0, NOW - 299)), False, "nothing to do"),
        (RIGHT._replace(certificate=_state.Tries(0, NOW - 300)), True, "the certificate is to be asked for again"),
        (RIGHT._replace(certificate=_state.Tries(2, NOW - 599)), False, "nothing to do"),
        (RIGHT._replace(certificate=_state.Tries(2, NOW + 1)), True, "the certificate is to be asked for again"),
        (ILL._replace(lock="root@ops, process 7"), False, "root@ops, process 7 is at work on this guest"),
        (
            ILL._replace(booting=True, pause=_state.Pause(NOW, NOW + 60)),
            False,
            "paused until 2027-01-15T08:01:00Z; 'felhom-base-infra resume' ends that",
        ),
        (
            failed(ILL, 1, 10),
            False,
            "failed once; next try at 2027-01-15T08:04:50Z: container traefik is missing",
        ),
        (failed(ILL, 1, 301), True, "container traefik is missing"),
        (
            failed(ILL, 3, 1000),
            False,
            "failed 3 times; next try at 2027-01-15T08:03:20Z: container traefik is missing",
        ),
        (failed(ILL, 99, 6 * 3600 + 1), True, "container traefik is missing"),
        (failed(ILL, 3, -5), True, "container traefik is missing"),
        (failed(ILL, 3, 1)._replace(booting=True), True, "the guest has just started"),
        (
            failed(ILL, 3, 1)._replace(inputs=INPUTS | {"/data/controller.yaml": "3" * 64}),
            True,
            "/data/controller.yaml changed; container traefik is missing",
        ),
    ],
)
def test_the_answer(look, needed, why):
    assert _gate.decide(look) == _gate.Answer(needed, why)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_difference_needs_a_converge(differences):
    assert _gate.decide(RIGHT._replace(differences=differences)).needed


def test_it_imports_nothing_dear():
    """What costs the gate more than all that it does: typing, subprocess, http, hashlib, Ansible and the like."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import gate; print(*sys.modules)"
    )
    collections = Path(_gate.__file__).parents[6]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(collections)], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "ansible_collections.felhom.base_infra.plugins.module_utils._reconcile.gate" in loaded
    dear = {"typing", "subprocess", "http.client", "hashlib", "argparse", "tempfile", "secrets", "logging", "ansible"}
    assert loaded & dear == set()
