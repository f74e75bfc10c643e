"""What commands do to orders: every transition, every answer."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain import commands as d
from dispatch.domain import order as o
from dispatch.domain.commands import By, Decision, Unchanged
from dispatch.domain.geo import Place
from dispatch.domain.order import Eta, Facts, Item, Offer, Order, Paid, Pickup, Terms, Trip, order_from
from dispatch.domain.order_decisions import decide
from dispatch.domain.refusals import Refused

NOW = 1_790_000_000_000
ADMIN = By("admin", "usr_9")
TERMS = Terms(NOW + 900, 1200, 200, "0417", 120)


def order(status: str = o.CONFIRMED, **changes: Any) -> Order:
    facts = Facts(
        5, 1, (Pickup(1, "Bakery", Place(1, 2), 17),), 100, Place(3, 4), "door", (Item(1, "Bread", 2, 450),), 900,
        "EUR", "cash", None, NOW - 60_000,
    )  # fmt: skip
    defaults: dict[str, Any] = {"version": 3, "mode": o.WAVES, "ready": (NOW,), "updated_ms": NOW}
    if status in (o.ASSIGNED, o.PICKED_UP, o.DELIVERED):
        defaults["driver_id"] = 7
    return Order(facts, status, **{**defaults, **changes})


def offered(expires_ms: int = NOW + 1000, **changes: Any) -> Order:
    offers = (Offer("ofr_5_1", 7, expires_ms),)
    return order(**{"offers": offers, "offer_count": 1, "due_ms": expires_ms, **changes})


def code(verdict: object) -> str:
    if isinstance(verdict, Refused):
        return verdict.code
    assert isinstance(verdict, Decision | Unchanged)
    return verdict.answer


def won(verdict: object) -> Decision:
    assert isinstance(verdict, Decision)
    return verdict


def test_offered_driver_wins_and_the_others_offers_die() -> None:
    both = offered(offers=(Offer("ofr_5_1", 7, NOW + 1), Offer("ofr_5_2", 8, NOW + 1)))
    decision = won(decide(both, d.Accept(7, "ofr_5_1"), NOW))
    assert (decision.answer, decision.take, decision.zone_id) == ("won", 7, None)
    assert (decision.order.status, decision.order.driver_id, decision.order.version) == (o.ASSIGNED, 7, 4)
    assert decision.order.offers == ()
    assert decision.order.due_ms is None
    assert decision.revoked == ((8, "ofr_5_2"),)
    assert [(e.driver_id, e.type) for e in decision.feed] == [(7, "order.assigned")]


@pytest.mark.parametrize(
    ("state", "command", "expected"),
    [
        (order(o.ASSIGNED), d.Accept(7), "already_yours"),
        (order(o.DELIVERED), d.Accept(7), "already_yours"),
        (order(o.ASSIGNED), d.Accept(8), "order_taken"),
        (order(o.PICKED_UP), d.Accept(8), "order_taken"),
        (order(o.DELIVERED), d.Accept(8), "order_closed"),
        (order(o.CANCELLED), d.Accept(8), "order_closed"),
        (order(o.AWAITING_PAYMENT), d.Accept(8), "order_closed"),
        (order(), d.Accept(8), "not_offered"),
        (order(tried=(8,)), d.Accept(8), "offer_expired"),
        (offered(), d.Accept(7, "ofr_5_9"), "offer_expired"),
        (offered(expires_ms=NOW), d.Accept(7, "ofr_5_1"), "offer_expired"),
        (offered(), d.Accept(7), "won"),
        (order(mode=o.OPEN), d.Accept(8), "won"),
        (order(mode=o.OPEN), d.Accept(8, "rnd_5_1"), "won"),
        (order(mode=o.OPEN, round=2), d.Accept(8, "rnd_5_1"), "offer_expired"),
    ],
)
def test_acceptance_is_answered_by_the_state(state: Order, command: d.Accept, expected: str) -> None:
    assert code(decide(state, command, NOW)) == expected


def test_open_zone_takes_only_drivers_of_the_zone() -> None:
    assert won(decide(order(mode=o.OPEN), d.Accept(8), NOW)).zone_id == 1


def test_release_begins_a_round_that_old_acceptances_cannot_win() -> None:
    released = won(decide(order(o.ASSIGNED, mode=o.OPEN), d.Release(ADMIN, "ill"), NOW))
    assert released.free
    assert (released.order.round, released.order.driver_id) == (2, None)
    assert code(decide(released.order, d.Accept(8, "rnd_5_1"), NOW)) == "offer_expired"
    assert code(decide(released.order, d.Accept(8, "rnd_5_2"), NOW)) == "won"


@pytest.mark.parametrize("status", o.STATUSES)
@pytest.mark.parametrize(
    ("command", "event"),
    [
        (d.PickUp(7), "picked_up"),
        (d.Deliver(7), "delivered"),
        (d.Fail(7, "closed"), "failed"),
        (d.Cancel(ADMIN, "why"), "cancelled"),
        (d.Release(ADMIN, "why"), "released"),
    ],
)
def test_status_moves_exactly_as_the_table_says(status: str, command: Any, event: str) -> None:
    state = order(status, driver_id=7)
    verdict = decide(state, command, NOW)
    target = o.TRANSITIONS.get((status, event))
    if target is not None and (status, event) not in o.OPERATED:
        assert won(verdict).order.status == target
        assert won(verdict).order.version == state.version + 1
    else:
        assert not isinstance(verdict, Decision)


def test_other_driver_neither_picks_up_nor_delivers() -> None:
    assert code(decide(order(o.ASSIGNED), d.PickUp(8), NOW)) == "not_yours"
    assert code(decide(order(o.PICKED_UP), d.Deliver(8), NOW)) == "not_yours"


def test_repeated_pickup_and_delivery_change_nothing() -> None:
    assert decide(order(o.PICKED_UP), d.PickUp(7), NOW) == Unchanged("picked_up")
    assert decide(order(o.DELIVERED), d.Deliver(7), NOW) == Unchanged("delivered")


def test_delivery_and_failure_free_the_slot_and_pickup_does_not() -> None:
    assert won(decide(order(o.PICKED_UP), d.Deliver(7), NOW)).free
    assert won(decide(order(o.ASSIGNED), d.Fail(7, "x"), NOW)).free
    assert not won(decide(order(o.ASSIGNED), d.PickUp(7), NOW)).free


@pytest.mark.parametrize("versions", [None, (1,), (7, 1)])
def test_order_is_cancelled_in_the_version_that_was_seen(versions: tuple[int, ...] | None) -> None:
    known = order(version=1)
    assert won(decide(known, d.Cancel(ADMIN, "why", versions), NOW)).answer == "cancelled"


@pytest.mark.parametrize("versions", [(), (2,)])
def test_order_that_has_another_version_by_now_is_not_cancelled(versions: tuple[int, ...]) -> None:
    known = order(version=1)
    verdict = decide(known, d.Cancel(ADMIN, "why", versions), NOW)
    assert verdict == Refused("precondition_failed", known.status)


def test_version_that_was_seen_is_no_part_of_what_is_wanted() -> None:
    """A repetition under the same key may name another version; it is the same command."""
    assert repr(d.Cancel(ADMIN, "why", (1,))) == repr(d.Cancel(ADMIN, "why"))


def test_cancellation_restocks_and_tells_the_driver() -> None:
    decision = won(decide(order(o.ASSIGNED), d.Cancel(ADMIN, "flood"), NOW))
    assert decision.restock
    assert decision.free
    assert [(e.driver_id, e.type, e.data["reason"]) for e in decision.feed] == [
        (7, "order.cancelled", "flood")
    ]


def test_declined_offer_leaves_the_others_and_is_remembered() -> None:
    state = offered(offers=(Offer("ofr_5_1", 7, NOW + 1), Offer("ofr_5_2", 8, NOW + 1)))
    decision = won(decide(state, d.Decline(7, "ofr_5_1", "far"), NOW))
    assert [x.driver_id for x in decision.order.offers] == [8]
    assert decision.order.tried == (7,)
    assert decide(decision.order, d.Decline(7), NOW) == Unchanged("declined")


def test_wave_of_offers_names_each_driver_and_sets_the_timer() -> None:
    decision = won(decide(order(), d.MakeOffers(1, 0, (7, 8), 5000), NOW))
    assert [x.id for x in decision.order.offers] == ["ofr_5_1", "ofr_5_2"]
    assert decision.order.due_ms == NOW + 5000
    assert [(e.driver_id, e.type, e.data["offer_id"]) for e in decision.feed] == [
        (7, "offer", "ofr_5_1"),
        (8, "offer", "ofr_5_2"),
    ]


@pytest.mark.parametrize(
    "state",
    [offered(), order(round=2), order(wave=1), order(mode=o.OPEN), order(o.ASSIGNED), order(o.CANCELLED)],
)
def test_proposal_on_an_older_view_makes_no_offers(state: Order) -> None:
    assert isinstance(decide(state, d.MakeOffers(1, 0, (8,), 5000), NOW), Refused)


def test_lapsed_offers_end_and_their_drivers_count_as_asked() -> None:
    state = offered(expires_ms=NOW)
    decision = won(decide(state, d.Expire(NOW), NOW))
    assert decision.order.offers == ()
    assert decision.order.tried == (7,)
    assert decision.revoked == ((7, "ofr_5_1"),)


def test_timer_that_moved_is_ignored() -> None:
    assert decide(offered(), d.Expire(NOW - 1), NOW) == Unchanged("timer_obsolete")


def test_unpaid_order_is_cancelled_when_its_window_ends() -> None:
    decision = won(decide(order(o.AWAITING_PAYMENT, due_ms=NOW), d.Expire(NOW), NOW))
    assert (decision.order.status, decision.reason) == (o.CANCELLED, "payment_timeout")
    assert decision.restock


def test_admin_assigns_any_confirmed_order_to_one_driver() -> None:
    decision = won(decide(offered(), d.Assign(ADMIN, 9), NOW))
    assert (decision.take, decision.answer, decision.revoked) == (9, "assigned", ((7, "ofr_5_1"),))
    assert code(decide(decision.order, d.Assign(ADMIN, 8), NOW)) == "order_taken"
    assert code(decide(decision.order, d.Assign(ADMIN, 9), NOW)) == "assigned"


COMMANDS = st.one_of(
    st.builds(d.Accept, st.integers(1, 3), st.sampled_from([None, "ofr_5_1", "ofr_5_2", "rnd_5_1"])),
    st.builds(d.Decline, st.integers(1, 3), st.none()),
    st.builds(d.PickUp, st.integers(1, 3)),
    st.builds(d.Deliver, st.integers(1, 3)),
    st.builds(d.Fail, st.integers(1, 3), st.just("x")),
    st.builds(d.Cancel, st.just(ADMIN), st.just("x")),
    st.builds(d.Release, st.just(ADMIN), st.just("x")),
    st.builds(d.Assign, st.just(ADMIN), st.integers(1, 3)),
    st.builds(d.Reassign, st.just(ADMIN), st.integers(1, 3), st.just("why")),
    st.builds(
        d.Conclude, st.just(ADMIN), st.sampled_from(["delivered", "failed", "returned"]), st.just("why")
    ),
    st.builds(d.Withdraw, st.just((1,)), st.sampled_from(["offline", "busy"])),
    st.builds(d.GiveUp, st.integers(1, 90_000)),
    st.builds(d.SetReady, st.just(ADMIN), st.integers(NOW, NOW + 9)),
    st.builds(d.MakeOffers, st.integers(1, 2), st.integers(0, 2), st.just((1, 2)), st.just(50)),
    st.builds(d.SetMode, st.sampled_from([o.WAVES, o.OPEN])),
    st.builds(d.TellUnclaimed, st.integers(1, 2)),
)


@given(st.lists(COMMANDS, max_size=30))
def test_no_sequence_of_commands_breaks_the_order(commands: list[Any]) -> None:
    state, now = order(version=1), NOW
    for command in commands:
        now += 20
        verdict = decide(state, command, now)
        if not isinstance(verdict, Decision):
            continue
        after = verdict.order
        legal = {b for (a, _), b in o.TRANSITIONS.items() if a == state.status} | {state.status}
        assert after.status in legal
        assert after.version == state.version + 1
        assert (after.driver_id is None) == (after.status in (o.CONFIRMED, o.AWAITING_PAYMENT)) or (
            after.status in o.TERMINAL
        )
        assert (verdict.take is not None) == (
            after.status in o.CARRIED and after.driver_id != state.driver_id
        )
        left = state.driver_id is not None and (after.status not in o.CARRIED or verdict.take is not None)
        assert verdict.free == left
        assert not (after.offers and after.status != o.CONFIRMED)
        assert after.offer_count >= state.offer_count
        state = after


TRIP = Trip("trp_9_1", (9, 5))


def in_trip(**changes: Any) -> Order:
    return offered(trip=TRIP, **changes)


def test_offer_in_a_trip_tells_the_whole_trip_and_so_does_the_order_that_is_won() -> None:
    made = won(decide(order(), d.MakeOffers(1, 0, (7,), 5000, trip=TRIP), NOW))
    assert made.feed[0].data["trip"] == {"trip_id": "trp_9_1", "orders": ["ord_9", "ord_5"]}
    decision = won(decide(made.order, d.Accept(7, trip_id="trp_9_1"), NOW))
    assert decision.feed[0].data["trip"]["trip_id"] == "trp_9_1"
    assert decision.order.trip == TRIP


def test_acceptance_of_another_trip_wins_nothing() -> None:
    assert code(decide(in_trip(), d.Accept(7, trip_id="trp_9_2"), NOW)) == "offer_expired"
    assert code(decide(offered(), d.Accept(7, trip_id="trp_9_1"), NOW)) == "offer_expired"
    assert code(decide(in_trip(), d.Decline(7, trip_id="trp_9_2"), NOW)) == "offer_expired"


def test_app_that_knows_no_trips_accepts_one_order_of_it() -> None:
    assert won(decide(in_trip(), d.Accept(7, "ofr_5_1"), NOW)).order.trip == TRIP


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (in_trip(), d.Decline(7)),
        (in_trip(expires_ms=NOW), d.Expire(NOW)),
        (in_trip(), d.Withdraw((7,), "busy")),
        (in_trip(), d.SetMode(o.OPEN)),
        (in_trip(expires_ms=NOW), d.MakeOffers(1, 0, (8,), 5000)),
        (in_trip(), d.Assign(ADMIN, 8)),
        (order(o.ASSIGNED, trip=TRIP), d.Release(ADMIN, "r")),
        (order(o.ASSIGNED, trip=TRIP), d.Reassign(ADMIN, 8, "r")),
    ],
)
def test_order_leaves_its_trip_with_the_driver_of_the_trip(state: Order, command: Any) -> None:
    assert won(decide(state, command, NOW)).order.trip is None


def test_zone_that_assigns_says_why_and_in_which_trip() -> None:
    decision = won(decide(order(), d.Assign(d.DISPATCH, 7, TRIP, reasons={"plan": {"number": 3}}), NOW))
    assert (decision.order.trip, decision.data["plan"], decision.by) == (TRIP, {"number": 3}, d.DISPATCH)


def test_expected_time_goes_with_the_driver_and_moves_with_the_pick_up() -> None:
    made = won(decide(order(), d.MakeOffers(1, 0, (7,), 5000, eta=Eta(NOW + 60_000, NOW + 300_000)), NOW))
    taken = won(decide(made.order, d.Accept(7), NOW))
    assert (taken.data["eta_ms"], taken.feed[0].data["eta_ms"]) == (NOW + 300_000, NOW + 300_000)
    fetched = won(decide(taken.order, d.PickUp(7), NOW + 90_000))
    assert fetched.data == {"eta_ms": NOW + 330_000}
    assert won(decide(taken.order, d.Release(ADMIN, "r"), NOW)).order.eta is None
    assert won(decide(taken.order, d.Reassign(ADMIN, 8, "r"), NOW)).order.eta is None


def test_fingerprint_of_an_acceptance_does_not_depend_on_the_trip() -> None:
    assert repr(d.Accept(7, "ofr_5_1", "trp_9_1")) == repr(d.Accept(7, "ofr_5_1"))


def test_stories_show_the_transition_table() -> None:
    stories = (Path(o.__file__).parent.parent / "STORIES.md").read_text()
    assert o.diagram() in stories, "paste dispatch.domain.order.diagram() into STORIES.md"


def test_search_survives_its_row() -> None:
    state = offered(tried=(3,), wave=2)
    row = {
        "id": 5, "zone_id": 1, "store_id": 1, "pickups": [[1, "Bakery", 1, 2, 17, [0]]], "ready_each": None,
        "contact_name": None, "contact_phone": None,
        "customer_id": 100, "dropoff_lat": 3, "dropoff_lon": 4, "address": "door",
        "items": [[1, "Bread", 2, 450]], "total_minor": 900, "currency": "EUR", "payment": "cash", "notes": None,
        "created_ms": NOW - 60_000, "status": state.status, "version": 3, "mode": "waves", "ready_ms": NOW,
        "updated_ms": NOW, "driver_id": None, "round": 1, "search": state.search(), "due_ms": state.due_ms,
    }  # fmt: skip
    assert o.order_from(row, ()) == replace(state, recent=())


def test_ready_time_reaches_the_carrier_or_those_who_are_offered_it() -> None:
    offered_it = won(decide(offered(), d.SetReady(ADMIN, NOW + 9), NOW))
    assert [(e.driver_id, e.type, e.data["offer_id"]) for e in offered_it.feed] == [
        (7, "offer.ready_time", "ofr_5_1")
    ]
    carried = won(decide(order(o.ASSIGNED), d.SetReady(ADMIN, NOW + 9), NOW))
    assert [(e.driver_id, e.type) for e in carried.feed] == [(7, "order.ready_time")]


def test_timer_that_fired_counts_as_due_though_the_clock_is_behind() -> None:
    decision = won(decide(offered(expires_ms=NOW), d.Expire(NOW), NOW - 3))
    assert decision.order.offers == ()


def test_new_wave_tells_the_drivers_of_the_lapsed_one() -> None:
    decision = won(decide(offered(expires_ms=NOW - 1), d.MakeOffers(1, 0, (8,), 5000), NOW))
    assert decision.revoked == ((7, "ofr_5_1"),)
    assert decision.order.tried == (7,)


def test_paid_order_is_open_for_drivers_and_due_at_once() -> None:
    decision = won(decide(order(o.AWAITING_PAYMENT, due_ms=NOW + 1), d.Pay(17), NOW))
    assert (decision.order.status, decision.order.due_ms) == (o.CONFIRMED, NOW)
    assert (decision.event, decision.by) == ("paid", By("system", "pay_17"))


@pytest.mark.parametrize("status", [o.CONFIRMED, o.ASSIGNED, o.PICKED_UP, o.DELIVERED, o.UNDELIVERABLE])
def test_order_is_paid_once(status: str) -> None:
    assert decide(order(status), d.Pay(17), NOW) == Unchanged("paid")


def test_cancelled_order_takes_no_money() -> None:
    assert code(decide(order(o.CANCELLED), d.Pay(17), NOW)) == "order_closed"


def test_offer_that_is_taken_back_dies_and_the_others_live_on() -> None:
    both = offered(offers=(Offer("ofr_5_1", 7, NOW + 1000), Offer("ofr_5_2", 8, NOW + 1000)))
    one = won(decide(both, d.Withdraw((7,), "offline"), NOW))
    assert (one.event, one.reason, one.revoked, one.why) == (
        "offer_withdrawn", "offline", ((7, "ofr_5_1"),), "withdrawn",
    )  # fmt: skip
    assert ([x.driver_id for x in one.order.offers], one.order.tried) == ([8], (7,))
    assert one.order.due_ms == both.due_ms
    assert code(decide(one.order, d.Accept(7, "ofr_5_1"), NOW)) == "offer_expired"
    last = won(decide(one.order, d.Withdraw((8,), "offline"), NOW))
    assert (last.order.offers, last.order.due_ms) == ((), None)
    assert code(decide(last.order, d.Withdraw((8,), "offline"), NOW)) == "not_offered"


def test_driver_who_was_busy_counts_as_not_asked() -> None:
    assert won(decide(offered(), d.Withdraw((7,), "busy"), NOW)).order.tried == ()


def test_release_remembers_whom_the_order_was_taken_from() -> None:
    first = won(decide(order(o.ASSIGNED), d.Release(ADMIN, "late"), NOW)).order
    assert (first.released, first.looking_since_ms) == (((7, NOW),), NOW)
    taken = replace(first, status=o.ASSIGNED, driver_id=8)
    second = won(decide(taken, d.Release(ADMIN, "late"), NOW + 5)).order
    assert second.released == ((7, NOW), (8, NOW + 5))
    assert order_from(row_of(second), ()) == second


def row_of(of: Order) -> dict[str, Any]:
    """The order's row."""
    f = of.facts
    return {
        "id": f.id, "zone_id": f.zone_id, "customer_id": f.customer_id,
        "pickups": [[p.store_id, p.name, *p.place, p.number, list(p.lines)] for p in f.pickups],
        "ready_each": list(of.ready), "contact_name": f.contact_name, "contact_phone": f.contact_phone,
        "dropoff_lat": f.dropoff.lat, "dropoff_lon": f.dropoff.lon, "address": f.address,
        "items": [[i.product_id, i.name, i.quantity, i.price_minor] for i in f.items],
        "total_minor": f.total_minor, "currency": f.currency, "payment": f.payment, "notes": f.notes,
        "created_ms": f.created_ms, "status": of.status, "version": of.version, "mode": of.mode,
        "ready_ms": of.ready_ms, "updated_ms": of.updated_ms, "driver_id": of.driver_id, "round": of.round,
        "search": orjson.loads(orjson.dumps(of.search())), "due_ms": of.due_ms,
    }  # fmt: skip


