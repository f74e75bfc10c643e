"""Whether what users were told and what is recorded agree: pure functions over plain data.

An effect is an entry of an order's history. An acknowledged one is found by order and version. Whatever
else is in the record must be explained by an intent that may have had an effect; that is what finds a
false refusal and the effect of an answer that promised none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

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
    RecordedEvent,
    RecordedState,
    Snapshot,
    Violation,
)
from loadtests.kit.feed_position import GAP, FeedPosition
from loadtests.kit.protocol import LOSING

# Kind of an intent: the type of the entry that it makes.
EFFECTS: Mapping[str, str] = {
    "accept": "assigned",
    "pickup": "picked_up",
    "delivery": "delivered",
    "failure": "failed",
    "cancel": "cancelled",
    "release": "released",
}
REFUSALS: Mapping[str, frozenset[str]] = {
    "create": frozenset(),
    "accept": LOSING,
    "pickup": frozenset({"order_not_found", "invalid_transition"}),
    "delivery": frozenset({"order_not_found", "invalid_transition"}),
    "failure": frozenset({"order_not_found", "invalid_transition"}),
    "cancel": frozenset({"invalid_transition"}),
    "release": frozenset({"invalid_transition"}),
    "decline": frozenset({"not_offered", "offer_expired"}),
    "product": frozenset(),
}
# Type of an order's entry: (statuses it may follow, status it leads to; None keeps it).
MOVES: Mapping[str, tuple[frozenset[str], str | None]] = {
    "offered": (frozenset({"confirmed"}), None),
    "declined": (frozenset({"confirmed"}), None),
    "offer_expired": (frozenset({"confirmed"}), None),
    "offer_withdrawn": (frozenset({"confirmed"}), None),
    "mode_set": (frozenset({"confirmed", "awaiting_payment"}), None),
    "ready_time_set": (frozenset({"awaiting_payment", "confirmed", "assigned"}), None),
    "eta_changed": (frozenset({"assigned", "picked_up"}), None),
    "unclaimed": (frozenset({"confirmed"}), None),
    "wrong_pin": (frozenset({"picked_up"}), None),
    "returning": (frozenset({"picked_up"}), None),
    "paid": (frozenset({"awaiting_payment"}), "confirmed"),
    "assigned": (frozenset({"confirmed"}), "assigned"),
    "released": (frozenset({"assigned"}), "confirmed"),
    "picked_up": (frozenset({"assigned"}), "picked_up"),
    "delivered": (frozenset({"picked_up"}), "delivered"),
    "failed": (frozenset({"assigned", "picked_up"}), "undeliverable"),
    "cancelled": (frozenset({"awaiting_payment", "confirmed", "assigned"}), "cancelled"),
}
# An order's entry and the entry of its driver's feed that is committed with it.
FEED_TYPES: Mapping[str, str] = {
    "assigned": "order.assigned",
    "released": "order.released",
    "picked_up": "order.picked_up",
    "delivered": "order.delivered",
    "failed": "order.undeliverable",
    "cancelled": "order.cancelled",
    "ready_time_set": "order.ready_time",
}
TAKES, FREES = (
    "order.assigned",
    frozenset(FEED_TYPES[x] for x in ("released", "delivered", "failed", "cancelled")),
)
# Fields of an entry that say more to the driver who carries the order than to others.
PRIVATE = ("dropoff", "distance_m", "notes", "contact")
# Client and server read the same wall clock, the server by way of Postgres once a second.
CLOCK_SLACK_S = 0.1


def check(history: History, record: RecordedState) -> list[Violation]:
    """Everything that does not fit; an empty list is the hoped-for answer."""
    return [
        *check_answers(history),
        *check_creations(history.intents, record),
        *check_products(history.intents, record),
        *check_commands(history.intents, record),
        *check_reads(history, record),
        *check_orders(record),
        *check_assignments(record),
        *check_feeds(record),
        *check_phones(history.phones, record),
    ]


# -- what was said ----------------------------------------------------------------------------------


def check_answers(history: History) -> Iterator[Violation]:
    """Same key, same answer; documented refusals; no success while nothing could be written."""
    for intent in history.intents:
        said = {(answer.code, answer.order, answer.version) for answer in intent.acked}
        if len(said) > 1 and any(answer.names_effect for answer in intent.acked):
            yield Violation("two_answers", str(intent))
        for answer in intent.answers:
            if answer.outcome == REFUSED and answer.code not in REFUSALS[intent.kind]:
                yield Violation("unexpected_refusal", str(intent))
            if answer.code == UNPROMISED:
                yield Violation("unpromised_503", str(intent))
        first = intent.answers[0] if intent.answers else None
        if first is not None and first.names_effect and _inside(first, history.outages):
            yield Violation("false_success", f"{intent} while the database was down")


def _inside(answer: Answer, outages: Iterable[tuple[float, float]]) -> bool:
    return any(down < answer.began_s and answer.ended_s < up for down, up in outages)


def _effect_kind(intents: Iterable[Intent]) -> str:
    """Which promise an effect breaks, when all that could have caused it claim to have had none."""
    codes = {answer.outcome for intent in intents for answer in intent.answers}
    if NOT_PROCESSED in codes:
        return "effect_of_not_processed"
    return "effect_of_refusal" if REFUSED in codes else "unexplained_effect"


def _too_early(intent: Intent, at_s: float) -> bool:
    """True when the effect is older than the first attempt that may have caused it."""
    cause = next((a for a in intent.answers if a.outcome in (OK, UNKNOWN)), None)
    return cause is not intent.answers[0] and cause is not None and at_s < cause.began_s - CLOCK_SLACK_S


def check_creations(intents: Iterable[Intent], record: RecordedState) -> Iterator[Violation]:
    """Each acknowledged creation is there, once per key; a refused or unprocessed one is not."""
    made: dict[str, list[int]] = defaultdict(list)
    for row in record.orders.values():
        made[row.note].append(row.id)
    known = {intent.key: intent for intent in intents if intent.kind == "create"}
    for key, orders in made.items():
        if len(orders) > 1:
            yield Violation("duplicate_creation", f"key {key} made orders {orders}")
        if key not in known:
            yield Violation("unexplained_effect", f"orders {orders} were placed by nobody")
    for key, intent in known.items():
        orders = made.get(key, [])
        for answer in intent.acked:
            if answer.order not in orders:
                yield Violation("lost_ack", f"{intent}: order {answer.order} is not there")
        for order in orders:
            if intent.surely_without_effect or _too_early(intent, record.events[order][0].at_s):
                yield Violation(_effect_kind([intent]), f"{intent}: there is order {order}")


def check_products(intents: Iterable[Intent], record: RecordedState) -> Iterator[Violation]:
    """The same for the catalogue; a product's name is the key."""
    for intent in intents:
        if intent.kind != "product":
            continue
        if intent.acked and intent.key not in record.products:
            yield Violation("lost_ack", f"{intent}: there is no product {intent.key}")
        if intent.key in record.products and intent.surely_without_effect:
            yield Violation(_effect_kind([intent]), f"{intent}: there is product {intent.key}")
    for name, at_first, left, sold in record.stock:
        if left + sold != at_first:
            yield Violation("stock", f"{name}: {at_first} at first, {left} left and {sold} sold")


