"""What must hold, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actors.behaviour import Outcome
from actors.messages import Command
from actors.ports import Claim
from dispatch.domain.offer_ladder import UNPLANNED_S
from dispatch.domain.order import OPEN, TRANSITIONS
from dispatch.domain.order_visibility import redacted
from dispatch.zone_actor import REPEAT_MS, TICK_S
from dispatch.zone_expiry import PROPOSED_MS
from storage.memory.journal import MemoryJournal

_LETTING_GO = frozenset({"order.delivered", "order.undeliverable", "order.cancelled", "order.released"})

if TYPE_CHECKING:
    from tests.simulation.node import Phone

# What the simulated admins set at most.
CAPACITY_MAX = 3
# What the ladders of the simulated zones allow, without anybody being asked: no plan gives the order to a driver, then
# all had an offer a moment ago, and a proposal is lost.
SILENCE_S = UNPLANNED_S + (REPEAT_MS + PROPOSED_MS) / 1000 + 2 * TICK_S
LEGAL = {(a, b) for (a, _), b in TRANSITIONS.items()}


class Violation(AssertionError):
    """An invariant is broken."""


class Checks:
    """Invariants at each commit, and a history that is judged at the end."""

    def __init__(self, store: MemoryJournal) -> None:
        self._store = store
        self._status: dict[int, tuple[int, str]] = {}
        self._read_events = 0
        self._capacities: dict[int, int] = {}
        self._creations: dict[str, int] = {}
        self._won: dict[tuple[int, int], str] = {}
        self.accepts: Counter[str] = Counter()
        self.frames = 0
        self.refused_stale = 0
        self.unknowns = 0
        self.claims = 0
        # Commands whose every attempt was answered, and refused.
        self._refused: set[str] = set()
        # The newest version of each order that somebody was told of.
        self.told: dict[int, int] = {}
        self._repeated: Counter[int] = Counter()
        self._most_slots: Counter[int] = Counter()
        self._silent_since: dict[int, int] = {}
        # Also kept, because a violation inside a callback of the loop raises into nobody.
        self.broken: list[str] = []

    # -- at every commit ----------------------------------------------------------------------

    def at_commit(self) -> None:
        """Capacity, slots, legal paths, rising versions."""
        slots = Counter(self._store.assignments.values())
        self._want(all(n == 1 for n in slots.values()), "two orders share a slot")
        for order, (driver, slot) in self._store.assignments.items():
            row = self._store.orders[order]
            self._want(row["driver_id"] == driver, f"order {order} and its assignment disagree")
            self._want(
                row["status"] in ("assigned", "picked_up"), f"order {order} is held but {row['status']}"
            )
            self._want(slot < CAPACITY_MAX, f"driver {driver} has slot {slot}")
        for event in self._store.order_events[self._read_events :]:
            self._event(event)
        self._read_events = len(self._store.order_events)
        self._capacities = {n: row["capacity"] for n, row in self._store.drivers.items()}
        for number, capacity in self._capacities.items():
            self._most_slots[number] = max(self._most_slots[number], capacity)

    def at_flush(
        self, items: Sequence[Mapping[str, Any]], stale: list[bool], outcomes: list[Outcome]
    ) -> None:
        """No commit with an epoch that was raised since; no owner tries what was refused to its client."""
        for item, late, outcome in zip(items, stale, outcomes, strict=True):
            self._want(not (late and outcome.ok), "a stale owner has committed")
            self.refused_stale += late
            tried = item["recent"][-1][0] if item["recent"] else ""
            dead = tried in self._refused and outcome.code not in ("stale", "version")
            if outcome.ok and item.get("event") == "offered":
                self._not_early(item)
            if outcome.ok and "plan" in (item.get("data") or {}):
                self._planned(item)
            self._want(not dead, f"order {item['id']}: {tried} was refused, and then tried once more")

    def _not_early(self, item: Mapping[str, Any]) -> None:
        """Nobody is asked for an order for a time before it is due."""
        self._want(
            item["at_ms"] >= self._opens_ms(item["id"], item["ready_ms"]),
            f"order {item['id']} was offered too early",
        )

    def _opens_ms(self, order: int, ready_ms: int) -> int:
        """From when on drivers may be asked for an order."""
        terms = self._store.orders[order].get("terms") or {}
        return ready_ms - 1000 * int(terms["ahead_s"]) if "deliver_ms" in terms else 0

    def _planned(self, item: Mapping[str, Any]) -> None:
        """A trip fits its driver, and nobody who declined an order gets it again while others were not asked."""
        plan, order = item["data"]["plan"], item["id"]
        number = int(plan["chosen"]["driver_id"].removeprefix("drv_"))
        driver = self._store.drivers[number]
        many = len(plan["orders"])
        # A capacity may be lowered while the offer is on its way.
        most = self._most_slots[number] = max(self._most_slots[number], driver["capacity"])
        self._want(many <= most, f"a trip of {many} for driver {number} of {most}")
        stores = {self._store.orders[int(each.removeprefix("ord_"))]["store_id"] for each in plan["orders"]}
        self._want(len(stores) == 1, f"a trip from the stores {stores}")
        asked = item["search"]["tried"]
        others = [
            n
            for n, other in self._store.drivers.items()
            if other["zone_id"] == driver["zone_id"]
            and other["status"] == "online"
            and other["unreachable_ms"] is None
            and n not in (*asked, number)
        ]
        if number in asked and others:
            # Once the zone may have known less of its drivers than the store does.
            self._repeated[order] += 1
            self._want(self._repeated[order] < 2, f"order {order}: driver {number} again, and never {others}")

    def at_claim(self, before: list[int], claims: list[Claim]) -> None:
        """Epochs rise."""
        self.claims += 1
        for claim in claims:
            rises = claim.epoch is None or claim.epoch > before[claim.shard]
            self._want(
                rises, f"epoch of shard {claim.shard} fell from {before[claim.shard]} to {claim.epoch}"
            )

    def heard(self, now_ms: int) -> None:
        """No order is silent: each has an offer, stands on the board, was told of to operators, or nobody is free.

        Call it again and again after the storm; a silence that lasts is found.
        """
        waiting = [row for row in self._store.orders.values() if row["status"] == "confirmed"]
        searches = {row["id"]: row["search"] or {} for row in waiting}
        asked = {
            number: [driver for _, driver, expires_ms in search.get("offers", ()) if expires_ms > now_ms]
            for number, search in searches.items()
        }
        spoken = Counter(who for who, _ in self._store.assignments.values())
        spoken.update(driver for drivers in asked.values() for driver in drivers)
        free = {
            driver["zone_id"]
            for number, driver in self._store.drivers.items()
            if driver["status"] == "online"
            and driver["unreachable_ms"] is None
            and spoken[number] < driver["capacity"]
        }
        silent = {
            row["id"]
            for row in waiting
            if row["zone_id"] in free
            and row["mode"] != OPEN
            and self._opens_ms(row["id"], row["ready_ms"]) <= now_ms
            and "warned" not in searches[row["id"]]
            and not asked[row["id"]]
        }
        self._silent_since = {number: self._silent_since.get(number, now_ms) for number in silent}
        for number, since_ms in self._silent_since.items():
            silence_s = (now_ms - since_ms) / 1000
            self._want(
                silence_s <= SILENCE_S,
                f"order {number} is silent for {silence_s:.0f} s, and drivers are free",
            )

    def read(self, order: int, known: int, version: int) -> None:
        """A read that began after somebody was told of version `known`."""
        self._want(version >= known, f"order {order} was shown at version {version} after {known}")

    def owners_at_end(self, served: list[list[str]]) -> None:
        """Each shard has exactly one owner."""
        wrong = {shard: names for shard, names in enumerate(served) if len(names) != 1}
        self._want(not wrong, f"shards without exactly one owner: {dict(list(wrong.items())[:5])}")

    def _event(self, event: dict[str, Any]) -> None:
        order, version, status = event["order_id"], event["version"], event["status"]
        before = self._status.get(order)
        if before is None:
            self._want(version == 1, f"order {order} begins at version {version}")
        else:
            self._want(version == before[0] + 1, f"order {order} jumps from {before[0]} to {version}")
            same = before[1] == status
            self._want(same or (before[1], status) in LEGAL, f"order {order}: {before[1]} to {status}")
        self._status[order] = (version, status)
        if event["type"] == "assigned" and order in self._store.assignments:
            driver = event["driver_id"]
            held = sum(who == driver for who, _ in self._store.assignments.values())
            # A batch may change the capacity, too: the larger one counts.
            capacity = max(self._store.drivers[driver]["capacity"], self._capacities.get(driver, 0))
            self._want(held <= capacity, f"driver {driver} took an order beyond its capacity")

    # -- at every frame -----------------------------------------------------------------------

    def frame(self, phone: Phone, frame: dict[str, Any]) -> None:
        """A frame reaches a phone: positions without gap, repetition or invention."""
        self.frames += 1
        if frame["t"] == "welcome":
            if frame["resumed"]:
                self._want(frame["seq"] == phone.seq, f"driver {phone.driver}: resumed at another position")
            else:
                phone.orders = {int(o["order_id"][4:]) for o in frame["snapshot"]["orders"]}
                phone.offers = {int(o["order_id"][4:]): o["offer_id"] for o in frame["snapshot"]["offers"]}
            phone.epoch, phone.seq = frame["epoch"], frame["seq"]
        elif frame["t"] == "event":
            self._want(
                frame["seq"] == (phone.seq or 0) + 1,
                f"driver {phone.driver}: {phone.seq} then {frame['seq']}",
            )
            phone.seq = frame["seq"]
            self._apply(phone, frame)
        elif frame["t"] == "offer.revoked":
            phone.offers.pop(int(frame["order_id"][4:]), None)

    def _apply(self, phone: Phone, frame: dict[str, Any]) -> None:
        log = self._store.driver_events[phone.driver]
        self._want(len(log) >= frame["seq"], f"driver {phone.driver} was told what is not committed")
        row = log[frame["seq"] - 1]
        let_go = any(
            x["type"] in _LETTING_GO and x["order_id"] == row["order_id"] for x in log[frame["seq"] - 1 :]
        )
        # In a replay an order that was let go meanwhile is told without its door.
        told = [row["data"], redacted(row["data"])] if let_go else [row["data"]]
        self._want(row["type"] == frame["type"] and frame["data"] in told, "a frame differs from its row")
        order = int(frame["data"]["order_id"][4:])
        if frame["type"] == "offer":
            phone.offers[order] = frame["data"]["offer_id"]
        elif frame["type"] == "order.assigned":
            phone.orders.add(order)
            phone.offers.pop(order, None)
        elif frame["type"] in ("order.delivered", "order.cancelled", "order.released", "order.undeliverable"):
            phone.orders.discard(order)

    # -- the history --------------------------------------------------------------------------

    def acked_creation(self, key: str, order: int) -> None:
        """A creation was answered: it must be there, and the same for ever."""
        self._want(self._creations.setdefault(key, order) == order, f"key {key} created two orders")
        self._want(order in self._store.orders, f"order {order} was acknowledged and is not there")

    def answered(self, name: str, who: int, order: int, answers: list[Any]) -> None:
        """The answers to one command id, in the order they came."""
        known = [a for a in answers if a is not None]
        for answer in known:
            if answer.version:
                self.told[order] = max(self.told.get(order, 0), answer.version)
        if len(known) > 1:
            # A decline of an offer that had lapsed already changes nothing and is not remembered; in another round the
            # driver may have another offer by then.
            lapsed = {"declined", "not_offered", "offer_expired"}
            good = {"won": {"won", "already_yours"}, "declined": lapsed}
            wanted = good.get(known[0].code)
            self._want(wanted is None or known[1].code in wanted, f"{name}: {known}")
        if name == "accept" and known:
            self.accepts[known[0].code] += 1
            if known[0].code == "won":
                events = [
                    e for e in self._store.order_events
                    if e["order_id"] == order and e["type"] == "assigned" and e["driver_id"] == who
                ]  # fmt: skip
                self._want(bool(events), f"driver {who} was told it won order {order}; no such event")
        if name == "deliver" and known and known[0].code == "delivered":
            self._want(self._store.orders[order]["status"] == "delivered", f"order {order} delivered? no")

    def refused(self, order: int, command: Command | None) -> None:
        """Every attempt of this command was answered, and none with a success: none may come to life again."""
        assert command is not None
        self._refused.add(command.id)
        done = any(entry[0] == command.id for entry in self._store.orders[order]["recent"])
        self._want(not done, f"order {order}: {command.id} was refused and had its effect")

    def actors_at_end(self, drivers: list[Any], crashes: dict[str, int]) -> None:
        """What is in memory agrees with the rows, nobody waits for an answer, and no turn has failed."""
        self._want(not crashes, f"turns have failed: {crashes}")
        for state in drivers:
            number = state.driver.id
            carried = {o for o, (who, _) in self._store.assignments.items() if who == number}
            believed = set(state.driver.carrying)
            self._want(believed == carried, f"driver {number}'s actor believes in {believed}, not {carried}")
            self._want(not state.joining and not state.reading, f"driver {number}'s actor waits for ever")

    def at_end(self, phones: dict[int, Phone]) -> None:
        """After the faults have stopped: everything settled, every feed complete."""
        if self.broken:
            raise Violation(self.broken[0])
        self.at_commit()
        for number, phone in phones.items():
            log = self._store.driver_events[number]
            self._want(phone.seq == len(log), f"driver {number} is at {phone.seq} of {len(log)}")
            carried = {o for o, (who, _) in self._store.assignments.items() if who == number}
            self._want(
                phone.orders == carried, f"driver {number} believes in {phone.orders}, carries {carried}"
            )
        waiting = [n for n, row in self._store.orders.items() if row["status"] == "confirmed"]
        self._want(not waiting, f"orders {waiting[:5]} were never assigned though drivers are free")

    def _want(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)
            raise Violation(what)
