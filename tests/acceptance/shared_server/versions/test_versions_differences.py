"""Each difference between the versions, shown on both: the rows of api/MIGRATION.md."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acceptance.shared_server.versions.two_versions import BothVersions, fresh, keyed
from tests.support.waiting import seconds_until


async def test_a_list_has_numbered_pages_in_version_1_and_cursors_in_version_2(client: BothVersions) -> None:
    for _ in range(3):
        body = {"zone_id": client.zone, "name": "S", "location": {"lat": 1.0, "lng": 2.0}}
        await client.good("POST", "v1/stores", body)
    path = f"v1/stores?zone_id={client.zone}&page_size=2"
    first, second = await client.good("GET", path), await client.good("GET", f"{path}&page=2")
    assert {name: first[name] for name in ("page", "page_size", "total", "pages")} == {
        "page": 1, "page_size": 2, "total": 4, "pages": 2,
    }  # fmt: skip
    assert "next" not in first
    beyond = await client.good("GET", f"{path}&page=3")
    assert (beyond["items"], beyond["total"]) == ([], 4)
    numbered = [store["id"] for page in (first, second) for store in page["items"]]

    new = await client.good("GET", f"v2/stores?zone_id=zon_{client.zone}&limit=2")
    rest = await client.good("GET", f"v2/stores?zone_id=zon_{client.zone}&limit=2&cursor={new['next']}")
    assert new.keys() == {"items", "next"}
    assert [f"sto_{n}" for n in numbered] == [store["id"] for page in (new, rest) for store in page["items"]]


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page_size=101", "page=1001", "cursor=x", "page=1&page=2"]
)
async def test_a_page_that_cannot_be_is_refused(client: BothVersions, query: str) -> None:
    reply = await client.ask("GET", f"v1/stores?{query}", role="admin")
    assert (reply.status, reply.json["error"]) == (422, "invalid")
    assert reply.json["details"][0]["in"] == "query"


async def test_a_zone_is_planned_in_version_2_and_offers_in_waves_to_version_1(client: BothVersions) -> None:
    old = await client.good("POST", "v1/zones", {"name": fresh("Z")})
    assert old["mode"] == "waves"
    assert (await client.good("GET", f"v2/zones/zon_{old['id']}"))["mode"] == "waves"
    new = await client.good("POST", "v2/zones", {"name": fresh("Z")})
    assert new["mode"] == "planned"
    shown = await client.good("GET", f"v1/zones/{new['id'].removeprefix('zon_')}")
    assert shown["mode"] == "waves"
    assert "planning" not in shown
    for body in ({"name": "Z", "mode": "planned"}, {"name": "Z", "planning": None}):
        reply = await client.ask("POST", "v1/zones", body, role="admin")
        assert (reply.status, reply.json["details"][0]["field"]) == (422, [*body][1])


async def test_money_is_a_decimal_in_version_1_and_minor_units_in_version_2(client: BothVersions) -> None:
    body = {"store_id": client.store, "name": "Tea", "price": 12.5, "currency": "EUR"}
    reply = await client.ask("POST", "v1/products", body, role="admin")
    assert reply.status == 201
    assert b'"price":12.50' in reply.raw
    assert reply.json["currency"] == "EUR"
    new = await client.good("GET", f"v2/products/prd_{reply.json['id']}")
    assert new["price"] == {"amount_minor": 1250, "currency": "EUR"}


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [
        ("EUR", "0.07", 7),
        ("EUR", "1234567.89", 123456789),
        ("JPY", "12", 12),
        ("KWD", "1.234", 1234),
        ("EUR", "1e1", 1000),
    ],
)
async def test_money_is_exact_in_every_currency(
    client: BothVersions, currency: str, price: str, minor: int
) -> None:
    body = f'{{"store_id": {client.store}, "name": "Tea", "price": {price}, "currency": "{currency}"}}'
    headers = (("Authorization", f"Bearer {client.tokens['admin']}"), ("Content-Type", "application/json"))
    async with client.http.post(f"{client.url}/api/v1/products", data=body, headers=headers) as response:
        made = await response.json()
    assert response.status == 201, made
    new = await client.good("GET", f"v2/products/prd_{made['id']}")
    assert new["price"] == {"amount_minor": minor, "currency": currency}


@pytest.mark.parametrize(
    ("price", "code"),
    [(0.001, "precision"), ("12.50", "decimal"), (True, "decimal"), (-1, "range"), (1e13, "range")],
)
async def test_a_price_that_is_no_amount_is_refused(client: BothVersions, price: Any, code: str) -> None:
    body = {"store_id": client.store, "name": "Tea", "price": price, "currency": "EUR"}
    reply = await client.ask("POST", "v1/products", body, role="admin")
    assert reply.status == 422
    assert [(d["field"], d["code"]) for d in reply.json["details"]] == [("price", code)]


async def test_errors_are_flat_in_version_1_and_problems_in_version_2(client: BothVersions) -> None:
    old = await client.ask("POST", "v1/orders", client.order(items=[]), role="customer")
    assert (old.status, old.headers["Content-Type"]) == (422, "application/json")
    assert old.json.keys() == {"error", "message", "details", "trace_id", "retryable"}
    assert old.json["error"] == "invalid"
    assert [(d["in"], d["field"]) for d in old.json["details"]] == [("body", "items")]

    new = await client.ask("POST", "v2/orders", {"items": []}, role="customer", headers=keyed())
    assert (new.status, new.headers["Content-Type"]) == (422, "application/problem+json")
    assert new.json["code"] == "invalid"
    assert "#/items" in {fault["pointer"] for fault in new.json["errors"]}


FIELDS = [
    ("v1/orders", {"dropoff": {"lat": 0, "lng": 999, "address": "x"}}, "dropoff.lng"),
    ("v1/orders", {"dropoff": {"lat": 0, "lon": 9, "address": "x"}}, "dropoff.lon"),
    ("v1/orders", {"items": [{"product_id": "prd_1", "quantity": 1}]}, "items.0.product_id"),
    ("v1/stores", {"location": {"lat": 99, "lng": 0}}, "location.lat"),
    ("v1/stores", {"location": {"lat": 9, "lng": 0, "z": 0}}, "location.z"),
    ("v1/stores", {"location": 5}, "location"),
    ("v1/stores", {"lat": 5}, "lat"),
    ("v1/products", {"currency": "euro"}, "currency"),
    ("v1/products", {"price": {"amount_minor": 5, "currency": "EUR"}}, "price"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "wrong", "field"), FIELDS, ids=[row[2] for row in FIELDS])
async def test_a_refusal_names_the_field_as_version_1_does(
    client: BothVersions, path: str, wrong: dict[str, Any], field: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "v1/orders": client.order(),
        "v1/stores": {"zone_id": client.zone, "name": "S", "location": {"lat": 1, "lng": 2}},
        "v1/products": {"store_id": client.store, "name": "P", "price": 1, "currency": "EUR"},
    }
    reply = await client.ask("POST", path, bodies[path] | wrong, role="admin")
    assert reply.status == 422, reply
    assert [detail["field"] for detail in reply.json["details"]] == [field]


async def test_ids_are_numbers_in_version_1_and_texts_in_version_2(client: BothVersions) -> None:
    number = await client.ordered()
    old = await client.good("GET", f"v1/orders/{number}", role="customer")
    new = await client.good("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old["id"], old["store"]["id"], old["items"][0]["product_id"]) == (
        number,
        client.store,
        client.product,
    )
    assert (new["id"], new["store"]["id"]) == (f"ord_{number}", f"sto_{client.store}")
    for wrong in (f"ord_{number}", "0", "-1", "1.0", "9007199254740993", "%EF%BC%91"):
        reply = await client.ask("GET", f"v1/orders/{wrong}", role="customer")
        assert (reply.status, reply.json["error"]) == (404, "order_not_found")
    assert (await client.ask("GET", f"v2/orders/{number}", role="customer")).status == 404


async def test_a_place_is_lng_and_location_in_version_1_and_lon_in_version_2(client: BothVersions) -> None:
    body = {"zone_id": client.zone, "name": "S", "location": {"lat": 48.1, "lng": 11.5}}
    made = await client.ask("POST", "v1/stores", body, role="admin")
    assert made.json["location"] == {"lat": 48.1, "lng": 11.5}
    assert made.headers["Location"] == f"/api/v1/stores/{made.json['id']}"
    new = await client.good("GET", f"v2/stores/sto_{made.json['id']}")
    assert (new["lat"], new["lon"]) == (48.1, 11.5)
    near = await client.good("GET", "v1/stores?lat=48.1&lng=11.5&radius_m=100")
    assert made.json["id"] in [store["id"] for store in near["items"]]
    assert near["page"] == 1
    # Not far from where other tests have put the driver: a jump would be disbelieved.
    place = {"lat": 52.501, "lng": 13.401}
    await client.good("PUT", "v1/drivers/me/location", place, role="courier")
    seen: dict[str, Any] = {}

    async def located() -> bool:
        nonlocal seen
        seen = await client.good("GET", "v1/drivers/me", role="courier")
        return bool(seen["location"] == place)

    await seconds_until(located)
    assert seen["id"] == client.driver


async def _product(client: BothVersions) -> int:
    body = {"store_id": client.store, "name": fresh("P"), "price": 5, "currency": "EUR", "stock": 7}
    return int((await client.good("POST", "v1/products", body))["id"])


async def test_put_replaces_in_version_1_and_patch_merges_in_version_2(client: BothVersions) -> None:
    number = await _product(client)
    whole = {"name": "New", "price": 6.25, "currency": "EUR", "stock": None, "active": True}
    old = await client.good("PUT", f"v1/products/{number}", whole)
    assert {name: old[name] for name in whole} == whole
    reply = await client.ask("PATCH", f"v1/products/{number}", {"name": "X"}, role="admin")
    assert reply.status == 405
    assert set(reply.headers["Allow"].split(",")) - {"OPTIONS"} == {"DELETE", "GET", "PUT"}
    assert (await client.ask("PUT", f"v2/products/prd_{number}", whole, role="admin")).status == 405

    tag = (await client.ask("GET", f"v2/products/prd_{number}", role="admin")).headers.get("ETag", "*")
    new = await client.good(
        "PATCH", f"v2/products/prd_{number}", {"name": "Newer"}, headers=[("If-Match", tag)]
    )
    assert (new["name"], new["price"]["amount_minor"]) == ("Newer", 625)


WHOLE: dict[str, dict[str, Any]] = {
    "zones": {"name": "Z", "mode": "open", "wave_size": 2, "offer_ttl_s": 9, "area": None},
    "stores": {"name": "S", "location": {"lat": 3.5, "lng": 4.5}, "preparation_s": 60, "active": True},
    "products": {"name": "P", "price": 2.5, "currency": "EUR", "stock": 3, "active": True},
    "users": {"name": "N", "status": "active", "zone_id": 0, "capacity": 20},
}


@pytest.mark.parametrize("kind", WHOLE)
async def test_put_wants_every_field_and_shows_what_it_set(client: BothVersions, kind: str) -> None:
    number = {
        "zones": client.zone,
        "stores": client.store,
        "products": await _product(client),
        "users": client.driver,
    }[kind]
    whole = WHOLE[kind] | ({"zone_id": client.zone} if kind == "users" else {})
    shown = await client.good("PUT", f"v1/{kind}/{number}", whole)
    assert {name: shown[name] for name in whole} == whole
    for name in whole:
        rest = {key: value for key, value in whole.items() if key != name}
        reply = await client.ask("PUT", f"v1/{kind}/{number}", rest, role="admin")
        assert reply.status == 422
        assert name in [detail["field"] for detail in reply.json["details"]]
    reply = await client.ask("PUT", f"v1/{kind}/{number}", whole | {"name": None}, role="admin")
    assert [detail["field"] for detail in reply.json["details"]] == ["name"]
    assert (await client.ask("PUT", f"v1/{kind}/999999999", whole, role="admin")).status == 404


async def test_a_deleted_driver_is_in_no_list_of_version_1_either(client: BothVersions) -> None:
    person = {
        "email": f"{fresh('g')}@mall.example",
        "password": "long enough",
        "name": "Gone",
        "role": "driver",
    }
    number = (await client.good("POST", "v1/users", {**person, "zone_id": client.zone, "capacity": 1}))["id"]
    lists = ("v1/users?role=driver&page_size=100", f"v1/drivers?zone_id={client.zone}&page_size=100")
    before = [await client.good("GET", path) for path in lists]
    await client.good("DELETE", f"v2/users/usr_{number}", headers=[("If-Match", "*")])
    after = [await client.good("GET", path) for path in lists]
    for old, new in zip(before, after, strict=True):
        left = {item["id"] for item in new["items"]}
        assert [item["id"] for item in old["items"] if item["id"] not in left] == [number]
        assert (new["total"], len(new["items"])) == (old["total"] - 1, len(old["items"]) - 1)


async def test_times_have_seconds_in_version_1_and_milliseconds_in_version_2(client: BothVersions) -> None:
    number = await client.ordered()
    old = await client.good("GET", f"v1/orders/{number}", role="customer")
    new = await client.good("GET", f"v2/orders/ord_{number}", role="customer")
    for name in ("created_at", "updated_at", "ready_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", old[name])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", new[name])
        assert old[name][:-1] == new[name][:-5]
    history = await client.good("GET", f"v1/orders/{number}/events", role="customer")
    assert history["items"][0]["at"] == old["created_at"]


async def test_an_order_needs_a_key_in_version_2_only(client: BothVersions) -> None:
    first, second = await client.ordered(), await client.ordered()
    assert first != second
    key = keyed()
    third = await client.ask("POST", "v1/orders", client.order(), role="customer", headers=key)
    again = await client.ask("POST", "v1/orders", client.order(), role="customer", headers=key)
    assert (again.status, again.raw) == (third.status, third.raw)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await client.ask("POST", "v1/orders", client.order(notes="x"), role="customer", headers=key)
    assert (other.status, other.json["error"]) == (422, "key_reused")
    short = await client.ask(
        "POST", "v1/orders", client.order(), role="customer", headers=[("Idempotency-Key", "short")]
    )
    assert (short.status, short.json["error"]) == (400, "invalid_idempotency_key")
    unread = await client.ask("GET", "v1/me", role="customer", headers=[("Idempotency-Key", "short")])
    assert unread.status == 200

    new = {
        "items": [{"product_id": f"prd_{client.product}", "quantity": 2}],
        "dropoff": {"lat": 52.52, "lon": 13.4, "address": "Second floor"},
        "payment": "cash",
    }
    bare = await client.ask("POST", "v2/orders", new, role="customer")
    assert (bare.status, bare.json["code"]) == (400, "invalid_idempotency_key")
    # The same key in the other version is another key: no answer is repeated in another form.
    fourth = await client.ask("POST", "v2/orders", new, role="customer", headers=key)
    assert fourth.status == 201
    assert fourth.json["id"] != f"ord_{third.json['id']}"


async def test_a_status_is_written_in_version_1_and_is_a_resource_in_version_2(client: BothVersions) -> None:
    old, new = await client.ordered(), await client.ordered()
    for status, result, word, shown in (
        ("accepted", "won", "acceptance", "assigned"),
        ("on_the_way", "picked_up", "pickup", "picked_up"),
        ("delivered", "delivered", "delivery", "delivered"),
    ):
        done = await client.good("PATCH", f"v1/orders/{old}", {"status": status}, role="courier")
        assert done == {"result": result, "order_id": old, "status": status}
        done = await client.good("POST", f"v2/orders/ord_{new}/{word}", {}, role="courier")
        assert (done["result"], done["status"]) == (result, shown)
    assert (await client.ask("POST", f"v1/orders/{old}/delivery", role="courier")).status == 404
    assert (await client.ask("PATCH", f"v2/orders/ord_{new}", {"status": "x"}, role="courier")).status == 405


async def test_every_status_of_version_1_can_be_reached_by_writing_it(client: BothVersions) -> None:
    number = await client.ordered()
    path = f"v1/orders/{number}"
    wishes: list[tuple[str, dict[str, Any], str]] = [
        ("admin", {"status": "accepted", "driver_id": client.driver}, "accepted"),
        ("admin", {"status": "pending"}, "pending"),
        ("courier", {"status": "accepted"}, "accepted"),
        ("courier", {"status": "picked_up"}, "on_the_way"),
        ("courier", {"status": "failed", "reason": "nobody there"}, "failed"),
    ]
    for role, body, status in wishes:
        await client.good("PATCH", path, body, role=role)
        assert (await client.good("GET", path))["status"] == status
    other = await client.ordered()
    await client.good(
        "PATCH", f"v1/orders/{other}", {"status": "cancelled", "reason": "late"}, role="customer"
    )
    assert (await client.good("GET", f"v1/orders/{other}"))["status"] == "cancelled"


async def test_a_status_may_be_written_only_by_those_who_may_run_what_is_behind_it(
    client: BothVersions,
) -> None:
    number = await client.ordered()
    for role, body in (
        ("customer", {"status": "accepted"}),
        ("customer", {"status": "accepted", "driver_id": client.driver}),
        ("courier", {"status": "cancelled"}),
        ("admin", {"status": "delivered"}),
    ):
        reply = await client.ask("PATCH", f"v1/orders/{number}", body, role=role)
        assert (reply.status, reply.json["error"]) == (403, "forbidden")
    reply = await client.ask("PATCH", f"v1/orders/{number}", {"status": "accepted"})
    assert (reply.status, reply.json["error"]) == (401, "unauthenticated")
    for wrong in ({}, {"status": "assigned"}, {"status": 5}, {"status": "pending", "extra": 1}):
        reply = await client.ask("PATCH", f"v1/orders/{number}", wrong, role="admin")
        assert reply.status == 422


async def test_statuses_have_other_names(client: BothVersions) -> None:
    number = await client.ordered()
    old = await client.good("GET", f"v1/orders/{number}", role="customer")
    new = await client.good("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old["status"], new["status"]) == ("pending", "confirmed")
    listed = await client.good("GET", f"v1/orders?status=pending&zone_id={client.zone}", role="customer")
    assert number in [order["id"] for order in listed["items"]]
    assert (await client.ask("GET", "v1/orders?status=confirmed", role="customer")).status == 422
    await client.good("PATCH", f"v1/orders/{number}", {"status": "cancelled"}, role="customer")
    reply = await client.ask("PATCH", f"v1/orders/{number}", {"status": "accepted"}, role="courier")
    assert (reply.status, reply.json["order_status"]) == (409, "cancelled")


async def test_version_1_has_no_etags_and_looks_at_no_conditions(client: BothVersions) -> None:
    number = await client.ordered()
    old = await client.ask(
        "GET", f"v1/orders/{number}", role="customer", headers=[("If-None-Match", "*"), ("If-Match", '"9"')]
    )
    new = await client.ask("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old.status, old.json.keys() & {"version"}, "ETag" in old.headers) == (200, set(), False)
    assert new.headers["ETag"] == f'"{new.json["version"]}"'


async def test_the_last_of_many_writes_of_version_1_wins_and_none_is_refused(client: BothVersions) -> None:
    number = await _product(client)
    whole = {"name": "P", "price": 5, "currency": "EUR", "stock": 1, "active": True}
    for stock in range(5):
        shown = await client.good("PUT", f"v1/products/{number}", whole | {"stock": stock})
        assert shown["stock"] == stock
    assert await client.good("DELETE", f"v1/products/{number}") is None


async def test_the_feed_is_in_version_2_only(client: BothVersions) -> None:
    for method, path in (
        ("GET", "v1/drivers/feed"),
        ("POST", "v1/realtime/tickets"),
        ("GET", "v1/orders/1/track"),
    ):
        reply = await client.ask(method, path, role="courier")
        assert (reply.status, reply.json["error"]) == (404, "not_found")
    assert (await client.ask("POST", "v2/realtime/tickets", role="courier")).status == 201