def test_operators_are_told_before_an_order_is_given_up() -> None:
    made = order(since_ms=NOW)
    wish = d.GiveUp(1000)
    assert code(decide(made, wish, NOW + 749)) == "waiting"
    told = won(decide(made, wish, NOW + 750))
    assert (told.event, told.by, told.data) == ("unclaimed", d.DISPATCH, {"gives_up_at_ms": NOW + 1000})
    assert told.order.status == o.CONFIRMED
    assert code(decide(told.order, wish, NOW + 999)) == "waiting"
    over = won(decide(told.order, wish, NOW + 1000))
    assert (over.order.status, over.reason, over.by, over.restock) == (
        o.CANCELLED,
        "no_driver",
        d.DISPATCH,
        True,
    )


def test_order_that_waited_too_long_already_is_told_of_before_it_ends() -> None:
    told = won(decide(order(since_ms=NOW - 90_000), d.GiveUp(1000), NOW))
    assert (told.event, told.data) == ("unclaimed", {"gives_up_at_ms": NOW + 250})
    assert code(decide(told.order, d.GiveUp(1000), NOW + 249)) == "waiting"
    assert won(decide(told.order, d.GiveUp(1000), NOW + 250)).order.status == o.CANCELLED


def test_order_that_nobody_is_asked_for_any_more_tells_the_operators_once() -> None:
    told = won(decide(order(), d.TellUnclaimed(1, NOW + 500), NOW))
    assert (told.event, told.reason, told.data) == (
        "unclaimed",
        "ladder_ended",
        {"gives_up_at_ms": NOW + 500},
    )
    assert won(decide(order(), d.TellUnclaimed(1), NOW)).data == {}
    assert code(decide(told.order, d.TellUnclaimed(1), NOW)) == "waiting"
    assert code(decide(order(round=2), d.TellUnclaimed(1), NOW)) == "waiting"
    assert code(decide(order(o.ASSIGNED), d.TellUnclaimed(1), NOW)) == "order_closed"


