"""Strict reading: every bad file gets one line with its name and place, and none of its content."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import documents as _documents
from hypothesis import given, strategies as st

SECRET = "planted-secret-value"


def refusal(function, *arguments):
    with pytest.raises(_documents.DocumentError) as error:
        function(*arguments)
    text = str(error.value)
    assert "\n" not in text and SECRET not in text
    return text


def decoded(path):
    return _documents.decode(path, _documents.read(path))


def test_an_absent_file_is_no_problem(tmp_path):
    assert _documents.read(str(tmp_path / "none")) is None
    (tmp_path / "file").write_text("x")
    assert _documents.read(str(tmp_path / "file/none")) is None


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "found an empty file"),
        (b" \n\t\n", "found an empty file"),
        (b"x" * (_documents.MAX_SIZE + 1), "found more than 1048576 bytes"),
        (b"a: b\nc: \xff\n", "line 2: found a byte that is not UTF-8"),
    ],
)
def test_a_file_that_is_no_text(tmp_path, content, words):
    path = tmp_path / "controller.yaml"
    path.write_bytes(content)
    assert words in refusal(decoded, str(path))


def test_what_is_no_regular_file_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert "found no regular file" in refusal(_documents.read, str(tmp_path / "fifo"))
    assert "found no regular file" in refusal(_documents.read, "/dev/null")
    assert "found no regular file" in refusal(_documents.read, str(tmp_path))


def test_the_largest_file_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf" + b"x" * (_documents.MAX_SIZE - 3))
    assert decoded(str(path)) == "x" * (_documents.MAX_SIZE - 3)


@pytest.mark.parametrize(
    "text, words",
    [
        (f'{{"a": "{SECRET}", "b": ', "/f: line 1 column 36: not valid JSON"),
        (f'{{"a": 1,\n"b": {SECRET}}}', "/f: line 2 column 6: not valid JSON"),
        (f'{{"a": "{SECRET}", "a": 2}}', "/f: found key a twice in one object"),
        (f'{{"x": {{"{SECRET}!": 1, "{SECRET}!": 2}}}}', "/f: found a key twice in one object"),
        (f'["{SECRET}"]', "/f: found a list at the top"),
        (f'"{SECRET}"', "/f: found a text at the top"),
        ("null", "/f: found nothing at the top"),
        ("7", "/f: found a number at the top"),
        ("true", "/f: found true or false at the top"),
        ("[" * 100_000, "/f: found a value that no configuration has"),
        ('{"a": ' + "1" * 5000 + "}", "/f: found a value that no configuration has"),
    ],
)
def test_bad_json(text, words):
    assert words in refusal(_documents.parse_json, "/f", text)


@pytest.mark.parametrize(
    "text, words",
    [
        (f"a: {SECRET}\nb: [", "/f: line 2 column 5: not valid YAML"),
        (f"a: {SECRET}\n\tb: 1", "/f: line 2 column 1: not valid YAML"),
        (f"a: *{SECRET}", "/f: line 1 column 4: not valid YAML"),
        (f"a: !{SECRET} x", "/f: line 1 column 4: not valid YAML"),
        (f"a: !!python/object:{SECRET} {{}}", "/f: line 1 column 4: not valid YAML"),
        (f"a: {SECRET}: b", "/f: line 1 column 24: not valid YAML"),
        (f"a: {SECRET}\na: 2", "/f: line 2 column 1: found a key for the second time"),
        (f"x:\n  {SECRET}: 1\n  {SECRET}: 2", "/f: line 3 column 3: found a key for the second time"),
        ("1: 2", "/f: line 1 column 1: found a key that is no text"),
        ("? [a]\n: b", "/f: line 1 column 3: found a key that is no text"),
        ("a: 1\n---\nb: 2", "/f: line 2 column 1: not valid YAML"),
        ("a: \x00", "/f: found a character that YAML does not allow"),
        ("a: 2026-99-99", "/f: found a value that can't be read"),
        ("a: " + "1" * 5000, "/f: found a value that can't be read"),
        ("[" * 100_000, "/f: found a value that can't be read"),
        (f"- {SECRET}", "/f: found a list at the top"),
        (SECRET, "/f: found a text at the top"),
        ("# nothing", "/f: found nothing at the top"),
    ],
)
def test_bad_yaml(text, words):
    assert words in refusal(_documents.parse_yaml, "/f", text)


def test_what_is_right_is_read():
    value = {"customer": {"id": "a", "list": [1, "two", None]}}
    assert _documents.parse_json("/f", json.dumps(value)) == value
    assert _documents.parse_yaml("/f", "customer:\n  id: a\n  list: [1, two, ~]\n") == value


@given(
    st.one_of(
        st.text(), st.text(alphabet="{}[]:,-?&*!|>'\"%@`#~<= \n\tab01"), st.binary().map(lambda b: b.decode("latin-1"))
    )
)
def test_no_text_whatever_ends_in_anything_but_a_mapping_or_one_line(text):
    for parse in (_documents.parse_json, _documents.parse_yaml):
        try:
            assert isinstance(parse("/f", text), dict)
        except _documents.DocumentError as error:
            assert "\n" not in str(error)
