"""The actions whose work is done on a guest: what they refuse before it, and what they hand over."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.felhom.base_infra.plugins.plugin_utils import _guest_actions

pytestmark = pytest.mark.ansible

OTHER = {"name": "root@other, process 7", "process": 7, "namespace": "another"}
STACK = {"name": "web", "project_dir": "/opt/web", "observed": {}}
APPLIED = {"name": "web", "changed": True, "pending": True, "timings": {"apply": 0.5}, "diff": ["much"]}


class Guest:
    """What an action has the guest do, and what that answers."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers = list(answers)

    def run(self, name: str, arguments: dict[str, Any], variables: dict[str, Any] | None = None) -> dict[str, Any]:
        task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, register=None, no_log=False)
        task.action = f"felhom.base_infra.{name}"
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        templar = SimpleNamespace(template=lambda value: value)
        module = importlib.import_module(f"ansible_collections.felhom.base_infra.plugins.action.{name}")
        action = module.ActionModule(task, connection, None, None, templar)
        action._execute_module = self.execute
        return action.run(None, variables or {})

    def execute(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        assert task_vars["ansible_no_target_syslog"] is True
        self.asked.append({"module": module_name.removeprefix("felhom.base_infra.")} | module_args)
        return dict(self.answers.pop(0))


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("bootstrap_info", {"lock": True}, "lock. Supported parameters include"),
        ("bootstrap_info", {"engine_timeout": "soon"}, "argument 'engine_timeout' is of type str"),
        ("base_health_info", {"probe": True}, "probe. Supported parameters include"),
        ("base_health_info", {"protected": {"a": 1}}, "argument 'protected' is of type dict"),
        ("converge_begin", {"lock": "perhaps"}, "argument 'lock' is of type str and we were unable to convert to bool"),
        ("converge_end", {"run": "converge"}, "argument 'run' is of type str"),
        ("converge_unlock", {"force": True}, "force. Supported parameters include"),
        ("compose_settle", {}, "missing required arguments: applied"),
        ("compose_rollback", {"state_dir": "/elsewhere"}, "state_dir. Supported parameters include"),
        ("compose_stack", {"name": "web"}, "missing required arguments: project_dir"),
        ("compose_stack", STACK | {"wait": "forever"}, "value of wait must be one of: healthy, running, none"),
        ("compose_stack", STACK | {"files": [{"path": "a"}]}, "one of the following is required: template, content"),
        (
            "compose_stack",
            STACK | {"files": [{"path": "../a", "content": ""}]},
            "stack web: path '../a': expected a plain relative path",
        ),
        (
            "compose_stack",
            STACK | {"files": [{"path": "a", "content": "", "mode": "rw"}]},
            "stack web: a: mode 'rw': expected four octal digits",
        ),
        (
            "compose_stack",
            STACK | {"files": [{"path": "b/a", "content": ""}]},
            "stack web: b/a: its folder is not among the directories",
        ),
    ],
)
def test_arguments_that_are_refused(name, arguments, message):
    guest = Guest()
    with pytest.raises(AnsibleActionFail) as refused:
        guest.run(name, arguments)
    assert message in str(refused.value)
    assert guest.asked == []


@pytest.mark.parametrize("lock", ["false", "no", False, 0])
def test_a_lock_that_is_not_wanted_is_not_taken(lock):
    """`health.yml -e guest_config_lock=false` took it, and nobody gave it back."""
    guest = Guest({"state": "waiting"})
    assert guest.run("converge_begin", {"lock": lock})["state"] == "waiting"
    assert guest.asked[0]["arguments"]["run"] is None


def test_a_lock_that_another_run_holds_is_a_problem_like_others():
    found = Guest({"held_by": OTHER}).run("converge_begin", {"lock_timeout": -1})
    assert found["state"] == "invalid" and found["config"] == {}
    assert found["problems"][0].startswith("another run is at work on this guest: root@other, process 7; waited -1 s.")


