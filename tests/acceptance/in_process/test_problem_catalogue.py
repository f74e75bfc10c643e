"""Everything that can go wrong does go wrong here, once, and looks as the catalogue says.

A code without a row in HOW fails: whoever adds one says how it comes about.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.contract.problems import KINDS
from api.docs.problem_pages import row_of
from api.docs.response_schemas import components_of
from dispatch.order_shares import SHARES_MAX
from dispatch.service import CREATE_ROUTE
from dispatch.webhooks.administration import Webhooks
from tests.acceptance.in_process.in_process_server import FAULTS, InProcessServer, ordered
from tests.acceptance.raw_http import ANY_VERSION, FEED, JSON, UPGRADE, Answer, Headers, refusal
from tests.acceptance.sample_mall import CUSTOMER, ORDER, PEOPLE, SOON, fresh_key

_numbers = itertools.count(2)
COMPONENTS = components_of([])

# -- how each comes about ---------------------------------------------------------------------------------

How = Callable[[InProcessServer], Awaitable[Answer]]
PLACE = ("POST", "/api/v2/orders")
LOGIN = ("POST", "/api/v2/auth/login")
HOOKS = ("POST", "/api/v2/webhooks")
HOOK = {"url": "https://hooks.example/in"}


def asked(role: str, method: str, path: str, body: Any = None, *headers: tuple[str, str]) -> How:
    """One request is enough."""
    return lambda server: server.ask(role, method, path, body, *headers)


def sent(role: str, method: str, path: str, headers: Headers = (), body: bytes | None = None) -> How:
    """The same, byte for byte."""
    return lambda server: server.send(method, path, headers, body, role=role)


def upgrade(path: str = FEED, role: str = "driver", **changes: str) -> How:
    """Opening the feed, but for these headers."""
    headers = UPGRADE | {name.replace("_", "-"): value for name, value in changes.items()}
    return lambda server: server.send("GET", path, list(headers.items()), role=role)


def fault(code: str) -> How:
    return asked("driver", "POST", "/api/v2/realtime/tickets", None, ("X-Fault", code))


async def slow_body(server: InProcessServer) -> Answer:
    """Its end never comes; where there is no such constant any more, the real time passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.http.request.BODY_S", 0.05, raising=False)
        return await server.send("POST", "/api/v2/zones", [JSON, ("Content-Length", "9")], role="admin")


async def shut_out(server: InProcessServer) -> Answer:
    account = {"email": f"banned{next(_numbers)}@mall.example", "password": "long enough"}
    body = {**account, "name": "B", "role": "customer"}
    user = await server.good("admin", "POST", "/api/v2/users", body)
    await server.good("admin", "PATCH", f"/api/v2/users/{user['id']}", {"status": "banned"})
    return await server.ask("", *LOGIN, account)


async def taken_email(server: InProcessServer) -> Answer:
    body = {"email": PEOPLE["customer"][0], "password": "long enough", "name": "Again", "role": "customer"}
    return await server.ask("admin", "POST", "/api/v2/users", body)


async def changed_user(server: InProcessServer, name: str, change: Any) -> Answer:
    """A change by the admin to whoever this token is of."""
    user = (await server.good(name, "GET", "/api/v2/me"))["id"]
    return await server.ask("admin", "PATCH", f"/api/v2/users/{user}", change, ANY_VERSION)


async def no_admin_left(server: InProcessServer) -> Answer:
    return await changed_user(server, "admin", {"role": "customer"})


async def no_longer_a_driver(server: InProcessServer) -> Answer:
    """In the middle of a way."""
    zone, product = await server.zone()
    order, driver = await server.new_order(product), await server.driver(zone)
    assert (await command(server, driver, order, "acceptance")).status == 200
    return await changed_user(server, driver, {"role": "customer"})


