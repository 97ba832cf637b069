"""Variables that a role would ignore without a word, and tokens of the wrong shape."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail, AnsibleFilterError
from ansible_collections.felhom.base_infra.plugins.filter.cf_tokens import FilterModule
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _role_variables
from sample import SECRET, token

pytestmark = pytest.mark.ansible

OPTIONS = {"base_traefik_cf_api_token": ["base_traefik_cf_token"], "base_traefik_log_level": []}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["base_traefik_log_level", "base_infra_hosts", "base_traefik", "__base_traefik_x"], ""),
        (["base_traefik_cf_token"], "variable base_traefik_cf_token is called base_traefik_cf_api_token now"),
        (
            ["base_traefik_loglevel"],
            "unknown variable base_traefik_loglevel: role base_traefik has no such option; "
            "did you mean base_traefik_log_level?",
        ),
        (
            ["base_traefik_zone"],
            "unknown variable base_traefik_zone: role base_traefik has no such option; "
            "'ansible-doc -t role felhom.base_infra.base_traefik' lists all",
        ),
    ],
)
def test_a_stranger_is_named_with_what_was_meant(names, message):
    assert _role_variables.unknown("base_traefik", OPTIONS, names) == message


def test_every_role_s_own_variables_pass(request):
    for role in (request.config.rootpath / "roles").iterdir():
        known = dict.fromkeys(_role_variables._options(role))
        _role_variables.refuse_unknown(
            {"role_path": str(role), f"{role.name}_result": 1} | known, f"{role.name}_result"
        )
        # As ansible-core 2.21 has it.
        _role_variables.refuse_unknown({"role_path": str(role), f"{role.name}_result": 1}, {f"{role.name}_result": "_"})
        with pytest.raises(AnsibleActionFail, match="has no such option"):
            _role_variables.refuse_unknown({"role_path": str(role), f"{role.name}_result": 1} | known, None)


@pytest.mark.parametrize(
    "variables, words",
    [
        ({"base_health_patience": "long"}, "base_health_patience"),
        ({"base_health_protected": {"a": 1}}, "base_health_protected"),
        ({"base_health_patience": "5", "base_health_protected": ["traefik"]}, ""),
    ],
)
def test_a_value_that_the_role_s_specification_refuses(request, variables, words):
    path = {"role_path": str(request.config.rootpath / "roles/base_health")}
    if words:
        with pytest.raises(AnsibleActionFail, match=f"role base_health: .*{words}"):
            _role_variables.checked(path | variables, lambda values: values)
    else:
        assert _role_variables.checked(path | variables | {"other": 1}, lambda values: values) == variables


def test_a_token_passes_or_is_refused_unseen():
    filters = FilterModule().filters()
    assert filters["cf_tunnel_token"](f" {token()}\n") == token()
    assert filters["cf_api_token"](SECRET) == SECRET
    for name in filters:
        with pytest.raises(AnsibleFilterError) as refused:
            filters[name]("not a token")
        assert "not a token" not in str(refused.value)


def test_somebody_else_s_role_has_names_of_its_own(tmp_path):
    role = tmp_path / "roles/myapp"
    role.mkdir(parents=True)
    _role_variables.refuse_unknown({"role_path": str(role), "myapp_anything": 1}, None)