def check_commands(intents: Iterable[Intent], record: RecordedState) -> Iterator[Violation]:
    """Acknowledged effects are recorded; recorded effects are explained."""
    found: dict[tuple[str, int, str], dict[int, RecordedEvent]] = defaultdict(dict)
    for events in record.events.values():
        for event in events:
            if event.type in EFFECTS.values():
                found[event.type, event.order, event.actor][event.version] = event
    wanted: dict[tuple[str, int, str], list[Intent]] = defaultdict(list)
    for intent in intents:
        if intent.kind in EFFECTS and intent.order is not None:
            wanted[EFFECTS[intent.kind], intent.order, intent.who].append(intent)
    for cause in found.keys() | wanted.keys():
        yield from _check_effects(wanted.get(cause, []), dict(found.get(cause, {})))


def _check_effects(intents: Sequence[Intent], events: dict[int, RecordedEvent]) -> Iterator[Violation]:
    """Intents that have the same effect, and the entries of that effect by version."""
    left, possible = dict(events), sum(not intent.surely_without_effect for intent in intents)
    for intent in intents:
        named = {a.version for a in intent.acked if a.names_effect and a.version is not None}
        if not (named <= events.keys() if named else events or not intent.acked):
            yield Violation("lost_ack", f"{intent}: no such entry, only {sorted(events)}")
        for version in named & left.keys():
            # Another intent may have made it, when its own answer was lost.
            if possible == 1 and _too_early(intent, events[version].at_s):
                yield Violation(_effect_kind([intent]), f"{intent}: effect before the attempt")
            del left[version]
    unnamed = [i for i in intents if not i.surely_without_effect and not any(a.names_effect for a in i.acked)]
    if len(left) > len(unnamed):
        event = next(iter(left.values()))
        said = "; ".join(str(intent) for intent in intents) or "nobody asked"
        yield Violation(_effect_kind(intents), f"order {event.order} {event.type} by {event.actor}: {said}")