def test_order_that_was_taken_is_not_given_up() -> None:
    assert code(decide(order(o.ASSIGNED), d.GiveUp(1), NOW)) == "order_closed"


def test_search_begins_anew_with_the_payment_and_with_a_release() -> None:
    paid = won(decide(order(o.AWAITING_PAYMENT, due_ms=NOW), d.Pay(1), NOW + 7)).order
    assert paid.looking_since_ms == NOW + 7
    assert order().looking_since_ms == order().facts.created_ms
    released = won(decide(order(o.ASSIGNED, warned_ms=NOW), d.Release(ADMIN, "late"), NOW + 9)).order
    assert (released.looking_since_ms, released.warned_ms) == (NOW + 9, None)


# -- what becomes of the money ----------------------------------------------------------------------------


def test_payment_of_an_order_is_noted_once_for_each_version_also_after_its_end() -> None:
    paid = won(decide(order(o.AWAITING_PAYMENT), d.Pay(3), NOW)).order
    assert paid.payments == (Paid(3, "held", paid.facts.total_minor),)
    ended = order(o.DELIVERED, payments=paid.payments)
    captured = d.NotePayment(Paid(3, "captured", 900, version=3), "payment_captured", By("system", "pay_3"))
    noted = won(decide(ended, captured, NOW))
    assert (noted.event, noted.order.status, noted.order.version) == ("payment_captured", o.DELIVERED, 4)
    assert noted.order.payments == (captured.paid,)
    assert (noted.free, noted.take, noted.restock) == (False, None, False)
    assert decide(noted.order, captured, NOW) == Unchanged("noted")


