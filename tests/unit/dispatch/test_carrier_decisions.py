"""What the carrying driver may do: the PIN at the door, the way back, and what a late cancellation costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.domain import commands as d
from dispatch.domain import order as o
from dispatch.domain.carrier_decisions import PIN_TRIES_MAX
from dispatch.domain.commands import By
from dispatch.domain.order import Eta, Order, Terms
from dispatch.domain.order_decisions import decide
from dispatch.domain.order_visibility import order_for_driver
from tests.unit.dispatch.test_order_decisions import ADMIN, NOW, code, order, won

CUSTOMER = By("customer", "usr_100")


def with_terms(status: str, *, mode: str = o.WAVES, **terms: Any) -> Order:
    found = order(status, mode=mode)
    return replace(found, facts=replace(found.facts, terms=Terms(**terms)))


def test_delivery_needs_the_pin_and_each_wrong_one_is_counted() -> None:
    carried = with_terms(o.PICKED_UP, pin="0417")
    assert code(decide(carried, d.Deliver(7), NOW)) == "pin_required"
    for left in reversed(range(PIN_TRIES_MAX)):
        wrong = won(decide(carried, d.Deliver(7, "0418"), NOW))
        assert (wrong.answer, wrong.data, wrong.free, wrong.feed) == (
            "wrong_pin",
            {"tries_left": left},
            False,
            (),
        )
        carried = wrong.order
        assert carried.status == o.PICKED_UP
    assert code(decide(carried, d.Deliver(7, "0417"), NOW)) == "pin_locked"
    assert won(decide(carried, d.Conclude(ADMIN, "delivered", "she called"), NOW)).order.status == o.DELIVERED


def test_right_pin_delivers_also_after_a_wrong_one() -> None:
    carried = won(decide(with_terms(o.PICKED_UP, pin="0417"), d.Deliver(7, "9999"), NOW)).order
    assert won(decide(carried, d.Deliver(7, "0417"), NOW)).order.status == o.DELIVERED


def test_pin_of_another_drivers_order_cannot_be_tried() -> None:
    assert code(decide(with_terms(o.PICKED_UP, pin="0417"), d.Deliver(8, "0417"), NOW)) == "not_yours"


def test_pin_is_asked_only_where_the_goods_are() -> None:
    assert code(decide(with_terms(o.ASSIGNED, pin="0417"), d.Deliver(7, "1111"), NOW)) == "invalid_transition"
    assert code(decide(with_terms(o.DELIVERED, pin="0417"), d.Deliver(7), NOW)) == "delivered"


def test_pin_is_no_part_of_a_commands_fingerprint() -> None:
    assert repr(d.Deliver(7, "0417")) == repr(d.Deliver(7))


def test_goods_are_brought_back_by_their_driver() -> None:
    carried = order(o.PICKED_UP, eta=Eta(NOW, NOW + 9))
    begun = won(decide(carried, d.BringBack(7, "nobody there"), NOW))
    assert (begun.order.status, begun.order.returning_ms, begun.order.eta) == (o.PICKED_UP, NOW, None)
    assert (begun.free, begun.restock, [e.type for e in begun.feed]) == (False, False, ["order.returning"])
    assert code(decide(begun.order, d.BringBack(7, "again"), NOW)) == "returning"
    ended = won(decide(begun.order, d.ReturnGoods(7), NOW + 5))
    assert (ended.order.status, ended.event, ended.free, ended.restock) == (
        o.UNDELIVERABLE,
        "returned",
        True,
        True,
    )
    assert code(decide(ended.order, d.ReturnGoods(7), NOW)) == "returned"


def test_order_on_its_way_back_can_still_be_delivered() -> None:
    begun = won(decide(order(o.PICKED_UP), d.BringBack(7, "nobody there"), NOW)).order
    ended = won(decide(begun, d.Deliver(7), NOW)).order
    assert (ended.status, ended.returning_ms) == (o.DELIVERED, None)


@pytest.mark.parametrize("status", [s for s in o.STATUSES if s != o.PICKED_UP])
def test_way_back_begins_only_with_the_goods(status: str) -> None:
    assert code(decide(order(status, driver_id=7), d.BringBack(7, "closed"), NOW)) == "invalid_transition"


def test_goods_are_not_returned_before_the_way_back_has_begun() -> None:
    assert code(decide(order(o.PICKED_UP), d.ReturnGoods(7), NOW)) == "invalid_transition"
    assert code(decide(order(o.ASSIGNED), d.ReturnGoods(7), NOW)) == "invalid_transition"


@pytest.mark.parametrize(
    ("status", "by", "fee_minor"),
    [(o.CONFIRMED, CUSTOMER, 0), (o.ASSIGNED, CUSTOMER, 120), (o.ASSIGNED, ADMIN, 0)],
)
def test_customer_pays_for_a_cancellation_after_an_acceptance(status: str, by: By, fee_minor: int) -> None:
    cancelled = won(decide(with_terms(status, fee_minor=120), d.Cancel(by, "why"), NOW))
    assert cancelled.order.fee_minor == fee_minor
    assert cancelled.data == ({"fee_minor": 120} if fee_minor else {})


def test_fee_is_no_more_than_the_total() -> None:
    late = with_terms(o.ASSIGNED, fee_minor=100_000)
    assert won(decide(late, d.Cancel(CUSTOMER, "why"), NOW)).order.fee_minor == late.facts.total_minor


def test_board_order_for_a_later_time_cannot_be_taken_yet() -> None:
    later = with_terms(o.CONFIRMED, mode=o.OPEN, deliver_ms=NOW + 900_000, ahead_s=60)
    later = replace(later, ready=(NOW + 600_000,))
    assert code(decide(later, d.Accept(8), NOW)) == "not_offered"
    assert code(decide(later, d.Accept(8), NOW + 540_000)) == "won"


def test_search_for_a_driver_counts_from_when_drivers_are_asked() -> None:
    later = replace(with_terms(o.CONFIRMED, deliver_ms=NOW + 900_000, ahead_s=60), ready=(NOW + 600_000,))
    assert later.opens_ms == later.looking_since_ms == NOW + 540_000
    assert code(decide(later, d.GiveUp(100_000), NOW + 600_000)) == "waiting"
    assert order().opens_ms == order().facts.created_ms


def test_driver_is_shown_that_there_is_a_pin_and_never_which() -> None:
    carried = with_terms(o.PICKED_UP, pin="0417", tip_minor=150, deliver_ms=NOW)
    shown = order_for_driver(carried, 7)
    assert (shown["pin"], shown["tip"], shown["deliver_at_ms"]) == (
        True,
        {"amount_minor": 150, "currency": "EUR"},
        NOW,
    )
    assert "0417" not in str(shown)
