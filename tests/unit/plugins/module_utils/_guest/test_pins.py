"""Pinned references, as the engine and the registry write them."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.pins import is_pin, repo_digest, version_numbers
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


@pytest.mark.parametrize(
    "text, numbers",
    [
        ("v3.7.14", (3, 7, 14)),
        ("1.44", (1, 44)),
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("2026.10.0", (2026, 10, 0)),
        ("1.5.6-stable", (1, 5, 6)),
        ("latest", ()),
        ("", ()),
        # Digits of another script are no version.
        ("١.٢", ()),
        pytest.param("9" * 5000, (), id="too long at the beginning"),
        # "Exceeds the limit (4300 digits) for integer string conversion".
        pytest.param("1." + "9" * 5000, (1,), id="too long"),
    ],
)
def test_the_numbers_of_a_version(text, numbers):
    assert version_numbers(text) == numbers


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4), st.sampled_from(["", "-rc1", "+dfsg1", "~", " x"]))
def test_numbers_are_read_back(numbers, rest):
    assert version_numbers(".".join(map(str, numbers)) + rest) == tuple(numbers)


@given(st.one_of(st.text(), st.text("v0123456789.-", max_size=40)))
def test_any_text_has_numbers_or_none(text):
    assert all(number >= 0 for number in version_numbers(text))
