"""Merging and checking a guest's configuration: who wins, what is refused in which words, and that nothing leaks."""

from __future__ import annotations

import json

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import merge as _merge
from hypothesis import given, strategies as st
from sample import BOOTSTRAP, CONTROLLER, SECRET, token


def resolve(bootstrap=BOOTSTRAP, controller=CONTROLLER, mounted=(), overrides=None, unreadable="", **earlier):
    guest = _merge.resolve(
        ("bootstrap.json", bootstrap),
        ("controller.yaml", controller),
        _merge.Mounted("docker-compose.yml", list(mounted), unreadable),
        overrides or {},
        [],
        **earlier,
    )
    shown = json.dumps([guest.problems, guest.unknown_keys, guest.waiting_for, guest.sources])
    assert SECRET not in shown
    assert not any("\n" in problem for problem in guest.problems)
    return guest


def changed(path, value):
    """CONTROLLER with another value at a path."""
    copy = json.loads(json.dumps(CONTROLLER))
    *parents, last = path.split(".")
    place = copy
    for key in parents:
        place = place[key]
    place[last] = value
    return copy


def test_a_guest_that_was_converged_for_somebody_else():
    assert resolve(earlier_customer="acme", was_configured=True).state == "configured"
    guest = resolve(earlier_customer="other", was_configured=True)
    assert guest.state == "invalid"
    assert guest.problems[0].startswith(
        "manifest.json: this guest was converged for customer other; found customer acme"
    )


@pytest.mark.parametrize("controller", [None, {}, {"customer": {"id": "acme"}}])
def test_a_guest_that_was_configured_does_not_wait_again(controller):
    assert resolve(controller=controller, earlier_customer="acme").state == "waiting"
    guest = resolve(controller=controller, earlier_customer="acme", was_configured=True)
    assert (guest.state, guest.waiting_for) == ("invalid", "")
    assert "expected what this guest was converged with before" in guest.problems[0]


def test_a_configured_guest():
    guest = resolve()
    assert (guest.state, guest.problems, guest.waiting_for) == ("configured", [], "")
    assert guest.config == {
        "customer_id": "acme",
        "domain": "acme.example.org",
        "email": "ops@acme.example.org",
        "cf_tunnel_token": token(),
        "cf_api_token": SECRET,
        "storage_paths": [],
        "protected": ["traefik", "filebrowser"],
        "stacks_dir": "/opt/docker/stacks",
    }
    assert guest.sources["domain"] == "controller.yaml"
    assert guest.unknown_keys == {"bootstrap.json": ["hub", "local_api"], "controller.yaml": []}


@pytest.mark.parametrize(
    "bootstrap, controller, waiting_for",
    [
        (None, None, "which does not exist"),
        (BOOTSTRAP, None, "customer.domain, customer.email, infrastructure.cf_tunnel_token"),
        (BOOTSTRAP, {"customer": None}, "customer.domain"),
        (BOOTSTRAP, changed("customer.domain", ""), "customer.domain in controller.yaml"),
        (BOOTSTRAP, changed("infrastructure", None), "infrastructure.cf_tunnel_token, infrastructure.cf_api_token"),
        (None, changed("infrastructure.cf_api_token", None), "infrastructure.cf_api_token in controller.yaml"),
    ],
)
def test_a_guest_that_is_not_configured_yet_waits(bootstrap, controller, waiting_for):
    guest = resolve(bootstrap, controller)
    assert (guest.state, guest.problems) == ("waiting", [])
    assert waiting_for in guest.waiting_for


def test_the_inventory_wins_key_by_key_and_configures_alone():
    guest = resolve(overrides={"domain": "other.example.org", "email": "", "storage_paths": ["/mnt/a"]})
    assert (guest.config["domain"], guest.sources["domain"]) == ("other.example.org", "inventory")
    assert (guest.config["email"], guest.sources["email"]) == ("ops@acme.example.org", "controller.yaml")
    assert guest.config["storage_paths"] == [{"path": "/mnt/a", "name": "a", "read_only": False, "options": {}}]
    alone = {"domain": "a.b", "email": "a@a.b", "cf_tunnel_token": token(), "cf_api_token": SECRET}
    guest = resolve(None, None, overrides=alone)
    assert guest.state == "configured"
    assert guest.config["protected"] == _merge.PROTECTED


