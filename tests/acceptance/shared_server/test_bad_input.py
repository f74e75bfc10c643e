"""Broken addresses: unknown routes, methods, ids and queries; roles and owners that do not fit."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

import pytest

from api.app import with_head
from api.auth.permissions import ROLE_SCOPES, allows
from api.routes import OPERATIONS, ROUTES
from tests.acceptance.raw_http import ANY_VERSION, JSON, RunningServer, faults, refusal
from tests.acceptance.sample_mall import fresh_key
from tests.acceptance.write_operations import KEYED, WRITES

pytestmark = pytest.mark.usefixtures("database_unchanged")

# -- routes and methods -----------------------------------------------------------------------------------

UNKNOWN = {
    "no version": "/api/no/me", "the versions": "/api/versions/1", "slash behind": "/api/v2/me/",
    "two slashes": "//api/v2/me", "capitals": "/API/V2/ME", "deeper": "/api/v2/orders/ord_1/items/1",
    "metrics on the public port": "/metrics", "status on the public port": "/status",
    "dots": "/api/v2/../../etc/passwd", "encoded dots": "/api/v2/%2e%2e/%2e%2e/etc/passwd",
    "encoded slash": "/api%2fv2/me", "NUL": "/api/v2/me%00", "bytes that are not UTF-8": "/api/%ff%fe",
    "line break": "/api/v2/me%0d%0aX-Injected:%201", "a template": "/api/v2/{id}", "long": "/" + "x" * 4000,
    "environment": "/.env", "git": "/.git/config",
}  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_route_that_is_not_there_is_not_found_in_our_words(server: RunningServer, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        refusal(await server.send(method, path, role="admin"), 404, "not_found")


METHODS: dict[str, set[str]] = {}
for _route in ROUTES:
    METHODS.setdefault(_route.path, {"OPTIONS"}).update(route.method for route in with_head(_route))


@pytest.mark.parametrize(("path", "known"), METHODS.items(), ids=METHODS)
async def test_a_method_that_is_not_there_is_refused_and_the_others_are_told(
    server: RunningServer, path: str, known: set[str]
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - known:
        answer = await server.send(method, re.sub("{.*?}", "ord_1", path), role="admin")
        refusal(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(",")) == known


@pytest.mark.parametrize("path", ["/api/v2/orders/ord_1/track", "/api/v2/drivers/feed", "/api/v2/auth/login"])
async def test_a_head_of_what_has_no_end_or_no_get_is_refused_without_a_body(
    server: RunningServer, path: str
) -> None:
    answer = await server.send("HEAD", path, role="admin")
    assert (answer.status, answer.body) == (405, b"")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "HEAD" not in answer.headers["allow"]


async def test_a_head_is_refused_where_the_get_would_be(server: RunningServer) -> None:
    for path, role, status in (
        ("/api/v2/me", "", 401),
        ("/api/v2/users", "customer", 403),
        ("/api/v2/zones/zon_999999999", "admin", 404),
        ("/api/v2/zones?limit=0", "admin", 422),
    ):
        answer = await server.send("HEAD", path, role=role)
        assert (answer.status, answer.body) == (status, b"")


# -- ids in paths -----------------------------------------------------------------------------------------

IDS = {
    "another kind": "sid_1", "number alone": "1", "zero": "{}_0", "negative": "{}_-1", "plus": "{}_%2B1",
    "leading zero": "{}_01", "past 2^53": "{}_9007199254740992", "past int64": "{}_9223372036854775808",
    "3000 digits": "{}_" + "9" * 3000, "fraction": "{}_1.0", "exponent": "{}_1e0", "hexadecimal": "{}_0x1",
    "underscore in the number": "{}_1_0", "foreign digit": "{}_%EF%BC%91", "space": "{}_1%20", "NUL": "{}_1%00",
    "line break": "{}_1%0a", "quote": "{}_1'--", "union": "{}_1%20UNION%20SELECT%201", "encoded slash": "{}_1%2f..",
    "not UTF-8": "{}_%ff", "half a surrogate pair": "{}_%ed%a0%80", "no number": "{}_", "capitals": "X{}_1",
    "an id that nobody has": "{}_999999999",
}  # fmt: skip
PREFIXES = {
    "jobs": "job",
    "webhooks": "whk",
    "users": "usr",
    "zones": "zon",
    "stores": "sto",
    "products": "prd",
    "orders": "ord",
    "payments": "pay",
    "drivers": "drv",
}
UNKNOWN_CODES = {"orders": "order_not_found", "drivers": "driver_not_found"}


@pytest.mark.parametrize("template", IDS.values(), ids=IDS)
async def test_a_broken_id_is_not_found_wherever_it_stands(server: RunningServer, template: str) -> None:
    for route in ROUTES:
        if "{id}" not in route.path:
            continue
        kind = route.path.split("/")[3]
        path = route.path.replace("{id}", template.format(PREFIXES[kind])).replace("{event}", "evt_1")
        body = WRITES[route.operation].body if route.operation in WRITES else None
        data = None if body is None else json.dumps(body).encode()
        role = next(r for r in ROLE_SCOPES if allows(r, route.scope or ""))
        key = [("Idempotency-Key", fresh_key())] if route.operation in KEYED else []
        headers = [ANY_VERSION, *([JSON] if data else []), *key]
        answer = await server.send(route.method, path, headers, data, role=role)
        refusal(answer, 404, UNKNOWN_CODES.get(kind, "not_found"))


# -- queries ----------------------------------------------------------------------------------------------


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


LISTS = {
    "/api/v2/users": "admin", "/api/v2/zones": "customer", "/api/v2/stores": "customer", "/api/v2/drivers": "admin",
    "/api/v2/products": "driver", "/api/v2/stores/sto_1/products": "customer", "/api/v2/orders": "customer",
}  # fmt: skip
QUERIES = {
    "limit 0": ("limit=0", "limit"),
    "limit 101": ("limit=101", "limit"),
    "limit negative": ("limit=-1", "limit"),
    "limit empty": ("limit=", "limit"),
    "limit a word": ("limit=all", "limit"),
    "limit a fraction": ("limit=1.5", "limit"),
    "limit an exponent": ("limit=1e-1", "limit"),
    "limit of 3000 digits": ("limit=" + "9" * 3000, "limit"),
    "limit past int64": ("limit=9223372036854775808", "limit"),
    "limit with NUL": ("limit=1%00", "limit"),
    "limit twice": ("limit=1&limit=2", "limit"),
    "limit twice alike": ("limit=1&limit=1", "limit"),
    "limit in capitals": ("LIMIT=1", "LIMIT"),
    "limit as a list": ("limit[]=1", "limit[]"),
    "unknown": ("offset=5", "offset"),
    "unknown without a value": ("verbose", "verbose"),
    "unknown and not UTF-8": ("%ff=1", "\ufffd"),
    "unknown and long": ("x" * 3000 + "=1", "x" * 200),
    "cursor too long": ("cursor=" + "A" * 1025, "cursor"),
}


@pytest.mark.parametrize(("query", "name"), QUERIES.values(), ids=QUERIES)
async def test_no_list_takes_a_broken_query(server: RunningServer, query: str, name: str) -> None:
    for path, role in LISTS.items():
        problem = refusal(await server.send("GET", f"{path}?{query}", role=role), 422, "invalid")
        assert faults(problem) == {("query", name)}


CURSORS = {
    "that is no base64": "%21%21%21",
    "that is not UTF-8": "_____w",
    "that is not ASCII": "%EF%BC%91" * 20,
    "empty": "",
    "that can be read": _cursor("after:1"),
    "of noughts": "A" * 64,
    "of another length": "A" * 65,
    "as long as can be": "A" * 1024,
}


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS)
async def test_no_list_takes_a_cursor_that_is_not_ours(server: RunningServer, cursor: str) -> None:
    for path, role in LISTS.items():
        problem = refusal(
            await server.send("GET", f"{path}?cursor={cursor}", role=role), 400, "invalid_cursor"
        )
        assert faults(problem) == {("query", "cursor")}


FILTERS: Mapping[str, tuple[str, str]] = {
    "users?role=root": ("admin", "role"),
    "users?role=Admin": ("admin", "role"),
    "drivers?status=busy": ("admin", "status"),
    "drivers?zone_id=1": ("admin", "zone_id"),
    "drivers?zone_id=zon_0": ("admin", "zone_id"),
    "drivers?zone_id=sto_1": ("admin", "zone_id"),
    "orders?status=eaten": ("customer", "status"),
    "orders?status=": ("customer", "status"),
    "orders?zone_id=zon_9007199254740992": ("admin", "zone_id"),
    "orders?customer_id=usr_4": ("customer", "customer_id"),
    "orders?status=confirmed,": ("customer", "status"),
    "orders?status=confirmed,eaten": ("customer", "status"),
    "orders?driver_id=drv_3": ("customer", "driver_id"),
    "orders?driver_id=usr_3": ("admin", "driver_id"),
    "orders?created_after=yesterday": ("customer", "created_after"),
    "orders?created_after=2030-01-31": ("customer", "created_after"),
    "orders?created_after=2030-01-31T12:00:00": ("customer", "created_after"),
    "orders?created_after=1700000000": ("customer", "created_after"),
    "orders?created_before=9999-12-31T23:59:59-23:59": ("customer", "created_before"),
    "orders?created_before=0001-01-01T00:00:00%2B23:59": ("customer", "created_before"),
    "orders?sort=price": ("customer", "sort"),
    "users?status=asleep": ("admin", "status"),
    "users?email=nobody": ("admin", "email"),
    "zones?q=a": ("customer", "q"),
    "stores?active=yes": ("customer", "active"),
    "stores?q=": ("customer", "q"),
    "stores?q=%00": ("customer", "q"),
    "stores?sort=price": ("customer", "sort"),
    "products?sort=name,price": ("customer", "sort"),
    "products?currency=eur": ("customer", "currency"),
    "products?price_min_minor=-1": ("customer", "price_min_minor"),
    "products?price_max_minor=1.5": ("customer", "price_max_minor"),
    "products?price_max_minor=1000000001": ("customer", "price_max_minor"),
    "stores/sto_1/products?store_id=sto_1": ("customer", "store_id"),
    "orders/ord_1/events?limit=1001": ("customer", "limit"),
    "products?store_id=prd_1": ("customer", "store_id"),
    "products?store_id=sto_1'": ("customer", "store_id"),
    "stores?zone_id=zon_1&zone_id=zon_2": ("customer", "zone_id"),
    "stores?radius_m=0&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=50001&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=1e9&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=NaN&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=5&near=91,0": ("customer", "near"),
    "stores?radius_m=5&near=0,181": ("customer", "near"),
    "stores?radius_m=5&near=nan,nan": ("customer", "near"),
    "stores?radius_m=5&near=52": ("customer", "near"),
    "stores?radius_m=5&near=52,13,1": ("customer", "near"),
    "stores?radius_m=5&near=1e3,1": ("customer", "near"),
    "stores?radius_m=5&near=1_0,1": ("customer", "near"),
    "stores?radius_m=5&near=.5,1": ("customer", "near"),
    "stores?radius_m=5&near=0x1,1": ("customer", "near"),
    "stores?radius_m=5&near=52,%2013": ("customer", "near"),
    "stores?radius_m=5.5&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=1_0&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=%EF%BC%91&near=52,13": ("customer", "radius_m"),
    "stores?radius_m=5&near=%EF%BC%91,1": ("customer", "near"),
    "stores?radius_m=5&near=" + "1" * 41: ("customer", "near"),
    "stores?near=52,13": ("customer", ""),
    "stores?radius_m=5": ("customer", ""),
    "stores?near=52,13&radius_m=5&zone_id=zon_1": ("customer", ""),
    "stores?near=52,13&radius_m=5&q=a": ("customer", ""),
    "stores?near=52,13&radius_m=5&sort=name": ("customer", ""),
}


@pytest.mark.parametrize("query", FILTERS)
async def test_a_broken_filter_is_refused_by_name(server: RunningServer, query: str) -> None:
    role, name = FILTERS[query]
    problem = refusal(await server.send("GET", f"/api/v2/{query}", role=role), 422, "invalid")
    assert faults(problem) == {("query", name)}


# -- roles ------------------------------------------------------------------------------------------------

GUARDED = {route.operation: route for route in ROUTES if route.scope is not None}


@pytest.mark.parametrize("operation", GUARDED)
async def test_nobody_gets_in_without_a_token(server: RunningServer, operation: str) -> None:
    route = GUARDED[operation]
    path = re.sub("{.*?}", "ord_1", route.path)
    refusal(await server.send(route.method, path, [JSON], b"{}"), 401, "unauthenticated")


@pytest.mark.parametrize("role", ROLE_SCOPES)
async def test_no_role_does_what_its_scopes_do_not_name(server: RunningServer, role: str) -> None:
    for operation, route in GUARDED.items():
        if not allows(role, OPERATIONS[operation].scope or ""):
            path = re.sub("{.*?}", server.order, route.path)
            refusal(await server.send(route.method, path, [JSON], b"{}", role=role), 403, "forbidden")


# -- owners -----------------------------------------------------------------------------------------------

FOREIGN = {
    "other": ("orders.get", "orders.events", "orders.track", "orders.cancel", "orders.share", "orders.unshare"),
    "driver": (
        "orders.get", "orders.events", "orders.track", "orders.pickup", "orders.delivery", "orders.failure",
        "orders.return",
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", FOREIGN)
async def test_an_order_of_somebody_else_is_as_unknown_as_one_that_never_was(
    server: RunningServer, role: str
) -> None:
    for operation in FOREIGN[role]:
        route = GUARDED[operation]
        body = json.dumps(WRITES[operation].body).encode() if operation in WRITES else None
        seen = []
        for order in (server.order, "ord_999999999"):
            path = route.path.replace("{id}", order)
            answer = await server.send(route.method, path, [JSON] if body else [], body, role=role)
            seen.append(refusal(answer, 404, "order_not_found") | {"trace_id": ""})
        assert seen[0] == seen[1]


async def test_a_customer_sees_only_its_own_orders(server: RunningServer) -> None:
    answer = await server.send("GET", "/api/v2/orders?limit=100", role="other")
    assert {order["customer_id"] for order in answer.json["items"]} <= {"usr_4"}


STATES = {
    "accept what was not offered": ("orders.accept", {}, 409, "not_offered"),
    "accept an offer that is gone": ("orders.accept", {"offer_id": "ofr_1_1"}, 410, "offer_expired"),
    "decline what was not offered": ("orders.decline", {}, 409, "not_offered"),
    "release what nobody carries": ("orders.release", {}, 409, "invalid_transition"),
    "assign to a driver that is offline": ("orders.assign", {"driver_id": "drv_3"}, 409, "driver_offline"),
    "assign to a driver that is not there": (
        "orders.assign",
        {"driver_id": "drv_999999999"},
        404,
        "driver_not_found",
    ),
    "assign to a customer": ("orders.assign", {"driver_id": "drv_2"}, 404, "driver_not_found"),
}


@pytest.mark.parametrize(("operation", "body", "status", "code"), STATES.values(), ids=STATES)
async def test_a_command_that_does_not_fit_is_refused(
    server: RunningServer, operation: str, body: object, status: int, code: str
) -> None:
    problem = refusal(await server.write(operation, json.dumps(body).encode()), status, code)
    if code == "driver_not_found":
        assert faults(problem) == {("body", "#/driver_id")}
    else:
        assert (problem["order_status"], problem["order_version"]) == ("confirmed", 1)
