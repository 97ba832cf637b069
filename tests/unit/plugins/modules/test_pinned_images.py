"""Having images: pulled, tagged, and proven to be there."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine, pins as _pins
from ansible_collections.felhom.base_infra.plugins.modules import pinned_images

TRAEFIK = "traefik:v3.7.15@sha256:" + "1" * 64
CONTROLLER = "ghcr.io/felhom/controller:0.9.0@sha256:" + "2" * 64
LOGIN = {"registry": "ghcr.io", "username": "felhom", "password": "planted-secret-value"}

# A docker whose store is two folders of empty files. It notes its arguments, and what it can log in with.
DOCKER = """#!/bin/sh
store={store}
echo "$@" >> $store/asked
if [ "$1" = --config ]; then cat $2/config.json > $store/login; shift 2; fi
file=$(echo "$2" | tr / ,)
case $1 in
  pull) [ -e $store/lost ] || touch "$store/images/$(echo $file | sed 's/:[^:]*@/@/')" ;;
  tag) touch "$store/tags/$(echo "$3" | tr / ,)" ;;
esac
"""


class Store:
    """What the engine has, as its two lists say it."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("images", "tags"):
            (folder / name).mkdir()
        program = folder / "docker"
        program.write_text(DOCKER.format(store=folder))
        program.chmod(0o755)

    def add(self, pin, tagged=True):
        (self.folder / "images" / _pins.repo_digest(pin).replace("/", ",")).touch()
        if tagged:
            (self.folder / "tags" / _pins.repo_tag(pin).replace("/", ",")).touch()

    def lists(self):
        def names(kind):
            return {path.name.replace(",", "/"): "sha256:a" for path in (self.folder / kind).iterdir()}

        return names("images"), names("tags")

    @property
    def asked(self):
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def store(tmp_path, monkeypatch):
    made = Store(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(_engine, "tagged_images", made.lists)
    return made


def test_what_is_absent_is_pulled_and_what_has_no_tag_gets_it(store, execute):
    store.add(CONTROLLER, tagged=False)
    result = execute(pinned_images.main, {"images": [TRAEFIK, CONTROLLER]})
    assert (result["changed"], result["pulled"], result["tagged"]) == (True, [TRAEFIK], [CONTROLLER])
    assert result["diff"] == {"before": "", "after": f"{CONTROLLER}\n{TRAEFIK}\n"}
    assert store.asked == [
        f"pull {TRAEFIK}",
        f"tag {_pins.repo_digest(TRAEFIK)} traefik:v3.7.15",
        f"tag {_pins.repo_digest(CONTROLLER)} ghcr.io/felhom/controller:0.9.0",
    ]
    again = execute(pinned_images.main, {"images": [TRAEFIK, CONTROLLER, TRAEFIK]})
    assert (again["changed"], again["pulled"], again["tagged"]) == (False, [], [])
    assert len(store.asked) == 3


def test_check_mode_says_it_and_pulls_nothing(store, execute):
    store.add(CONTROLLER, tagged=False)
    result = execute(pinned_images.main, {"images": [TRAEFIK, CONTROLLER]}, check=True)
    assert (result["changed"], result["pulled"], result["tagged"]) == (True, [TRAEFIK], [CONTROLLER])
    assert store.asked == []


def test_a_tag_of_another_image_is_moved(monkeypatch, store, execute):
    store.add(TRAEFIK)
    moved = []

    def lists():
        digests, tags = store.lists()
        return digests, tags if store.asked else dict.fromkeys(tags, "sha256:another")

    monkeypatch.setattr(_engine, "tagged_images", lists)
    moved = execute(pinned_images.main, {"images": [TRAEFIK]})
    assert (moved["pulled"], moved["tagged"]) == ([], [TRAEFIK])
    assert store.asked == [f"tag {_pins.repo_digest(TRAEFIK)} traefik:v3.7.15"]


def test_an_image_that_did_not_come_is_not_taken_for_pulled(store, execute):
    (store.folder / "lost").touch()
    result = execute(pinned_images.main, {"images": [TRAEFIK]})
    assert result["failed"] and result["msg"] == f"image {TRAEFIK} was pulled and is not on the guest"


def test_a_login_is_docker_s_for_the_pull_only(store, execute):
    result = execute(pinned_images.main, {"images": [CONTROLLER], **LOGIN})
    assert result["pulled"] == [CONTROLLER]
    auth = json.loads((store.folder / "login").read_text())["auths"]["ghcr.io"]["auth"]
    assert auth == "ZmVsaG9tOnBsYW50ZWQtc2VjcmV0LXZhbHVl"
    folder = store.asked[0].split()[1]
    assert folder.startswith("/run/") and not os.path.exists(folder)
    assert LOGIN["password"] not in json.dumps(store.asked)


def test_a_login_without_a_pull_is_written_nowhere(store, execute):
    store.add(CONTROLLER, tagged=False)
    assert execute(pinned_images.main, {"images": [CONTROLLER], **LOGIN})["tagged"] == [CONTROLLER]
    assert not (store.folder / "login").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "missing required arguments: images"),
        ({"images": ["traefik:latest"]}, "found image 'traefik:latest'; expected name:tag@sha256:<64 hex digits>"),
        (
            {"images": [TRAEFIK], "registry": "ghcr.io"},
            "parameters are required together: registry, username, password",
        ),
    ],
)
def test_arguments_that_are_refused(store, execute, arguments, message):
    result = execute(pinned_images.main, arguments)
    assert result["failed"] and result["msg"] == message
    assert store.asked == []


def test_no_engine(monkeypatch, execute):
    def none():
        raise _engine.EngineError("no answer from the Docker engine")

    monkeypatch.setattr(_engine, "tagged_images", none)
    result = execute(pinned_images.main, {"images": [TRAEFIK]})
    assert result["failed"] and result["msg"] == "no answer from the Docker engine"


def test_an_engine_without_a_docker_program(store, execute, monkeypatch):
    """Debian has them in packages of their own."""
    monkeypatch.setenv("PATH", "/nowhere")
    result = execute(pinned_images.main, {"images": [TRAEFIK]})
    assert result["failed"]
    why = "docker: No such file or directory"
    assert result["msg"] == f"image {TRAEFIK} is not on the guest and can't be pulled: {why}"
