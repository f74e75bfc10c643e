"""Journal in memory: Postgres's functions over dictionaries.

Each call is atomic. The simulator adds faults between caller and store (delays, lost requests, lost answers, restarts).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import orjson

from actors.behaviour import Outcome
from actors.messages import ActorId, Query
from actors.ports import Blocker, Claim, ShardRow
from actors.shards import SHARD_COUNT, shard_of
from storage.locking import needs
from storage.memory.due import DueOrders
from storage.memory.guards import is_legal, is_over
from storage.memory.locks import Locks
from storage.memory.order_creation import MemoryPlacing
from storage.memory.outbox import MemoryOutbox

Row = dict[str, Any]


class MemoryJournal(DueOrders, MemoryPlacing):
    """Implements actors.ports.Journal and dispatch.service.Placer over dictionaries.

    Args:
        wall: the store's clock, UTC seconds.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.epochs = [0] * SHARD_COUNT
        self.incarnations = [""] * SHARD_COUNT
        self.owners: list[str | None] = [None] * SHARD_COUNT
        self.orders: dict[int, Row] = {}
        self.drivers: dict[int, Row] = {}
        self.zones: dict[int, Row] = {}
        self.stores: dict[int, Row] = {}
        self.products: dict[int, Row] = {}
        # Names of customers.
        self.users: dict[int, str] = {}
        self.assignments: dict[int, tuple[int, int]] = {}
        # Slots left by hand-overs of the present batch. They count as taken until its end.
        self._left: list[tuple[int, int]] = []
        # Items of orders that were taken from a stock and not returned.
        self.taken: dict[int, list[tuple[int, int]]] = {}
        self.store_days: Counter[tuple[int, int]] = Counter()
        self.order_events: list[Row] = []
        self.stock_told: list[tuple[int, str, Row]] = []
        self.outbox = MemoryOutbox()
        self.delivery_times: dict[int, tuple[float, float]] = {}
        self.driver_events: dict[int, list[Row]] = {}
        self.keys: dict[tuple[int, str, str], Row] = {}
        self.locks = Locks()
        self.preparation_times: dict[tuple[int, int, int], tuple[float, float]] = {}
        self.driver_speeds: dict[tuple[int, int], float] = {}
        self._next_order = 1

    # -- the catalogue ------------------------------------------------------------------------

    def add_zone(
        self,
        number: int,
        mode: str = "waves",
        wave_size: int = 3,
        offer_ttl_s: int = 20,
        give_up_after_s: int | None = 3600,
        driver_pay_minor: int | None = None,
        plan: str | None = None,
        planning: Row | None = None,
        delivery_rules: Row | None = None,
    ) -> None:
        self.zones[number] = {
            "id": number,
            "name": f"zone {number}",
            "mode": mode,
            "wave_size": wave_size,
            "offer_ttl_s": offer_ttl_s,
            "writer": "",
            "offer_distance_max_m": 50_000,
            "release_pause_s": 600,
            "give_up_after_s": give_up_after_s,
            "driver_pay_minor": driver_pay_minor,
            "plan": plan,
            "planning": planning,
            "delivery_rules": delivery_rules,
            "queue_radius_m": None,
        }

    def add_store(
        self, number: int, zone_id: int, lat: float = 0.0, lon: float = 0.0, radius_m: int | None = None
    ) -> None:
        self.stores[number] = {
            "id": number,
            "zone_id": zone_id,
            "name": f"store {number}",
            "lat": lat,
            "lon": lon,
            "preparation_s": 600,
            "preparation_learned": True,
            "active": True,
            "delivery_radius_m": radius_m,
        }

    def add_product(
        self, number: int, store_id: int, price_minor: int = 500, stock: int | None = None
    ) -> None:
        self.products[number] = {
            "id": number,
            "store_id": store_id,
            "name": f"product {number}",
            "price_minor": price_minor,
            "currency": "EUR",
            "stock": stock,
            "active": True,
        }

    def add_driver(self, number: int, zone_id: int, capacity: int = 1, status: str = "offline") -> None:
        self.drivers[number] = {
            "id": number,
            "shard": shard_of(ActorId("driver", number)),
            "zone_id": zone_id,
            "name": f"driver {number}",
            "account": "active",
            "status": status,
            "capacity": capacity,
            "version": 1,
            "feed_seq": 0,
            "recent": [],
            "writer": "",
            "lat": None,
            "lon": None,
            "unreachable_ms": None,
            "shift_ends_ms": None,
        }
        self.driver_events[number] = []

    # -- the journal --------------------------------------------------------------------------

    async def wall(self) -> float:
        return self._wall()

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        known = dict(zip(shards, expected or (), strict=False))
        claims = []
        for shard in sorted(shards):
            previous, epoch = self.epochs[shard], None
            mine = expected is None or previous == known[shard] or self.incarnations[shard] == incarnation
            if mine:
                epoch = self.epochs[shard] = max(previous + 1, int(self._wall() * 1000))
                self.incarnations[shard] = incarnation
                self.owners[shard] = owner
            claims.append(Claim(shard, epoch, previous))
        return claims

    async def shards(self) -> Sequence[ShardRow]:
        return [ShardRow(epoch, owner) for epoch, owner in zip(self.epochs, self.owners, strict=True)]

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        read = {"order": self._order_row, "driver": self._driver_row, "zone": self._zone_row}[kind]
        found = {number: read(number) for number in numbers}
        return {number: row for number, row in found.items() if row is not None}

    def _order_row(self, number: int) -> Row | None:
        row = self.orders.get(number)
        return None if row is None else deepcopy(row)

    def _driver_row(self, number: int) -> Row | None:
        row = self.drivers.get(number)
        return None if row is None else deepcopy(row) | {"carrying": self._carried(number)}

    def _zone_row(self, number: int) -> Row | None:
        """A row of the view zone_rows. Zones in memory live in UTC."""
        row = self.zones.get(number)
        if row is None:
            return None
        hour = int(self._wall()) // 3600 % 24
        speed = self.driver_speeds.get((number, hour), self.driver_speeds.get((number, -1)))
        spreads: dict[int, int] = {}
        for (zone, store, at), (likely_s, late_s) in sorted(self.preparation_times.items()):
            if zone == number and at in (-1, hour):
                spreads[store] = round(late_s - likely_s)
        there = [s for s in self.stores.values() if s["zone_id"] == number and s["active"]]
        middle = [sum(s[name] for s in there) / len(there) if there else None for name in ("lat", "lon")]
        lat, lon = middle if row["queue_radius_m"] is not None else (None, None)
        return row | {
            "learned_speed_m_per_s": speed,
            "ready_spreads": [*map(list, spreads.items())] or None,
            "queue_lat": lat,
            "queue_lon": lon,
        }

    def _carried(self, driver: int) -> list[int]:
        return [order for order, (who, _) in self.assignments.items() if who == driver]

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Write drivers first. A freed slot can be taken from the next batch on, as in the SQL."""
        del lane
        # What is no JSON cannot be written, as in Postgres.
        items = orjson.loads(orjson.dumps(list(items)))
        self.locks.refuse(items, self.orders)
        outcomes: dict[int, Outcome] = {}
        self._left.clear()
        for index, item in sorted(enumerate(items), key=lambda pair: pair[1]["kind"] != "driver"):
            outcomes[index] = self._apply(item)
        for index, item in enumerate(items):
            if outcomes[index].ok and item.get("free") and not is_over(item):
                self.assignments.pop(item["id"], None)
        return [outcomes[index] for index in range(len(items))]

    def needs(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        return needs(item)

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        return self.locks.blocked(items, self.orders)

    def _apply(self, item: Mapping[str, Any]) -> Outcome:
        if self.epochs[item["shard"]] != item["epoch"]:
            return Outcome("stale", {})
        if item["kind"] == "driver":
            return self._apply_driver(item)
        row = self.orders.get(item["id"])
        if row is None or row["version"] != item["version"] or row["shard"] != item["shard"]:
            return Outcome("version", {})
        if not is_legal(row, item):
            return Outcome("illegal", {})
        slot = None
        if item.get("take") is not None:
            code, slot = self._slot(item)
            if code != "ok":
                return Outcome(code, {})
            if is_over(item):
                self._left.append(self.assignments[item["id"]])
            self.assignments[item["id"]] = (item["take"], int(slot or 0))
        self._write_order(row, item)
        seqs = [self._append(entry, item) for entry in item.get("feed") or ()]
        return Outcome("ok", {"slot": slot, "seqs": seqs})

    def _slot(self, item: Mapping[str, Any]) -> tuple[str, int | None]:
        driver = self.drivers.get(item["take"])
        if driver is None or driver["status"] != "online":
            return "offline", None
        if item["zone"] is not None and driver["zone_id"] != item["zone"]:
            return "elsewhere", None
        held = (*self.assignments.values(), *self._left)
        taken = {slot for who, slot in held if who == item["take"]}
        free = [slot for slot in range(driver["capacity"]) if slot not in taken]
        if not free or len(taken) >= driver["capacity"]:
            return "busy", None
        carrier = self.assignments.get(item["id"], (None, 0))[0]
        if carrier != (self.orders[item["id"]]["driver_id"] if is_over(item) else None):
            return "conflict", None
        return "ok", free[0]

    def _write_order(self, row: Row, item: Mapping[str, Any]) -> None:
        row.update(
            status=item["status"],
            version=row["version"] + 1,
            driver_id=item["driver"],
            round=item["round"],
            mode=item["mode"],
            search=deepcopy(item["search"]),
            due_ms=item["due_ms"],
            ready_ms=item["ready_ms"],
            ready_each=item.get("ready_each"),
            updated_ms=item["at_ms"],
            recent=deepcopy(item["recent"]),
            writer=item["writer"],
        )
        event = {
            "order_id": item["id"],
            "version": row["version"],
            "type": item["event"],
            "actor_role": item["role"],
            "actor_id": item["actor"],
            "status": item["status"],
            "driver_id": item["driver"],
            "trace": item["trace"],
        }
        self.order_events.append(event)
        self.outbox.put_order(row, event, item["at_ms"], reason=item["reason"], data=item["data"])
        if item["restock"]:
            for product, taken in self.taken.pop(row["id"], ()):
                if self.products[product]["stock"] is not None:
                    self.products[product]["stock"] += taken

    def _append(self, entry: Mapping[str, Any], item: Mapping[str, Any]) -> int:
        driver = self.drivers[entry["driver"]]
        driver["feed_seq"] += 1
        self.driver_events[driver["id"]].append(
            {
                "seq": driver["feed_seq"],
                "type": entry["type"],
                "order_id": item["id"],
                "at_ms": item["at_ms"],
                "trace": item["trace"],
                "data": deepcopy(entry["data"]),
            }
        )
        return int(driver["feed_seq"])

    def _apply_driver(self, item: Mapping[str, Any]) -> Outcome:
        row = self.drivers.get(item["id"])
        if row is None or row["version"] != item["version"] or row["shard"] != item["shard"]:
            return Outcome("version", {})
        row.update(
            status=item["status"],
            capacity=item["capacity"],
            zone_id=item["zone"],
            version=row["version"] + 1,
            recent=deepcopy(item["recent"]),
            writer=item["writer"],
            unreachable_ms=item.get("unreachable_ms"),
            shift_ends_ms=item.get("shift_ends_ms"),
        )
        return Outcome("ok", {})

    # -- reads --------------------------------------------------------------------------------

    async def read(self, query: Query) -> Any:
        match query.name:
            case "zone_orders":
                return self._open_orders(query.params[0])
            case "zone_drivers":
                return self._online_drivers(query.params[0])
            case "zone_carried":
                return self._carried_in(query.params[0])
            case "load_orders":
                return [deepcopy(self.orders[n]) for n in query.params[0] if n in self.orders]
            case "feed_after":
                number, after, limit = query.params
                events = [e for e in self.driver_events.get(number, ()) if e["seq"] > after]
                return deepcopy(events[:limit])
            case "driver_snapshot":
                return self._snapshot(query.params[0])
            case "load_zones":
                rows = (self._zone_row(number) for number in query.params[0])
                return [row for row in rows if row is not None]
            case _:
                raise ValueError(query.name)

    async def rows(self, name: str, *args: Any) -> Sequence[Any]:
        """Named queries of background tasks."""
        match name:
            case "feed_positions":
                return [
                    {"id": n, "feed_seq": self.drivers[n]["feed_seq"], "carrying": self._carried(n)}
                    for n in args[0]
                ]
            case "save_positions":
                for item in args[0]:
                    self.drivers[item["id"]].update(lat=item["lat"], lon=item["lon"])
                return []
            case "zones_of_all":
                return [{"id": n} for n in self.zones]
            case "trim_expired" | "sessions_trim":
                return []
            case _:
                raise ValueError(name)

    def _open_orders(self, zone: int) -> list[tuple[int, int]]:
        open_ones = [o for o in self.orders.values() if o["zone_id"] == zone and o["status"] == "confirmed"]
        return [(order["id"], order["version"]) for order in open_ones]

    def _online_drivers(self, zone: int) -> list[tuple[Any, ...]]:
        online = [d for d in self.drivers.values() if d["zone_id"] == zone and d["status"] == "online"]
        online = [d for d in online if d["unreachable_ms"] is None]
        return [
            (d["id"], d["lat"], d["lon"], d["capacity"], self._carried(d["id"]), d["shift_ends_ms"])
            for d in online
        ]

    def _carried_in(self, zone: int) -> list[tuple[int, int]]:
        drivers = [d["id"] for d in self.drivers.values() if d["zone_id"] == zone]
        return [(n, self.orders[n]["version"]) for driver in drivers for n in self._carried(driver)]

    def _snapshot(self, number: int) -> Row | None:
        driver = self.drivers.get(number)
        if driver is None:
            return None
        told = {event["order_id"] for event in self.driver_events[number][-100:] if event["type"] == "offer"}
        offered = [
            deepcopy(order)
            for order in map(self.orders.__getitem__, sorted(told))
            if order["status"] == "confirmed"
            and any(offer[1] == number for offer in (order["search"] or {}).get("offers", ()))
        ]
        carried = [deepcopy(self.orders[order]) for order in sorted(self._carried(number))]
        return {
            "feed_seq": driver["feed_seq"],
            "status": driver["status"],
            "capacity": driver["capacity"],
            "carried": carried,
            "offered": offered,
        }
