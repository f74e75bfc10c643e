"""Counters of orders: each event once, and the time of each stage."""

from __future__ import annotations

from dataclasses import replace

from dispatch.domain.commands import By, Decision
from dispatch.domain.order import Order
from dispatch.order_progress import ZONES_MAX, OrderProgress
from tests.unit.dispatch.test_order_decisions import order as make_order


def _change(progress: OrderProgress, before: Order, event: str, at_s: float, offers: int = 0) -> Order:
    at_ms = before.facts.created_ms + int(at_s * 1000)
    after = before.evolve(before.status, at_ms, offer_count=offers)
    progress.changed(before, after, Decision(after, event, By("system", "x"), event))
    return after


def test_stages_are_counted_from_placing() -> None:
    progress, order = OrderProgress(), make_order()
    order = _change(progress, order, "offered", 2, offers=1)
    order = _change(progress, order, "assigned", 20)
    _change(progress, order, "delivered", 1300)
    assert {stage: samples.total for stage, samples in progress.stages.items()} == {
        "offered": 2.0, "assigned": 20.0, "picked_up": 0.0, "delivered": 1300.0,
    }  # fmt: skip


def test_first_offer_alone_ends_the_stage() -> None:
    progress, order = OrderProgress(), make_order()
    order = _change(progress, order, "offered", 2, offers=1)
    _change(progress, order, "offered", 30, offers=2)
    assert progress.stages["offered"].count == 1
    assert progress.events["offered"] == 2


def test_hand_over_has_the_name_that_others_know() -> None:
    progress = OrderProgress()
    _change(progress, make_order(), "handed_over", 1)
    assert progress.events["reassigned"] == 1


def test_event_that_nobody_asks_for_is_not_counted() -> None:
    progress = OrderProgress()
    _change(progress, make_order(), "ready_time_set", 1)
    assert not any(progress.events.values())


def test_delivery_is_judged_by_what_was_said_at_placing() -> None:
    progress, order = OrderProgress(), make_order()
    placed_ms = order.facts.created_ms
    facts = replace(order.facts, expected_ms=placed_ms + 1_000_000, promised_ms=placed_ms + 1_500_000)
    for took_s in (800, 1_500, 1_600):
        _change(progress, replace(order, facts=facts), "delivered", took_s)
    assert progress.promises == {"kept": 2, "broken": 1}
    assert progress.errors.count == 3
    assert round(progress.errors.total, 6) == round(200 / 800 + 500 / 1500 + 600 / 1600, 6)


def test_order_of_a_version_without_promises_is_not_judged() -> None:
    progress = OrderProgress()
    _change(progress, make_order(), "delivered", 900)
    assert progress.promises == {"kept": 0, "broken": 0}
    assert progress.errors.count == 0


def test_declines_are_counted_by_reason_and_other_words_as_other() -> None:
    progress, order = OrderProgress(), make_order()
    for reason in ("too_far", "too_far", "vehicle", "my cat is ill", "unspecified", "other"):
        decision = Decision(order, "declined", By("driver", "drv_1"), "declined", reason)
        progress.changed(order, order, decision)
    assert +progress.declines == {"too_far": 2, "vehicle": 1, "other": 2, "unspecified": 1}


def test_saved_distance_is_counted_by_zone_and_zones_beyond_the_first_ones_together() -> None:
    progress = OrderProgress()
    for zone in range(1, ZONES_MAX + 10):
        progress.saved(zone, 100.0)
    progress.saved(1, 50.4)
    assert progress.saved_m["zon_1"] == 150
    assert len(progress.saved_m) == ZONES_MAX
    assert sum(progress.saved_m.values()) == 100 * (ZONES_MAX + 9) + 50
