"""Entity tags: reading again what has not changed, and writing only what has been seen."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from typing import Any, NamedTuple

import pytest

from tests.acceptance.raw_http import JSON, Answer, RunningServer, faults, refusal
from tests.acceptance.sample_mall import ORDER, fresh_key
from tests.acceptance.write_operations import WRITES

MERGE = ("Content-Type", "application/merge-patch+json")
STRONG = re.compile(r'"[0-9.]+"')
WRITERS = 50


class Kind(NamedTuple):
    """A resource: how one is made, what is changed about it, and whether it can be taken away."""

    create: str
    change: dict[str, Any]
    deletes: bool = False


KINDS = {
    "users": Kind("users.create", {"name": "Changed", "capacity": 4}),
    "zones": Kind("zones.create", {"name": "Changed"}),
    "stores": Kind("stores.create", {"name": "Changed"}, deletes=True),
    "products": Kind("products.create", {"name": "Changed"}, deletes=True),
}
each_kind = pytest.mark.parametrize("name", KINDS)


class Made(NamedTuple):
    path: str
    tag: str
    body: dict[str, Any]


async def _make(server: RunningServer, name: str) -> Made:
    """A new one, with the tag that it was created with."""
    operation = WRITES[KINDS[name].create]
    body = operation.body
    if name == "users":
        body = {**body, "email": f"{fresh_key()}@mall.example"}
    answer = await server.send("POST", operation.path, [JSON], json.dumps(body).encode(), role="admin")
    assert answer.status == 201, answer
    assert answer.headers["location"] == f"/api/v2/{name}/{answer.json['id']}"
    return Made(answer.headers["location"], answer.headers["etag"], answer.json)


async def _get(server: RunningServer, path: str, tag: str | None = None, role: str = "admin") -> Answer:
    return await server.send("GET", path, [] if tag is None else [("If-None-Match", tag)], role=role)


async def _patch(
    server: RunningServer, path: str, body: Any, tag: str | None, kind: tuple[str, str] = MERGE
) -> Answer:
    headers = [kind] if tag is None else [kind, ("If-Match", tag)]
    return await server.send("PATCH", path, headers, json.dumps(body).encode(), role="admin")


# -- reading ----------------------------------------------------------------------------------------------


@each_kind
async def test_created_resource_has_the_tag_that_a_read_shows(server: RunningServer, name: str) -> None:
    made = await _make(server, name)
    read = await _get(server, made.path)
    assert STRONG.fullmatch(made.tag)
    assert (read.headers["etag"], read.json) == (made.tag, made.body)


async def test_created_order_has_the_tag_that_a_read_shows(server: RunningServer) -> None:
    headers = [JSON, ("Idempotency-Key", fresh_key())]
    made = await server.send("POST", "/api/v2/orders", headers, json.dumps(ORDER).encode(), role="customer")
    read = await _get(server, made.headers["location"], role="customer")
    assert made.headers["etag"] == read.headers["etag"] == '"1"'


READS = (
    "users/usr_1", "zones/zon_1", "stores/sto_1", "products/prd_1", "orders/{order}", "users?limit=2", "zones",
    "stores?sort=name", "products?limit=2", "stores/sto_1/products", "orders?status=delivered,confirmed&limit=1",
    "orders/{order}/events", "drivers",
)  # fmt: skip


@pytest.mark.parametrize("query", READS)
async def test_unchanged_resource_is_not_sent_again(server: RunningServer, query: str) -> None:
    path = f"/api/v2/{query.format(order=server.order)}"
    first = await _get(server, path)
    tag = first.headers["etag"]
    single = "_" in query.split("?")[0].split("/")[-1] or query == "orders/{order}"
    assert bool(STRONG.fullmatch(tag)) == single
    for given in (tag, f"W/{tag}".replace("W/W/", "W/"), tag.removeprefix("W/"), "*", f'"other", {tag},"x"'):
        again = await _get(server, path, given)
        assert (again.status, again.body) == (304, b"")
        for header in ("etag", "cache-control", "vary"):
            assert again.headers[header] == first.headers[header]
        assert "content-type" not in again.headers
        assert "content-length" not in again.headers
    for given in ('"other"', 'W/"0"', '""'):
        assert (await _get(server, path, given)).body == first.body


CATALOGUE = (
    "zones/zon_1",
    "zones",
    "stores/sto_1",
    "stores",
    "products/prd_1",
    "products",
    "stores/sto_1/products",
)


async def test_catalogue_may_be_kept_a_while_by_who_does_not_write_it(server: RunningServer) -> None:
    for path in CATALOGUE:
        for role, policy in (("customer", "private, max-age=60"), ("admin", "private, no-cache")):
            answer = await _get(server, f"/api/v2/{path}", role=role)
            assert answer.headers["cache-control"] == policy
            assert answer.headers["vary"] == "Mall-Api-Version, Authorization, Origin"


async def test_everything_else_is_kept_by_nobody(server: RunningServer) -> None:
    for path in (
        "users/usr_1",
        "users",
        f"orders/{server.order}",
        "orders",
        f"orders/{server.order}/events",
        "drivers",
    ):
        answer = await _get(server, f"/api/v2/{path}")
        assert answer.headers["cache-control"] == "private, no-store"


MALFORMED = [
    "7",
    '"7',
    '7"',
    "",
    ",",
    '"7" "8"',
    '"7", *',
    "*, *",
    '"a b"',
    "w/" + '"7"',
    ", ".join(['"7"'] * 21),
]


@pytest.mark.parametrize("tag", MALFORMED)
async def test_header_that_holds_no_tags_is_refused_by_name(server: RunningServer, tag: str) -> None:
    read = await _get(server, "/api/v2/zones/zon_1", tag)
    assert faults(refusal(read, 400, "malformed_request")) == {("header", "If-None-Match")}
    write = await _patch(server, "/api/v2/zones/zon_1", {}, tag)
    assert faults(refusal(write, 400, "malformed_request")) == {("header", "If-Match")}


# -- writing ----------------------------------------------------------------------------------------------


@each_kind
async def test_write_that_has_seen_nothing_is_refused(server: RunningServer, name: str) -> None:
    made = await _make(server, name)
    refused = refusal(await _patch(server, made.path, KINDS[name].change, None), 428, "precondition_required")
    assert faults(refused) == {("header", "If-Match")}
    if KINDS[name].deletes:
        refusal(await server.send("DELETE", made.path, role="admin"), 428, "precondition_required")
    assert (await _get(server, made.path)).json == made.body


@each_kind
async def test_write_of_what_was_seen_is_done_and_shows_the_next_tag(
    server: RunningServer, name: str
) -> None:
    made = await _make(server, name)
    answer = await _patch(server, made.path, KINDS[name].change, f'"other", {made.tag}')
    assert answer.status == 200
    assert {field: answer.json[field] for field in KINDS[name].change} == KINDS[name].change
    assert STRONG.fullmatch(answer.headers["etag"])
    assert answer.headers["etag"] != made.tag
    read = await _get(server, made.path)
    assert (read.json, read.headers["etag"]) == (answer.json, answer.headers["etag"])


@each_kind
async def test_write_of_what_has_changed_since_is_refused_and_shows_the_tag_of_now(
    server: RunningServer, name: str
) -> None:
    made = await _make(server, name)
    now = (await _patch(server, made.path, KINDS[name].change, made.tag)).headers["etag"]
    for stale in (made.tag, f"W/{now}", '"nonsense"', '"99999999999999999999"'):
        for body in ({"name": "Late"}, {}):
            answer = await _patch(server, made.path, body, stale)
            refusal(answer, 412, "precondition_failed")
            assert answer.headers["etag"] == now
        if KINDS[name].deletes:
            answer = await server.send("DELETE", made.path, [("If-Match", stale)], role="admin")
            refusal(answer, 412, "precondition_failed")
            assert answer.headers["etag"] == now
    assert (await _get(server, made.path)).headers["etag"] == now


@each_kind
async def test_star_writes_whatever_is_there_and_nothing_where_nothing_is(
    server: RunningServer, name: str
) -> None:
    made = await _make(server, name)
    assert (await _patch(server, made.path, KINDS[name].change, "*")).status == 200
    gone = re.sub("[0-9]+$", "999999999", made.path)
    for tag in ("*", '"1"'):
        refusal(await _patch(server, gone, KINDS[name].change, tag), 404, "not_found")


@each_kind
async def test_of_fifty_writers_who_saw_one_version_one_wins(server: RunningServer, name: str) -> None:
    made = await _make(server, name)
    async with asyncio.TaskGroup() as tasks:
        writes = [
            tasks.create_task(
                _patch(server, made.path, {**KINDS[name].change, "name": f"Writer {n}"}, made.tag)
            )
            for n in range(WRITERS)
        ]
    answers = [write.result() for write in writes]
    assert Counter(answer.status for answer in answers) == {200: 1, 412: WRITERS - 1}
    [won] = [answer for answer in answers if answer.status == 200]
    assert {answer.headers["etag"] for answer in answers} == {won.headers["etag"]}
    assert (await _get(server, made.path)).json == won.json


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.deletes])
async def test_deletion_of_what_was_seen_takes_it_out_of_the_list(server: RunningServer, name: str) -> None:
    made = await _make(server, name)
    answer = await server.send("DELETE", made.path, [("If-Match", made.tag)], role="admin")
    assert (answer.status, answer.body) == (204, b"")
    left = await _get(server, made.path)
    assert left.json["active"] is False
    assert left.headers["etag"] != made.tag


async def test_product_has_another_tag_when_its_stock_has_another_number(server: RunningServer) -> None:
    made = await _make(server, "products")
    headers = [JSON, ("Idempotency-Key", fresh_key())]
    order = {**ORDER, "items": [{"product_id": made.body["id"], "quantity": 2}]}
    placed = await server.send("POST", "/api/v2/orders", headers, json.dumps(order).encode(), role="customer")
    assert placed.status == 201
    now = await _get(server, made.path, made.tag)
    assert (now.status, now.json["stock"]) == (200, made.body["stock"] - 2)
    # Who restocks by a number that was counted before the sale would lose the sale.
    refusal(await _patch(server, made.path, {"stock": 100}, made.tag), 412, "precondition_failed")
    # By its version alone a product can be changed while it sells.
    version = f'"{made.body["version"]}"'
    assert (await _patch(server, made.path, {"name": "Sells"}, version)).json["stock"] == made.body[
        "stock"
    ] - 2
    refusal(await _patch(server, made.path, {"name": "Late"}, version), 412, "precondition_failed")


# -- merge patches ----------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize(
    "kind", [MERGE, JSON, ("Content-Type", "application/merge-patch+json; charset=utf-8")]
)
async def test_empty_patch_changes_nothing(server: RunningServer, name: str, kind: tuple[str, str]) -> None:
    made = await _make(server, name)
    answer = await _patch(server, made.path, {}, made.tag, kind)
    assert (answer.status, answer.json, answer.headers["etag"]) == (200, made.body, made.tag)


async def test_null_removes_what_may_be_missing(server: RunningServer) -> None:
    for name, field in (("products", "stock"), ("zones", "area")):
        made = await _make(server, name)
        assert made.body[field] is not None
        answer = await _patch(server, made.path, {field: None}, made.tag)
        assert (answer.status, answer.json[field]) == (200, None)
        kept = await _patch(server, made.path, {"name": "Kept"}, answer.headers["etag"])
        assert kept.json[field] is None


NULLS = {
    "users": ("name", "status", "zone_id", "capacity"),
    "zones": ("name", "mode", "wave_size", "offer_ttl_s", "offer_distance_max_m", "release_pause_s"),
    "stores": ("name", "lat", "lon", "preparation_s", "active"),
    "products": ("name", "price", "active", "price/amount_minor", "price/currency"),
}


@each_kind
async def test_null_where_there_must_be_something_is_refused_by_name(
    server: RunningServer, name: str
) -> None:
    made = await _make(server, name)
    for pointer in NULLS[name]:
        outer, _, inner = pointer.partition("/")
        body = {outer: {inner: None} if inner else None}
        answer = await _patch(server, made.path, body, made.tag)
        assert faults(refusal(answer, 422, "invalid")) == {("body", f"#/{pointer}")}
    assert (await _get(server, made.path)).headers["etag"] == made.tag


async def test_part_of_a_price_leaves_the_other_part(server: RunningServer) -> None:
    made = await _make(server, "products")
    answer = await _patch(server, made.path, {"price": {"amount_minor": 7}}, made.tag)
    assert answer.json["price"] == {"amount_minor": 7, "currency": made.body["price"]["currency"]}


async def test_patch_of_another_kind_is_told_which_ones_are_taken(server: RunningServer) -> None:
    answer = await _patch(
        server, "/api/v2/zones/zon_1", [], "*", ("Content-Type", "application/json-patch+json")
    )
    refusal(answer, 415, "unsupported_media_type")
    assert answer.headers["accept-patch"] == "application/merge-patch+json, application/json"
    answer = await server.send("PUT", "/api/v2/zones/zon_1", [JSON], b"{}", role="admin")
    refusal(answer, 405, "method_not_allowed")
    assert answer.headers["accept-patch"] == "application/merge-patch+json, application/json"
    for method, path in (("POST", "/api/v2/zones"), ("PUT", "/api/v2/drivers/me/location")):
        answer = await server.send(
            method, path, [MERGE], b"{}", role="driver" if method == "PUT" else "admin"
        )
        refusal(answer, 415, "unsupported_media_type")


async def test_zone_that_is_not_there_leaves_the_user_as_it_was(server: RunningServer) -> None:
    made = await _make(server, "users")
    answer = await _patch(server, made.path, {"name": "Half", "zone_id": "zon_999999999"}, made.tag)
    assert faults(refusal(answer, 422, "invalid")) == {("body", "#/zone_id")}
    read = await _get(server, made.path)
    assert (read.json, read.headers["etag"]) == (made.body, made.tag)


# -- cancelling -------------------------------------------------------------------------------------------


async def _order(server: RunningServer) -> Answer:
    headers = [JSON, ("Idempotency-Key", fresh_key())]
    return await server.send("POST", "/api/v2/orders", headers, json.dumps(ORDER).encode(), role="customer")


async def _cancel(server: RunningServer, order: Answer, tag: str | None) -> Answer:
    path = f"{order.headers['location']}/cancellation"
    return await server.send("POST", path, [] if tag is None else [("If-Match", tag)], role="customer")


@pytest.mark.parametrize("tag", [None, "*", '"1"', '"7", "1"'])
async def test_order_is_cancelled_as_it_was_seen(server: RunningServer, tag: str | None) -> None:
    order = await _order(server)
    answer = await _cancel(server, order, tag)
    assert (answer.status, answer.json["result"]) == (200, "cancelled")


@pytest.mark.parametrize("tag", ['"2"', 'W/"1"', '"nonsense"', '"99999999999999999999"'])
async def test_order_that_has_changed_since_is_not_cancelled(server: RunningServer, tag: str) -> None:
    order = await _order(server)
    answer = await _cancel(server, order, tag)
    problem = refusal(answer, 412, "precondition_failed")
    assert (answer.headers["etag"], problem["order_status"]) == ('"1"', "confirmed")
    read = await _get(server, order.headers["location"], role="customer")
    assert read.json["status"] == "confirmed"
    assert (await _cancel(server, order, '"1"')).status == 200


async def test_cancelling_again_is_no_conflict(server: RunningServer) -> None:
    order = await _order(server)
    for _ in range(2):
        assert (await _cancel(server, order, '"1"')).status == 200


# -- HEAD -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/v2/me", "/health/readiness", "/api/v2/openapi.json", "/docs", *CATALOGUE]
)
async def test_head_answers_as_the_get_does_but_for_the_body(server: RunningServer, path: str) -> None:
    path = path if path.startswith("/") else f"/api/v2/{path}"
    get, head = [await server.send(method, path, role="admin") for method in ("GET", "HEAD")]
    assert (head.status, head.body) == (get.status, b"") == (200, b"")
    several = {"x-trace-id", "date"}
    assert {k: v for k, v in head.headers.items() if k not in several} == {
        k: v for k, v in get.headers.items() if k not in several
    }


async def test_head_of_what_is_known_says_so(server: RunningServer) -> None:
    tag = (await server.send("HEAD", "/api/v2/zones/zon_1", role="admin")).headers["etag"]
    again = await server.send("HEAD", "/api/v2/zones/zon_1", [("If-None-Match", tag)], role="admin")
    assert (again.status, again.body) == (304, b"")
