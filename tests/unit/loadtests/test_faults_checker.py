"""The checker of the crash test is itself checked: on a good history, and on ones with one planted lie each."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch.domain import order as orders
from dispatch.domain.refusals import WRONG_PIN
from loadtests.faults.checker import MOVES, check
from loadtests.faults.history import (
    NOT_PROCESSED,
    OK,
    REFUSED,
    UNKNOWN,
    UNPROMISED,
    Answer,
    History,
    Intent,
    LogEntry,
    PhoneLog,
    Read,
    RecordedDriver,
    RecordedEvent,
    RecordedOrder,
    RecordedState,
    Snapshot,
)

CUSTOMER, ANN, BOB = "usr_1", 7, 8


def answer(
    outcome: str, code: str, at_s: float, order: int | None = None, version: int | None = None
) -> Answer:
    """One attempt that began at this second and took half of one."""
    return Answer(outcome, code, at_s, at_s + 0.5, order, version)


class Mall:
    """A small mall whose history and record agree until a test spoils one of them."""

    def __init__(self) -> None:
        self.history = History()
        self.record = RecordedState(
            drivers={n: RecordedDriver(n, capacity=1, feed_seq=0) for n in (ANN, BOB)}
        )
        self.phones = {n: PhoneLog(n, [Snapshot(0, frozenset())]) for n in (ANN, BOB)}
        self.history.phones = list(self.phones.values())
        self.now_s = 100.0

    def place(self, order: int) -> Intent:
        """An order that its customer knows of."""
        intent = self.said("create", CUSTOMER, order, "created", 1)
        row = RecordedOrder(order, "confirmed", 1, None, intent.key)
        self.record.orders[order] = row
        self.record.events[order] = [RecordedEvent(order, 1, "created", CUSTOMER, self.now_s)]
        return intent

    def said(self, kind: str, who: str, order: int | None, code: str, version: int | None) -> Intent:
        """An intent that was answered ok at once."""
        self.now_s += 1.0
        intent = Intent(kind, who, f"{kind}-{who}-{order}-{self.now_s}", order)
        intent.answers.append(answer(OK, code, self.now_s, order, version))
        self.history.intents.append(intent)
        return intent

    def happen(self, order: int, kind: str, status: str, driver: int, feed: str) -> RecordedEvent:
        """A change by a driver, in the record and on its phone."""
        row = self.record.orders[order]
        event = RecordedEvent(order, row.version + 1, kind, f"drv_{driver}", self.now_s, driver)
        self.record.orders[order] = replace(row, status=status, version=event.version, driver=driver)
        self.record.events[order].append(event)
        self.tell(driver, feed, order, event.version)
        return event

    def tell(self, driver: int, feed: str, order: int, version: int) -> None:
        """An entry of a driver's feed, recorded and applied."""
        row = self.record.drivers[driver]
        entry = LogEntry(row.feed_seq + 1, feed, order, 0, "trace", {"version": version})
        self.record.drivers[driver] = replace(row, feed_seq=entry.seq)
        self.record.feeds.setdefault(driver, []).append(entry)
        self.phones[driver].steps.append(entry)

    def win(self, order: int, driver: int) -> Intent:
        """A driver accepts, wins and is told so."""
        version = self.record.orders[order].version + 1
        intent = self.said("accept", f"drv_{driver}", order, "won", version)
        self.happen(order, "assigned", "assigned", driver, "order.assigned")
        self.record.assignments.append((order, driver, 0))
        self._believe(driver)
        return intent

    def deliver(self, order: int, driver: int) -> None:
        """Picked up and delivered."""
        for kind, event in (("pickup", "picked_up"), ("delivery", "delivered")):
            version = self.record.orders[order].version + 1
            self.said(kind, f"drv_{driver}", order, event, version)
            self.happen(order, event, event, driver, f"order.{event}")
        self.record.assignments = [held for held in self.record.assignments if held[0] != order]
        self._believe(driver)

    def _believe(self, driver: int) -> None:
        held = frozenset(order for order, holder, _ in self.record.assignments if holder == driver)
        self.record.drivers[driver] = replace(self.record.drivers[driver], believed=held)

    def kinds(self) -> set[str]:
        """What the checker finds."""
        return {violation.kind for violation in check(self.history, self.record)}


