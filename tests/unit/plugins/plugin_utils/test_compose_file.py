"""What is accepted as a compose file, and that what is written says the same."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.module_utils._stack.drift import DIGEST_LABEL
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _compose_file
from hypothesis import given, strategies as st
from sample import NONCE, PIN


def parse(text):
    return _compose_file.parse(text, "docker-compose.yml.j2", "traefik", "/opt/docker/traefik", NONCE)


def parse_service(**service):
    return parse(yaml.safe_dump({"services": {"traefik": {"image": PIN} | service}}))


@pytest.mark.parametrize(
    "text, message",
    [
        ("services:\n  a: b: c", "docker-compose.yml.j2 line 2: not valid YAML"),
        ("a: b: c", "docker-compose.yml.j2 line 1: not valid YAML"),
        ("", "found no services"),
        ("[]", "found no services"),
        ("services: {}", "found no services"),
        ("services: {traefik: 1}", "service traefik: found int, expected a mapping"),
        ("services: {traefik: {}}", "service traefik: found image 'no image', expected name:tag@sha256"),
        ("services: {traefik: {image: 'traefik:latest'}}", "service traefik: found image 'traefik:latest'"),
        (f"services: {{traefik: {{image: '{PIN}', build: .}}}}", "service traefik: found 'build'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text, message):
    with pytest.raises(_compose_file.ComposeError) as error:
        parse(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_yaml_error_does_not_quote_the_text():
    with pytest.raises(_compose_file.ComposeError) as error:
        parse("services: {x: {environment: {TOKEN: 'planted-secret}}}")
    assert "planted-secret" not in str(error.value)


def test_the_project_and_the_digest_label_are_put_in():
    written = yaml.safe_load(parse_service(labels=["a=b", "c"]).text)
    assert written["name"] == "traefik"
    assert written["services"]["traefik"]["labels"] == {"a": "b", "c": "", DIGEST_LABEL: f"digest-{NONCE}-traefik"}


def test_networks_are_named_as_the_engine_names_them():
    compose = parse(
        yaml.safe_dump(
            {
                "services": {
                    "a": {"image": PIN, "networks": ["public", "own"]},
                    "b": {"image": PIN},
                    "c": {"image": PIN, "network_mode": "host"},
                    "d": {"image": PIN, "networks": {"outside": None}},
                },
                "networks": {
                    "public": {"name": "traefik-public", "external": True},
                    "own": {"internal": True},
                    "outside": {"external": True},
                },
            }
        )
    )
    assert {name: service["networks"] for name, service in compose.services.items()} == {
        "a": ["traefik-public", "traefik_own"],
        "b": ["traefik_default"],
        "c": [],
        "d": ["outside"],
    }
    assert compose.external_networks == ["outside", "traefik-public"]


def test_only_strict_mounts_from_outside_the_project_must_exist():
    strict = {"create_host_path": False}
    volumes = [
        {"type": "bind", "source": "/mnt/disk", "target": "/a", "bind": strict},
        {"type": "bind", "source": "/mnt/other", "target": "/b"},
        {"type": "bind", "source": "./data", "target": "/c", "bind": strict},
        {"type": "bind", "source": "/opt/docker/traefik/files", "target": "/d", "bind": strict},
        "/mnt/short:/e",
    ]
    assert parse_service(volumes=volumes).bind_sources == ["/mnt/disk"]


def test_a_changed_service_or_network_changes_the_definition_and_a_changed_neighbour_does_not():
    def definition(service, networks=None):
        document = {"services": {"a": {"image": PIN}, "b": service}, "networks": networks or {}}
        return {name: entry["definition"] for name, entry in parse(yaml.safe_dump(document)).services.items()}

    before, after = definition({"image": PIN}), definition({"image": PIN, "command": ["x"]})
    assert before["a"] == after["a"]
    assert before["b"] != after["b"]
    assert before["a"] != definition({"image": PIN}, {"default": {"internal": True}})["a"]


# Go's YAML parser reads version 1.2, PyYAML version 1.1. A text that either could take for something else is quoted.
HOSTILE = [
    "1e3",
    "0o17",
    "017",
    "yes",
    "off",
    "null",
    "~",
    "",
    ".inf",
    "12:30",
    "2026-01-01",
    "a: b",
    "# x",
    "*a",
    "&a",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_text_that_looks_like_something_else_is_quoted(value):
    line = next(
        line for line in parse_service(environment={"KEY": value}).text.splitlines() if line.strip().startswith("KEY:")
    )
    assert line.split("KEY: ", 1)[1][0] in "\"'"


def test_an_escaped_pair_is_one_character():
    text = f'services: {{a: {{image: {PIN}, environment: {{KEY: "\\ud83d\\udcbe"}}}}}}'
    assert yaml.safe_load(parse(text).text)["services"]["a"]["environment"]["KEY"] == "\U0001f4be"
    assert "ud83d" not in parse(text).text.lower()


def test_half_a_character_is_refused():
    text = f'services: {{a: {{image: {PIN}, environment: {{KEY: "\\ud83d"}}}}}}'
    with pytest.raises(_compose_file.ComposeError, match="half of a Unicode surrogate pair"):
        parse(text)


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text()))
def test_every_value_survives_the_way_through_yaml_and_compose(environment):
    printable = {key: value for key, value in environment.items() if value.isprintable() or "\n" in value}
    try:
        written = yaml.safe_load(parse_service(environment=printable).text)
    except _compose_file.ComposeError:
        pytest.fail("a text was refused")
    # Compose's interpolation makes one $ of two.
    found = {key: value.replace("$$", "$") for key, value in written["services"]["traefik"]["environment"].items()}
    assert found == printable