def test_a_lock_of_a_run_that_is_gone_from_here_is_void(monkeypatch):
    monkeypatch.setattr(_guest_actions._lock, "is_gone", lambda holder: holder.name == OTHER["name"])
    guest = Guest({"held_by": OTHER}, {"state": "configured"})
    assert guest.run("converge_begin", {})["state"] == "configured"
    assert [asked["arguments"]["void"] for asked in guest.asked] == [None, OTHER]


def test_settling_asks_the_guest_once_for_all_that_is_pending():
    other = APPLIED | {"name": "other", "changed": False, "pending": False}
    kept = {"state": "kept", "recreated": ["web"], "containers": {}}
    guest = Guest({"changed": True, "wrong": {}, "stacks": {"web": kept}})
    done = guest.run("compose_settle", {"applied": [APPLIED, other, {"skipped": True}, {"failed": True, "msg": "x"}]})
    assert [asked["arguments"]["stacks"] for asked in guest.asked] == [["web"]]
    assert done["changed"] and not done.get("failed")
    assert done["stacks"]["web"] == {"changed": True, "timings": {"apply": 0.5}} | kept
    assert done["stacks"]["other"] == {"changed": False, "timings": {"apply": 0.5}}


def test_settling_nothing_asks_nobody():
    guest = Guest()
    done = guest.run("compose_settle", {"applied": [APPLIED | {"pending": False, "changed": False}]})
    assert not done["changed"] and guest.asked == []


def test_what_was_rolled_back_is_a_failure_that_says_where_all_are():
    stacks = {"web": {"state": "rollback failed", "why": "container web is exited"}, "other": {"state": "kept"}}
    answer = {"changed": True, "wrong": {"web": "not healthy after 5 s"}, "stacks": stacks}
    done = Guest(answer).run("compose_settle", {"applied": [APPLIED, APPLIED | {"name": "other"}]})
    assert done["failed"]
    assert done["msg"] == (
        "stack web: not healthy after 5 s. Now: other is on its new generation, web IS NOT HEALTHY on its last good "
        "generation either: THE ROLLBACK FAILED. web: container web is exited"
    )


def test_a_rollback_is_refused_while_another_run_has_the_guest():
    done = Guest({"held_by": OTHER}).run("compose_rollback", {"lock_timeout": -1})
    assert done["failed"] and done["msg"].endswith("Nothing was changed")


def test_a_rollback_says_where_its_stacks_are():
    guest = Guest({"changed": True, "wrong": {}, "stacks": {"web": {"state": "kept"}}})
    done = guest.run("compose_rollback", {"stacks": ["web"]})
    assert done["stacks"] == {"web": {"state": "kept"}} and not done.get("failed")
    assert guest.asked[0]["arguments"]["stacks"] == ["web"]


def test_the_end_gives_back_this_run_s_lock():
    guest = Guest({"verdict": "ok"}, {"changed": False})
    guest.run("converge_end", {"run": {"kind": "converge"}})
    guest.run("converge_unlock", {})
    this = _guest_actions.this_run()._asdict()
    assert [(asked["task"], asked["arguments"]["holder"]) for asked in guest.asked] == [("end", this), ("unlock", this)]


@pytest.mark.parametrize("pending, module", [(True, "guest_apply"), (False, "guest_run")])
def test_the_end_settles_what_is_pending(pending, module):
    guest = Guest({"verdict": "ok"})
    applied = [APPLIED | {"pending": pending}, {"skipped": True}]
    guest.run("converge_end", {"applied": applied, "error": "no network", "run": {"kind": "converge"}})
    (asked,) = guest.asked
    assert (asked["module"], asked["task"]) == (module, "end")
    assert asked["arguments"]["pending"] == (["web"] if pending else [])
    assert asked["arguments"]["stacks_of_run"] == {"web": {"changed": True, "timings": {"apply": 0.5}}}
    assert asked["arguments"]["error"] == "no network"


def test_what_changes_nothing_has_nothing_to_give_back():
    guest = Guest({"verdict": "ok"}, {"state": "waiting"})
    guest.run("base_health_info", {})
    guest.run("bootstrap_info", {})
    assert [asked["task"] for asked in guest.asked] == ["judge", "begin"]
    assert "holder" not in guest.asked[0]["arguments"] and guest.asked[1]["arguments"]["run"] is None
