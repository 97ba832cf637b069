"""Pinned references, as the engine and the registry write them."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import is_pin, repo_digest
from hypothesis import given, strategies as st

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "name, expected",
    [
        ("traefik:v3.7.14", "traefik"),
        ("library/traefik:v3.7.14", "traefik"),
        ("docker.io/library/traefik:v3.7.14", "traefik"),
        ("docker.io/gtstef/filebrowser:1.5.6-stable", "gtstef/filebrowser"),
        ("cloudflare/cloudflared:2026.10.0", "cloudflare/cloudflared"),
        ("registry.example.test:5000/felhom/controller:0.9.0", "registry.example.test:5000/felhom/controller"),
        ("ghcr.io/a_b/c__d-e:T_1", "ghcr.io/a_b/c__d-e"),
    ],
)
def test_a_pin_is_accepted_and_named_as_the_engine_names_it(name, expected):
    assert is_pin(f"{name}@{DIGEST}")
    assert repo_digest(f"{name}@{DIGEST}") == f"{expected}@{DIGEST}"


@pytest.mark.parametrize(
    "reference",
    [
        "traefik",
        "traefik:latest",
        f"traefik@{DIGEST}",
        "traefik:v3@sha256:" + "0" * 63,
        "traefik:v3@sha256:" + "G" * 64,
        "traefik:v3@md5:" + "0" * 32,
        f"Traefik:v3@{DIGEST}",
        f"traefik:v3@{DIGEST}\n",
        f" traefik:v3@{DIGEST}",
        f"traefik:@{DIGEST}",
        f":v3@{DIGEST}",
        "",
        None,
        7,
    ],
)
def test_anything_less_is_no_pin(reference):
    assert not is_pin(reference)


@given(st.text())
def test_whatever_is_accepted_names_a_repository_and_the_same_digest(text):
    reference = f"{text}@{DIGEST}"
    if is_pin(reference):
        repository, digest = repo_digest(reference).split("@")
        assert digest == DIGEST
        assert repository and text.startswith(("docker.io/", "library/", "index.docker.io/", repository))
