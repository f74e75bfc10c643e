"""A hundred random orders, made in either version and read in the other: field by field as api/MIGRATION.md
maps them. The mapping is written out here once more, by hand, so that the server does not check itself.
"""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.shared_server.versions.two_versions import BothVersions, Reply, fresh, keyed

STATUS = {
    "awaiting_payment": "awaiting_payment", "confirmed": "pending", "assigned": "accepted",
    "picked_up": "on_the_way", "delivered": "delivered", "cancelled": "cancelled", "undeliverable": "failed",
}  # fmt: skip
WORDS = ("Second floor", "Straße 5", "1 rue d'Été", "北京路 12", '{curly} "quoted"', "ord_17", "a/b~c")


def exact(raw: bytes) -> Any:
    """JSON with exact decimals."""
    return json.loads(raw, parse_float=Decimal)


def number(text: str | None) -> int | None:
    return None if text is None else int(text.partition("_")[2])


def as_version_1(order: dict[str, Any]) -> dict[str, Any]:
    """An order of version 2 in the words of version 1."""

    def money(value: dict[str, Any]) -> Decimal:
        return Decimal(value["amount_minor"]) / 100

    def seconds(time: str) -> str:
        return time[:19] + "Z"

    shown = {
        "id": number(order["id"]),
        "number": order["number"],
        "status": STATUS[order["status"]],
        "zone_id": number(order["zone_id"]),
        "store": {
            "id": number(order["store"]["id"]),
            "name": order["store"]["name"],
            "location": {"lat": order["store"]["lat"], "lng": order["store"]["lon"]},
        },
        "items": [
            {
                "product_id": number(item["product_id"]),
                "name": item["name"],
                "quantity": item["quantity"],
                "price": money(item["price"]),
                "currency": item["price"]["currency"],
            }
            for item in order["items"]
        ],
        "total": money(order["total"]),
        "currency": order["total"]["currency"],
        "dropoff": {
            "lat": order["dropoff"]["lat"],
            "lng": order["dropoff"]["lon"],
            "address": order["dropoff"]["address"],
        },
        "payment": order["payment"],
        "notes": order["notes"],
        "driver_id": number(order["driver_id"]),
        "ready_at": seconds(order["ready_at"]),
        "created_at": seconds(order["created_at"]),
        "updated_at": seconds(order["updated_at"]),
        "customer_id": number(order["customer_id"]),
        "more_stores": len(order["pickups"]) - 1,
        "payments": order["payments"],  # nobody pays in these tests
    }
    if "pay" in order:
        shown["pay"] = None if order["pay"] is None else money(order["pay"])
    if "offers" in order:
        shown |= {"round": order["round"], "wave": order["wave"]}
        shown["offers"] = [
            {**offer, "driver_id": number(offer["driver_id"]), "expires_at": seconds(offer["expires_at"])}
            for offer in order["offers"]
        ]
    return shown


async def _products(client: BothVersions) -> list[int]:
    made = []
    for minor in (1, 99, 100, 1050, 12345, 100000000):
        price = {"amount_minor": minor, "currency": "EUR"}
        body = {"store_id": f"sto_{client.store}", "name": fresh("Thing"), "price": price}
        made.append(int((await client.good("POST", "v2/products", body))["id"].partition("_")[2]))
    return made


def _order(dice: random.Random, products: list[int]) -> dict[str, Any]:
    """A random order in the words of version 1."""
    chosen = dice.sample(products, dice.randint(1, len(products)))
    body: dict[str, Any] = {
        "items": [{"product_id": product, "quantity": dice.randint(1, 9)} for product in chosen],
        "dropoff": {
            "lat": round(dice.uniform(52.49, 52.51), dice.randint(0, 9)),
            "lng": round(dice.uniform(13.39, 13.41), dice.randint(0, 9)),
            "address": dice.choice(WORDS),
        },
        "payment": dice.choice(["card", "cash"]),
    }
    if dice.random() < 0.5:
        body["notes"] = dice.choice(WORDS)
    return body


def _as_version_2(body: dict[str, Any]) -> dict[str, Any]:
    dropoff = dict(body["dropoff"])
    dropoff["lon"] = dropoff.pop("lng")
    items = [{**item, "product_id": f"prd_{item['product_id']}"} for item in body["items"]]
    return {**body, "items": items, "dropoff": dropoff}