@pytest.fixture
def mall() -> Mall:
    """Order 1 delivered by Ann, order 2 carried by Bob, order 3 open."""
    made = Mall()
    for order in (1, 2, 3):
        made.place(order)
    made.win(1, ANN)
    made.deliver(1, ANN)
    made.win(2, BOB)
    return made


def test_a_history_that_agrees_with_its_record_passes(mall: Mall) -> None:
    assert mall.kinds() == set()


def test_an_order_assigned_to_a_second_driver_is_found(mall: Mall) -> None:
    mall.said("accept", f"drv_{ANN}", 2, "won", 3)
    mall.happen(2, "assigned", "assigned", ANN, "order.assigned")
    assert "double_assignment" in mall.kinds()


def test_an_order_assigned_again_after_a_release_is_no_fault(mall: Mall) -> None:
    mall.said("release", "usr_9", 2, "released", 3)
    row = mall.record.orders[2]
    mall.record.orders[2] = replace(row, status="confirmed", version=3, driver=None)
    mall.record.events[2].append(RecordedEvent(2, 3, "released", "usr_9", mall.now_s, BOB))
    mall.tell(BOB, "order.released", 2, 3)
    mall.record.assignments.clear()
    mall._believe(BOB)
    mall.win(2, ANN)
    assert mall.kinds() == set()


# What the driver of an order is told, and what others are.
WHOLE: dict[str, Any] = {
    "dropoff": {"lat": 1.0, "lon": 2.0, "radius_m": 0, "address": "Door 1"},
    "notes": "ring",
    "contact": {},
}
HIDDEN: dict[str, Any] = {
    "dropoff": {"lat": 1.0, "lon": 2.0, "radius_m": 400, "address": None},
    "notes": None,
    "contact": None,
}


def _sent_again(mall: Mall, driver: int, seq: int, **shown: Any) -> None:
    """This entry of the driver's feed is recorded whole; the phone was sent it with `shown`."""
    feed = mall.record.feeds[driver]
    feed[seq - 1] = replace(feed[seq - 1], data={**feed[seq - 1].data, **WHOLE})
    sent = replace(feed[seq - 1], data={**feed[seq - 1].data, **shown})
    mall.phones[driver].steps = [
        sent if isinstance(step, LogEntry) and step.seq == seq else step for step in mall.phones[driver].steps
    ]


def test_entry_of_an_order_let_go_since_may_be_sent_without_the_door(mall: Mall) -> None:
    _sent_again(mall, ANN, 1, **HIDDEN)
    assert mall.kinds() == set()


def test_entry_of_an_order_still_carried_must_be_sent_whole(mall: Mall) -> None:
    _sent_again(mall, BOB, 1, **HIDDEN)
    assert mall.kinds() == {"feed_differs"}


@pytest.mark.parametrize(
    "told", [{"notes": "ring"}, {"version": 9}, {"dropoff": WHOLE["dropoff"] | {"lat": 9.0}}]
)
def test_entry_sent_half_hidden_or_changed_is_found(mall: Mall, told: dict[str, Any]) -> None:
    _sent_again(mall, ANN, 1, **(HIDDEN | told))
    assert mall.kinds() == {"feed_differs"}


def test_one_slot_given_twice_is_found(mall: Mall) -> None:
    mall.record.assignments.append((3, BOB, 0))
    assert "double_assignment" in mall.kinds()


def test_an_acknowledged_creation_that_is_not_there_is_found(mall: Mall) -> None:
    del mall.record.orders[3], mall.record.events[3]
    assert mall.kinds() == {"lost_ack"}


