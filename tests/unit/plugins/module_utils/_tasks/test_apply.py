"""Applying a stack: what is refused before anything is touched, what is written, and what Compose is told."""

from __future__ import annotations

import json

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import lock as _lock, paths as _paths
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    compose as _compose,
    generations as _generations,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import apply as _apply
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks.settle import Refused

OTHER = {"name": "root@other, process 7", "process": 7, "namespace": "another"}


def apply(guest, **changes):
    return _apply.apply(guest.module, guest.params | changes)


def test_a_new_stack_is_written_and_started(guest):
    done = apply(guest)
    assert done["changed"] and done["pending"]
    assert _compose.result("traefik") == ""
    assert (guest.folder / "traefik.yml").read_text() == "ping: {}\n"
    assert [line.split(" ")[0] for line in guest.told().splitlines()] == ["compose", "compose"]
    assert guest.told().splitlines()[1].endswith("up --detach --pull never --remove-orphans")
    assert guest.generation("next")["run"] == guest.params["run"]
    assert guest.recorded() == {}, "recorded before it was seen to be healthy"


def test_settled_alone_it_is_kept(guest):
    done = apply(guest, settle=True)
    assert (done["state"], done["wrong"]) == ("kept", {})
    assert guest.generation("next") is None and guest.generation("good")
    assert "traefik" in guest.recorded()
    again = apply(guest)
    assert not again["changed"] and not again["pending"] and again["containers"]["traefik"]["state"] == "running"


def test_one_that_was_never_healthy_stays_and_is_told(guest):
    guest.becomes = {"state": "exited"}
    done = apply(guest, settle=True)
    assert done["state"] == "no earlier generation"
    assert "container traefik is exited; traefik says: a line of the container" in done["wrong"]["traefik"]
    assert guest.generation("rejected") and guest.recorded() == {}


def test_check_mode_writes_nothing_and_asks_nobody(guest):
    guest.check_mode = True
    assert apply(guest)["changed"]
    assert sorted(path.name for path in guest.folder.iterdir()) == ["bin", "docker.log"]
    (told,) = guest.told().splitlines()
    assert told.endswith("config -q")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bind_sources": ["/nowhere/at/all"]}, "/nowhere/at/all does not exist and a service mounts it"),
        ({"gates": [{"service": "traefik", "at": "4.0", "floor": True, "do": "see the page"}]}, "see the page"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_refused_leaves_everything_as_it_is(guest, changes, words, check_mode):
    guest.check_mode = check_mode
    with pytest.raises(Refused, match=f"stack traefik: .*{words}"):
        apply(guest, **changes)
    assert not (guest.folder / "traefik.yml").exists() and not (guest.folder / "state").exists()


def test_a_compose_file_that_compose_does_not_accept_is_refused(guest):
    guest.fail("config -q")
    with pytest.raises(Refused, match="Compose does not accept the new docker-compose.yml: Error: planted"):
        apply(guest)
    assert not (guest.folder / "traefik.yml").exists()


def test_an_image_that_can_not_be_pulled_is_refused(guest):
    guest.engine = guest.engine._replace(images={})
    guest.fail("pull")
    with pytest.raises(Refused, match="can't be pulled: Error: planted; nothing was changed"):
        apply(guest)
    assert not (guest.folder / "traefik.yml").exists()


def test_a_folder_with_files_in_a_file_s_place_is_refused(guest):
    (guest.folder / "traefik.yml").mkdir()
    (guest.folder / "traefik.yml/mine").touch()
    with pytest.raises(Refused, match="is a folder with files in it where a file belongs"):
        apply(guest)


def test_an_unknown_user_is_refused(guest):
    guest.params["files"][0]["owner"] = "nobody-of-this-name"
    with pytest.raises(Refused, match="traefik.yml: .*nobody-of-this-name.*expected a user"):
        apply(guest)


def test_what_the_stack_needs_and_does_not_own_is_made(guest):
    guest.engine = guest.engine._replace(networks={})
    apply(guest, external_volumes=["data"])
    assert _compose.result("traefik") == ""
    assert "volume create data" in guest.told() and "network create traefik-public" in guest.told()


def test_a_container_whose_network_is_gone_is_made_anew_on_the_new_one(guest):
    apply(guest, settle=True)
    guest.engine = guest.engine._replace(networks={})
    before = guest.told()
    apply(guest)
    assert _compose.result("traefik") == ""
    made, recreated, _up = guest.told().removeprefix(before).splitlines()
    assert made == "network create traefik-public"
    assert recreated.endswith("up --detach --pull never --force-recreate --no-deps -- traefik")


def test_a_change_while_another_run_has_the_lock_is_refused(guest):
    assert _lock.take(_lock.Holder(**OTHER)) is None
    with pytest.raises(Refused, match="another run is at work on this guest: root@other, process 7"):
        apply(guest)
    assert not (guest.folder / "traefik.yml").exists()


def test_removing_keeps_what_is_made_once_and_is_remembered_for_a_rollback(guest):
    apply(guest, settle=True)
    password = (guest.folder / "secrets/password").read_text()
    done = apply(guest, state="absent")
    assert done["changed"] and not done["pending"]
    assert "compose --project-name traefik down --remove-orphans" in guest.told()
    assert not (guest.folder / "traefik.yml").exists()
    assert (guest.folder / "secrets/password").read_text() == password
    assert guest.recorded() == {} and guest.generation("previous")


def test_rendered_asks_no_engine(guest):
    guest.engine = None
    done = apply(guest, state="rendered")
    assert done["changed"] and not done["pending"] and guest.told() == ""
    assert (guest.folder / "docker-compose.yml").exists()


def test_a_change_without_compose_is_not_judged_by_what_compose_said_before(guest):
    apply(guest, settle=True)
    guest.fail("up --detach")
    guest.params["contents"]["traefik.yml"] = "ping: {entryPoint: web}\n"
    assert apply(guest, settle=True)["wrong"]["traefik"].startswith("Error: planted")
    (guest.folder / "fails").unlink()
    guest.params["contents"] |= {"traefik.yml": "ping: {}\n", "dynamic.yml": "tls: {options: {}}\n"}
    before = guest.told()
    done = apply(guest, settle=True)
    assert (done["reasons"], done["state"], done["wrong"]) == (["dynamic.yml has other content"], "kept", {})
    assert "up" not in guest.told().removeprefix(before).split()


def test_the_journal_of_a_change_holds_what_undoes_it(guest):
    apply(guest, settle=True)
    guest.params["contents"]["traefik.yml"] = "ping: {entryPoint: web}\n"
    apply(guest)
    assert json.dumps(guest.generation("good")["contents"]["traefik.yml"]) == '"ping: {}\\n"'
    assert guest.generation("next")["contents"]["traefik.yml"] == "ping: {entryPoint: web}\n"
    assert guest.generation("next")["healthy_before"] == ["traefik/traefik"]
    assert _generations.names(_paths.STATE_DIR) == ["traefik"]
