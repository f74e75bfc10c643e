"""Bad input to version 1: refused in its own form, by the same rules, and with no fault of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from api.v1.handlers import TRANSITION_BYTES_MAX
from tests.acceptance.raw_http import JSON, LEAK, Answer, RunningServer, grafted
from tests.acceptance.sample_mall import PEOPLE, fresh_key
from tests.acceptance.shared_server.test_bad_bodies import SHAPES, TEXTS
from tests.acceptance.write_operations import WRITES

pytestmark = pytest.mark.usefixtures("database_unchanged")

LINE = {"product_id": 1, "quantity": 1}
PLACE = {"lat": 52.5, "lng": 13.4}
# Method, path, role and a body that would be accepted, for everything that writes.
CHANGES: Mapping[str, tuple[str, str, str, dict[str, Any]]] = {
    "register": ("POST", "auth/register", "", dict(WRITES["auth.register"].body)),
    "login": ("POST", "auth/login", "", dict(WRITES["auth.login"].body)),
    "user": ("POST", "users", "admin", {**WRITES["users.create"].body, "zone_id": 1}),
    "zone": ("POST", "zones", "admin", {"name": "Z", "area": [PLACE, PLACE, PLACE]}),
    "zone again": (
        "PUT", "zones/1", "admin",
        {"name": "Z", "mode": "waves", "wave_size": 1, "offer_ttl_s": 5, "area": [PLACE, PLACE, PLACE]},
    ),
    "store": ("POST", "stores", "admin", {"zone_id": 1, "name": "S", "location": PLACE}),
    "store again": (
        "PUT", "stores/1", "admin", {"name": "S", "location": PLACE, "preparation_s": 60, "active": True},
    ),
    "product": ("POST", "products", "admin", {"store_id": 1, "name": "P", "price": 1.5, "currency": "EUR"}),
    "product again": (
        "PUT", "products/1", "admin",
        {"name": "P", "price": 1.5, "currency": "EUR", "stock": 5, "active": True},
    ),
    "order": (
        "POST", "orders", "customer",
        {"items": [LINE], "dropoff": {**PLACE, "address": "A"}, "payment": "cash", "notes": "N"},
    ),
    "status": ("PATCH", "orders/{order}", "driver", {"status": "accepted", "offer_id": "ofr_1_1"}),
    "ready": ("PUT", "orders/{order}/ready-time", "admin", dict(WRITES["orders.ready_time"].body)),
    "availability": ("PUT", "drivers/me/availability", "driver", {"status": "offline"}),
    "location": ("PUT", "drivers/me/location", "driver", dict(PLACE)),
}  # fmt: skip


async def change(server: RunningServer, name: str, body: bytes, headers: Any = (JSON,)) -> Answer:
    method, path, role, _ = CHANGES[name]
    number = server.order.partition("_")[2]
    return await server.send(method, f"/api/v1/{path.format(order=number)}", headers, body, role=role)


def refused(answer: Answer, status: int, code: str) -> list[str]:
    """The fields that an error of version 1 names."""
    assert (answer.status, answer.json.get("error")) == (status, code), answer
    assert LEAK.search(repr(answer)) is None
    headers = answer.headers
    assert headers["content-type"] == "application/json"
    assert (headers["mall-api-version"], headers["cache-control"]) == ("1", "no-store")
    assert {"deprecation", "sunset", "link"} <= headers.keys()
    assert answer.json["trace_id"] == headers["x-trace-id"]
    for detail in answer.json["details"]:
        assert detail.keys() == {"in", "field", "code", "message"}
    return [detail["field"] for detail in answer.json["details"]]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_no_route_takes_a_text_that_is_not_proper_json(server: RunningServer, text: bytes) -> None:
    for name in CHANGES:
        too_large = name == "status" and len(text) > TRANSITION_BYTES_MAX
        status, code = (413, "body_too_large") if too_large else (400, "malformed_json")
        refused(await change(server, name, text), status, code)


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
async def test_no_route_takes_json_that_is_not_an_object(server: RunningServer, text: bytes) -> None:
    for name in CHANGES:
        assert refused(await change(server, name, text), 422, "invalid") in ([""], ["status"])


@pytest.mark.parametrize("field", ["surprise", "Name", "id", "version", "customer_id", "total", "If-Match"])
async def test_no_route_takes_a_field_that_it_does_not_know(server: RunningServer, field: str) -> None:
    for name, (_, _, _, body) in CHANGES.items():
        assert refused(await change(server, name, grafted(body, f"/{field}", "1")), 422, "invalid") == [field]


NUMBERS = (
    "1.5",
    "1e300",
    "0",
    "-1",
    "true",
    '"1"',
    '"prd_1"',
    "9007199254740992",
    "9223372036854775808",
    "[1]",
    "{}",
    "1e-1",
)


@pytest.mark.parametrize("number", NUMBERS)
async def test_an_id_that_is_no_number_of_a_row_is_refused(server: RunningServer, number: str) -> None:
    for name, pointer, field in (
        ("order", "/items/0/product_id", "items.0.product_id"),
        ("store", "/zone_id", "zone_id"),
        ("product", "/store_id", "store_id"),
        ("user", "/zone_id", "zone_id"),
    ):
        assert refused(
            await change(server, name, grafted(CHANGES[name][3], pointer, number)), 422, "invalid"
        ) == [field]


AMOUNTS = (
    "0.001", "-0.01", "1e13", "1e300", "10000000.01", '"1.50"', "null", "true", "[]", "{}", "1e-400", "1e-99999999999",
    "0.0000000000000000000000000000000001", "12.500000000000000000000000000000000001", "9223372036854775808",
)  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS)
async def test_an_amount_that_is_no_money_is_refused(server: RunningServer, amount: str) -> None:
    for name in ("product", "product again"):
        body = grafted(CHANGES[name][3], "/price", amount)
        assert set(refused(await change(server, name, body), 422, "invalid")) == {"price"}


async def test_a_zero_with_a_monstrous_exponent_is_zero(server: RunningServer) -> None:
    body = grafted(CHANGES["product"][3], "/price", "0e99999999999999999999")
    body = body.replace(b'"store_id": 1', b'"store_id": 999999999')
    assert refused(await change(server, "product", body), 422, "invalid") == ["store_id"]


@pytest.mark.parametrize(("name", "bound"), [("status", "4 KiB"), ("order", "64 KiB")])
async def test_a_body_that_is_too_large_is_told_the_bound_that_it_broke(
    server: RunningServer, name: str, bound: str
) -> None:
    answer = await change(server, name, b"[" * (64 * 1024 if name == "status" else 64 * 1024 + 1))
    refused(answer, 413, "body_too_large")
    assert answer.json["message"] == f"Send a body of at most {bound}."


async def test_other_bodies_are_refused_as_in_version_2(server: RunningServer) -> None:
    refused(
        await change(server, "order", b"{}", (("Content-Type", "text/plain"),)), 415, "unsupported_media_type"
    )
    refused(
        await change(server, "order", b"{}", (JSON, ("Content-Encoding", "gzip"))),
        415,
        "unsupported_media_type",
    )
    refused(await change(server, "order", b"[" * (64 * 1024 + 1)), 413, "body_too_large")
    refused(await change(server, "order", b""), 400, "malformed_json")
    two = (JSON, ("Idempotency-Key", fresh_key()), ("Idempotency-Key", fresh_key()))
    refused(
        await change(server, "order", json.dumps(CHANGES["order"][3]).encode(), two),
        400,
        "invalid_idempotency_key",
    )
    for method, path in (("POST", "auth/logout"), ("DELETE", "stores/1"), ("DELETE", "products/1")):
        answer = await server.send(method, f"/api/v1/{path}", (JSON,), b"{}", role="admin")
        refused(answer, 400, "malformed_request")


@pytest.mark.parametrize(
    "query",
    ["page=", "page=-1", "page=%31%00", "page_size=1e-1", "limit=5", "near=1,2", "lat=1", "lat=1&lng=2&radius_m=0",
     "lat=nan&lng=2&radius_m=5", "lat=1&lng=2&radius_m=5&page=2", "zone_id=zon_1", "zone_id=0"],
)  # fmt: skip
async def test_a_query_that_makes_no_sense_is_refused(server: RunningServer, query: str) -> None:
    refused(await server.send("GET", f"/api/v1/stores?{query}", role="customer"), 422, "invalid")


async def test_a_route_without_a_query_takes_none(server: RunningServer) -> None:
    assert refused(await server.send("GET", "/api/v1/me?page=1", role="customer"), 422, "invalid") == ["page"]


async def test_a_customer_sees_nothing_of_another_in_version_1_either(server: RunningServer) -> None:
    number = server.order.partition("_")[2]
    assert PEOPLE.keys() >= {"customer"}
    for path in (f"orders/{number}", f"orders/{number}/events"):
        refused(await server.send("GET", f"/api/v1/{path}", role="other"), 404, "order_not_found")
    body = b'{"status": "cancelled"}'
    answer = await server.send("PATCH", f"/api/v1/orders/{number}", (JSON,), body, role="other")
    refused(answer, 404, "order_not_found")
    listed = await server.send("GET", "/api/v1/orders", role="other")
    assert int(number) not in {order["id"] for order in listed.json["items"]}