def test_an_unknown_override_is_refused_with_a_suggestion():
    (problem,) = resolve(overrides={"domian": SECRET}).problems
    assert "'domian'" in problem and "did you mean domain?" in problem


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("customer", "x", "controller.yaml: customer: found a text; expected a mapping"),
        ("customer", [1], "controller.yaml: customer: found a list; expected a mapping"),
        ("customer.id", 7, "controller.yaml: customer.id: found another customer"),
        ("customer.domain", 7, "controller.yaml: customer.domain: found a number; expected a domain"),
        ("customer.domain", SECRET, "controller.yaml: customer.domain: found a text that is no domain"),
        ("customer.domain", "localhost", "customer.domain: found a text that is no domain"),
        ("customer.domain", "10.0.0.1", "customer.domain: found a text that is no domain"),
        ("customer.domain", "a..b", "customer.domain: found a text that is no domain"),
        ("customer.domain", "a_b.c", "customer.domain: found a text that is no domain"),
        ("customer.domain", "https://a.b", "customer.domain: found a text that is no domain"),
        ("customer.domain", f"{'a' * 64}.b", "customer.domain: found a text that is no domain"),
        ("customer.domain", "a.b\n", "customer.domain: found a text that is no domain"),
        ("customer.domain", "ácme.hu", "expected its xn-- form"),
        ("customer.email", SECRET, "customer.email: found a text that is no e-mail address"),
        ("customer.email", "a b@c.d", "customer.email: found a text that is no e-mail address"),
        ("customer.email", "a@localhost", "found an e-mail address without a valid domain"),
        ("customer.email", ["a@b.c"], "customer.email: found a list"),
        ("infrastructure.cf_tunnel_token", SECRET, "found a text of 31 characters that is not base64 of JSON"),
        ("infrastructure.cf_tunnel_token", "bm90LWpzb24=", "that is not base64 of JSON"),
        ("infrastructure.cf_tunnel_token", "W10=", "found base64 of a list"),
        ("infrastructure.cf_tunnel_token", "e30=", "found a token without its part a (account)"),
        ("infrastructure.cf_tunnel_token", token(t=None), "found a token without its part t (tunnel)"),
        ("infrastructure.cf_tunnel_token", token(t=SECRET), "part t (tunnel) is no UUID"),
        ("infrastructure.cf_tunnel_token", token(s=""), "found a token without its part s (secret)"),
        ("infrastructure.cf_tunnel_token", token(s="%%"), "part s (secret) is not base64"),
        ("infrastructure.cf_tunnel_token", {"a": SECRET}, "found a mapping"),
        ("infrastructure.cf_api_token", "short", "found a text of 5 characters that can't be one"),
        ("infrastructure.cf_api_token", f"Bearer {SECRET}", "that can't be one"),
        ("infrastructure.cf_api_token", 12345678901234567890, "found a number"),
        ("stacks.protected", "traefik", "stacks.protected: found a text; expected a list"),
        ("stacks.protected", [["x"]], "stacks.protected: found an entry that is no container name"),
        ("paths.stacks_dir", "relative", "paths.stacks_dir: found a text that is none; expected an absolute path"),
        ("storage", {"paths": "/mnt"}, "storage.paths: found a text"),
        ("storage", {"paths": ["mnt"]}, "storage.paths: found a text that is none; expected an absolute path"),
        ("storage", {"paths": ["/mnt/../etc"]}, "storage.paths: found a text that is none"),
        ("storage", {"paths": ["/"]}, "storage.paths: found the root folder"),
        ("storage", {"paths": ["/a", "/a/"]}, "storage.paths: found a path twice"),
        ("storage", {"paths": [{"path": "/a", "nam": "x"}]}, "storage.paths: found an entry that is neither"),
        ("storage", {"paths": [{"path": "/a", "read_only": "no"}]}, "found a text for read_only"),
        (
            "storage",
            {"paths": [{"path": "/a", "options": ["private"]}]},
            "found a list for the options of /a; expected a mapping",
        ),
        (
            "storage",
            {"paths": [{"path": "/a", "options": {"privat": True}}]},
            "found the unknown key privat in the options of /a",
        ),
        ("storage", {"paths": [{"path": "/a", "options": {"private": 1}}]}, "found a number for the option private"),
        ("storage", {"paths": [{"path": "/a", "name": "x"}, {"path": "/b", "name": "x"}]}, "storage name twice"),
    ],
)
def test_a_wrong_value_is_named_by_file_and_key_and_not_shown(path, value, words):
    guest = resolve(controller=changed(path, value))
    assert guest.state == "invalid"
    assert any(words in problem for problem in guest.problems), guest.problems