@pytest.mark.parametrize("made_in", ["1", "2"])
async def test_a_hundred_orders_are_the_same_in_both_versions(client: BothVersions, made_in: str) -> None:
    dice = random.Random(f"orders made in {made_in}")
    products = await _products(client)
    for _ in range(100):
        body = _order(dice, products)
        made: Reply
        if made_in == "1":
            made = await client.ask("POST", "v1/orders", body, role="customer")
            assert made.status == 201, made
            key = made.json["id"]
        else:
            made = await client.ask(
                "POST", "v2/orders", _as_version_2(body), role="customer", headers=keyed()
            )
            assert made.status == 201, made
            key = number(made.json["id"])
        role = dice.choice(["customer", "admin"])
        await _move(client, dice, key)
        old = exact((await client.ask("GET", f"v1/orders/{key}", role=role)).raw)
        new = exact((await client.ask("GET", f"v2/orders/ord_{key}", role=role)).raw)
        assert old == as_version_1(new)
        assert old["dropoff"] == exact(json.dumps(body["dropoff"]).encode())
        assert (old["notes"], old["payment"]) == (body.get("notes"), body["payment"])
        assert [(i["product_id"], i["quantity"]) for i in old["items"]] == [
            (i["product_id"], i["quantity"]) for i in body["items"]
        ]
        if old["status"] in ("accepted", "on_the_way"):  # the driver's hands must not fill up
            await client.good(
                "PATCH", f"v1/orders/{key}", {"status": "failed", "reason": "seen"}, role="courier"
            )
        elif old["status"] in ("awaiting_payment", "pending"):  # nor a customer's orders that wait
            await client.good(
                "POST", f"v2/orders/ord_{key}/cancellation", {"reason": "seen"}, role="customer"
            )


async def _move(client: BothVersions, dice: random.Random, key: int | None) -> None:
    """Bring the order into another status, by either version, so that all of them are compared."""
    status = (await client.good("GET", f"v1/orders/{key}"))["status"]
    fate = dice.choice(["stay", "cancelled", "accepted", "on_the_way", "delivered", "failed"])
    if fate == "cancelled":
        await client.good(
            "POST", f"v2/orders/ord_{key}/cancellation", {"reason": "changed my mind"}, role="customer"
        )
    elif fate != "stay" and status == "pending":
        for step in ("accepted", "on_the_way", fate):
            body = {"status": step, **({"reason": "closed"} if step == "failed" else {})}
            await client.good("PATCH", f"v1/orders/{key}", body, role="courier")
            if step == fate:
                break


async def test_pages_of_version_1_hold_the_orders_of_version_2(client: BothVersions) -> None:
    old = await client.good("GET", f"v1/orders?zone_id={client.zone}&page_size=100", role="admin")
    new = await client.ask("GET", f"v2/orders?zone_id=zon_{client.zone}&limit=100", role="admin")
    assert exact(json.dumps(old["items"]).encode()) == [
        as_version_1(order) for order in exact(new.raw)["items"]
    ]


async def test_other_resources_made_in_one_version_are_the_same_in_the_other(client: BothVersions) -> None:
    zone = {"name": fresh("Z"), "mode": "open", "wave_size": 2, "offer_ttl_s": 9,
            "area": [{"lat": 0, "lng": 0}, {"lat": 0, "lng": 1}, {"lat": 1, "lng": 1}]}  # fmt: skip
    old = await client.good("POST", "v1/zones", zone)
    new = await client.good("GET", f"v2/zones/zon_{old['id']}")
    rules = ("give_up_after_s", "offer_distance_max_m", "release_pause_s", "driver_pay_minor")
    later = {name: new[name] for name in rules}
    assert old == {**zone, **later, "id": old["id"]}
    assert new["area"] == [{"lat": corner["lat"], "lon": corner["lng"]} for corner in zone["area"]]  # type: ignore[attr-defined]

    user = {
        "email": f"{fresh('e')}@mall.example",
        "name": "Eva",
        "role": "driver",
        "zone_id": old["id"],
        "capacity": 3,
    }
    made = await client.good("POST", "v1/users", {**user, "password": "long enough"})
    new = await client.good("GET", f"v2/users/usr_{made['id']}")
    assert made.items() >= user.items()
    assert (made["driver_id"], new["driver_id"]) == (made["id"], f"drv_{made['id']}")
    assert made["created_at"] == new["created_at"][:19] + "Z"
    assert made.keys() == new.keys() - {"version"}

    me = await client.good("GET", "v1/me", role="customer")
    assert f"usr_{me['id']}" == (await client.good("GET", "v2/me", role="customer"))["id"]
    listed = await client.good("GET", f"v1/drivers?zone_id={client.zone}")
    assert [driver["id"] for driver in listed["items"]] == [client.driver]
    assert (await client.good("GET", "v1/users?role=admin"))["total"] == 1
    page = await client.good("GET", f"v1/stores/{client.store}/products?page_size=1")
    assert (page["items"][0]["store_id"], page["pages"]) == (client.store, page["total"])
    assert (await client.ask("GET", "v1/stores/99999999/products", role="admin")).status == 404
