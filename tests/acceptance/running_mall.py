"""A running mall and its people, in the words of the stories: zones, customers, drivers with their phones."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import ApiProblem, Mall, Phone
from loadtests.kit.server import ServerProcess

keys = (f"story-key-{n:08d}" for n in itertools.count())


class RunningMall:
    """A server, clients of an admin and two customers, and drivers when a story asks for them."""

    def __init__(self, process: ServerProcess, http: aiohttp.ClientSession, tokens: dict[str, str]) -> None:
        self.process = process
        self.anybody = Mall(http, process.url)
        self.admin = self.anybody.as_(tokens["admin"])
        self.customer = self.anybody.as_(tokens["customer"])
        self.other = self.anybody.as_(tokens["other"])
        self.numbers = itertools.count(1)

    async def zone(self, preparation_s: int = 600, **settings: Any) -> MallZone:
        """A zone of its own with a store and a product, so that stories do not meet.

        Its orders go to the nearest driver, unless `settings` say something else.
        """
        body = {"name": "Zone", "mode": "waves", "wave_size": 1, "offer_ttl_s": 30} | settings
        zone = (await self.admin.do("POST", "/api/v2/zones", body))["id"]
        place = {"lat": 1.0, "lon": 2.0, "preparation_s": preparation_s}
        store = await self.admin.do("POST", "/api/v2/stores", {"zone_id": zone, "name": "Store", **place})
        price = {"amount_minor": 500, "currency": "EUR"}
        body = {"store_id": store["id"], "name": "Thing", "price": price, "stock": 10}
        product = await self.admin.do("POST", "/api/v2/products", body)
        return MallZone(self, zone, product["id"])

    async def neighbour(self, zone: MallZone, preparation_s: int = 0) -> str:
        """Another store of a zone, about 100 m from the first one; returns the id of its product."""
        place = {"lat": 1.0009, "lon": 2.0, "preparation_s": preparation_s}
        body = {"zone_id": zone.id, "name": "Next door", **place}
        store = await self.admin.do("POST", "/api/v2/stores", body)
        price = {"amount_minor": 700, "currency": "EUR"}
        body = {"store_id": store["id"], "name": "Other thing", "price": price, "stock": 10}
        return str((await self.admin.do("POST", "/api/v2/products", body))["id"])


class MallZone:
    """A zone with one store and one product, for one story alone."""

    def __init__(self, mall: RunningMall, zone_id: str, product_id: str) -> None:
        self.mall = mall
        self.id = zone_id
        self.product_id = product_id

    async def driver(self, capacity: int = 1) -> MallDriver:
        """A driver of this zone, offline."""
        number = next(self.mall.numbers)
        [user] = await self.mall.process.mint(
            "driver", 1, "--zone", self.id, "--prefix", f"story{number}", "--capacity", str(capacity)
        )
        return MallDriver(self.mall.anybody.as_(user["access_token"]), user["id"])

    async def order(
        self, payment: str = "cash", quantity: int = 1, product_id: str | None = None, **wishes: Any
    ) -> str:
        """An order of the customer; returns its id."""
        body = {
            "items": [{"product_id": product_id or self.product_id, "quantity": quantity}],
            "dropoff": {"lat": 1.01, "lon": 2.01, "address": "Door 1"},
            "payment": payment,
            **wishes,
        }
        placed = await self.mall.customer.do("POST", "/api/v2/orders", body, key=next(keys))
        return str(placed["id"])


class MallDriver:
    """A driver with a phone whose events can be waited for."""

    def __init__(self, client: Mall, user_id: str) -> None:
        self.client = client
        self.id = "drv_" + user_id.removeprefix("usr_")
        self.user_id = user_id
        self.phone = Phone(client)
        self.frames: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        self.phone.on_frame = self._take

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        self._came.set()

    async def frame(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first frame that fits, seen already or to come."""
        async with asyncio.timeout(10):
            while True:
                for frame in self.frames:
                    if fits(frame):
                        return frame
                self._came.clear()
                await self._came.wait()

    async def event(self, kind: str, order: str) -> dict[str, Any]:
        """An entry of the feed about an order."""
        return await self.frame(
            lambda f: f["t"] == "event" and f["type"] == kind and f["data"]["order_id"] == order
        )

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """A keyed command over the feed."""
        return await self.phone.ask({"key": next(keys), **frame})

    async def accept(self, order: str, offer_id: str | None = None) -> str:
        """Accept over the feed; returns the result."""
        named = {} if offer_id is None else {"offer_id": offer_id}
        reply = await self.ask(t="offer.accept", orders=[order], **named)
        return str(reply["results"][0]["result"])

    async def accept_trip(self, trip: dict[str, Any]) -> list[str]:
        """Accept a whole trip over the feed; returns the result for each order."""
        reply = await self.ask(t="offer.accept", orders=trip["orders"], trip_id=trip["trip_id"])
        return [result["result"] for result in reply["results"]]

    async def post(self, order: str, what: str, body: Any = None) -> dict[str, Any]:
        """A command over REST."""
        return await self.client.do("POST", f"/api/v2/orders/{order}/{what}", body)

    @asynccontextmanager
    async def online(self) -> AsyncIterator[MallDriver]:
        """Connected and available."""
        async with self.phone.connected():
            await self.ask(t="availability", status="online")
            yield self


async def refused(call: Any) -> str:
    """The code that a call is refused with."""
    with pytest.raises(ApiProblem) as caught:
        await call
    return caught.value.code
