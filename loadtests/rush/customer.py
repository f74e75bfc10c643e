"""A customer with an app: browses, orders, watches the order, sometimes cancels. A locust user."""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

import gevent
import orjson
from locust import FastHttpUser

from loadtests.rush.run_state import STATE
from loadtests.rush.think_times import Span

LAT, LON = 52.52, 13.405
REQUEST_S = 30.0
# An order is sent again, under its key, until its outcome is known.
TRIES, TRY_AGAIN_S = 4, (0.3, 1.0)
UNKNOWN = frozenset({0, 429, 500, 503, 504})
OVER = frozenset({"delivered", "cancelled", "undeliverable", "failed"})


class RushCustomer(FastHttpUser):  # type: ignore[misc]
    """One customer; every order has a key and is paid in cash, so that it is open at once."""

    network_timeout = connection_timeout = REQUEST_S

    def on_start(self) -> None:
        self.user = STATE.assign("customer")
        self.chance = random.Random(STATE.chance.getrandbits(64))
        self.think_times = STATE.profile.think_times

    def on_stop(self) -> None:
        STATE.leave("customer", self.user)

    def wait_time(self) -> float:
        """The app is put away until the next visit."""
        return self.chance.uniform(*self.think_times.pause_s)

    def visit(self) -> None:
        """From the list of stores to the delivered order."""
        _, stores = self._call("GET", f"/stores?zone_id={self.user.zone_id}", "/stores")
        if not stores.get("items"):
            return
        self._think(self.think_times.page_s)
        store = stores["items"][0]["id"]
        _, shelf = self._call("GET", f"/stores/{store}/products", "/stores/*/products")
        products = [product["id"] for product in shelf.get("items", ())]
        if not products:
            return
        self._think(self.think_times.page_s)
        order = self._shop(products)
        if order is not None:
            self._watch(order)
        if self.chance.random() < self.think_times.history:
            self._call("GET", "/orders?limit=20", "/orders")

    tasks: ClassVar = [visit]

    def _shop(self, products: list[str]) -> str | None:
        """Order something; when it is sold out, perhaps something else."""
        self.chance.shuffle(products)
        for product in products[: self.think_times.tries]:
            order = self._place(product, self.chance.randint(1, self.think_times.units))
            if order is not None:
                return order
            self._think(self.think_times.page_s)
        return None

    def _place(self, product: str, units: int) -> str | None:
        """Place an order, under one key however often it is sent; None when it is not to be had."""
        body = {
            "items": [{"product_id": product, "quantity": units}],
            "dropoff": {
                "lat": LAT + self.chance.uniform(0, 0.02),
                "lon": LON + self.chance.uniform(0, 0.02),
                "address": "1 Test Street",
            },
            "payment": "cash",
        }
        key = f"rush-{self.chance.getrandbits(96):024x}"
        results = STATE.results
        results.asked[product] += units
        for _ in range(TRIES):
            status, answer = self._call("POST", "/orders", "/orders", body, key, fine=("out_of_stock",))
            if status in UNKNOWN or answer.get("code") == "request_in_flight":
                self._think(TRY_AGAIN_S)
                continue
            results.asked[product] -= units
            if status != 201:
                results.counts["out of stock"] += answer.get("code") == "out_of_stock"
                return None
            results.sold[product] += units
            results.counts["orders placed"] += 1
            return str(answer["id"])
        return None

    def _watch(self, order: str) -> None:
        """Look at the order until it is over or patience is; sometimes cancel it."""
        if self.chance.random() < self.think_times.cancel:
            self._think(self.think_times.page_s)
            late = ("order_closed", "invalid_transition")
            status, _ = self._call(
                "POST", f"/orders/{order}/cancellation", "/orders/*/cancel", {"reason": "changed my mind"},
                f"cancel-{order}-{self.chance.getrandbits(48):012x}", fine=late,
            )  # fmt: skip
            STATE.results.counts["orders cancelled"] += status == 200
        until_s = time.monotonic() + self.chance.uniform(*self.think_times.watch_s)
        while time.monotonic() < until_s:
            self._think(self.think_times.poll_s)
            _, seen = self._call("GET", f"/orders/{order}", "/orders/*")
            if seen.get("status") in OVER:
                return

    def _call(
        self,
        method: str,
        path: str,
        name: str,
        body: dict[str, Any] | None = None,
        key: str | None = None,
        fine: tuple[str, ...] = (),
    ) -> tuple[int, dict[str, Any]]:
        """One request; `fine` are codes of problems that are answers, not errors. Status 0: none came."""
        headers = {"Authorization": f"Bearer {self.user.token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), "application/json"
        with self.client.request(
            method, f"/api/v2{path}", name=name, data=data, headers=headers, catch_response=True
        ) as response:
            status = int(response.status_code or 0)
            answer = _json(response.content)
            if 200 <= status < 300 or answer.get("code") in fine:
                response.success()
            else:
                response.failure(f"{status} {answer.get('code') or getattr(response, 'error', '')}")
        return status, answer

    def _think(self, span: Span) -> None:
        gevent.sleep(self.chance.uniform(*span))


def _json(content: bytes | None) -> dict[str, Any]:
    """An object, or an empty one for whatever else came."""
    try:
        found = orjson.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