@pytest.mark.parametrize("bootstrap", [{}, {"customer": {}}, {"customer": {"id": None}}])
def test_bootstrap_without_an_id_is_refused(bootstrap):
    assert "bootstrap.json: customer.id: found nothing" in " ".join(resolve(bootstrap).problems)


def test_a_configuration_of_another_customer_is_refused():
    (problem,) = resolve(controller=changed("customer.id", "somebody-else")).problems
    assert "controller.yaml: customer.id: found another customer than bootstrap.json names" in problem
    assert "somebody-else" not in problem


def test_mounts_of_an_existing_compose_file_are_kept():
    document = {
        "services": {
            "filebrowser": {
                "volumes": [
                    "./config:/config",
                    "/opt/fb/data:/data",
                    "named:/x",
                    "/mnt/disk1:/srv/disk1",
                    "/mnt/disk2:/srv/disk2:ro",
                    {"type": "bind", "source": "/mnt/disk3", "target": "/srv/x", "read_only": True},
                    {"type": "volume", "source": "v", "target": "/y"},
                ]
            }
        }
    }
    mounted = _merge.mounted_storage("/opt/fb/docker-compose.yml", document).storage
    assert [(entry["path"], entry["read_only"]) for entry in mounted] == [
        ("/mnt/disk1", False),
        ("/mnt/disk2", True),
        ("/mnt/disk3", True),
    ]
    guest = resolve(mounted=mounted)
    assert (guest.config["storage_paths"], guest.sources["storage_paths"]) == (mounted, "docker-compose.yml")
    assert (
        resolve(mounted=mounted, overrides={"storage_paths": ["/mnt/b"]}).config["storage_paths"][0]["path"] == "/mnt/b"
    )


def test_folders_that_nobody_knows_are_a_problem_where_nothing_else_names_them():
    why = "docker-compose.yml: found an empty file"
    without = {key: value for key, value in CONTROLLER.items() if key != "storage"}
    assert resolve(controller=without, unreadable=why).problems == [why]
    assert resolve(controller=without, unreadable=why, overrides={"storage_paths": ["/mnt/b"]}).state == "configured"


def test_key_names_that_look_like_values_are_only_counted():
    guest = resolve(bootstrap={"customer": {"id": "acme", "extra": 1}, f"{SECRET} with spaces": 1})
    assert guest.unknown_keys["bootstrap.json"] == ["customer.extra", "and 1 more"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(_merge.CONTROLLER_KEYS.values())), json_values)
def test_any_value_anywhere_ends_in_a_result(path, value):
    controller = changed(path, value) if not path.startswith("storage") else CONTROLLER | {"storage": {"paths": value}}
    assert resolve(controller=controller).state in ("configured", "waiting", "invalid")


sources = st.sampled_from(
    ["/mnt/a", "/mnt/a/", "/opt/fb/data", "/opt/fb", "/opt/fb2", "./x", "name", "/a/../b", "/$$x", ""]
)
volumes = st.one_of(
    json_values,
    st.tuples(sources, st.sampled_from(["", ":/t", ":/t:ro", ":/t:rw", ":/t:z,ro", ":"])).map("".join),
    st.fixed_dictionaries({"type": st.sampled_from(["bind", "volume"]), "source": st.one_of(sources, json_values)}),
)


@given(st.one_of(json_values, st.lists(volumes, max_size=4)))
def test_any_volumes_are_folders_outside_of_the_project_or_a_problem(found):
    document = {"services": {"filebrowser": {"volumes": found}}}
    try:
        mounted = _merge.mounted_storage("/opt/fb/docker-compose.yml", document).storage
    except _merge.Invalid:
        return
    for entry in mounted:
        assert entry["path"].startswith("/") and not (entry["path"] + "/").startswith("/opt/fb/")
