"""Settling a change on the guest, and going back on request."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, lock as _lock
from ansible_collections.felhom.base_infra.plugins.module_utils._tasks import (
    apply as _apply,
    end as _end,
    settle as _settle,
)

ASKED = {"stacks": [], "void": None}


@pytest.fixture
def changed(guest):
    """A guest on which one generation is good and another one waits for being settled."""
    assert _apply.apply(guest.module, guest.params | {"settle": True})["state"] == "kept"
    guest.params["contents"]["traefik.yml"] = "ping: {entryPoint: web}\n"
    assert _apply.apply(guest.module, guest.params)["pending"]
    return guest


def settle(guest):
    return _settle.settle(guest.module, {"stacks": ["traefik"], "run": guest.params["run"]})


def rollback(guest, **more):
    return _settle.rollback(guest.module, ASKED | {"run": guest.params["run"]} | more)


def test_a_healthy_change_is_kept(changed):
    done = settle(changed)
    assert done["wrong"] == {} and done["stacks"]["traefik"]["state"] == "kept"
    assert changed.generation("good")["contents"]["traefik.yml"] == "ping: {entryPoint: web}\n"
    assert changed.generation("previous")["contents"]["traefik.yml"] == "ping: {}\n"


def test_a_change_that_compose_can_not_apply_is_rolled_back(changed):
    assert settle(changed)["wrong"] == {}
    good = changed.generation("good")
    changed.params["contents"]["traefik.yml"] = "ping: {manualRouting: true}\n"
    changed.fail("up --detach")
    _apply.apply(changed.module, changed.params)
    done = settle(changed)
    assert done["wrong"]["traefik"].startswith("Error: planted")
    assert done["stacks"]["traefik"]["state"] == "rolled back"
    assert (changed.folder / "traefik.yml").read_text() == "ping: {entryPoint: web}\n"
    assert changed.generation("good") == good and changed.generation("next") is None


def test_what_is_not_healthy_on_its_last_good_generation_is_loud(changed):
    changed.becomes = {"state": "exited"}
    done = settle(changed)
    state = done["stacks"]["traefik"]
    assert state["state"] == "rollback failed" and "container traefik is exited" in state["why"]


def end(guest, monkeypatch, **more):
    """What the end of a run is told."""
    told = {}
    monkeypatch.setattr(_end, "end", lambda _module, arguments: told.update(arguments) or {"verdict": "ok"})
    asked = {
        "holder": guest.params["run"],
        "pending": ["traefik"],
        "stacks_of_run": {"traefik": {"changed": True}, "cloudflared": {"changed": False}},
        "error": "",
        "probe": False,
        "probe_after": "traefik",
        "patience": 60,
    }
    assert _settle.end(guest.module, asked | more) == {"verdict": "ok", "changed": True}
    return told


def test_the_end_of_a_run_settles_first(changed, monkeypatch):
    told = end(changed, monkeypatch)
    assert told["stacks_of_run"]["traefik"]["state"] == "kept"
    assert told["stacks_of_run"]["cloudflared"] == {"changed": False}
    assert (told["error"], told["probe"], told["patience"]) == ("", True, 60)
    assert not end(changed, monkeypatch, probe_after="cloudflared")["probe"]


def test_the_end_of_a_run_tells_all_that_went_wrong(changed, monkeypatch):
    changed.becomes = {"state": "exited"}
    told = end(changed, monkeypatch, error="stack cloudflared: no such image")
    assert told["error"].startswith("stack cloudflared: no such image. stack traefik: ")
    assert "THE ROLLBACK FAILED" in told["error"]
    assert (told["probe"], told["patience"]) == (False, 0)


def test_an_engine_that_does_not_answer_at_the_end_is_told(changed, monkeypatch):
    def refuse():
        raise _engine.EngineError("no answer from the Docker engine")

    monkeypatch.setattr(_engine, "observe", refuse)
    assert end(changed, monkeypatch)["error"] == "no answer from the Docker engine"


def test_what_was_settled_meanwhile_is_told_as_it_was(changed):
    changed.becomes = {"state": "exited"}
    first = settle(changed)
    assert settle(changed) == first


def test_what_another_run_settled_is_no_success(changed, tmp_path):
    settle(changed)
    (tmp_path / "run/settled/traefik.json").unlink()
    done = settle(changed)
    assert done["stacks"]["traefik"]["state"] == "unknown" and "traefik" in done["wrong"]


def test_rollback_and_back_again(changed):
    settle(changed)
    for wanted in ("ping: {}\n", "ping: {entryPoint: web}\n"):
        changed.params["contents"]["traefik.yml"] = wanted
        done = rollback(changed)
        assert done["changed"] and done["stacks"]["traefik"]["state"] == "kept", done
        assert (changed.folder / "traefik.yml").read_text() == wanted
        assert _lock.held() is None


def test_rollback_in_check_mode_says_what_it_would_do(changed):
    settle(changed)
    changed.check_mode = True
    assert rollback(changed)["stacks"] == {"traefik": {"state": "would go back"}}
    assert (changed.folder / "traefik.yml").read_text() == "ping: {entryPoint: web}\n"


def test_rollback_of_what_has_no_earlier_generation_is_refused_and_leaves_no_lock(guest):
    with pytest.raises(_settle.Refused, match="no earlier generation of nonesuch is kept"):
        rollback(guest, stacks=["nonesuch"])
    assert _lock.held() is None


def test_rollback_without_its_image_is_refused(changed):
    settle(changed)
    changed.engine = changed.engine._replace(images={})
    with pytest.raises(_settle.Refused, match="stack traefik: image .* is not on the guest; nothing was changed"):
        rollback(changed)


def test_rollback_waits_for_another_run(changed):
    settle(changed)
    other = _lock.Holder("root@other, process 7", 7, "another")
    _lock.take(other)
    assert rollback(changed) == {"changed": False, "held_by": other._asdict()}
    assert rollback(changed, void=other._asdict())["changed"]
