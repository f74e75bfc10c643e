"""Creation of orders in memory: create_orders() over dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import ceil, floor, inf
from typing import Any

from actors.messages import ActorId
from actors.shards import shard_of
from storage.geo import metres_between
from storage.memory.locks import Locks
from storage.memory.outbox import MemoryOutbox

Row = dict[str, Any]


def _unlike_the_first(values: Sequence[Any]) -> list[int]:
    return [line for line, value in enumerate(values) if value != values[0]]


def _stock_events(before: int, after: int, low: int) -> list[str]:
    """stock_events() of functions/catalogue.sql."""
    is_low = low > 0 and before > low >= after
    return ["low"] * is_low + ["out"] * (before > 0 == after)


class MemoryPlacing:
    """Implements dispatch.service.Placer; it uses the dictionaries of MemoryJournal.

    `stock_told` is what the outbox of Postgres gets about stocks: (product, trace, data).
    """

    _wall: Callable[[], float]
    orders: dict[int, Row]
    zones: dict[int, Row]
    delivery_times: dict[int, tuple[float, float]]
    preparation_times: dict[tuple[int, int, int], tuple[float, float]]
    stores: dict[int, Row]
    products: dict[int, Row]
    users: dict[int, str]
    taken: dict[int, list[tuple[int, int]]]
    store_days: Counter[tuple[int, int]]
    order_events: list[Row]
    stock_told: list[tuple[int, str, Row]]
    outbox: MemoryOutbox
    keys: dict[tuple[int, str, str], Row]
    locks: Locks
    _next_order: int

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[Any]:
        return [self.locks.refusal(request) or self._place(request) for request in requests]

    def _place(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = (request["customer"], request["route"], request["key"])
        held = self.keys.get(key)
        if held is not None and held["expires"] > self._wall():
            if held["fingerprint"] != request["fingerprint"]:
                return {"code": "key_reused", "facts": {}}
            return {"code": held["code"], "facts": deepcopy(held["facts"]), "replayed": True}
        code, facts = self._judge(request)
        if code == "created":
            facts = self._create(request)
        self.keys[key] = {
            "fingerprint": request["fingerprint"],
            "code": code,
            "facts": deepcopy(facts),
            "expires": self._wall() + request["ttl_s"],
        }
        return {"code": code, "facts": deepcopy(facts), "replayed": False}

    def _judge(self, request: Mapping[str, Any]) -> tuple[str, Row]:
        lines = [(self.products.get(x["product"]), x["quantity"]) for x in request["lines"]]
        unknown = [i for i, (product, _) in enumerate(lines) if product is None]
        if unknown:
            return "unknown_product", {"lines": unknown}
        known = [(product, quantity) for product, quantity in lines if product is not None]
        stores = [self.stores[product["store_id"]] for product, _ in known]
        active = [p["active"] and s["active"] for (p, _), s in zip(known, stores, strict=True)]
        if not all(active):
            return "inactive_product", {"lines": [i for i, ok in enumerate(active) if not ok]}
        currencies = [product["currency"] for product, _ in known]
        if len(set(currencies)) > 1:
            return "mixed_currency", {"lines": _unlike_the_first(currencies)}
        zones = [store["zone_id"] for store in stores]
        if len(set(zones)) > 1:
            return "mixed_zones", {"lines": _unlike_the_first(zones)}
        away = [
            (metres_between(s["lat"], s["lon"], request["lat"], request["lon"]), s["delivery_radius_m"])
            for s in stores
            if s["delivery_radius_m"] is not None
        ]
        far = [(distance_m, radius_m) for distance_m, radius_m in away if distance_m > radius_m]
        if far:
            return "out_of_range", {"distance_m": ceil(max(far)[0]), "radius_m": min(r for _, r in far)}
        total_minor = sum(product["price_minor"] * quantity for product, quantity in known) + _tip_minor(
            request
        )
        expected = (request.get("expected"), request.get("expected_currency"))
        if expected not in ((None, None), (total_minor, currencies[0])):
            prices = [[product["id"], product["price_minor"]] for product, _ in known]
            return "price_changed", {"total_minor": total_minor, "currency": currencies[0], "prices": prices}
        short = [i for i, (p, n) in enumerate(known) if p["stock"] is not None and p["stock"] < n]
        if short:
            return "out_of_stock", {"lines": short}
        code, facts = self._bounded(request, sum(n for p, n in known if p["stock"] is not None))
        if code == "created" and _wish(request).get("deliver_ms") is not None:
            earliest_ms = self._earliest_ms(stores, request)
            if _wish(request)["deliver_ms"] < earliest_ms:
                return "too_soon", {"earliest_ms": ceil(earliest_ms)}
        return code, facts

    def _earliest_ms(self, stores: Sequence[Row], request: Mapping[str, Any]) -> float:
        """When an order of these stores is expected at the door if it is wanted as soon as possible."""
        now_ms = int(self._wall() * 1000)
        ready_ms = now_ms + 1000 * max(self._preparation_s(store, now_ms) for store in stores)
        return self.promise_ms(stores[0], request, ready_ms)[0]

    def _terms(self, number: int, request: Mapping[str, Any], zone: Row) -> Row | None:
        """Terms as order_terms() makes them; the PIN follows from the number."""
        wish, rules = _wish(request), zone.get("delivery_rules") or {}
        found = {
            "deliver_ms": wish.get("deliver_ms"),
            "ahead_s": rules.get("offer_ahead_s", 1200) if wish.get("deliver_ms") is not None else None,
            "tip_minor": wish.get("tip_minor") or None,
            "pin": f"{number * 7919 % 10_000:04d}" if wish.get("pin") or rules.get("dropoff_pin") else None,
            "fee_minor": rules.get("cancellation_fee_minor") or None,
        }
        return {name: value for name, value in found.items() if value is not None} or None

    def _bounded(self, request: Mapping[str, Any], wanted: int) -> tuple[str, Row]:
        """True if the customer's limits allow this order."""
        mine = [
            order
            for order in self.orders.values()
            if order["customer_id"] == request["customer"]
            and (order["status"], order["payment"]) in (("awaiting_payment", "card"), ("confirmed", "cash"))
        ]
        unpaid = sum(order["status"] == "awaiting_payment" for order in mine)
        unpaid_max, held_max = request.get("unpaid_max", inf), request.get("held_max", inf)
        if request["payment"] == "card" and unpaid >= unpaid_max:
            return "too_many_unpaid", {"unpaid": unpaid, "max": unpaid_max}
        held = sum(quantity for order in mine for _, quantity in self.taken.get(order["id"], ()))
        if wanted and held + wanted > held_max:
            return "too_many_held", {"held": held, "wanted": wanted, "max": held_max}
        return "created", {}

    def _pickup(self, stop: Row, stores: Sequence[Row], now_ms: int) -> list[Any]:
        day = (stop["id"], now_ms // 86_400_000)
        self.store_days[day] += 1
        lines = [i for i, store in enumerate(stores) if store["id"] == stop["id"]]
        return [stop["id"], stop["name"], stop["lat"], stop["lon"], self.store_days[day], lines]

    def _tell_stock(self, product: Row, taken: int, request: Mapping[str, Any]) -> None:
        own, after = product.get("low_stock"), product["stock"]
        low = own if own is not None else request.get("low_stock") or 0
        self.stock_told += [
            (product["id"], request["trace"], {"event": event, "stock": after, "limit": low})
            for event in _stock_events(after + taken, after, low)
        ]

    def _preparation_s(self, store: Row, now_ms: int) -> int:
        """learned_preparation_s() of functions/learned_times.sql. Zones in memory live in UTC."""
        said: int = store["preparation_s"]
        if not store.get("preparation_learned", True):
            return said
        zone, hour = store["zone_id"], now_ms // 3_600_000 % 24
        keys = ((zone, store["id"], hour), (zone, store["id"], -1), (zone, 0, -1))
        known = (self.preparation_times[key] for key in keys if key in self.preparation_times)
        return round(next(known, (said, said))[0])

    def promise_ms(self, store: Row, request: Mapping[str, Any], ready_ms: float) -> tuple[int, int]:
        """Times of functions/promises.sql: expected and promised, in milliseconds."""
        zone = self.zones[store["zone_id"]]
        planning = zone.get("planning") or {}
        scale = planning.get("time_scale", 1)
        straight_m = metres_between(store["lat"], store["lon"], request["lat"], request["lon"])
        way_s = straight_m * planning.get("street_factor", 1.3) / planning.get("speed_m_per_s", 5) / scale
        rests_s = self.delivery_times.get(store["zone_id"], (900 / scale, 1800 / scale))
        likely_ms, late_ms = (floor(ready_ms + 1000 * (way_s + rest_s)) for rest_s in rests_s)
        return likely_ms, late_ms

    def _create(self, request: Mapping[str, Any]) -> Row:
        number, self._next_order = self._next_order, self._next_order + 1
        now_ms = int(self._wall() * 1000)
        items, taken = [], []
        for line in request["lines"]:
            product = self.products[line["product"]]
            if product["stock"] is not None:
                product["stock"] -= line["quantity"]
                self._tell_stock(product, line["quantity"], request)
                taken.append((product["id"], line["quantity"]))
            items.append([product["id"], product["name"], line["quantity"], product["price_minor"]])
        products = [self.products[line["product"]] for line in request["lines"]]
        stores = [self.stores[product["store_id"]] for product in products]
        store = stores[0]
        total_minor = sum(quantity * price for _, _, quantity, price in items) + _tip_minor(request)
        due = request["payment"] == "card" and total_minor > 0  # of nothing nothing is to be held
        stops = {s["id"]: s for s in stores}
        pickups = [self._pickup(stop, stores, now_ms) for stop in stops.values()]
        wanted_ms = _wish(request).get("deliver_ms")
        held_ms = 0 if wanted_ms is None else max(0, wanted_ms - self._earliest_ms(stores, request))
        ready = [
            round(now_ms + 1000 * self._preparation_s(stop, now_ms) + held_ms) for stop in stops.values()
        ]
        self.taken[number] = taken
        expected_ms, promised_ms = self.promise_ms(store, request, max(ready))
        row = {
            "id": number,
            "shard": shard_of(ActorId("order", number)),
            "zone_id": store["zone_id"],
            "store_id": store["id"],
            "pickups": pickups,
            "ready_each": ready if len(ready) > 1 else None,
            "customer_id": request["customer"],
            "contact_name": request.get("contact_name") or self.users.get(request["customer"]),
            "contact_phone": request.get("contact_phone"),
            "driver_pay_minor": self.zones[store["zone_id"]]["driver_pay_minor"],
            "status": "awaiting_payment" if due else "confirmed",
            "version": 1,
            "driver_id": None,
            "round": 1,
            "mode": self.zones[store["zone_id"]]["mode"],
            "search": None,
            "recent": [],
            "writer": "",
            "dropoff_lat": request["lat"],
            "dropoff_lon": request["lon"],
            "address": request["address"],
            "payment": request["payment"],
            "notes": request["notes"],
            "total_minor": total_minor,
            "currency": products[0]["currency"],
            "created_ms": now_ms,
            "updated_ms": now_ms,
            "ready_ms": max(ready),
            "due_ms": now_ms + 1000 * request["pay_window_s"] if due else now_ms,
            "items": items,
            "expected_ms": expected_ms,
            "promised_ms": promised_ms,
            "terms": self._terms(number, request, self.zones[store["zone_id"]]),
        }
        self.orders[number] = row
        event = {
            "order_id": number,
            "version": 1,
            "type": "created",
            "actor_role": "customer",
            "actor_id": f"usr_{request['customer']}",
            "status": row["status"],
            "driver_id": None,
            "trace": request["trace"],
        }
        self.order_events.append(event)
        self.outbox.put_order(row, event, now_ms)
        return deepcopy(row)


def _wish(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the customer asks for beside the goods."""
    return request.get("wish") or {}


def _tip_minor(request: Mapping[str, Any]) -> int:
    return int(_wish(request).get("tip_minor") or 0)
