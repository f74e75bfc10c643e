"""A mall to test in: zones with a store and products, and users with tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from loadtests.kit.client import Mall
from loadtests.kit.server import ServerProcess

LAT, LON = 52.52, 13.405


@dataclass(frozen=True, slots=True)
class MintedUser:
    """A user with a token; a driver's number is its user's."""

    number: int
    token: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone with one store; `products` are public ids, `stock` what each had at first (None: endless)."""

    number: int
    products: tuple[str, ...]
    stock: int | None

    @property
    def id(self) -> str:
        return f"zon_{self.number}"


def number_of(public_id: str) -> int:
    """`number_of("ord_17")` is 17."""
    return int(public_id.partition("_")[2])


async def open_zone(
    admin: Mall, name: str, mode: str, *, stock: int | None = None, preparation_s: int = 60, **settings: Any
) -> Zone:
    """A new zone with a store and two products.

    Raises:
        Refused: the server will not have it.
    """
    zone = await admin.do("POST", "/api/v2/zones", {"name": name, "mode": mode, **settings})
    shop = {"zone_id": zone["id"], "name": f"{name} store", "lat": LAT, "lon": LON}
    store = await admin.do("POST", "/api/v2/stores", {**shop, "preparation_s": preparation_s})
    products = [await add_product(admin, store["id"], f"{name} {n}", stock) for n in ("bread", "soup")]
    return Zone(number_of(zone["id"]), tuple(products), stock)


async def add_product(admin: Mall, store_id: str, name: str, stock: int | None) -> str:
    """A new product's public id."""
    price = {"amount_minor": 450, "currency": "EUR"}
    body = {"store_id": store_id, "name": name, "price": price, "stock": stock}
    made = await admin.do("POST", "/api/v2/products", body)
    return str(made["id"])


async def mint_people(
    server: ServerProcess, role: str, count: int, prefix: str, *, zone: Zone | None = None, capacity: int = 1
) -> list[MintedUser]:
    """Users of one role, with tokens; `zone` and `capacity` (orders at once) are for drivers."""
    options = ["--prefix", prefix]
    if zone is not None:
        options += ["--zone", zone.id, "--capacity", str(capacity)]
    minted = await server.mint(role, count, *options)
    return [MintedUser(number_of(user["id"]), user["access_token"]) for user in minted]


def order_body(products: tuple[str, ...], quantity: int = 1, notes: str | None = None) -> dict[str, Any]:
    """An order for the same quantity of each product, paid in cash, so that it is open at once."""
    body: dict[str, Any] = {
        "items": [{"product_id": product, "quantity": quantity} for product in products],
        "dropoff": {"lat": LAT + 0.01, "lon": LON + 0.01, "address": "1 Test Street"},
        "payment": "cash",
    }
    return body if notes is None else body | {"notes": notes}


def database_url(server: ServerProcess) -> str:
    """Where the database of a running server is: its setting, or the note that embedded mode leaves.

    Raises:
        OSError: neither is there.
    """
    given = server.environ.get("DATABASE_URL")
    if given:
        return given
    return str(json.loads((server.data_dir / "addresses.json").read_text())["database_url"])
