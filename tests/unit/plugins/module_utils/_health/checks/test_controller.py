"""What the controller reports and sees, compared with the guest; and the stack that proves it."""

from __future__ import annotations

import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import controller as _observed
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import controller as _controller
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.controller import (
    Controller,
    Place,
    SharedPath,
    Sight,
)

RUN_BY_HAND = Controller("4f1c0d6b2a94", 12, [], "", "", False)
OURS = Controller("acme-0001", 12, ["/opt/docker"], "felhom-controller", "/opt/docker/felhom-controller/c.yml", True)
STACKS = "/opt/docker/stacks"
FOLDER = Place(1, 100, "folder", False)


@pytest.mark.parametrize(
    "controller, verdict, fix",
    [
        (OURS, "ok", ""),
        (RUN_BY_HAND, "degraded", "add --hostname acme-0001 to the 'docker run' that starts it"),
        (
            RUN_BY_HAND._replace(project="theirs", compose_files="/root/c.yml"),
            "degraded",
            "set 'hostname: acme-0001' for it in /root/c.yml",
        ),
        (OURS._replace(hostname="golden"), "degraded", "run playbooks/site.yml"),
    ],
)
def test_the_host_name(controller, verdict, fix):
    (check,) = _controller.hostname(Sight(controller), "acme-0001")
    assert (check.id, check.verdict) == ("controller_hostname", verdict)
    assert fix in check.fix


def paths_check(*paths, controller=OURS):
    (check,) = _controller.paths(Sight(controller, [STACKS], paths))
    return check


@pytest.mark.parametrize(
    "guest, controller, words",
    [
        (FOLDER, FOLDER, ""),
        (Place(1, 100, "folder", True), Place(1, 100, "folder", True), ""),
        (FOLDER, None, "is not there for the controller"),
        (None, FOLDER, "is in the controller only"),
        (None, None, "does not exist"),
        (FOLDER, Place(2, 100, "folder", False), "is another folder for the controller"),
        (FOLDER, Place(1, 101, "folder", False), "is another folder for the controller"),
        (Place(1, 100, "folder", True), Place(2, 5, "folder", False), "is an empty folder that the engine made"),
        (Place(1, 100, "folder", True), Place(2, 5, "file", False), "is an empty folder that the engine made"),
        (Place(1, 100, "folder", True), Place(2, 5, "folder", True), "is another folder for the controller"),
    ],
)
def test_a_path_of_an_app(guest, controller, words):
    check = paths_check(SharedPath(f"{STACKS}/app/data", "app", True, guest, controller))
    assert check.verdict == ("degraded" if words else "ok")
    assert words in check.reason


def test_a_path_outside_of_the_stacks_has_to_exist_only():
    assert paths_check(SharedPath("/srv/disk", "app", False, FOLDER, None)).verdict == "ok"
    check = paths_check(SharedPath("/srv/disk", "app", False, None, None))
    assert check.verdict == "degraded" and check.fix.startswith("put back what is missing")


def test_what_an_app_suffers_from_comes_first_and_not_all_that_follows():
    unseen = [
        SharedPath(f"/opt/docker/traefik{below}", "traefik", True, FOLDER, None) for below in ("", "/acme", "/dynamic")
    ]
    empty = SharedPath(f"{STACKS}/app/data", "app", True, Place(1, 7, "folder", True), FOLDER)
    others = [SharedPath(f"{STACKS}/{name}", name, True, FOLDER, Place(2, 1, "folder", False)) for name in "abc"]
    check = paths_check(*unseen, empty, *others, controller=RUN_BY_HAND)
    assert check.reason.startswith(f"{STACKS}/app/data (app) is an empty folder")
    assert "/acme" not in check.reason and check.reason.endswith("; and 2 more")
    assert f"add --volume {STACKS}:{STACKS} to the 'docker run'" in check.fix


def test_a_folder_that_was_replaced_under_the_controller():
    check = paths_check(SharedPath(STACKS, "stacks", True, FOLDER, Place(1, 99, "folder", False)))
    assert check.fix.startswith("run 'docker restart felhom-controller'")


def test_a_folder_of_ours_that_lies_elsewhere():
    apart = [SharedPath("/srv/apps", "stacks", True, FOLDER, None)]
    (check,) = _controller.paths(Sight(OURS, ["/srv/apps"], apart))
    assert check.fix == "run playbooks/site.yml for this guest, with /srv/apps in felhom_controller_folders"


def test_a_folder_in_another_is_named_with_that():
    applied = {name: {"project_dir": folder} for name, folder in (("a", f"{STACKS}/a"), ("b", "/opt/docker/b"))}
    assert _controller.shared_folders(STACKS, applied) == ["/opt/docker/b", STACKS]


def test_a_controller_that_does_not_run_is_not_compared():
    assert paths_check(controller=OURS._replace(pid=0)).verdict == "degraded"


def test_what_can_not_be_compared():
    (check,) = _controller.paths(Sight(OURS, error=PermissionError(13, "Permission denied", "/proc/12/root")))
    assert (check.verdict, check.reason) == ("degraded", "not compared: /proc/12/root: Permission denied")
    (check,) = _controller.paths(Sight(error=_engine.EngineError("no such container")))
    assert (check.verdict, check.fix) == ("degraded", "ask again")
    assert _controller.hostname(Sight(error=_engine.EngineError("no such container")), "acme-0001") == []


def test_paths_are_seen_as_a_process_sees_them(applied, tmp_path):
    _stack, engine = applied
    app = engine.containers[0]._replace(project="app", binds=(str(tmp_path), f"{tmp_path}/none", "/srv/else"))
    by_hand = app._replace(project="", binds=("/srv/by-hand",))
    found = _observed.paths(
        engine._replace(containers=[app, by_hand]), os.getpid(), _controller.shared_folders(str(tmp_path), {})
    )
    assert [(path.path, path.owner, path.shared) for path in found] == [
        ("/srv/else", "app", False),
        (str(tmp_path), "stacks", True),
        (f"{tmp_path}/none", "app", True),
    ]
    assert found[1].guest == found[1].controller and found[1].guest.kind == "folder"
    assert found[2].guest is found[2].controller is None
