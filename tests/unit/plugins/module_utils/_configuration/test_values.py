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


@pytest.mark.parametrize(
    "options, message",
    [
        (["createUserDir"], "found a list for the options of /mnt/a; expected a mapping"),
        ({"createuserdir": True}, "found the unknown key createuserdir in the options of /mnt/a; expected "),
        ({"createuserdir": True}, "; did you mean createUserDir?"),
        ({"bogus": {"deep": 1}}, "found the unknown key bogus in the options of /mnt/a; expected denyByDefault, "),
        ({"a\nb": 1}, "found a key that is no option's name in the options of /mnt/a; expected "),
        ({1: 1}, "found a key that is no option's name in the options of /mnt/a; expected "),
        ({"readOnly": True}, "found the option readOnly of /mnt/a; expected read_only beside path"),
        ({"defaultEnabled": False}, "found the option defaultEnabled of /mnt/a; expected nothing"),
        ({"private": "yes"}, "found a text for the option private of /mnt/a; expected true or false, without quotes"),
        ({"private": 1}, "found a number for the option private of /mnt/a; expected true or false"),
        ({"private": None}, "found nothing for the option private of /mnt/a; expected true or false"),
        ({"defaultUserScope": 7}, "found a number for the option defaultUserScope of /mnt/a; expected a text"),
        ({"defaultUserScope": "x" * 4097}, "found a text for the option defaultUserScope of /mnt/a; expected a text"),
        ({"indexingIntervalMinutes": -1}, "for the option indexingIntervalMinutes of /mnt/a; expected a whole number"),
        (
            {"indexingIntervalMinutes": True},
            "for the option indexingIntervalMinutes of /mnt/a; expected a whole number",
        ),
        ({"indexingIntervalMinutes": 2**32}, "for the option indexingIntervalMinutes of /mnt/a; expected a whole"),
        ({"indexingIntervalMinutes": 1.5}, "for the option indexingIntervalMinutes of /mnt/a; expected a whole number"),
        ({"rules": {}}, "found a mapping for the option rules of /mnt/a; expected a list"),
        ({"rules": ["x"]}, "found a text for the option rules[0] of /mnt/a; expected a mapping"),
        (
            {"rules": [{}, {"filename": "a"}]},
            "found the unknown key filename in the option rules[1] of /mnt/a; expected ",
        ),
        ({"rules": [{"filename": "a"}]}, "; did you mean fileName?"),
        ({"rules": [{"viewable": "no"}]}, "found a text for the option rules[0].viewable of /mnt/a; expected true or"),
        ({"rules": [{}] * 1001}, "found 1001 entries in the option rules of /mnt/a; expected 1000 at most"),
        ({"conditionals": []}, "found a list for the option conditionals of /mnt/a; expected a mapping"),
        (
            {"conditionals": {"rules": [{"folderPath": ["/x"]}]}},
            "found a list for the option conditionals.rules[0].folderPath of /mnt/a; expected a text",
        ),
    ],
)
def test_options_that_file_browser_would_end_at(options, message):
    with pytest.raises(_values.Invalid) as refused:
        _values.check_storage_paths([{"path": "/mnt/a", "options": options}])
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_all_options_that_file_browser_takes():
    right = {bool: True, str: "a", int: 4}

    def filled(wanted):
        if isinstance(wanted, dict):
            return {key: filled(inner) for key, inner in wanted.items()}
        return [filled(wanted[0])] * 2 if isinstance(wanted, list) else right[wanted]

    options = filled(_values.SOURCE_OPTIONS)
    assert _values.check_storage_paths([{"path": "/mnt/a", "options": options}])[0]["options"] == options


def test_a_very_deep_option_is_refused_where_it_leaves_the_table():
    deep: dict = {}
    for _level in range(100_000):
        deep = {"rules": [deep]}
    with pytest.raises(_values.Invalid, match=r"unknown key rules in the option rules\[0\]"):
        _values.check_storage_paths([{"path": "/mnt/a", "options": deep}])
