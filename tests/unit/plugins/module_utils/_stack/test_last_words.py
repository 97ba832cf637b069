"""The line of a log that says why, and never a secret. The logs are those of real programs (facts/real-programs.md)."""

from __future__ import annotations

import json
import shlex
import textwrap

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import last_words
from hypothesis import given, strategies as st

PASSWORD, KEY = "Tr0ub4dor-and-3", "k3y-of-the-sessions-0123456789abcdef"
EXCERPT = f"""\
   1 | auth:
   2 |   adminPassword: "{PASSWORD}"
   3 |   adminUsername: "admin"
>  4 |   bogus: 1
         ^
   5 |   key: "{KEY}"
   6 |   methods:
   7 |     password:"""
FILEBROWSER = f"""\
2026/11/25 10:00:00 [INFO ] Initializing FileBrowser Quantum (v1.5.5)
2026/11/25 10:00:00 [ERROR] unable to load config, waiting 5 seconds before exiting...
2026/11/25 10:00:05 [FATAL] error unmarshaling YAML data: [4:3] unknown field "bogus"
{EXCERPT}"""
# Without a level, and with colours, as its logger writes them where they are not switched off.
COLOURED = f"""\
2026/11/25 10:00:00\x1b[31m unable to load config, waiting 5 seconds before exiting...\x1b[0m
2026/11/25 10:00:05\x1b[31m error unmarshaling YAML data: [4:3] unknown field "bogus"
{EXCERPT}\x1b[0m"""
TRAEFIK = "\n".join(
    [
        '{"level":"info","time":"2026-11-25T10:00:00Z","message":"Traefik version 3.7.15"}',
        '{"level":"error","error":"command traefik error: field not found, node: bogus","time":"2026-11-25T10:00:00Z",'
        '"message":"Command error"}',
    ]
)
NO_DNS = """\
2026-11-25T10:00:00Z INF Starting tunnel tunnelID=00000000-1111-4222-8333-444455556666
2026-11-25T10:00:01Z ERR edge discovery: error looking up Cloudflare edge IPs: the DNS query failed error="lookup _v2"
2026-11-25T10:00:01Z ERR Failed to fetch features, default to disable error="lookup cfd-features.argotunnel.com"
could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com: lookup: connection refused"""
REFUSED = """\
2026-11-25T10:00:00Z INF Registering tunnel connection connIndex=0
2026-11-25T10:00:01Z ERR Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" connIndex=0
2026-11-25T10:00:01Z INF Retrying connection in up to 2s connIndex=0"""
BAD_TOKEN = "Provided Tunnel token is not valid.\nSee 'cloudflared tunnel run --help'."
SOCKET_FILTER = """\
time=2026-11-25T10:00:00.000Z level=INFO msg="starting socket-proxy"
time=2026-11-25T10:00:00.000Z level=ERROR msg="invalid regex" origin=-allowGET"""
BOLT = """\
2026/11/25 10:00:00 [INFO ] Using Config file        : /home/filebrowser/config/config.yaml
2026/11/25 10:00:01 [FATAL] could not open database: /home/filebrowser/data/database.db: invalid database"""
NONE = last_words.secrets([])


@pytest.mark.parametrize(
    "log, said",
    [
        (FILEBROWSER, 'error unmarshaling YAML data: [4:3] unknown field "bogus"'),
        (
            COLOURED,
            "unable to load config, waiting 5 seconds before exiting..."
            ' | error unmarshaling YAML data: [4:3] unknown field "bogus"',
        ),
        (TRAEFIK, "Command error: command traefik error: field not found, node: bogus"),
        (
            NO_DNS,
            'Failed to fetch features, default to disable error="lookup cfd-features.argotunnel.com"'
            " | could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com: lookup: connection refused",
        ),
        (
            REFUSED,
            'Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" connIndex=0',
        ),
        (BAD_TOKEN, "Provided Tunnel token is not valid."),
        (SOCKET_FILTER, 'msg="invalid regex" origin=-allowGET'),
        (BOLT, "could not open database: /home/filebrowser/data/database.db: invalid database"),
        ("Listening on 8080\nReady", "Listening on 8080 | Ready"),
        ('{"level":"info","msg":"one"}\n{"level":"info","msg":"two"}', "two"),
        ("", ""),
    ],
)
def test_the_line_that_says_why_is_found(log, said):
    # The engine gives lines with something on them.
    assert last_words.cause([line for line in log.splitlines() if line.strip()], NONE) == said