def test_whatever_an_order_is_outlives_its_row_and_every_change() -> None:
    full = Order(
        replace(order().facts, terms=TERMS), o.CONFIRMED, 3, o.WAVES, (NOW + 5,), NOW, driver_id=7, round=2, wave=4,
        offers=(Offer("ofr_5_6", 8, NOW + 9),), offer_count=6, tried=(8, 9), due_ms=NOW + 9,
        recent=(("a" * 24, "b" * 16, ["won", "assigned", 3]),), released=((7, NOW - 9),), since_ms=NOW - 8,
        warned_ms=NOW - 7, payments=(Paid(3, "refunding", 900, 200, 5, True), Paid(4, "held", 900)),
        trip=Trip("trp_5_6", (5, 9), 700), eta=Eta(NOW + 1, NOW + 2), pin_tries=2, returning_ms=NOW - 3, fee_minor=120,
    )  # fmt: skip
    # A field that is added to orders or terms must be set above, or this test would not notice that it is lost.
    assert [each.name for each in fields(Terms) if getattr(TERMS, each.name) == each.default] == []
    plain = {field.name: field.default for field in fields(Order)}
    assert [name for name, usual in plain.items() if getattr(full, name) == usual] == []
    facts = full.facts
    columns = {field.name: getattr(facts, field.name) for field in fields(Facts)}
    columns |= {field.name: getattr(full, field.name) for field in fields(Order)}
    row = columns | {
        "pickups": [[1, "Bakery", 1, 2, 17, [0]]], "items": [[1, "Bread", 2, 450]], "dropoff_lat": 3, "dropoff_lon": 4,
        "ready_ms": NOW + 5, "ready_each": None, "terms": asdict(TERMS),
        "search": orjson.loads(orjson.dumps(full.search())),
    }  # fmt: skip
    assert order_from(row, full.recent) == full
    moved = full.evolve(full.status, full.updated_ms)
    assert replace(moved, version=full.version) == full.remembering(full.recent) == full