def test_an_acknowledged_win_that_is_not_recorded_is_found(mall: Mall) -> None:
    mall.said("accept", f"drv_{ANN}", 3, "won", 2)
    assert mall.kinds() == {"lost_ack"}


def test_a_win_acknowledged_to_the_wrong_driver_is_found(mall: Mall) -> None:
    mall.said("accept", f"drv_{ANN}", 2, "won", 2)
    assert mall.kinds() == {"lost_ack"}


def test_an_acknowledged_delivery_that_is_not_recorded_is_found(mall: Mall) -> None:
    mall.said("pickup", f"drv_{BOB}", 2, "picked_up", 3)
    assert mall.kinds() == {"lost_ack"}


def test_two_orders_under_one_key_are_found(mall: Mall) -> None:
    mall.place(4)
    mall.record.orders[4] = replace(mall.record.orders[4], note=mall.record.orders[3].note)
    assert "duplicate_creation" in mall.kinds()


def test_two_orders_named_under_one_key_are_found(mall: Mall) -> None:
    create = mall.history.intents[2]
    create.answers.append(answer(OK, "created", 150.0, 4, 1))
    assert "two_answers" in mall.kinds()


def test_another_answer_to_a_repeated_key_is_found(mall: Mall) -> None:
    win = mall.history.intents[-1]
    win.answers.append(answer(OK, "won", 150.0, 2, 2))
    assert mall.kinds() == set()
    win.answers.append(answer(OK, "already_yours", 151.0, 2, 2))
    assert mall.kinds() == {"two_answers"}


def test_an_order_that_nobody_placed_is_found(mall: Mall) -> None:
    mall.history.intents = [i for i in mall.history.intents if (i.kind, i.order) != ("create", 3)]
    assert mall.kinds() == {"unexplained_effect"}


def test_a_gap_in_what_a_phone_applied_is_found(mall: Mall) -> None:
    del mall.phones[ANN].steps[2]
    assert mall.kinds() == {"feed_gap"}


def test_an_entry_applied_twice_is_found(mall: Mall) -> None:
    steps = mall.phones[ANN].steps
    steps.insert(2, steps[1])
    assert mall.kinds() == {"feed_duplicate"}


def test_entries_in_another_order_are_found(mall: Mall) -> None:
    steps = mall.phones[ANN].steps
    steps[1], steps[2] = steps[2], steps[1]
    assert "feed_gap" in mall.kinds()


def test_an_entry_that_differs_from_its_row_is_found(mall: Mall) -> None:
    first = mall.phones[ANN].steps[1]
    assert isinstance(first, LogEntry)
    mall.phones[ANN].steps[1] = replace(first, order=3)
    assert mall.kinds() == {"feed_differs"}


def test_a_phone_that_never_reaches_the_end_is_found(mall: Mall) -> None:
    mall.phones[ANN].steps.pop()
    assert mall.kinds() == {"feed_behind"}


def test_a_snapshot_accounts_for_the_entries_before_it(mall: Mall) -> None:
    mall.phones[ANN].steps[1:3] = [Snapshot(2, frozenset({1}))]
    assert mall.kinds() == set()


def test_a_snapshot_that_forgets_an_order_is_found(mall: Mall) -> None:
    mall.phones[BOB].steps.append(Snapshot(1, frozenset()))
    assert mall.kinds() == {"snapshot_differs"}


def test_a_log_with_a_missing_position_is_found(mall: Mall) -> None:
    del mall.record.feeds[ANN][1]
    assert "log_gap" in mall.kinds()


def test_a_change_that_its_driver_was_never_told_of_is_found(mall: Mall) -> None:
    mall.record.feeds[BOB].clear()
    mall.record.drivers[BOB] = replace(mall.record.drivers[BOB], feed_seq=0)
    mall.phones[BOB].steps.pop()
    assert mall.kinds() == {"log_differs"}


def test_a_success_while_nothing_could_be_written_is_found(mall: Mall) -> None:
    told = mall.history.intents[-1].answers[0]
    mall.history.outages.append((told.began_s - 1, told.ended_s + 1))
    assert mall.kinds() == {"false_success"}


