"""Waiting for locked guests, and for names that others are to give away."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import rename as _rename
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import Container, Problem, Unusable
from hypothesis import given, strategies as st


class Fake:
    """Guests in memory. At a time, what is in 'then' happens."""

    def __init__(self, *guests: Container, **then) -> None:
        self.guests = {guest.vmid: guest for guest in guests}
        self.then = {int(key[2:]): action for key, action in then.items()}
        self.clock = 0.0
        self.writes: list[tuple[int, str]] = []
        self.fails: dict[int, Exception] = {}

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        for at in [at for at in self.then if at <= self.clock]:
            self.then.pop(at)(self)

    def change(self, vmid: int, **fields) -> None:
        self.guests[vmid] = dataclasses.replace(self.guests[vmid], **fields)

    def fresh(self, guest: Container) -> Container:
        return self.guests[guest.vmid]

    def rename(self, guest: Container, name: str) -> None:
        if guest.vmid in self.fails:
            raise self.fails[guest.vmid]
        self.writes.append((guest.vmid, name))
        self.change(guest.vmid, name=name)

    def run(self, writes: dict[int, str], seconds: float = 60, **options):
        patience = _rename.Patience(seconds, lambda: self.clock, self.sleep)
        return _rename.rename_all(self, writes, dict(self.guests), patience, **options)


def golden(vmid: int, name: str = "golden", **fields) -> Container:
    return Container(vmid, "pve1", name, **fields)


def test_a_lock_that_ends_in_time():
    fake = Fake(golden(101, lock="backup"), golden(102), at10=lambda fake: fake.change(101, lock=""))
    outcomes = fake.run({101: "a", 102: "b"})
    assert fake.writes == [(102, "b"), (101, "a")] and 10 <= fake.clock < 13
    assert all(outcome.written and not outcome.problem for outcome in outcomes.values())


def test_a_lock_that_does_not():
    fake = Fake(golden(101, lock="backup"), golden(102), golden(103, lock="migrate"))
    outcomes = fake.run({101: "a", 102: "b", 103: "c"}, 30)
    assert fake.writes == [(102, "b")] and fake.clock == 30
    assert outcomes[101].problem == "is locked (backup); waited 30 seconds for that to end"
    assert outcomes[103].problem == "is locked (migrate); waited 30 seconds for that to end"


def test_without_patience_nothing_is_waited_for():
    fake = Fake(golden(101, lock="backup"))
    assert not fake.run({101: "a"}, 0)[101].written and fake.clock == 0


def test_somebody_else_was_there_first():
    fake = Fake(golden(101, lock="backup"), at4=lambda fake: fake.change(101, name="theirs", lock=""))
    assert "was renamed from golden to theirs by somebody else" in fake.run({101: "a"})[101].problem
    fake = Fake(golden(101, lock="backup"), at4=lambda fake: fake.change(101, name="a", lock=""))
    assert fake.run({101: "a"})[101] == (golden(101, "a"), False, "")
    assert fake.writes == []


def test_one_that_fails_holds_up_nobody():
    fake = Fake(golden(101), golden(102))
    fake.fails[101] = Problem("disk full")
    outcomes = fake.run({101: "a", 102: "b"})
    assert outcomes[101].problem == "disk full" and outcomes[102].written and fake.clock == 0


def test_nothing_is_tried_in_vain():
    fake = Fake(*(golden(vmid) for vmid in range(101, 104)))
    fake.fails[102] = Unusable("the API refuses the token")
    outcomes = fake.run({101: "a", 102: "b", 103: "c"})
    assert [outcome.problem for outcome in outcomes.values()] == ["", *["the API refuses the token"] * 2]
    assert fake.writes == [(101, "a")]


def test_a_name_is_taken_after_it_was_given_away():
    fake = Fake(golden(101, "x"), golden(102, "y"), golden(103, "z"))
    fake.run({101: "y", 102: "z", 103: "new"}, 0)
    assert fake.writes == [(103, "new"), (102, "z"), (101, "y")]


def test_names_are_exchanged():
    fake = Fake(golden(101, "x"), golden(102, "y"), golden(103, "z"))
    outcomes = fake.run({101: "y", 102: "x", 103: "free"}, 0)
    assert all(outcome.written for outcome in outcomes.values()) and len(fake.writes) == 3


@pytest.mark.parametrize("why", ["locked", "failing"])
def test_a_name_that_is_not_given_away_is_not_taken(why):
    fake = Fake(golden(101, "x"), golden(102, "y", lock="backup" if why == "locked" else ""))
    if why == "failing":
        fake.fails[102] = Problem("no")
    outcomes = fake.run({101: "y", 102: "new"}, 10)
    assert fake.writes == []
    assert outcomes[101].problem.startswith("the name y is still that of 102")
    # Who may share it need not wait.
    assert fake.run({101: "y", 102: "new"}, 0, allow_shared=True)[101].written


NAMES = ["a", "b", "c", "d", "e"]


@given(st.permutations(NAMES), st.permutations([*NAMES, "f"]), st.sets(st.integers(0, 4)))
def test_every_guest_ends_with_its_name_or_a_reason(before, wanted, locked):
    fake = Fake(
        *(golden(number, name, lock="backup" if number in locked else "") for number, name in enumerate(before))
    )
    writes = {number: name for number, name in enumerate(wanted[:5]) if before[number] != name}
    outcomes = fake.run(writes, 6)
    assert outcomes.keys() == writes.keys()
    for number, outcome in outcomes.items():
        assert (fake.guests[number].name == writes[number]) == outcome.written == (not outcome.problem)
    if not locked:
        assert not any(outcome.problem for outcome in outcomes.values())
