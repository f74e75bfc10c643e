"""Each difference between the versions, shown on both: the rows of api/MIGRATION.md."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acceptance.pair import seconds_until
from tests.acceptance.two_versions import Both, fresh, keyed

pytest_plugins = ("tests.acceptance.two_versions_server",)


async def test_a_list_has_numbered_pages_in_version_1_and_cursors_in_version_2(both: Both) -> None:
    for _ in range(3):
        body = {"zone_id": both.zone, "name": "S", "location": {"lat": 1.0, "lng": 2.0}}
        await both.good("POST", "v1/stores", body)
    path = f"v1/stores?zone_id={both.zone}&page_size=2"
    first, second = await both.good("GET", path), await both.good("GET", f"{path}&page=2")
    assert {name: first[name] for name in ("page", "page_size", "total", "pages")} == {
        "page": 1, "page_size": 2, "total": 4, "pages": 2,
    }  # fmt: skip
    assert "next" not in first
    beyond = await both.good("GET", f"{path}&page=3")
    assert (beyond["items"], beyond["total"]) == ([], 4)
    numbered = [store["id"] for page in (first, second) for store in page["items"]]

    new = await both.good("GET", f"v2/stores?zone_id=zon_{both.zone}&limit=2")
    rest = await both.good("GET", f"v2/stores?zone_id=zon_{both.zone}&limit=2&cursor={new['next']}")
    assert new.keys() == {"items", "next"}
    assert [f"sto_{n}" for n in numbered] == [store["id"] for page in (new, rest) for store in page["items"]]


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page_size=101", "page=1001", "cursor=x", "page=1&page=2"]
)
async def test_a_page_that_cannot_be_is_refused(both: Both, query: str) -> None:
    reply = await both.ask("GET", f"v1/stores?{query}", role="admin")
    assert (reply.status, reply.json["error"]) == (422, "invalid")
    assert reply.json["details"][0]["in"] == "query"


async def test_money_is_a_decimal_in_version_1_and_minor_units_in_version_2(both: Both) -> None:
    body = {"store_id": both.store, "name": "Tea", "price": 12.5, "currency": "EUR"}
    reply = await both.ask("POST", "v1/products", body, role="admin")
    assert reply.status == 201
    assert b'"price":12.50' in reply.raw
    assert reply.json["currency"] == "EUR"
    new = await both.good("GET", f"v2/products/prd_{reply.json['id']}")
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
async def test_money_is_exact_in_every_currency(both: Both, currency: str, price: str, minor: int) -> None:
    body = f'{{"store_id": {both.store}, "name": "Tea", "price": {price}, "currency": "{currency}"}}'
    headers = (("Authorization", f"Bearer {both.tokens['admin']}"), ("Content-Type", "application/json"))
    async with both.http.post(f"{both.url}/api/v1/products", data=body, headers=headers) as response:
        made = await response.json()
    assert response.status == 201, made
    new = await both.good("GET", f"v2/products/prd_{made['id']}")
    assert new["price"] == {"amount_minor": minor, "currency": currency}


@pytest.mark.parametrize(
    ("price", "code"),
    [(0.001, "precision"), ("12.50", "decimal"), (True, "decimal"), (-1, "range"), (1e13, "range")],
)
async def test_a_price_that_is_no_amount_is_refused(both: Both, price: Any, code: str) -> None:
    body = {"store_id": both.store, "name": "Tea", "price": price, "currency": "EUR"}
    reply = await both.ask("POST", "v1/products", body, role="admin")
    assert reply.status == 422
    assert [(d["field"], d["code"]) for d in reply.json["details"]] == [("price", code)]


async def test_errors_are_flat_in_version_1_and_problems_in_version_2(both: Both) -> None:
    old = await both.ask("POST", "v1/orders", both.order(items=[]), role="customer")
    assert (old.status, old.headers["Content-Type"]) == (422, "application/json")
    assert old.json.keys() == {"error", "message", "details", "trace_id", "retryable"}
    assert old.json["error"] == "invalid"
    assert [(d["in"], d["field"]) for d in old.json["details"]] == [("body", "items")]

    new = await both.ask("POST", "v2/orders", {"items": []}, role="customer", headers=keyed())
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
    both: Both, path: str, wrong: dict[str, Any], field: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "v1/orders": both.order(),
        "v1/stores": {"zone_id": both.zone, "name": "S", "location": {"lat": 1, "lng": 2}},
        "v1/products": {"store_id": both.store, "name": "P", "price": 1, "currency": "EUR"},
    }
    reply = await both.ask("POST", path, bodies[path] | wrong, role="admin")
    assert reply.status == 422, reply
    assert [detail["field"] for detail in reply.json["details"]] == [field]


async def test_ids_are_numbers_in_version_1_and_texts_in_version_2(both: Both) -> None:
    number = await both.ordered()
    old = await both.good("GET", f"v1/orders/{number}", role="customer")
    new = await both.good("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old["id"], old["store"]["id"], old["items"][0]["product_id"]) == (
        number,
        both.store,
        both.product,
    )
    assert (new["id"], new["store"]["id"]) == (f"ord_{number}", f"sto_{both.store}")
    for wrong in (f"ord_{number}", "0", "-1", "1.0", "9007199254740993", "%EF%BC%91"):
        reply = await both.ask("GET", f"v1/orders/{wrong}", role="customer")
        assert (reply.status, reply.json["error"]) == (404, "order_not_found")
    assert (await both.ask("GET", f"v2/orders/{number}", role="customer")).status == 404


async def test_a_place_is_lng_and_location_in_version_1_and_lon_in_version_2(both: Both) -> None:
    body = {"zone_id": both.zone, "name": "S", "location": {"lat": 48.1, "lng": 11.5}}
    made = await both.ask("POST", "v1/stores", body, role="admin")
    assert made.json["location"] == {"lat": 48.1, "lng": 11.5}
    assert made.headers["Location"] == f"/api/v1/stores/{made.json['id']}"
    new = await both.good("GET", f"v2/stores/sto_{made.json['id']}")
    assert (new["lat"], new["lon"]) == (48.1, 11.5)
    near = await both.good("GET", "v1/stores?lat=48.1&lng=11.5&radius_m=100")
    assert made.json["id"] in [store["id"] for store in near["items"]]
    assert near["page"] == 1
    # Not far from where other tests have put the driver: a jump would be disbelieved.
    place = {"lat": 52.501, "lng": 13.401}
    await both.good("PUT", "v1/drivers/me/location", place, role="courier")
    seen: dict[str, Any] = {}

    async def located() -> bool:
        nonlocal seen
        seen = await both.good("GET", "v1/drivers/me", role="courier")
        return bool(seen["location"] == place)

    await seconds_until(located)
    assert seen["id"] == both.driver


async def _product(both: Both) -> int:
    body = {"store_id": both.store, "name": fresh("P"), "price": 5, "currency": "EUR", "stock": 7}
    return int((await both.good("POST", "v1/products", body))["id"])


async def test_put_replaces_in_version_1_and_patch_merges_in_version_2(both: Both) -> None:
    number = await _product(both)
    whole = {"name": "New", "price": 6.25, "currency": "EUR", "stock": None, "active": True}
    old = await both.good("PUT", f"v1/products/{number}", whole)
    assert {name: old[name] for name in whole} == whole
    reply = await both.ask("PATCH", f"v1/products/{number}", {"name": "X"}, role="admin")
    assert reply.status == 405
    assert set(reply.headers["Allow"].split(",")) - {"OPTIONS"} == {"DELETE", "GET", "PUT"}
    assert (await both.ask("PUT", f"v2/products/prd_{number}", whole, role="admin")).status == 405

    tag = (await both.ask("GET", f"v2/products/prd_{number}", role="admin")).headers.get("ETag", "*")
    new = await both.good(
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
async def test_put_wants_every_field_and_shows_what_it_set(both: Both, kind: str) -> None:
    number = {
        "zones": both.zone,
        "stores": both.store,
        "products": await _product(both),
        "users": both.driver,
    }[kind]
    whole = WHOLE[kind] | ({"zone_id": both.zone} if kind == "users" else {})
    shown = await both.good("PUT", f"v1/{kind}/{number}", whole)
    assert {name: shown[name] for name in whole} == whole
    for name in whole:
        rest = {key: value for key, value in whole.items() if key != name}
        reply = await both.ask("PUT", f"v1/{kind}/{number}", rest, role="admin")
        assert reply.status == 422
        assert name in [detail["field"] for detail in reply.json["details"]]
    reply = await both.ask("PUT", f"v1/{kind}/{number}", whole | {"name": None}, role="admin")
    assert [detail["field"] for detail in reply.json["details"]] == ["name"]
    assert (await both.ask("PUT", f"v1/{kind}/999999999", whole, role="admin")).status == 404


async def test_a_deleted_driver_is_in_no_list_of_version_1_either(both: Both) -> None:
    person = {
        "email": f"{fresh('g')}@mall.example",
        "password": "long enough",
        "name": "Gone",
        "role": "driver",
    }
    number = (await both.good("POST", "v1/users", {**person, "zone_id": both.zone, "capacity": 1}))["id"]
    lists = ("v1/users?role=driver&page_size=100", f"v1/drivers?zone_id={both.zone}&page_size=100")
    before = [await both.good("GET", path) for path in lists]
    await both.good("DELETE", f"v2/users/usr_{number}", headers=[("If-Match", "*")])
    after = [await both.good("GET", path) for path in lists]
    for old, new in zip(before, after, strict=True):
        assert [item["id"] for item in old["items"] if item not in new["items"]] == [number]
        assert (new["total"], len(new["items"])) == (old["total"] - 1, len(old["items"]) - 1)


async def test_times_have_seconds_in_version_1_and_milliseconds_in_version_2(both: Both) -> None:
    number = await both.ordered()
    old = await both.good("GET", f"v1/orders/{number}", role="customer")
    new = await both.good("GET", f"v2/orders/ord_{number}", role="customer")
    for name in ("created_at", "updated_at", "ready_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", old[name])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", new[name])
        assert old[name][:-1] == new[name][:-5]
    history = await both.good("GET", f"v1/orders/{number}/events", role="customer")
    assert history["items"][0]["at"] == old["created_at"]


async def test_an_order_needs_a_key_in_version_2_only(both: Both) -> None:
    first, second = await both.ordered(), await both.ordered()
    assert first != second
    key = keyed()
    third = await both.ask("POST", "v1/orders", both.order(), role="customer", headers=key)
    again = await both.ask("POST", "v1/orders", both.order(), role="customer", headers=key)
    assert (again.status, again.raw) == (third.status, third.raw)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await both.ask("POST", "v1/orders", both.order(notes="x"), role="customer", headers=key)
    assert (other.status, other.json["error"]) == (422, "key_reused")
    short = await both.ask(
        "POST", "v1/orders", both.order(), role="customer", headers=[("Idempotency-Key", "short")]
    )
    assert (short.status, short.json["error"]) == (400, "invalid_idempotency_key")
    unread = await both.ask("GET", "v1/me", role="customer", headers=[("Idempotency-Key", "short")])
    assert unread.status == 200

    new = {
        "items": [{"product_id": f"prd_{both.product}", "quantity": 2}],
        "dropoff": {"lat": 52.52, "lon": 13.4, "address": "Second floor"},
        "payment": "cash",
    }
    bare = await both.ask("POST", "v2/orders", new, role="customer")
    assert (bare.status, bare.json["code"]) == (400, "invalid_idempotency_key")
    # The same key in the other version is another key: no answer is repeated in another form.
    fourth = await both.ask("POST", "v2/orders", new, role="customer", headers=key)
    assert fourth.status == 201
    assert fourth.json["id"] != f"ord_{third.json['id']}"


async def test_a_status_is_written_in_version_1_and_is_a_resource_in_version_2(both: Both) -> None:
    old, new = await both.ordered(), await both.ordered()
    for status, result, word, shown in (
        ("accepted", "won", "acceptance", "assigned"),
        ("on_the_way", "picked_up", "pickup", "picked_up"),
        ("delivered", "delivered", "delivery", "delivered"),
    ):
        done = await both.good("PATCH", f"v1/orders/{old}", {"status": status}, role="courier")
        assert done == {"result": result, "order_id": old, "status": status}
        done = await both.good("POST", f"v2/orders/ord_{new}/{word}", {}, role="courier")
        assert (done["result"], done["status"]) == (result, shown)
    assert (await both.ask("POST", f"v1/orders/{old}/delivery", role="courier")).status == 404
    assert (await both.ask("PATCH", f"v2/orders/ord_{new}", {"status": "x"}, role="courier")).status == 405


async def test_every_status_of_version_1_can_be_reached_by_writing_it(both: Both) -> None:
    number = await both.ordered()
    path = f"v1/orders/{number}"
    wishes: list[tuple[str, dict[str, Any], str]] = [
        ("admin", {"status": "accepted", "driver_id": both.driver}, "accepted"),
        ("admin", {"status": "pending"}, "pending"),
        ("courier", {"status": "accepted"}, "accepted"),
        ("courier", {"status": "picked_up"}, "on_the_way"),
        ("courier", {"status": "failed", "reason": "nobody there"}, "failed"),
    ]
    for role, body, status in wishes:
        await both.good("PATCH", path, body, role=role)
        assert (await both.good("GET", path))["status"] == status
    other = await both.ordered()
    await both.good("PATCH", f"v1/orders/{other}", {"status": "cancelled", "reason": "late"}, role="customer")
    assert (await both.good("GET", f"v1/orders/{other}"))["status"] == "cancelled"


async def test_a_status_may_be_written_only_by_those_who_may_run_what_is_behind_it(both: Both) -> None:
    number = await both.ordered()
    for role, body in (
        ("customer", {"status": "accepted"}),
        ("customer", {"status": "accepted", "driver_id": both.driver}),
        ("courier", {"status": "cancelled"}),
        ("admin", {"status": "delivered"}),
    ):
        reply = await both.ask("PATCH", f"v1/orders/{number}", body, role=role)
        assert (reply.status, reply.json["error"]) == (403, "forbidden")
    reply = await both.ask("PATCH", f"v1/orders/{number}", {"status": "accepted"})
    assert (reply.status, reply.json["error"]) == (401, "unauthenticated")
    for wrong in ({}, {"status": "assigned"}, {"status": 5}, {"status": "pending", "extra": 1}):
        reply = await both.ask("PATCH", f"v1/orders/{number}", wrong, role="admin")
        assert reply.status == 422


async def test_statuses_have_other_names(both: Both) -> None:
    number = await both.ordered()
    old = await both.good("GET", f"v1/orders/{number}", role="customer")
    new = await both.good("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old["status"], new["status"]) == ("pending", "confirmed")
    listed = await both.good("GET", f"v1/orders?status=pending&zone_id={both.zone}", role="customer")
    assert number in [order["id"] for order in listed["items"]]
    assert (await both.ask("GET", "v1/orders?status=confirmed", role="customer")).status == 422
    await both.good("PATCH", f"v1/orders/{number}", {"status": "cancelled"}, role="customer")
    reply = await both.ask("PATCH", f"v1/orders/{number}", {"status": "accepted"}, role="courier")
    assert (reply.status, reply.json["order_status"]) == (409, "cancelled")


async def test_version_1_has_no_etags_and_looks_at_no_conditions(both: Both) -> None:
    number = await both.ordered()
    old = await both.ask(
        "GET", f"v1/orders/{number}", role="customer", headers=[("If-None-Match", "*"), ("If-Match", '"9"')]
    )
    new = await both.ask("GET", f"v2/orders/ord_{number}", role="customer")
    assert (old.status, old.json.keys() & {"version"}, "ETag" in old.headers) == (200, set(), False)
    assert new.headers["ETag"] == f'"{new.json["version"]}"'


async def test_the_last_of_many_writes_of_version_1_wins_and_none_is_refused(both: Both) -> None:
    number = await _product(both)
    whole = {"name": "P", "price": 5, "currency": "EUR", "stock": 1, "active": True}
    for stock in range(5):
        shown = await both.good("PUT", f"v1/products/{number}", whole | {"stock": stock})
        assert shown["stock"] == stock
    assert await both.good("DELETE", f"v1/products/{number}") is None


async def test_the_feed_is_in_version_2_only(both: Both) -> None:
    for method, path in (
        ("GET", "v1/drivers/feed"),
        ("POST", "v1/realtime/tickets"),
        ("GET", "v1/orders/1/track"),
    ):
        reply = await both.ask(method, path, role="courier")
        assert (reply.status, reply.json["error"]) == (404, "not_found")
    assert (await both.ask("POST", "v2/realtime/tickets", role="courier")).status == 201