def test_a_success_that_straddles_an_outage_is_no_fault(mall: Mall) -> None:
    told = mall.history.intents[-1].answers[0]
    mall.history.outages.append((told.began_s + 0.1, told.ended_s - 0.1))
    assert mall.kinds() == set()


def spoken(mall: Mall, *outcomes: tuple[str, str]) -> Intent:
    """Bob's acceptance of order 2 was answered otherwise than the record has it."""
    intent = mall.history.intents[-1]
    at_s = mall.record.events[2][-1].at_s
    intent.answers = [answer(outcome, code, at_s + n) for n, (outcome, code) in enumerate(outcomes)]
    return intent


def test_the_effect_of_an_answer_that_promised_none_is_found(mall: Mall) -> None:
    spoken(mall, (NOT_PROCESSED, "unavailable"))
    assert mall.kinds() == {"effect_of_not_processed"}


def test_an_effect_older_than_the_repetition_that_claims_it_is_found(mall: Mall) -> None:
    spoken(mall, (NOT_PROCESSED, "unavailable")).answers.append(answer(OK, "won", mall.now_s + 9, 2, 2))
    assert mall.kinds() == {"effect_of_not_processed"}


def test_an_effect_made_by_the_repetition_is_no_fault(mall: Mall) -> None:
    at_s = mall.record.events[2][-1].at_s
    intent = mall.history.intents[-1]
    intent.answers = [answer(NOT_PROCESSED, "unavailable", at_s - 2), answer(OK, "won", at_s - 0.01, 2, 2)]
    assert mall.kinds() == set()


def test_an_older_effect_may_be_that_of_an_unknown_attempt(mall: Mall) -> None:
    spoken(mall, (UNKNOWN, "Closed")).answers.append(answer(OK, "won", mall.now_s + 9, 2, 2))
    assert mall.kinds() == set()


def test_an_older_effect_may_be_that_of_another_intent_whose_answer_was_lost(mall: Mall) -> None:
    spoken(mall, (UNKNOWN, "outcome_unknown"))
    again = mall.said("accept", f"drv_{BOB}", 2, "won", 2)
    again.answers.insert(0, answer(NOT_PROCESSED, "unavailable", mall.now_s - 0.5))
    assert mall.kinds() == set()


def test_the_effect_of_a_refused_command_is_found(mall: Mall) -> None:
    spoken(mall, (REFUSED, "order_taken"))
    assert mall.kinds() == {"effect_of_refusal"}


def test_an_unknown_outcome_may_have_had_its_effect(mall: Mall) -> None:
    spoken(mall, (UNKNOWN, "Closed"))
    assert mall.kinds() == set()


def test_a_refusal_under_the_same_key_settles_what_was_unknown(mall: Mall) -> None:
    spoken(mall, (UNKNOWN, "Closed"), (REFUSED, "order_taken"))
    assert mall.kinds() == {"effect_of_refusal"}


@pytest.mark.parametrize(
    ("outcome", "code"), [(NOT_PROCESSED, "unavailable"), (REFUSED, "driver_busy")], ids=["503", "busy"]
)
def test_neither_a_503_nor_a_passing_refusal_settles_what_was_unknown(
    mall: Mall, outcome: str, code: str
) -> None:
    spoken(mall, (UNKNOWN, "Closed"), (outcome, code))
    assert mall.kinds() == set()


def test_one_unknown_intent_explains_one_effect_only(mall: Mall) -> None:
    spoken(mall, (UNKNOWN, "Closed"))
    mall.record.events[2].append(replace(mall.record.events[2][-1], version=3))
    mall.record.orders[2] = replace(mall.record.orders[2], version=3)
    assert "unexplained_effect" in mall.kinds()


def test_the_effect_of_a_refused_creation_is_found(mall: Mall) -> None:
    mall.history.intents[2].answers = [answer(NOT_PROCESSED, "unavailable", 103.0)]
    assert mall.kinds() == {"effect_of_not_processed"}


