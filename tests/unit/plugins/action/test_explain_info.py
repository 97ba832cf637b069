"""What explain_info's action takes, before it reads anything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.felhom.base_infra.plugins.action import explain_info

pytestmark = pytest.mark.ansible

FOUND = {"config": {}, "problems": [], "sources": {}, "unknown_keys": {}}


def refusal(arguments):
    """What the action says. It has nothing that it could read: that would end in another error."""
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action="felhom.base_infra.explain_info")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action = explain_info.ActionModule(task, connection, None, None, None)
    with pytest.raises(AnsibleActionFail) as refused:
        action.run(None, {"inventory_hostname": "one"})
    return str(refused.value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "missing required arguments: found"),
        ({"found": None}, "argument 'found' is of type NoneType and we were unable to convert to dict"),
        ({"found": ["a"]}, "argument 'found' is of type list and we were unable to convert to dict"),
        ({"found": FOUND, "fund": 1}, "fund. Supported parameters include: found."),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    assert message in refusal(arguments)


@pytest.mark.parametrize("key", FOUND)
def test_what_is_no_result_of_bootstrap_info(key):
    """As where the lock was held: then there is no configuration to explain."""
    found = {name: value for name, value in FOUND.items() if name != key}
    message = f"found: has no {key}; expected what felhom.base_infra.bootstrap_info returns"
    assert refusal({"found": found}) == message