def check_reads(history: History, record: RecordedState) -> Iterator[Violation]:
    """A read shows what was acknowledged before it began, and nothing that never became true."""
    acks: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for intent in history.intents:
        for answer in intent.acked:
            if answer.order is not None and answer.version is not None:
                acks[answer.order].append((answer.ended_s, answer.version))
    for read in history.reads:
        least = max((v for ended_s, v in acks[read.order] if ended_s < read.began_s), default=0)
        row = record.orders.get(read.order)
        most = 0 if row is None else row.version
        if not least <= read.version <= most:
            detail = f"order {read.order} was shown at version {read.version}, acknowledged {least} of {most}"
            yield Violation("stale_read" if read.version < least else "read_of_uncommitted", detail)


# -- what is recorded -------------------------------------------------------------------------------


def check_orders(record: RecordedState) -> Iterator[Violation]:
    """Every order's history is gapless, legal, and ends where the row is."""
    for order, row in record.orders.items():
        status, driver, events = "", None, record.events.get(order, [])
        if [event.version for event in events] != list(range(1, row.version + 1)):
            yield Violation("version_gap", f"order {order}: {[e.version for e in events]} of {row.version}")
        for event in events:
            if event.type == "created" and not status:
                status = "confirmed"
                continue
            before, after = MOVES.get(event.type, (frozenset[str](), None))
            if event.type == "assigned" and driver is not None:
                detail = f"order {order} at version {event.version}: {driver}, then {event.driver}"
                yield Violation("double_assignment", detail)
            elif status not in before:
                yield Violation("illegal_transition", f"order {order}: {event.type} after {status}")
            status = after or status
            driver = event.driver if event.type == "assigned" else None if status == "confirmed" else driver
        if (row.status, row.driver) != (status, driver):
            yield Violation("row_differs", f"order {order}: {row}, by its history {status} by {driver}")


def check_assignments(record: RecordedState) -> Iterator[Violation]:
    """Who holds what: one driver an order, one order a slot, no slot beyond capacity."""
    live = {(row.id, row.driver) for row in record.orders.values() if row.status in ("assigned", "picked_up")}
    held = {(order, driver) for order, driver, _ in record.assignments}
    if held != live:
        yield Violation(
            "assignment_differs", f"assignments and orders differ in {sorted(held ^ live, key=str)}"
        )
    for what, values in (
        ("order", [order for order, _, _ in record.assignments]),
        ("slot", [(driver, slot) for _, driver, slot in record.assignments]),
    ):
        if len(set(values)) != len(values):
            yield Violation("double_assignment", f"one {what} is assigned twice: {sorted(values)}")
    for order, driver, slot in record.assignments:
        if slot >= record.drivers[driver].capacity:
            yield Violation("over_capacity", f"driver {driver} holds order {order} in slot {slot}")
    for row in record.drivers.values():
        mine = {order for order, driver, _ in record.assignments if driver == row.id}
        if row.believed != mine:
            yield Violation("belief", f"driver {row.id} holds {mine}, the server says {set(row.believed)}")


def carried_at(feed: Iterable[LogEntry], seq: int) -> frozenset[int]:
    """The orders that a driver carries at a position of its feed."""
    carried: set[int] = set()
    for entry in feed:
        if entry.seq > seq:
            break
        if entry.type == TAKES:
            carried.add(entry.order)
        elif entry.type in FREES:
            carried.discard(entry.order)
    return frozenset(carried)


