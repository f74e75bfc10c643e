"""What a cursor is good for, and that it is good for nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from actors.clock import LoopClock
from api.contract.cursors import GOOD_S, TEXT_MAX, Cursors, Purpose
from api.contract.problems import Problem
from storage.postgres.list_queries import After
from tests.simulation.loop import SimLoop

SECRET = b"of all instances"
NOW = 1_900_000_000.0 - 1_900_000_000.0 % 3600
PURPOSE = Purpose("/api/v2/products", 7, "name", {"store_id": 3, "active": True})
PLACE = After("sourdough bread", 4711)


class Watch(LoopClock):
    """A clock that stands where it is put."""

    def __init__(self, wall_s: float = NOW) -> None:
        super().__init__(SimLoop(1))
        self.wall_s = wall_s

    def wall(self) -> float:
        return self.wall_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def cursors(watch: Watch) -> Cursors:
    return Cursors(SECRET, watch)


def refused(cursors: Cursors, purpose: Purpose, text: str) -> None:
    with pytest.raises(Problem) as caught:
        cursors.open(purpose, text)
    assert (caught.value.code, caught.value.kind.status) == ("invalid_cursor", 400)
    assert [(fault.location, fault.pointer) for fault in caught.value.faults] == [("query", "cursor")]


@pytest.mark.parametrize(
    "place", [PLACE, After("ä" * 120, 2**53 - 1), After("𝄞" * 120, 1), After(-5, 1), After("", 1)]
)
def test_cursor_leads_back_to_its_row(cursors: Cursors, place: After) -> None:
    text = cursors.seal(PURPOSE, place)
    assert cursors.open(PURPOSE, text) == place
    assert len(text) <= TEXT_MAX
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum(), "it goes into a URL as it is"


def test_cursor_is_good_on_every_instance_of_the_cluster(cursors: Cursors, watch: Watch) -> None:
    assert Cursors(SECRET, watch).open(PURPOSE, cursors.seal(PURPOSE, PLACE)) == PLACE


def test_cursor_shows_nothing_of_what_it_says(cursors: Cursors) -> None:
    text = cursors.seal(PURPOSE, PLACE)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert b"bread" not in raw
    assert b"4711" not in raw


def test_cursor_with_any_character_changed_is_refused(cursors: Cursors) -> None:
    text = cursors.seal(PURPOSE, PLACE)
    for at, old in enumerate(text):
        for new in {"A", "B", "-", "9"} - {old}:
            refused(cursors, PURPOSE, text[:at] + new + text[at + 1 :])


@pytest.mark.parametrize("change", ["", "x", "=", "x=", "xx", "xxx", "xxxx"])
def test_cursor_that_is_longer_or_shorter_is_refused(cursors: Cursors, change: str) -> None:
    text = cursors.seal(PURPOSE, PLACE)
    refused(cursors, PURPOSE, text + change if change else text[:-1])


OTHERS = {
    "another list": replace(PURPOSE, path="/api/v2/stores"),
    "another caller": replace(PURPOSE, caller=8),
    "another sort": replace(PURPOSE, sort="-name"),
    "another value": replace(PURPOSE, filters={"store_id": 4, "active": True}),
    "a filter less": replace(PURPOSE, filters={"store_id": 3}),
    "a filter more": replace(PURPOSE, filters={"store_id": 3, "active": True, "currency": "EUR"}),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_cursor_is_good_for_its_own_purpose_only(cursors: Cursors, other: Purpose) -> None:
    refused(cursors, other, cursors.seal(PURPOSE, PLACE))


def test_filters_in_another_order_are_the_same_filters(cursors: Cursors) -> None:
    turned = replace(PURPOSE, filters={"active": True, "store_id": 3})
    assert cursors.open(turned, cursors.seal(PURPOSE, PLACE)) == PLACE


def test_cursor_of_another_cluster_is_refused(cursors: Cursors, watch: Watch) -> None:
    refused(cursors, PURPOSE, Cursors(b"of others", watch).seal(PURPOSE, PLACE))


def test_cursor_is_good_for_a_day_and_no_longer_than_an_hour_more(cursors: Cursors, watch: Watch) -> None:
    text = cursors.seal(PURPOSE, PLACE)
    watch.wall_s = NOW + GOOD_S
    assert cursors.open(PURPOSE, text) == PLACE
    watch.wall_s = NOW + GOOD_S + 3600
    refused(cursors, PURPOSE, text)


def test_page_has_the_same_cursor_for_an_hour(cursors: Cursors, watch: Watch) -> None:
    text = cursors.seal(PURPOSE, PLACE)
    watch.wall_s = NOW + 3599
    assert cursors.seal(PURPOSE, PLACE) == text
    watch.wall_s = NOW + 3600
    assert cursors.seal(PURPOSE, PLACE) != text