@pytest.mark.parametrize("start", range(len(EXCERPT.splitlines())))
def test_an_excerpt_that_lost_its_beginning_is_not_shown(start):
    lines = [*EXCERPT.splitlines()[start:], "2026/11/25 10:00:09 [FATAL] error unmarshaling YAML data: [4:3] again"]
    assert last_words.cause(lines, NONE) == "error unmarshaling YAML data: [4:3] again"
    assert last_words.cause(lines[:-1], NONE) == ""


def test_what_follows_an_excerpt_without_a_number_is_left_out():
    assert (
        last_words.cause(["[4:3] unknown field", *EXCERPT.splitlines(), f"  key: {KEY}"], NONE) == "[4:3] unknown field"
    )


def test_an_excerpt_in_a_json_message_is_cut_off():
    line = json.dumps({"level": "fatal", "msg": f"[4:3] unknown field\n{EXCERPT}"})
    assert last_words.cause([line], NONE) == "[4:3] unknown field"


def test_a_restart_loop_is_said_once():
    assert last_words.cause(2 * TRAEFIK.splitlines(), NONE).count("node: bogus") == 1


def test_what_is_secret_of_files():
    configuration = f"auth:\n  adminPassword: {PASSWORD}\n  adminUsername: admin\n  cache: /srv/mnt/data/pictures\n"
    acme = json.dumps({"cloudflare": {"Account": {"PrivateKey": "MIIJKA" + 40 * "0"}}}, indent=1)
    known = last_words.secrets([f"{PASSWORD}\n", configuration, acme, "\n", ""])
    assert known.texts == sorted([PASSWORD, "MIIJKA" + 40 * "0"])
    # What a configuration has beside secrets may be said, or no message could name it.
    assert last_words.mask('unknown field "adminUsername" in /srv/mnt/data', known).endswith("/srv/mnt/data")
    assert last_words.mask(f"  adminPassword: {PASSWORD}", known) == f"  {last_words.MASK}"


def test_a_part_of_a_secret_is_masked_and_its_neighbours_are_not():
    known = last_words.secrets([KEY])
    assert last_words.mask(f"bad key {KEY[:20]} at 7", known) == f"bad key {last_words.MASK} at 7"
    assert last_words.cause([f"[FATAL] {300 * '.'}{KEY}"], known).count(KEY[:4]) == 0


PRINTED = [
    str,
    repr,
    json.dumps,
    shlex.quote,
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: yaml.safe_dump({"key": text}, width=10),
    lambda text: "'" + text.replace("'", "''") + "'",
    lambda text: "\n      ".join(textwrap.wrap(text, 8, drop_whitespace=False, break_on_hyphens=False)),
    lambda text: "".join(f'"{part}" ' for part in (text[:5], text[5:])),
]
# Of letters, so that no mark of quoting is all there is of it.
SECRET = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=12, max_size=60).filter(
    lambda text: len(last_words.plain(text)) >= 12
)


@given(
    SECRET, st.sampled_from(PRINTED), st.sampled_from(["[FATAL] {}", "x {} y", "2026-11-25T10:00:00Z ERR no {}: e={}"])
)
def test_no_secret_is_ever_seen(secret, printed, line):
    said = last_words.cause(line.format(printed(secret), printed(secret)).splitlines(), last_words.secrets([secret]))
    seen = last_words.plain(said.replace(last_words.MASK, "\0"))
    bare = last_words.plain(secret)
    assert not any(bare[start : start + 8] in seen for start in range(len(bare) - 7))
