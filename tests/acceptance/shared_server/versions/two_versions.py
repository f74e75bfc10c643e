"""A client of both versions of the API."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

_numbers = itertools.count(1)


class Reply(NamedTuple):
    """What came back; `raw` is the body as it came."""

    status: int
    json: Any
    headers: Any
    raw: bytes


@dataclass
class BothVersions:
    """A server that is asked in the words of either version, and what is in it for these tests.

    `zone` is in `open` mode, so that the driver may take any order of it at once. Ids are numbers.
    """

    http: aiohttp.ClientSession
    url: str
    tokens: dict[str, str]
    zone: int = 0
    store: int = 0
    product: int = 0
    driver: int = 0

    async def ask(
        self, method: str, path: str, body: Any = None, *, role: str = "", headers: Any = ()
    ) -> Reply:
        """One request to `/api/{path}`."""
        sent: list[tuple[str, str]] = [*headers]
        if role:
            sent.append(("Authorization", f"Bearer {self.tokens[role]}"))
        given: dict[str, Any] = {} if body is None else {"json": body}
        async with self.http.request(method, f"{self.url}/api/{path}", headers=sent, **given) as response:
            raw = await response.read()
            json = await response.json(content_type=None) if raw and "json" in response.content_type else None
            return Reply(response.status, json, response.headers.copy(), raw)

    async def good(
        self, method: str, path: str, body: Any = None, *, role: str = "admin", headers: Any = ()
    ) -> Any:
        """One request that must succeed; its answer."""
        reply = await self.ask(method, path, body, role=role, headers=headers)
        assert reply.status < 300, reply
        return reply.json

    def order(self, **more: Any) -> dict[str, Any]:
        """An order in the words of version 1."""
        dropoff = {"lat": 52.52, "lng": 13.4, "address": "Second floor"}
        return {
            "items": [{"product_id": self.product, "quantity": 2}],
            "dropoff": dropoff,
            "payment": "cash",
            **more,
        }

    async def ordered(self) -> int:
        """The number of a new order of the customer."""
        answer = await self.good("POST", "v1/orders", self.order(), role="customer")
        return int(answer["id"])


def fresh(word: str) -> str:
    """A word that was not used before, long enough for a key."""
    return f"{word}-of-both-versions-{next(_numbers)}"


def keyed() -> tuple[tuple[str, str]]:
    """A header with a key that was not used before."""
    return (("Idempotency-Key", fresh("key")),)


async def furnish(client: BothVersions) -> None:
    """Make a zone in `open` mode with a store, a product and a driver that is online."""
    zone = await client.good(
        "POST", "v2/zones", {"name": fresh("Zone"), "mode": "open", "driver_pay_minor": 350}
    )
    client.zone = int(zone["id"].partition("_")[2])
    place = {"lat": 52.5, "lon": 13.4}
    store = await client.good(
        "POST", "v2/stores", {"zone_id": zone["id"], "name": "Store", "delivery_radius_m": None, **place}
    )
    client.store = int(store["id"].partition("_")[2])
    price = {"amount_minor": 1250, "currency": "EUR"}
    product = await client.good(
        "POST", "v2/products", {"store_id": store["id"], "name": "Cake", "price": price}
    )
    client.product = int(product["id"].partition("_")[2])
    person = {"email": f"{fresh('d')}@mall.example", "password": "long enough", "name": "Dora"}
    made = await client.good(
        "POST", "v2/users", {**person, "role": "driver", "zone_id": zone["id"], "capacity": 20}
    )
    client.driver = int(made["id"].partition("_")[2])
    login = {"email": person["email"], "password": person["password"]}
    client.tokens["courier"] = (await client.good("POST", "v2/auth/login", login, role=""))["access_token"]
    await client.good("PUT", "v2/drivers/me/availability", {"status": "online"}, role="courier")