def check_feeds(record: RecordedState) -> Iterator[Violation]:
    """Every driver's log: positions 1 to n, the entries of the orders' histories, never over capacity.

    Capacity is replayed in order of the log, not of `at`: the log's positions are given under the driver's
    lock, `at` is when a decision began, and two decisions may be committed the other way round.
    """
    entries = {(event.order, event.version): event for events in record.events.values() for event in events}
    told: set[tuple[int, int, int]] = set()
    for driver, row in record.drivers.items():
        feed, carried = record.feeds.get(driver, []), set[int]()
        if [entry.seq for entry in feed] != list(range(1, row.feed_seq + 1)):
            yield Violation("log_gap", f"driver {driver}: {len(feed)} entries up to {row.feed_seq}")
        for entry in feed:
            version = int(entry.data["version"])
            event = entries.get((entry.order, version))
            if entry.type != "offer":
                told.add((driver, entry.order, version))
                if event is None or FEED_TYPES.get(event.type) != entry.type:
                    yield Violation("log_differs", f"driver {driver}: {entry} beside {event}")
            if entry.type == TAKES:
                carried.add(entry.order)
                if len(carried) > row.capacity:
                    yield Violation(
                        "over_capacity", f"driver {driver} carries {sorted(carried)} at {entry.seq}"
                    )
            elif entry.type in FREES:
                carried.discard(entry.order)
    for missing in sorted(_owed(record) - told):
        yield Violation("log_differs", "driver {}: order {} version {} is not in the log".format(*missing))


def _owed(record: RecordedState) -> set[tuple[int, int, int]]:
    """(driver, order, version) of every entry that must be in a driver's log."""
    owed = set()
    for order, events in record.events.items():
        driver: int | None = None
        for event in events:
            driver = event.driver if event.type == "assigned" else driver
            if driver is not None and event.type in FEED_TYPES:
                owed.add((driver, order, event.version))
            if event.type == "released":
                driver = None
    return owed


# -- what phones were sent --------------------------------------------------------------------------


def check_phones(phones: Iterable[PhoneLog], record: RecordedState) -> Iterator[Violation]:
    """Every phone has applied its driver's log: each entry once, in order, to the end."""
    for phone in phones:
        log = {entry.seq: entry for entry in record.feeds.get(phone.driver, [])}
        for fault in phone.faults:
            yield Violation("feed_fault", f"driver {phone.driver}: {fault}")
        position = FeedPosition()
        for step in phone.steps:
            if isinstance(step, Snapshot):
                yield from _check_snapshot(phone.driver, position, step, record)
            else:
                at = position.seq
                if fault := position.entry(step.seq):
                    kind = "feed_gap" if fault == GAP else "feed_duplicate"
                    yield Violation(kind, f"driver {phone.driver}: {step.seq} after {at}")
                recorded = log.get(step.seq)
                if recorded != step and not (recorded and _shown_after_its_end(step, recorded, log.values())):
                    detail = f"driver {phone.driver} was sent {step}, recorded is {log.get(step.seq)}"
                    yield Violation("feed_differs", detail)
        end = record.drivers[phone.driver].feed_seq
        if position.seq != end:
            yield Violation("feed_behind", f"driver {phone.driver} is at {position.seq} of {end}")


def _shown_after_its_end(sent: LogEntry, recorded: LogEntry, feed: Iterable[LogEntry]) -> bool:
    """True for the entry of an order that the driver let go since, sent without what only its driver may know."""
    ended = any(later.order == sent.order and later.seq > sent.seq and later.type in FREES for later in feed)
    to = sent.data.get("dropoff") or {}
    hidden = sent.data.get("notes") is sent.data.get("contact") is to.get("address") is None
    told = {name: recorded.data[name] for name in PRIVATE if name in recorded.data}
    return ended and hidden and replace(sent, data={**sent.data, **told}) == recorded


def _check_snapshot(
    driver: int, position: FeedPosition, snapshot: Snapshot, record: RecordedState
) -> Iterator[Violation]:
    """A snapshot shows what the log up to its position has made true, and never goes back."""
    at = position.seq
    if position.snapshot(snapshot.seq):
        yield Violation("feed_duplicate", f"driver {driver}: a snapshot of {snapshot.seq} after {at}")
    feed = record.feeds.get(driver, [])
    carried = carried_at(feed, snapshot.seq)
    offers = {entry.data["offer_id"] for entry in feed if entry.type == "offer" and entry.seq <= snapshot.seq}
    if snapshot.orders != carried or not snapshot.offers <= offers:
        detail = f"driver {driver} at {snapshot.seq}: {snapshot}, by the log it carries {set(carried)}"
        yield Violation("snapshot_differs", detail)
