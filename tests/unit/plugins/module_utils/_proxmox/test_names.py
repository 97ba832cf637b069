"""What a guest may be called, and a name for any customer id."""

from __future__ import annotations

import re

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import names as _names
from hypothesis import given, strategies as st

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
LIKE_IDS = st.text(st.sampled_from("aAzZ09-_. éÉßűK日\n"), max_size=80)


@pytest.mark.parametrize(
    "text, label",
    [
        ("acme", "acme"),
        ("ACME-42", "acme-42"),
        ("4711", "4711"),
        ("a--b", "a--b"),
        ("a" * 63, "a" * 63),
        # A hash where something was cut or replaced. These must not change: guests bear them.
        ("Szűcs & Társa Kft.", "szucs-tarsa-kft-449f3801"),
        ("a" * 64, "a" * 54 + "-ffe054fe"),
        ("-a", "a-c2748917"),
        ("acme.example.org", "acme-example-org-33aa65d5"),
        ("日本", "guest-cf2abf0c"),
        ("localhost", "localhost-49960de5"),
    ],
)
def test_a_label_for_an_id(text, label):
    assert _names.dns_label(text) == label


@pytest.mark.parametrize(
    "given, found", [("", "an empty text"), (" \n", "an empty text"), (None, "nothing"), (7, "a number")]
)
def test_no_label_without_an_id(given, found):
    with pytest.raises(_names.Invalid, match=f"^found {found}; expected "):
        _names.dns_label(given)


@given(st.one_of(st.text(max_size=300), LIKE_IDS))
def test_every_text_becomes_a_label_or_is_refused(text):
    try:
        label = _names.dns_label(text)
    except _names.Invalid:
        assert not text.strip()
    else:
        assert LABEL.fullmatch(label) and not _names.refusal(label)
        assert _names.dns_label(text) == label
        assert _names.dns_label(label) == label


@given(LIKE_IDS, LIKE_IDS)
def test_only_ids_that_differ_in_case_share_a_label(one, other):
    if one.strip() and other.strip() and _names.dns_label(one) == _names.dns_label(other):
        assert one.lower() == other.lower()


@pytest.mark.parametrize("name", ["a", "A1", "123", "x" * 63, "host.example.org", f"{'x' * 50}.{'y' * 13}"])
def test_names_that_proxmox_takes_and_a_guest_starts_with(name):
    assert _names.refusal(name) == ""


@pytest.mark.parametrize(
    "name, told",
    [
        ("", "an empty text"),
        (101, "a number"),
        (True, "true or false"),
        ("x" * 64, "a label of 64 characters"),
        ("x" * 65, "65 characters; expected a DNS name of at most 64 characters, with more a guest does not start"),
        (f"{'x' * 60}.example.com", "72 characters"),
        ("a_b", "'a_b'"),
        ("a\n", "'a\\\\n'"),
        ("-a", "'-a'"),
        ("a.", "'a.'"),
        ("é", "'é'"),
        ("LocalHost", "which every machine calls itself"),
        ("localhost.example.org", "which every machine calls itself"),
    ],
)
def test_names_that_are_refused(name, told):
    assert re.search(told, _names.refusal(name))


@given(
    st.one_of(st.text(max_size=300), st.from_regex(r"[a-zA-Z0-9.-]{1,70}", fullmatch=True), st.integers(), st.none())
)
def test_a_name_is_taken_or_refused_in_one_line(name):
    refusal = _names.refusal(name)
    assert "\n" not in refusal
    if not refusal:
        assert len(name) <= 64 and all(LABEL.fullmatch(label) for label in name.lower().split("."))
