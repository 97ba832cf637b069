"""Which guests need another name, which can't have it, and when a name is in effect."""

from __future__ import annotations

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import plan as _plan
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import Container, Inside
from hypothesis import given, strategies as st


def cluster(**names):
    return {int(key[1:]): Container(int(key[1:]), "pve1", name) for key, name in names.items()}


def plan(wanted, guests, unread=None, local="pve1", allow_shared=False):
    return _plan.plan(wanted, guests, unread or {}, local, allow_shared)


def test_only_what_differs_is_written():
    made = plan({101: "a", 102: "b"}, cluster(g101="golden", g102="b"))
    assert (made.writes, made.right, made.problems) == ({101: "a"}, [102], {})
    # Proxmox keeps the case of a name.
    assert plan({101: "a"}, cluster(g101="A")).writes == {101: "a"}


def test_what_can_not_be_written():
    guests = cluster(g101="x", g102="y") | {
        103: Container(103, "pve2", "z"),
        104: Container(104, "pve1", kind="qemu"),
        105: Container(105, "pve2", "right"),
    }
    wanted = {101: "a", 103: "c", 104: "d", 105: "right", 999: "e"}
    made = plan(wanted, guests, {999: "is not there"})
    assert made.writes == {101: "a"} and made.elsewhere == {103: "pve2"} and made.right == [105]
    assert made.problems == {104: "is a virtual machine on node pve1; expected a container", 999: "is not there"}
    assert plan(wanted, guests, {999: "is not there"}, local="").writes == {101: "a", 103: "c"}


@pytest.mark.parametrize(
    "wanted, refused",
    [
        ({101: "acme", 102: "Acme"}, {101: "is wanted for 102 too", 102: "is wanted for 101 too"}),
        ({101: "taken"}, {101: "belongs to 103 already"}),
        # Names that are exchanged, or given away in the same run, are free.
        ({101: "y", 102: "x"}, {}),
        ({102: "taken", 103: "new"}, {}),
        # 103 is refused, so it keeps the name that 102 is to get.
        (
            {101: "x", 102: "taken", 103: "free", 104: "free"},
            {102: "is wanted for|belongs to 103 already", 103: "is wanted for 104 too", 104: "is wanted for 103 too"},
        ),
    ],
)
def test_nobody_shares_a_name_unasked(wanted, refused):
    guests = cluster(g101="x", g102="y", g103="taken", g104="golden")
    made = plan(wanted, guests)
    assert made.problems.keys() == refused.keys()
    for vmid, told in refused.items():
        assert any(part in made.problems[vmid] for part in told.split("|"))
        assert vmid not in made.writes
    assert plan(wanted, guests, allow_shared=True).problems == {}


NAMES = st.sampled_from(["a", "A", "b", "c", "golden"])


@given(st.dictionaries(st.integers(100, 106), NAMES), st.dictionaries(st.integers(100, 106), NAMES, min_size=1))
def test_a_name_is_never_written_twice(wanted, names):
    guests = {vmid: Container(vmid, "pve1", name) for vmid, name in names.items()}
    made = plan(wanted, guests, {vmid: "is not there" for vmid in wanted if vmid not in guests})
    after = {vmid: guest.name for vmid, guest in guests.items()} | made.writes
    for vmid, name in made.writes.items():
        assert [other for other, theirs in after.items() if theirs.lower() == name.lower()] == [vmid]
    assert made.writes.keys() | set(made.right) | made.problems.keys() == wanted.keys()


def test_ids_and_names_are_checked_together():
    assert _plan.parse_wanted({"101": "a", 102: "b"}) == {101: "a", 102: "b"}
    with pytest.raises(_plan.Problem) as error:
        _plan.parse_wanted({"99": "a", "0101": "b", "x": "c", "103": 4711, "104": "a_b"})
    told = str(error.value)
    assert told.count("found no id of a guest") == 3 and "\n" not in told
    assert "103: found a number" in told and "104: found 'a_b'" in told


@given(st.dictionaries(st.one_of(st.text(max_size=12), st.integers()), st.one_of(st.text(), st.none(), st.integers())))
def test_any_mapping_is_taken_or_refused_in_one_line(given_names):
    try:
        _plan.parse_wanted(given_names)
    except _plan.Problem as error:
        assert "\n" not in str(error)


RUNNING = Container(101, "pve1", "acme.example.org", running=True)


@pytest.mark.parametrize(
    "guest, inside, written, running, file",
    [
        (RUNNING, Inside("acme.example.org", "acme", False), True, "now", "now"),
        (RUNNING, Inside("acme.example.org", "acme.example.org", False), False, "now", "now"),
        (RUNNING, Inside("felhom-golden", "felhom-golden", False), True, "next start", "next start"),
        (RUNNING, Inside("acme.example.org", "felhom-golden", True), False, "now", "never"),
        (RUNNING, Inside("acme.example.org", None, False), False, "now", "next start"),
        (RUNNING, None, True, "next start", "next start"),
        (RUNNING, None, False, "unknown", "unknown"),
        (Container(101, "pve1", "acme"), None, False, "next start", "next start"),
    ],
)
def test_when_a_name_is_in_effect(guest, inside, written, running, file):
    legs = _plan.places_of_name(guest, inside, written)
    assert legs["configured"] == {"name": guest.name, "effective": "now"}
    assert (legs["running"]["effective"], legs["file"]["effective"]) == (running, file)
    assert legs["running"]["name"] == (inside.running if inside else None)


@pytest.mark.parametrize(
    "text, inside, outside",
    [
        ("02:00-04:30", [120, 269], [119, 270]),
        ("22:00-05:00", [1320, 1439, 0, 299], [300, 1319]),
        ("00:00-24:00", [0, 1439], []),
        ("23:00-24:00", [1380, 1439], [0, 1379]),
    ],
)
def test_a_window_for_restarts(text, inside, outside):
    window = _plan.parse_window(text)
    assert all(window.holds(minute) for minute in inside)
    assert not any(window.holds(minute) for minute in outside)


@pytest.mark.parametrize("text", ["", "2-4", "02:00", "02:00-25:00", "02:60-03:00", "02:00-02:00", "24:00-02:00"])
def test_no_window(text):
    with pytest.raises(_plan.Problem, match="^restart_window: found "):
        _plan.parse_window(text)