async def limited(server: InProcessServer) -> Answer:
    wrong = {"email": PEOPLE["customer"][0], "password": "not the password"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(server.services.settings.__dict__, "rate_limits", "on")
        for _ in range(20):
            answer = await server.ask("", *LOGIN, wrong)
            if answer.status != 401:
                return answer
    raise AssertionError("there is no limit")


async def no_watchers(server: InProcessServer) -> Answer:
    order = await server.new_order("prd_1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatch.order_actor.WATCHERS_OF_USER_MAX", 0)
        return await server.ask("customer", "GET", f"/api/v2/orders/{order}/track")


async def too_many_shares(server: InProcessServer) -> Answer:
    order = await server.new_order("prd_1")
    for _ in range(SHARES_MAX):
        assert (await command(server, "customer", order, "share")).status == 201
    return await command(server, "customer", order, "share")


async def reused_key(server: InProcessServer) -> Answer:
    key = ("Idempotency-Key", fresh_key())
    assert (await server.ask("customer", *PLACE, ordered("prd_1"), key)).status == 201
    return await server.ask("customer", *PLACE, ordered("prd_2"), key)


async def asked_twice_at_once(server: InProcessServer) -> Answer:
    """Another connection holds what a request under this key holds while it is worked on."""
    key = fresh_key()
    held = f"{CUSTOMER.removeprefix('usr_')}/{CREATE_ROUTE}/{sha256(key.encode()).hexdigest()}"
    await server.database.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", held)
    try:
        return await server.ask("customer", *PLACE, ORDER, ("Idempotency-Key", key))
    finally:
        await server.database.execute("SELECT pg_advisory_unlock_all()")


async def sold_out(server: InProcessServer) -> Answer:
    return await server.place((await server.zone(stock=0))[1])


async def dearer(server: InProcessServer) -> Answer:
    """What it costs is not what the customer was shown."""
    body = {**ordered((await server.zone())[1]), "expected_total": {"amount_minor": 4, "currency": "EUR"}}
    return await server.ask("customer", *PLACE, body, ("Idempotency-Key", fresh_key()))


async def newcomer(server: InProcessServer) -> str:
    """A customer who holds nothing yet; returns the name among the tokens."""
    name, address = f"newcomer-{next(_numbers)}", server.address
    account = {"email": f"{name}@mall.example", "password": "long enough"}
    await server.good("admin", "POST", "/api/v2/users", {**account, "name": name, "role": "customer"})
    await server.enter(name, **account)
    server.address = address
    return name


async def until_refused(server: InProcessServer, body: Any, orders_max: int) -> Answer:
    """The first refusal of a customer who orders this again and again."""
    name = await newcomer(server)
    for _ in range(orders_max + 1):
        answer = await server.ask(name, *PLACE, body, ("Idempotency-Key", fresh_key()))
        if answer.status != 201:
            return answer
    raise AssertionError("there is no bound")


async def too_many_unpaid(server: InProcessServer) -> Answer:
    body = {**ordered((await server.zone())[1]), "payment": "card"}
    return await until_refused(server, body, server.services.settings.unpaid_orders_max)


async def no_secrets_key(server: InProcessServer) -> Answer:
    webhooks = Webhooks(server.services.database, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.services, "webhooks", webhooks)
        return await server.ask("admin", *HOOKS, HOOK)


async def too_many_webhooks(server: InProcessServer) -> Answer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatch.webhooks.administration.ENDPOINTS_MAX", 0)
        return await server.ask("admin", *HOOKS, HOOK)


async def too_many_held(server: InProcessServer) -> Answer:
    held_max, pieces = server.services.settings.held_pieces_max, 99
    body = ordered((await server.zone(stock=2 * held_max))[1])
    body["items"][0]["quantity"] = pieces
    return await until_refused(server, body, held_max // pieces)


async def elsewhere(server: InProcessServer) -> Answer:
    """A store that has nothing to do with the order."""
    zone, product = await server.zone()
    body = {"zone_id": zone, "name": "Other", "lat": 52.52, "lon": 13.4}
    other = (await server.good("admin", "POST", "/api/v2/stores", body))["id"]
    path = f"/api/v2/orders/{await server.new_order(product)}/ready-time"
    return await server.ask("admin", "PUT", path, {"ready_at": SOON, "store_id": other})


async def off_the_shelf(server: InProcessServer) -> Answer:
    _, product = await server.zone()
    await server.good("admin", "DELETE", f"/api/v2/products/{product}")
    return await server.place(product)


async def two_currencies(server: InProcessServer) -> Answer:
    zone, product = await server.zone()
    return await server.place(product, await server.product(zone, "USD"))


async def two_zones(server: InProcessServer) -> Answer:
    return await server.place((await server.zone())[1], (await server.zone())[1])


async def command(server: InProcessServer, role: str, order: str, what: str, body: Any = None) -> Answer:
    return await server.ask(role, "POST", f"/api/v2/orders/{order}/{what}", body)


async def too_late(server: InProcessServer) -> Answer:
    zone, product = await server.zone()
    order = await server.new_order(product)
    assert (await command(server, await server.driver(zone), order, "acceptance")).status == 200
    return await command(server, await server.driver(zone), order, "acceptance")


async def hands_full(server: InProcessServer) -> Answer:
    zone, product = await server.zone()
    driver = await server.driver(zone)
    first, second = await server.new_order(product), await server.new_order(product)
    assert (await command(server, driver, first, "acceptance")).status == 200
    return await command(server, driver, second, "acceptance")


async def too_soon(server: InProcessServer) -> Answer:
    """An order for a time before it can be prepared."""
    _, product = await server.zone()
    soon = datetime.now(UTC) + timedelta(seconds=20)
    body = {**ordered(product), "deliver_at": soon.isoformat()}
    return await server.ask("customer", *PLACE, body, ("Idempotency-Key", fresh_key()))


def at_the_door(*pins: str | None) -> How:
    """The answer to the last of these PINs; the right one begins with another digit."""

    async def how(server: InProcessServer) -> Answer:
        zone, product = await server.zone()
        driver = await server.driver(zone)
        body = {**ordered(product), "dropoff_pin": True}
        order = await server.good("customer", "POST", "/api/v2/orders", body)
        for what in ("acceptance", "pickup"):
            assert (await command(server, driver, order["id"], what)).status == 200
        wrong = str((int(order["pin"][0]) + 1) % 10)
        answers = [
            await command(
                server, driver, order["id"], "delivery", None if pin is None else {"pin": wrong + pin}
            )
            for pin in pins
        ]
        return answers[-1]

    return how


async def cancelled(server: InProcessServer) -> Answer:
    zone, product = await server.zone()
    order = await server.new_order(product)
    assert (await command(server, "customer", order, "cancellation")).status == 200
    return await command(server, await server.driver(zone), order, "acceptance")


def commanded(role: str, what: str, body: Any = None) -> How:
    """A command on a new order that nobody is offered."""

    async def how(server: InProcessServer) -> Answer:
        return await command(server, role, await server.new_order("prd_1"), what, body)

    return how


async def going_away(server: InProcessServer) -> Answer:
    server.services.draining = True
    try:
        return await upgrade()(server)
    finally:
        server.services.draining = False


async def far_away(server: InProcessServer) -> Answer:
    body = {**ORDER, "dropoff": {"lat": 0, "lon": 0, "address": "Far"}}
    return await server.ask("customer", *PLACE, body, ("Idempotency-Key", fresh_key()))


async def pay(server: InProcessServer, order: str, token: str) -> Answer:
    body = {"order_id": order, "method": "card", "token": token}
    return await server.ask("customer", "POST", "/api/v2/payments", body, ("Idempotency-Key", fresh_key()))


async def by_card(server: InProcessServer) -> str:
    body = {**ordered("prd_1"), "payment": "card"}
    return str((await server.good("customer", "POST", "/api/v2/orders", body))["id"])


async def paid_twice(server: InProcessServer) -> Answer:
    order = await by_card(server)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(pay(server, order, "tok_slow")) for _ in range(2)]
    return max((task.result() for task in both), key=lambda answer: answer.status)


async def declined(server: InProcessServer) -> Answer:
    return await pay(server, await by_card(server), "tok_decline")


async def captured(server: InProcessServer) -> str:
    """A payment whose order was delivered."""
    zone, product = await server.zone()
    body = {**ordered(product), "payment": "card"}
    order = str((await server.good("customer", "POST", "/api/v2/orders", body))["id"])
    number = str((await pay(server, order, "tok_success")).json["id"])
    driver = await server.driver(zone)
    for what in ("acceptance", "pickup", "delivery"):
        assert (await command(server, driver, order, what)).status == 200
    while (await server.good("customer", "GET", f"/api/v2/payments/{number}"))["status"] != "captured":
        pass
    return number


def of_a_job(what: str, due_at: str, worker: str | None = None, outcome: str = "") -> How:
    """A command on a job that waits, that a worker has, or that is gone and has left a run."""

    async def how(server: InProcessServer) -> Answer:
        number = await server.database.fetchval(
            "INSERT INTO jobs (task, payload, trace, due_at, worker, attempts)"
            f" VALUES ('of_a_test', '{{}}', '', {due_at}, $1, 1) RETURNING id",
            worker,
        )
        if outcome:
            await server.database.execute(
                "INSERT INTO job_runs (id, task, trace, attempt, outcome, worker)"
                " SELECT id, task, trace, 1, $2, '' FROM jobs WHERE id = $1",
                number, outcome,
            )  # fmt: skip
            await server.database.execute("DELETE FROM jobs WHERE id = $1", number)
        return await server.ask("admin", "POST", f"/api/v2/jobs/job_{number}/{what}")

    return how


async def give_back(server: InProcessServer, number: str, amount_minor: int) -> Answer:
    body = {"amount": {"amount_minor": amount_minor, "currency": "EUR"}}
    path = f"/api/v2/payments/{number}/refund"
    return await server.ask("admin", "POST", path, body, ("Idempotency-Key", fresh_key()))


async def too_much_back(server: InProcessServer) -> Answer:
    return await give_back(server, await captured(server), 6)


async def two_refunds_at_once(server: InProcessServer) -> Answer:
    number = await captured(server)
    await server.database.execute(
        "UPDATE payments SET status = 'refunding' WHERE id = $1", int(number.removeprefix("pay_"))
    )
    return await give_back(server, number, 1)


async def no_gateway(server: InProcessServer) -> Answer:
    services, body = server.services, {**ordered("prd_1"), "payment": "card"}
    payments, services.payments = services.payments, None
    try:
        return await server.ask("customer", *PLACE, body, ("Idempotency-Key", fresh_key()))
    finally:
        services.payments = payments


async def nothing_due(server: InProcessServer) -> Answer:
    return await pay(server, await server.new_order("prd_1"), "tok_success")


async def many_headers(server: InProcessServer) -> Answer:
    return await server.send("GET", "/api/v2/me", [("X-Much", "x" * 20_000)], role="admin")


def preflight(method: str, header: str = "authorization") -> How:
    asks = [
        ("Origin", "https://shop.example"),
        ("Access-Control-Request-Method", method),
        ("Access-Control-Request-Headers", header),
    ]
    return sent("", "OPTIONS", "/api/v2/orders", asks)


HOW: Mapping[str, How] = {
    "version_conflict": asked("admin", "GET", "/api/v2/zones", None, ("Mall-Api-Version", "1")),
    "version_unsupported": asked("admin", "GET", "/api/zones", None, ("Mall-Api-Version", "9")),
    "invalid_cursor": asked("admin", "GET", "/api/v2/zones?cursor=bm9wZQ"),
    "wrong_password": asked(
        "customer",
        "POST",
        "/api/v2/me/password",
        {"old_password": "not mine at all", "new_password": "long enough"},
    ),
    "out_of_range": far_away,
    "target_too_long": asked("admin", "GET", "/api/v2/" + "x" * 20_000),
    "headers_too_large": many_headers,
    "precondition_required": asked("admin", "PATCH", "/api/v2/zones/zon_1", {"name": "Mall"}),
    "precondition_failed": asked(
        "admin", "PATCH", "/api/v2/zones/zon_1", {"name": "Mall"}, ("If-Match", '"999"')
    ),
    "payment_exists": paid_twice,
    "payment_declined": declined,
    "payment_not_due": nothing_due,
    "cards_not_taken": no_gateway,
    "webhooks_not_configured": no_secrets_key,
    "too_many_webhooks": too_many_webhooks,
    "refund_too_large": too_much_back,
    "refund_in_progress": two_refunds_at_once,
    **{code: fault(code) for code in FAULTS},
    "malformed_request": sent("admin", "GET", "/api/v2/me", [JSON], b"{}"),
    "malformed_json": sent("admin", "POST", "/api/v2/zones", [JSON], b"{"),
    "invalid_idempotency_key": asked("customer", *PLACE, ORDER),
    "unknown_subprotocol": upgrade(Sec_WebSocket_Protocol="mqtt"),
    "token_in_url": upgrade(f"{FEED}?token=x"),
    "unauthenticated": asked("", "GET", "/api/v2/me"),
    "invalid_credentials": asked("", *LOGIN, {"email": "a@b.example", "password": "not the password"}),
    "invalid_refresh_token": asked("", "POST", "/api/v2/auth/refresh", {"refresh_token": "ref_" + "0" * 60}),
    "invalid_reset_token": asked(
        "", "POST", "/api/v2/auth/password-reset", {"token": f"rst_{'0' * 64}", "new_password": "long enough"}
    ),
    "forbidden": asked("customer", "GET", "/api/v2/users"),
    "forbidden_origin": upgrade(role="", Origin="https://evil.example"),
    "forbidden_header": preflight("POST", "x-shop"),
    "forbidden_method": preflight("BREW"),
    "account_disabled": shut_out,
    "not_found": asked("", "GET", "/nowhere"),
    "order_not_found": asked("customer", "GET", "/api/v2/orders/ord_999999"),
    "driver_not_found": commanded("admin", "assignment", {"driver_id": "drv_999999"}),
    "method_not_allowed": asked("customer", "DELETE", "/api/v2/me"),
    "request_timeout": slow_body,
    "email_taken": taken_email,
    "last_admin": no_admin_left,
    "user_busy": no_longer_a_driver,
    "request_in_flight": asked_twice_at_once,
    "out_of_stock": sold_out,
    "price_changed": dearer,
    "too_many_unpaid": too_many_unpaid,
    "too_many_held": too_many_held,
    "too_soon": too_soon,
    "pin_required": at_the_door(None),
    "wrong_pin": at_the_door("000"),
    "pin_locked": at_the_door(*["000"] * 6),
    "not_a_pickup": elsewhere,
    "order_taken": too_late,
    "driver_busy": hands_full,
    "driver_offline": commanded("admin", "assignment", {"driver_id": "drv_3"}),
    "not_offered": commanded("driver", "acceptance"),
    "order_closed": cancelled,
    "invalid_transition": commanded("admin", "release"),
    "too_many_shares": too_many_shares,
    "too_many_watchers": no_watchers,
    "offer_expired": commanded("driver", "acceptance", {"offer_id": "ofr_1_1"}),
    "body_too_large": asked("admin", "POST", "/api/v2/zones", {"name": "x" * 70_000}),
    "unsupported_media_type": sent("admin", "POST", "/api/v2/zones", [("Content-Type", "text/plain")], b"{}"),
    "expectation_failed": asked("admin", "POST", "/api/v2/zones", {}, ("Expect", "a miracle")),
    "invalid": asked("admin", "POST", "/api/v2/zones", {}),
    "key_reused": reused_key,
    "unknown_product": lambda server: server.place("prd_999999"),
    "inactive_product": off_the_shelf,
    "mixed_currency": two_currencies,
    "mixed_zones": two_zones,
    "upgrade_required": asked("driver", "GET", FEED),
    "rate_limited": limited,
    "draining": going_away,
    "job_running": of_a_job("discard", "now() + interval '1 minute'", "mall-9/a"),
    "job_not_failed": of_a_job("retry", "now() + interval '1 day'"),
    "job_ended": of_a_job("retry", "now()", None, "done"),
    "count_differs": asked(
        "admin",
        "POST",
        "/api/v2/job-actions",
        {"action": "retry", "filter": {"task": "of_no_job"}, "expected_count": 3},
    ),
}


def test_every_code_has_a_way_to_come_about() -> None:
    assert HOW.keys() == KINDS.keys()


# Found by aiohttp's parser.
UNPARSED = ("target_too_long", "headers_too_large")
answered_by_us = pytest.mark.fast_path("it answers itself what cannot be parsed")


@pytest.mark.parametrize(
    "code", [pytest.param(code, marks=[answered_by_us] if code in UNPARSED else []) for code in KINDS]
)
async def test_what_goes_wrong_looks_as_the_catalogue_says(server: InProcessServer, code: str) -> None:
    server.address = f"127.0.2.{next(_numbers)}"
    answer = await HOW[code](server)
    problem = refusal(answer, KINDS[code].status, code)
    Draft202012Validator({**COMPONENTS["Problem"], "components": {"schemas": COMPONENTS}}).validate(problem)
    assert ("retry-after" in answer.headers) or KINDS[code].status not in (429, 503)
    assert ("not_processed" in problem) == (KINDS[code].status == 503)


@pytest.mark.parametrize("code", KINDS)
async def test_the_type_of_a_problem_leads_to_its_page(server: InProcessServer, code: str) -> None:
    answer = await server.ask("", "GET", f"/problems/{code}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page, row = answer.body.decode(), row_of(code)
    assert f"<code>{code}</code>" in page
    assert row["advice"] in page
    assert "http" not in page, "nothing comes from elsewhere"


async def test_a_code_that_is_not_there_has_no_page(server: InProcessServer) -> None:
    for code in ("nonsense", "%3Cscript%3E", "internal%00"):
        refusal(await server.ask("", "GET", f"/problems/{code}"), 404, "not_found")


async def test_the_catalogue_lists_every_code_and_what_to_do(server: InProcessServer) -> None:
    listed = (await server.ask("", "GET", "/problems")).json["items"]
    assert {row["code"] for row in listed} == KINDS.keys()
    for row in listed:
        assert row["type"] == f"/problems/{row['code']}"
        assert (row["status"], row["retryable"]) == (KINDS[row["code"]].status, KINDS[row["code"]].retryable)
        assert (row["retry"] == "same_key") == row["retryable"]
    known = {row["code"]: row["retry"] for row in listed}
    assert known["order_taken"] == known["key_reused"] == "new_key"
    assert known["invalid"] == known["forbidden"] == "never"
