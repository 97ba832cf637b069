"""Records without typing are what typing would make of them."""

from __future__ import annotations

import typing

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import record as _record


class Typed(typing.NamedTuple):
    """A pair."""

    first: str
    second: tuple[str, ...] = ()


class Plain(_record.NamedTuple):
    """A pair."""

    first: str
    second: tuple[str, ...] = ()


@pytest.mark.parametrize("kind", [Typed, Plain])
def test_a_record(kind):
    made = kind("a")
    assert made == ("a", ()) and made._replace(second=("b",)) == kind("a", ("b",))
    assert (kind._fields, kind._field_defaults) == (("first", "second"), {"second": ()})
    assert (kind.__doc__, kind.__module__) == ("A pair.", __name__)
    assert made._asdict() == {"first": "a", "second": ()}
    with pytest.raises(AttributeError):
        made.first = "b"
    with pytest.raises(TypeError):
        kind()
