"""Where a variable came from, and secrets that are not shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _explain
from sample import SECRET, token

pytestmark = pytest.mark.ansible

ROOT = Path(__file__).resolve().parents[4]
FOUND = {
    "problems": [],
    "config": {"customer_id": "acme-0001", "domain": "acme.example", "cf_tunnel_token": token()},
    "sources": {"customer_id": "/b.json", "domain": "/c.yaml", "cf_tunnel_token": "inventory"},
    "unknown_keys": {"/c.yaml": ["customer.domian", "paths.hdd"], "/b.json": []},
}


def test_the_first_layer_wins():
    layers = [_explain.Layer("--extra-vars", {}), _explain.Layer("inventory", {"x": 1}), _explain.Layer("d", {"x": 2})]
    assert _explain.winner("x", layers) == _explain.Variable(1, layers[1])
    assert _explain.winner("y", layers) is None


def test_what_the_playbook_hands_on_comes_from_the_guest_s_file():
    handed = _explain.Layer(
        "playbooks/site.yml", {"host": "files.{{ guest_config_found.config.domain }}", "lock": True}
    )
    host, lock = (_explain.winner(name, [handed]) for name in ("host", "lock"))
    assert _explain.source(host, FOUND, [handed]) == "/c.yaml: customer.domain"
    assert _explain.source(lock, FOUND, [handed]) == "playbooks/site.yml"


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"user": SECRET}])
def test_a_secret_is_a_fingerprint(value):
    assert SECRET not in _explain.shown(value, True)
    assert _explain.shown(value, True).startswith("(secret, SHA-256 begins with ")
    assert _explain.shown("", True) == '""'
    assert SECRET in _explain.shown(value, False)


def test_a_misspelt_key_is_told_what_was_meant():
    assert _explain.unknown_keys(FOUND) == [
        "/c.yaml: customer.domian; did you mean customer.domain?",
        "/c.yaml: paths.hdd",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")), ids=lambda p: p.parts[-3])
def test_every_option_that_sounds_secret_is_declared_so(path):
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    words = ("token", "password", "dashboard_users")
    assert {name for name in options if name.endswith(words)} == {
        name for name, option in options.items() if option.get("no_log")
    }


def test_the_table_of_a_guest_of_an_inventory(tmp_path):
    """The whole action, for a guest whose configuration is given."""
    inventory = {
        "base_traefik_log_level": "DEBUG",
        "base_traefik_loglevel": "INFO",
        "guest_config_cf_tunnel_token": token(),
        "base_traefik_dashboard_users": [SECRET],
        "found": FOUND | {"observed": {"networks": []}},
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"guests": {"hosts": {"one": inventory}}}))
    action = {"felhom.base_infra.explain_info": {"found": "{{ found }}"}, "register": "explained"}
    copy = {
        "ansible.builtin.copy": {"content": "{{ explained | to_json }}", "dest": str(tmp_path / "out"), "mode": "600"}
    }
    play = [{"hosts": "guests", "gather_facts": False, "connection": "local", "tasks": [action, copy]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"]
    command += ["-e", "base_traefik_http_port=81"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    explained = json.loads((tmp_path / "out").read_text())
    rows = {row["name"]: (row["value"], row["source"]) for row in explained["variables"]}
    level, place = rows["base_traefik_log_level"]
    assert level == '"DEBUG"' and place.startswith("inventory, ") and "hosts.yml:" in place
    assert rows["base_traefik_http_port"] == ('"81"', "<CLI option '-e'>")
    assert re.fullmatch(
        r"role default, .*roles/base_traefik/defaults/main\.yml:\d+", rows["base_traefik_https_port"][1]
    )
    assert rows["base_traefik_domain"] == ('"acme.example"', "/c.yaml: customer.domain")
    assert rows["domain"] == rows["base_traefik_domain"]
    assert rows["base_cloudflared_tunnel_token"][1].startswith("inventory, ")
    assert SECRET not in json.dumps(explained) and token() not in json.dumps(explained)
    assert explained["unknown"][-1].endswith("did you mean base_traefik_log_level?")