@pytest.mark.parametrize("status", [o.ASSIGNED, o.PICKED_UP])
def test_carried_order_is_handed_over_in_one_step(status: str) -> None:
    decision = won(decide(order(status), d.Reassign(ADMIN, 8, "phone is dead"), NOW))
    assert (decision.event, decision.by, decision.reason) == ("handed_over", ADMIN, "phone is dead")
    assert decision.data == {"driver_id": "drv_8", "from": "drv_7"}
    assert (decision.order.status, decision.order.driver_id, decision.take, decision.free) == (
        status,
        8,
        8,
        True,
    )
    assert [(e.driver_id, e.type) for e in decision.feed] == [(7, "order.released"), (8, "order.assigned")]
    assert decision.feed[0].data["reason"] == "phone is dead"
    assert decision.order.released == ((7, NOW),)


def test_order_without_a_driver_is_handed_over_by_assigning_it() -> None:
    decision = won(decide(offered(), d.Reassign(ADMIN, 8, "asked for it"), NOW))
    assert (decision.event, decision.reason, decision.take, decision.revoked) == (
        "assigned", "asked for it", 8, ((7, "ofr_5_1"),),
    )  # fmt: skip
    assert code(decide(order(o.ASSIGNED), d.Reassign(ADMIN, 7, "why"), NOW)) == "reassigned"
    for status in (o.DELIVERED, o.CANCELLED, o.UNDELIVERABLE, o.AWAITING_PAYMENT):
        assert code(decide(order(status), d.Reassign(ADMIN, 8, "why"), NOW)) == "order_closed"


