"""What each value of a configuration must be."""

from __future__ import annotations

import re

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values
from hypothesis import given, strategies as st
from sample import SECRET, token

# Whatever JSON and YAML have, texts of the shapes that are looked for among it.
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("aA0.-@/_~ \n=+", max_size=40),
    st.sampled_from([token(), token(t="x"), token(s="?"), "/mnt/a", "/", "//", "/a/../b", "example.org", "10.0.0.1"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(TEXTS, st.sampled_from(["path", "name", "read_only", "options"])), inner, max_size=4),
    ),
    max_leaves=8,
)


def test_storage_names_do_not_collide():
    found = _values.check_storage_paths(["/mnt/a", "/srv/a", {"path": "/x", "name": "Photos", "read_only": True}])
    assert [entry["name"] for entry in found] == ["a", "a 2", "Photos"]


@given(st.sampled_from(sorted(_values.CHECKS)), VALUES)
def test_any_value_is_taken_or_refused_in_one_line(key, value):
    try:
        checked = _values.CHECKS[key](value)
    except _values.Invalid as error:
        assert "\n" not in str(error) and str(error).startswith("found ") and "; expected " in str(error)
    else:
        # What is taken is in its last form.
        assert _values.CHECKS[key](checked) == checked


@given(
    st.sampled_from(["cf_tunnel_token", "cf_api_token", "email", "domain"]), st.text(max_size=5), st.text(max_size=5)
)
def test_a_refusal_does_not_say_the_value(key, before, after):
    try:
        _values.CHECKS[key](f"{before}{SECRET} {SECRET}{after}")
    except _values.Invalid as error:
        assert SECRET not in str(error)
    else:
        pytest.fail("two words are neither a token nor an address")


@given(st.one_of(TEXTS, st.from_regex(r"/[a-z./]{0,12}", fullmatch=True)))
def test_a_path_means_what_it_says(text):
    try:
        path = _values.check_path(text)
    except _values.Invalid:
        return
    assert re.fullmatch(r"(/[^/]+)+", path) and not {".", ".."} & set(path.split("/"))


@given(st.from_regex(r"[a-zA-Z0-9.-]{1,30}", fullmatch=True))
def test_a_domain_is_labels_in_lower_case(text):
    try:
        domain = _values.check_domain(text)
    except _values.Invalid:
        return
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label) for label in domain.split("."))
    assert domain == text.lower().removesuffix(".") and "." in domain


@given(st.lists(st.sampled_from(["/a", "/b/a", "/c/a", "/a 2", {"path": "/d/a"}, {"path": "/e", "name": "a"}])))
def test_storage_has_each_path_and_each_name_once(entries):
    try:
        storage = _values.check_storage_paths(entries)
    except _values.Invalid as error:
        assert "twice" in str(error)
        return
    for key in ("path", "name"):
        assert len({entry[key] for entry in storage}) == len(entries)
