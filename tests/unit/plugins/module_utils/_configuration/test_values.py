"""What each value of a configuration must be."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils._configuration import values as _values


def test_storage_names_do_not_collide():
    found = _values.check_storage_paths(["/mnt/a", "/srv/a", {"path": "/x", "name": "Photos", "read_only": True}])
    assert [entry["name"] for entry in found] == ["a", "a 2", "Photos"]