@pytest.mark.parametrize(
    ("status", "outcome", "ends", "restocked"),
    [
        (o.CONFIRMED, "delivered", o.DELIVERED, False),
        (o.CONFIRMED, "failed", o.UNDELIVERABLE, True),
        (o.CONFIRMED, "returned", o.UNDELIVERABLE, True),
        (o.ASSIGNED, "delivered", o.DELIVERED, False),
        (o.ASSIGNED, "failed", o.UNDELIVERABLE, True),
        (o.ASSIGNED, "returned", o.UNDELIVERABLE, True),
        (o.PICKED_UP, "delivered", o.DELIVERED, False),
        (o.PICKED_UP, "failed", o.UNDELIVERABLE, False),
        (o.PICKED_UP, "returned", o.UNDELIVERABLE, True),
    ],
)
def test_operator_ends_a_living_order_and_slot_and_stock_follow(
    status: str, outcome: str, ends: str, *, restocked: bool
) -> None:
    state = offered() if status == o.CONFIRMED else order(status)
    decision = won(decide(state, d.Conclude(ADMIN, outcome, "found it"), NOW))
    assert (decision.order.status, decision.event, decision.answer) == (ends, outcome, outcome)
    assert (decision.by, decision.reason, decision.restock) == (ADMIN, "found it", restocked)
    assert decision.free == (state.driver_id is not None)
    assert [e.driver_id for e in decision.feed] == ([] if state.driver_id is None else [7])
    assert decision.revoked == tuple((x.driver_id, x.id) for x in state.offers)
    assert (decision.order.offers, decision.order.due_ms) == ((), None)


def test_order_that_has_ended_or_is_not_paid_is_not_ended_by_an_operator() -> None:
    assert (
        code(decide(order(o.AWAITING_PAYMENT), d.Conclude(ADMIN, "delivered", "why"), NOW))
        == "invalid_transition"
    )
    assert code(decide(order(o.CANCELLED), d.Conclude(ADMIN, "returned", "why"), NOW)) == "invalid_transition"
    assert code(decide(order(o.DELIVERED), d.Conclude(ADMIN, "failed", "why"), NOW)) == "invalid_transition"
    assert code(decide(order(o.DELIVERED), d.Conclude(ADMIN, "delivered", "why"), NOW)) == "delivered"


def test_driver_cannot_make_the_moves_of_an_operator() -> None:
    assert code(decide(order(o.ASSIGNED), d.Deliver(7), NOW)) == "invalid_transition"
