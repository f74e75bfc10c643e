"""Messages over the line: the same at the other end, or refused."""

from __future__ import annotations

import orjson
import pytest

from actors.cluster.codec import UndecodableValue, Untransferable
from actors.messages import Due, Query, QueryAnswer
from dispatch import messages as m
from dispatch.domain import commands as c
from dispatch.domain.geo import Place
from dispatch.domain.order import Facts, Item, Offer, Order, Pickup
from dispatch.wire_types import FORMER_NAMES, TRAVELLERS, travellers

CODEC = travellers()
ORDER = Order(
    Facts(
        1, 2, (Pickup(3, "store", Place(1.5, -2.5), 17),), 4, Place(0.0, 0.1), "door",
        (Item(7, "soup", 2, 30),), 60, "EUR", "cash", None, 99,
    ),
    "confirmed", 3, "waves", (10,), 20,
    offers=(Offer("ofr_1_1", 5, 77),), tried=(5, 6), recent=(("id", "fp", ["won", "assigned", 3]),),
)  # fmt: skip
MESSAGES = [
    m.View(), m.OrderChanged(ORDER), m.Reply("won", "assigned", 3), ORDER,
    m.FeedGrew(m.Entry(4, "offer", 1, "trace", {"a": [1, None]}), took=3, zone_id=2), m.FeedGrew(None, freed=3),
    m.DriverChanged(1, True, 2, frozenset({1, 2}), None), m.PositionReported(Place(1.0, 2.0), 4, 5.0, "s1"),
    m.Connected(7, 12),
    m.Connect("s1", "e", 4, 5, again=True, number=(7, 12), numbered=True),
    m.Connect("s@x", "e", 4, 5, True), m.DriverSeen(1, 2, "n", "online", 1, (1,), Place(0.0, 0.0), True, 3),
    c.Accept(3, None), c.Cancel(c.By("customer", "usr_1"), "why"), c.Cancel(c.By("customer", "usr_1"), "why", (1, 2)),
    c.MakeOffers(1, 2, (3, 4), 5, {"distances_m": [1]}), c.Withdraw((1, 2), "busy"), c.GiveUp(1000),
    c.Reassign(c.By("admin", "usr_1"), 3, "why"), c.Conclude(c.By("admin", "usr_1"), "returned", "why"),
    m.OfferSeen("ofr_1_1"), m.Alive(), m.TakeOffline(), m.PositionReported(Place(1.0, 2.0), 4, 12.5),
    [1, "two", None], None, {"open_orders": 3}, 7,
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=[type(x).__name__ for x in MESSAGES])
def test_message_arrives_as_it_was_sent(message: object) -> None:
    arrived = CODEC.unpack(orjson.loads(orjson.dumps(CODEC.pack(message))))
    assert arrived == message
    assert type(arrived) is type(message)


@pytest.mark.parametrize("kind", FORMER_NAMES, ids=lambda kind: kind.__name__)
def test_renamed_message_travels_under_its_former_name_and_is_read_under_both(kind: type) -> None:
    message = next(x for x in MESSAGES if type(x) is kind)
    name, value = CODEC.pack(message)
    assert name == FORMER_NAMES[kind]
    assert CODEC.unpack([name, value]) == CODEC.unpack([kind.__name__, value]) == message


@pytest.mark.parametrize("message", [Due(3), QueryAnswer(Query("x"), ()), object(), (1, 2)])
def test_message_that_belongs_to_the_memory_stays(message: object) -> None:
    with pytest.raises(Untransferable):
        CODEC.pack(message)


@pytest.mark.parametrize(
    "packed",
    [
        ["Query", {"name": "x"}], ["Accept", {"driver_id": "three"}], ["Accept", 3], ["Accept"], None, 3,
        ["Reply", ["won"]], ["OrderChanged", {"order": {}}], [["Accept"], {}],
    ],
)  # fmt: skip
def test_garbage_is_refused(packed: object) -> None:
    with pytest.raises(UndecodableValue):
        CODEC.unpack(packed)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (m.OrderChanged(ORDER), ("released", "since_ms", "warned_ms")),
        (m.FeedGrew(None, freed=3), ("alive",)),
        (m.DriverSeen(1, 2, "n", "online", 1, (1,), None, True, 3), ("state",)),
        (m.PositionReported(Place(1.0, 2.0), 4), ("accuracy_m",)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_fields_that_only_one_of_two_builds_knows_do_no_harm(message: object, names: tuple[str, ...]) -> None:
    name, value = orjson.loads(orjson.dumps(CODEC.pack(message)))
    fields = value.get("order", value)
    for field in names:
        del fields[field]
    fields["of_tomorrow"] = [1, 2]
    assert CODEC.unpack([name, value]) == message


def test_everything_that_travels_has_a_name_of_its_own() -> None:
    assert len({kind.__name__ for kind in TRAVELLERS}) == len(TRAVELLERS)
