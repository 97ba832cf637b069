"""What is moved out of a stack's way: files that its container alone has, units that start it."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._stack import drift as _drift, takeover as _takeover


def test_what_is_missing_is_filled_in_and_nothing_else(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "app/data").mkdir(parents=True)
    (source / "app/data").chmod(0o750)
    (source / "app/data/hello").write_text("hello")
    (source / "app/data/hello").chmod(0o600)
    (source / "app/link").symlink_to("data/hello")
    (source / "app/both").write_text("the container's")
    (source / "app/kind").mkdir()
    (source / "app/kind/below").write_text("x")
    (source / "app/file").write_text("a file")
    (target / "app/empty").mkdir(parents=True)
    (target / "app/file").mkdir()
    (target / "app/both").write_text("the guest's")
    (target / "app/kind").write_text("a file")
    _takeover.fill(str(source), str(target))
    assert (target / "app/data/hello").read_text() == "hello"
    assert (target / "app/data/hello").stat().st_mode & 0o777 == 0o600
    assert (target / "app/data").stat().st_mode & 0o777 == 0o750
    assert (target / "app/link").readlink().as_posix() == "data/hello"
    assert (target / "app/both").read_text() == "the guest's"
    assert (target / "app/kind").read_text() == "a file"
    assert sorted(path.name for path in (target / "app").iterdir()) == ["both", "data", "empty", "file", "kind", "link"]
    assert (target / "app/file").read_text() == "a file"


def test_a_unit_is_enabled_when_something_wants_it(tmp_path):
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "old.service").write_text("[Unit]")
    assert not _drift.unit_is_enabled("old.service", str(tmp_path))
    (tmp_path / "multi-user.target.wants/old.service").symlink_to("/gone/old.service")
    assert _drift.unit_is_enabled("old.service", str(tmp_path))
    assert not _drift.unit_is_enabled("old.service", str(tmp_path / "none"))


def test_a_stack_that_replaces_a_unit_differs_while_it_is_enabled(applied, monkeypatch):
    stack, _engine = applied
    record = stack.record | {"replaces_units": ["old.service"]}
    assert _drift.unit_reasons(stack.record) == []
    monkeypatch.setattr(_drift, "unit_is_enabled", lambda unit: unit == "old.service")
    (reason,) = _drift.unit_reasons(record)
    assert (reason.kind, reason.remedy) == ("unit_enabled", "displace")


def test_what_a_run_that_was_cut_off_stopped_is_remembered_as_it_was():
    before = {"id": "1", "restart": "always", "running": True}
    stopped, other = before | {"restart": "no", "running": False}, {"id": "2", "running": True}
    assert _takeover.merged([before], [stopped, other]) == [before, other]
    unit = {"unit": "old.service", "enabled": True}
    assert _takeover.merged([unit], [unit | {"enabled": False}]) == [unit]
