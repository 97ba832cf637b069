"""Every way in which a stack can differ from its record, one at a time."""

from __future__ import annotations

import os

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import files as _files
from ansible_collections.felhom.base_infra.plugins.module_utils._stack import (
    drift as _drift,
    generations as _generations,
)
from sample import engine_for


def kinds(reasons):
    assert all(reason.remedy in _drift.KINDS[reason.kind] for reason in reasons)
    return [(reason.kind, reason.subject, reason.remedy) for reason in reasons]


def all_reasons(stack, engine):
    return _drift.file_reasons(stack.record) + _drift.engine_reasons(stack.name, stack.record, engine)


def test_a_stack_as_recorded_differs_in_nothing(applied):
    assert all_reasons(*applied) == []


@pytest.mark.parametrize(
    "break_it, expected",
    [
        (lambda root: (root / "traefik.yml").unlink(), [("file_missing", "traefik.yml", "write")]),
        (lambda root: (root / "traefik.yml").write_text(""), [("file_content", "traefik.yml", "write")]),
        (lambda root: (root / "acme.json").chmod(0o644), [("file_mode", "acme.json", "write")]),
        (lambda root: (root / "secrets").chmod(0o755), [("directory_mode", "secrets", "write")]),
        (lambda root: (root / "acme.json").write_text('{"keys": 1}'), []),
        (
            lambda root: ((root / "traefik.yml").unlink(), (root / "traefik.yml").mkdir()),
            [("file_kind", "traefik.yml", "write")],
        ),
        (
            lambda root: ((root / "traefik.yml").unlink(), (root / "traefik.yml").symlink_to("dynamic.yml")),
            [("file_kind", "traefik.yml", "write")],
        ),
    ],
)
def test_the_disk(applied, tmp_path, break_it, expected):
    break_it(tmp_path)
    assert kinds(all_reasons(*applied)) == expected


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"state": "exited", "health": ""}, [("container_state", "traefik", "up")]),
        ({"state": "created", "health": "", "networks": {}}, [("container_state", "traefik", "up")]),
        ({"state": "paused"}, [("container_state", "traefik", "recreate")]),
        ({"state": "restarting"}, [("container_state", "traefik", "recreate")]),
        ({"health": "unhealthy"}, [("container_unhealthy", "traefik", "recreate")]),
        ({"health": "starting"}, []),
        ({"image_id": "sha256:other"}, [("container_image", "traefik", "recreate")]),
        ({"labels": {}}, [("container_config", "traefik", "up")]),
        ({"networks": {"traefik-public": "old"}}, [("network_lost", "traefik", "recreate")]),
        ({"networks": {}}, [("network_lost", "traefik", "recreate")]),
        ({"project": "", "service": ""}, [("container_foreign", "traefik", "displace")]),
        ({"project": "other"}, [("container_foreign", "traefik", "displace")]),
        ({"name": "other", "project": "", "service": ""}, [("container_missing", "traefik", "up")]),
        ({"service": "old"}, [("container_foreign", "traefik", "displace"), ("container_orphan", "old", "up")]),
    ],
)
def test_the_container(applied, changes, expected):
    stack, _engine = applied
    assert kinds(all_reasons(stack, engine_for(stack, **changes))) == expected


@pytest.mark.parametrize("changes", [{"state": "restarting", "health": ""}, {"health": "unhealthy"}])
def test_a_service_whose_health_is_the_world_outside_is_left_alone(applied, changes):
    stack, _engine = applied
    record = stack.record | {"wait": "none"}
    assert _drift.engine_reasons(stack.name, record, engine_for(stack, **changes)) == []


def test_an_absent_image_names_the_pin(applied):
    stack, engine = applied
    (reason,) = all_reasons(stack, engine._replace(images={}))
    assert reason.kind == "image_absent"
    assert stack.record["services"]["traefik"]["image"] in reason.text


def test_a_deleted_network(applied):
    stack, engine = applied
    assert kinds(all_reasons(stack, engine._replace(networks={}))) == [("network_missing", "traefik", "recreate")]


def test_two_containers_of_one_service(applied):
    stack, engine = applied
    double = engine._replace(containers=engine.containers * 2)
    assert kinds(all_reasons(stack, double)) == [("container_number", "traefik", "up")]


def test_what_a_killed_run_left_is_found_wherever_it_wrote(applied, shipped, tmp_path):
    stack, _engine = applied
    state = shipped["state_dir"]
    assert _drift.leftover_reasons(stack.name, stack.record, state) == []
    left = [
        f"{folder}/.name{_files.TEMPORARY}"
        for folder in (tmp_path, tmp_path / "secrets", state, _generations.folder(state, stack.name))
    ]
    for path in left:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    assert {reason.subject for reason in _drift.leftover_reasons(stack.name, stack.record, state)} == set(left)
