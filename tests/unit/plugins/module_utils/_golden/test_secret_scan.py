"""Finding secrets in bytes."""

from __future__ import annotations

import base64
import gzip
import json
from urllib.parse import quote

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import secret_scan as _secret_scan
from hypothesis import given, strategies as st

# Made of parts, so that no scanner takes this file for a leak.
SECRET = "v3ry-Secret" + chr(47) + '"+=Xyz9'
TUNNEL = base64.b64encode(json.dumps({"a": "0" * 32, "t": "1" * 36, "s": "2" * 44}, separators=(",", ":")).encode())
KNOWN = _secret_scan.parse_fingerprints(_secret_scan.fingerprints("password", SECRET))


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"PASSWORD={SECRET}\n",
        json.dumps({"password": SECRET}),
        f"https://u:{quote(SECRET, safe='')}@host",
        SECRET.encode().hex(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"users:{SECRET} and more".encode()).decode(),
        base64.b64encode(f"u:{SECRET}".encode()).decode(),
    ],
)
def test_a_known_secret_is_found_in_every_form(text):
    data = b"\0binary \xff before\0" + text.encode() + b"\0after"
    (found,) = _secret_scan.scan(data, KNOWN)
    assert found.kind == "password"
    assert found.offset >= 17


@given(st.binary(max_size=50), st.text(min_size=_secret_scan.SHORTEST, max_size=60), st.binary(max_size=50))
def test_any_secret_anywhere_is_found(before, secret, after):
    known = _secret_scan.parse_fingerprints(_secret_scan.fingerprints("x", secret))
    assert "x" in [found.kind for found in _secret_scan.scan(before + secret.encode() + after, known)]
    assert "x" in [found.kind for found in _secret_scan.scan(base64.b64encode(before + secret.encode() + after), known)]


def test_a_fingerprint_does_not_hold_the_secret():
    text = json.dumps(_secret_scan.fingerprints("password", SECRET))
    assert not any(SECRET[start : start + 4] in text for start in range(len(SECRET) - 3))


def test_a_secret_too_short_to_search_for_is_refused():
    with pytest.raises(ValueError, match="name: found a secret of 3 characters"):
        _secret_scan.fingerprints("name", "abc")


@pytest.mark.parametrize(
    "entry", [None, {}, {"name": "x"}, {"name": "x", "length": 9, "anchor": "abc", "offset": 0, "sha256": "0"}]
)
def test_a_fingerprint_that_is_none_is_named_by_its_number(entry):
    with pytest.raises(ValueError, match="fingerprint 1: "):
        _secret_scan.parse_fingerprints([entry])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA"),
        ("private key", b'"-----BEGIN ' + b'PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B"'),
        ("tunnel token", TUNNEL),
        ("JSON Web Token", b"eyJhbGciOiJIUzI1NiJ9" + b".eyJzdWIiOiIxMjM0In0." + b"x" * 43),
        ("registry login", b'{"au' + b'ths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}}}'),
        ("Cloudflare API token", b"CF_DNS_API_TOKEN=" + b"abcdefghij" * 4),
        ("Cloudflare API token", b"cf_api_token: '" + b"ABCDEFGHI-" * 4 + b"'"),
    ],
)
def test_what_looks_like_a_secret_is_found(kind, text):
    assert kind in [found.kind for found in _secret_scan.scan(b"before\n" + text + b"\nafter", [])]


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----",
        b'{"auths": {}, "credsStore": "desktop"}',
        b"CF_DNS_API_TOKEN_FILE: /secrets/cf_dns_api_token",
        b"cf_api_token: sha256:" + b"0" * 64,
    ],
)
def test_what_only_knows_the_words_is_none(text):
    assert list(_secret_scan.scan(text, [])) == []


def test_files_of_a_known_name():
    text = b"https://me:" + b"pass@git.example.org\n"
    assert [found.kind for found in _secret_scan.scan(text, [], ".git-credentials")] == ["git credentials"]
    assert list(_secret_scan.scan(text, [], "README")) == []
    assert [found.kind for found in _secret_scan.scan(b"machine a login b password c", [], ".netrc")] == [
        "netrc password"
    ]


def test_gzip():
    assert _secret_scan.unpacked(gzip.compress(b"content")) == b"content"
    assert _secret_scan.unpacked(b"no gzip") == b""
    assert _secret_scan.unpacked(gzip.compress(b"x" * 100)[:15]) in (b"", b"x" * 100)


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
ENTRY = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=2),
    st.fixed_dictionaries({key: PLAIN for key in ("name", "length", "anchor", "offset", "sha256")}),
)


@given(st.lists(ENTRY, max_size=3), st.binary(max_size=200))
def test_any_plain_data_is_fingerprints_or_refused(given_entries, data):
    try:
        known = _secret_scan.parse_fingerprints(given_entries)
    except ValueError as error:
        assert str(error).endswith("expected what the filter secret_fingerprints makes")
    else:
        assert list(_secret_scan.scan(data, known)) == list(_secret_scan.scan(data, []))


PIECES = st.sampled_from(
    [
        b"-----BEGIN ",
        b"PRIVATE KEY-----",
        b"\n",
        b"eyJhIjoi",
        b".eyJ",
        b'"auths"',
        b":",
        b"{",
        b"cf_api_token",
        b"a" * 40,
    ]
)


@given(st.lists(st.one_of(st.binary(max_size=8), PIECES), max_size=8), st.sampled_from(["", ".netrc", "x.json"]))
def test_any_bytes_are_looked_through(pieces, name):
    data = b"".join(pieces)
    found = list(_secret_scan.scan(data, KNOWN, name))
    assert all(0 <= entry.offset < len(data) for entry in found)
    assert len({entry.kind for entry in found}) == len(found)


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_is_unpacked_is_what_was_packed(data, rest):
    packed = gzip.compress(data)
    assert _secret_scan.unpacked(packed + rest) == data
    assert data.startswith(_secret_scan.unpacked(packed[: len(packed) // 2]))
    assert isinstance(_secret_scan.unpacked(rest), bytes)