def test_a_product_that_was_not_to_be_made_is_found(mall: Mall) -> None:
    intent = mall.said("product", "usr_9", None, "created", None)
    mall.record.products = frozenset({intent.key})
    assert mall.kinds() == set()
    intent.answers = [answer(NOT_PROCESSED, "unavailable", mall.now_s)]
    assert mall.kinds() == {"effect_of_not_processed"}


def test_a_refusal_that_the_api_does_not_know_is_found(mall: Mall) -> None:
    intent = mall.said("accept", f"drv_{ANN}", 3, "won", None)
    intent.answers = [answer(REFUSED, "key_reused", mall.now_s)]
    assert mall.kinds() == {"unexpected_refusal"}


def test_a_503_that_does_not_promise_to_be_without_effect_is_found(mall: Mall) -> None:
    mall.history.intents[-1].answers.insert(0, answer(UNKNOWN, UNPROMISED, 100.0))
    assert mall.kinds() == {"unpromised_503"}


def test_more_orders_at_once_than_a_driver_may_carry_are_found(mall: Mall) -> None:
    mall.win(3, BOB)
    mall.record.assignments[-1] = (3, BOB, 1)
    assert mall.kinds() == {"over_capacity"}


def test_orders_carried_at_the_same_time_are_found_after_both_were_delivered(mall: Mall) -> None:
    mall.win(3, BOB)
    mall.deliver(2, BOB)
    mall.deliver(3, BOB)
    assert mall.kinds() == {"over_capacity"}


def test_a_delivery_before_the_pickup_is_found(mall: Mall) -> None:
    mall.said("delivery", f"drv_{BOB}", 2, "delivered", 3)
    mall.happen(2, "delivered", "delivered", BOB, "order.delivered")
    mall.record.assignments.clear()
    mall._believe(BOB)
    assert mall.kinds() == {"illegal_transition"}


def test_an_assignment_without_its_order_is_found(mall: Mall) -> None:
    mall.record.assignments.clear()
    mall._believe(BOB)
    assert mall.kinds() == {"assignment_differs"}


def test_a_delivery_that_the_server_has_forgotten_is_found(mall: Mall) -> None:
    mall.record.drivers[ANN] = replace(mall.record.drivers[ANN], believed=frozenset({1}))
    assert mall.kinds() == {"belief"}


@pytest.mark.parametrize(("version", "kind"), [(3, "stale_read"), (5, "read_of_uncommitted")])
def test_a_read_that_shows_less_or_more_than_was_true_is_found(mall: Mall, version: int, kind: str) -> None:
    mall.history.reads.append(Read(1, version, began_s=999.0))
    assert mall.kinds() == {kind}


def test_goods_that_vanish_from_the_shelf_are_found(mall: Mall) -> None:
    mall.record.stock.append(("bread", 10, 6, 3))
    assert mall.kinds() == {"stock"}


@pytest.mark.parametrize("spoiled", [{"status": "confirmed"}, {"driver": ANN}, {"version": 9}], ids=str)
def test_a_row_that_differs_from_its_own_history_is_found(mall: Mall, spoiled: dict[str, Any]) -> None:
    mall.record.orders[2] = replace(mall.record.orders[2], **spoiled)
    assert mall.kinds() & {"row_differs", "version_gap"}


# What no workload of these tools causes: operators, and zones that assign.
NOT_CAUSED = {"handed_over", "returned"}


def test_every_event_that_an_order_can_have_is_known() -> None:
    """One that is not would be taken for an illegal transition, in the middle of a storm."""
    domain = Path(orders.__file__).parent
    named = {
        name for file in domain.glob("*.py") for name in re.findall(r'event="([a-z_]+)"', file.read_text())
    }
    written = named | {event for _, event in orders.TRANSITIONS} | {WRONG_PIN}
    assert "eta_changed" in written
    assert written - MOVES.keys() == NOT_CAUSED
