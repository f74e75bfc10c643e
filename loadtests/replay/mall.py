"""The stores of a replayed day, built, operated and audited over the public API."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from loadtests.kit.client import ApiProblem, Mall
from loadtests.kit.waiting import each
from loadtests.replay.day import Atlas, Day, DayClock, DayOrder
from loadtests.replay.people import ReplayUser
from loadtests.replay.record import DayRecord, Won

# As in the score in virtual time.
TRIP_ORDERS_MAX = 4
ENDED = ("delivered", "cancelled", "undeliverable")


@dataclass(slots=True)
class BuiltStores:
    """What was built.

    Attributes:
        products: a product of every restaurant, by the restaurant's id.
        run: begins the keys of this replay's orders.
    """

    run: str = field(default_factory=lambda: f"replay-{secrets.token_hex(8)}")
    products: dict[str, str] = field(default_factory=dict)


# -- building -------------------------------------------------------------------------------------


async def open_zone(
    admin: Mall, day: Day, mode: str, wave_size: int, offer_ttl_s: int, speedup: float
) -> str:
    """A zone for this run alone, with the day's rules; returns its id."""
    rules = day.rules
    body = {
        "name": f"Replay of {day.name} {secrets.token_hex(3)}"[:80],
        "mode": mode,
        "wave_size": wave_size,
        "offer_ttl_s": offer_ttl_s,
        "planning": {
            "speed_m_per_s": rules.meters_per_minute / 60,
            "street_factor": 1.0,
            "travel_round_s": 60,
            "pickup_s": 2 * rules.pickup_half * 60,
            "dropoff_s": 2 * rules.dropoff_half * 60,
            "trip_orders_max": TRIP_ORDERS_MAX,
            "detour_max_s": 1200,
            "time_scale": speedup,
        },
    }
    zone = await admin.persist("POST", "/api/v2/zones", body)
    return str(zone["id"])


async def build(admin: Mall, day: Day, atlas: Atlas, zone_id: str, speedup: float) -> BuiltStores:
    """A store with one product for every restaurant, in real time as quick as on that day."""
    stores = BuiltStores()
    minutes: defaultdict[str, list[int]] = defaultdict(list)
    for order in day.orders.values():
        minutes[order.restaurant].append(order.ready - order.placed)

    async def open_store(restaurant: str) -> None:
        usual = median(minutes.get(restaurant, [0]))
        body = {"zone_id": zone_id, "name": restaurant, **atlas.place(day.restaurants[restaurant])}
        body["delivery_radius_m"] = None  # what was delivered on that day was in range
        body["preparation_s"] = max(0, round(usual * 60 / speedup))
        store = await admin.persist("POST", "/api/v2/stores", body)
        product = {
            "store_id": store["id"],
            "name": f"Meal of {restaurant}",
            "price": {"amount_minor": 1000, "currency": "EUR"},
        }
        answer = await admin.persist("POST", "/api/v2/products", product)
        stores.products[restaurant] = answer["id"]

    await each(sorted(day.restaurants), open_store)
    return stores


async def enlist(admin: Mall, driver: ReplayUser, zone_id: str, capacity: int) -> str:
    """Bring a driver into the zone, with hands for a trip; returns its driver id."""
    body = {"zone_id": zone_id, "capacity": capacity}
    return str((await admin.persist("PATCH", f"/api/v2/users/{driver.id}", body))["driver_id"])


# -- operating ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """Places the day's orders and speaks for the restaurants."""

    admin: ReplayUser
    stores: BuiltStores
    atlas: Atlas
    clock: DayClock
    record: DayRecord

    async def place(self, order: DayOrder, customer: ReplayUser) -> None:
        """Place an order at its minute; then say when it will be ready."""
        await self.clock.until(order.placed)
        body = {
            "items": [{"product_id": self.stores.products[order.restaurant], "quantity": 1}],
            "dropoff": {**self.atlas.place(order.dropoff), "address": order.id},
            "payment": "cash",
        }
        key = f"{self.stores.run}-{order.id}"
        answer = await self._insist(customer, "POST", "/api/v2/orders", body, key)
        if answer is None:
            return
        self.record.acknowledged[order.id] = answer["id"]
        ready_s = self.clock.wall_ms(order.ready) / 1000
        path = f"/api/v2/orders/{answer['id']}/ready-time"
        await self._insist(self.admin, "PUT", path, {"ready_at": rfc3339(ready_s)}, None)

    async def release(self, number: str) -> None:
        """Take an order from its driver."""
        path = f"/api/v2/orders/{number}/release"
        await self._insist(self.admin, "POST", path, {"reason": "ready after the driver's end"}, None)

    async def _insist(
        self, who: ReplayUser, method: str, path: str, body: Any, key: str | None
    ) -> dict[str, Any] | None:
        try:
            status, answer = await who.mall.insist(method, path, body, key=key)
        except TimeoutError as error:
            self.record.errors.append(str(error))
            return None
        if status >= 400:
            self.record.errors.append(f"{method} {path}: {status} {answer.get('code')}")
            return None
        return answer


def rfc3339(seconds: float) -> str:
    """A real time, seconds since 1970, as the API wants it."""
    whole = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return whole.replace("+00:00", "Z")


# -- audit ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class ReplayAudit:
    """What the server shows at the end; each list should be empty."""

    lost: list[str] = field(default_factory=list)
    double_assigned: list[str] = field(default_factory=list)


async def audit(admin: Mall, record: DayRecord) -> ReplayAudit:
    """Look every acknowledged order up, and read its history."""
    found = ReplayAudit()

    async def look(item: tuple[str, str]) -> None:
        name, number = item
        try:
            order = await admin.persist("GET", f"/api/v2/orders/{number}")
            history = (await admin.persist("GET", f"/api/v2/orders/{number}/events?limit=1000"))["items"]
        except ApiProblem as error:
            found.lost.append(f"{name}: {number} {error.code}")
            return
        if order["status"] not in ENDED:
            found.lost.append(f"{name}: {number} is still {order['status']}")
        found.double_assigned += [f"{name}: {x}" for x in twice(history, record.told.get(number, ()))]

    await each(sorted(record.acknowledged.items()), look)
    return found


def twice(history: Iterable[dict[str, Any]], told: Sequence[Won]) -> list[str]:
    """How an order's history and what drivers were told speak of two drivers at once."""
    faults, holder = [], None
    assigned: set[Won] = set()
    for event in history:
        if event["type"] == "assigned":
            driver = event["data"]["driver_id"]
            if holder is not None:
                faults.append(f"assigned to {driver} while {holder} had it")
            holder = driver
            assigned.add(Won(driver, event["version"]))
        elif event["type"] == "released":
            holder = None
    faults += [f"{won.driver_id} was told so at version {won.version}" for won in told if won not in assigned]
    return faults
