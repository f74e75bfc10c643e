"""Two customers and two drivers with orders of their own: what one has asked for, the other cannot have by asking
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api.auth.permissions import allows
from api.routes import ROUTES
from loadtests.kit.client import Phone
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.acceptance.two_instances.matrix_calls import MatrixCalls, set_up
from tests.acceptance.write_operations import WRITES

# What is in an order of the owner, and nowhere else.
SECRETS = ("second bell", "Second floor")


@pytest.fixture(scope="module")
async def matrix_calls(cluster: TwoInstances) -> MatrixCalls:
    """Calls as each caller of the access matrix."""
    return await set_up(cluster)


def _requests(role: str) -> Iterator[tuple[str, str, Any]]:
    """Everything that a role may ask about one order, with a body that would do: method, path, body."""
    for route in ROUTES:
        scope = route.scope
        if route.operation.startswith("orders.") and "{id}" in route.path and scope and allows(role, scope):
            body = WRITES[route.operation].body if route.operation in WRITES else None
            yield route.method, route.path, {} if route.operation == "orders.accept" else body


@pytest.mark.parametrize(("thief", "codes"), [("other", {404}), ("stranger", {404, 409})])
async def test_whatever_is_asked_about_an_order_of_others_tells_nothing_and_does_nothing(
    matrix_calls: MatrixCalls, thief: str, codes: set[int]
) -> None:
    order = await matrix_calls.order("orders.get", "assigned")
    before = await matrix_calls.as_("owner").do("GET", f"/api/v2/orders/{order}")
    asked = list(_requests(matrix_calls.roles[thief]))
    assert len(asked) >= 4
    for method, path, body in asked:
        status, answer, headers = await matrix_calls.as_(thief).call(
            method, path.replace("{id}", order), body
        )
        assert status in codes, (method, path, answer)
        if status == 409:
            assert path.endswith(("/acceptance", "/decline"))
        assert not any(secret in f"{answer}{headers}" for secret in SECRETS)
        assert f"usr_{matrix_calls.numbers['owner']}" not in f"{answer}{headers}"
        assert f"drv_{matrix_calls.numbers['assigned']}" not in f"{answer}{headers}"
    assert await matrix_calls.as_("owner").do("GET", f"/api/v2/orders/{order}") == before
    await matrix_calls.clear(order)


@pytest.mark.parametrize("thief", ["other", "stranger"])
async def test_no_list_shows_an_order_of_others(matrix_calls: MatrixCalls, thief: str) -> None:
    order = await matrix_calls.order("orders.get", "assigned")
    paths = ["/api/v2/orders", "/api/v2/orders?limit=100", f"/api/v2/orders?zone_id={matrix_calls.zone}"]
    paths += ["/api/v2/drivers/me/orders"] if thief == "stranger" else []
    for path in paths:
        assert order not in str(await matrix_calls.as_(thief).do("GET", path))
    await matrix_calls.clear(await matrix_calls.order("orders.get", "assigned"))
    page = await matrix_calls.as_("owner").do("GET", "/api/v2/orders?limit=1")
    path = f"/api/v2/orders?limit=1&cursor={page['next']}"
    assert (await matrix_calls.as_("owner").do("GET", path))["items"] != []
    status, answer, _ = await matrix_calls.as_(thief).call("GET", path)
    assert (status, answer["code"]) == (400, "invalid_cursor")
    await matrix_calls.clear(order)


async def test_payments_of_others_are_not_there(matrix_calls: MatrixCalls) -> None:
    payment = await matrix_calls.payment(captured=False)
    status, answer, _ = await matrix_calls.as_("other").call("GET", f"/api/v2/payments/{payment}")
    assert (status, answer["code"]) == (404, "not_found")
    order = (await matrix_calls.as_("owner").do("GET", f"/api/v2/payments/{payment}"))["order_id"]
    body = {"order_id": order, "token": "tok_success"}
    status, answer, _ = await matrix_calls.as_("other").call(
        "POST", "/api/v2/payments", body, key="a-thief-pays-for-others"
    )
    assert (status, answer["code"]) == (404, "order_not_found")


async def test_key_of_somebody_else_replays_nothing_of_his(matrix_calls: MatrixCalls) -> None:
    body = {
        "items": [{"product_id": matrix_calls.product, "quantity": 1}], "payment": "cash",
        "dropoff": {"lat": 52.52, "lon": 13.4, "address": "Second floor"},
    }  # fmt: skip
    key = "one-key-of-two-customers"
    mine = await matrix_calls.as_("owner").do("POST", "/api/v2/orders", body, key=key)
    _, answer, headers = await matrix_calls.as_("other").call("POST", "/api/v2/orders", body, key=key)
    assert answer["id"] != mine["id"]
    assert "Idempotent-Replayed" not in headers
    for order in (mine, answer):
        await matrix_calls.clear(order["id"])


async def test_frames_about_an_order_of_another_driver_do_nothing(matrix_calls: MatrixCalls) -> None:
    order = await matrix_calls.order("orders.get", "assigned")
    before = await matrix_calls.as_("owner").do("GET", f"/api/v2/orders/{order}")
    phone = Phone(matrix_calls.as_("stranger"))
    async with phone.connected():
        for number, frame in enumerate(("order.pickup", "order.delivery", "order.failure")):
            body = {"t": frame, "order_id": order, "key": f"key-of-a-thief-{number:04d}"}
            if frame == "order.failure":
                body["reason"] = "no answer"
            answer = await phone.ask(body)
            assert (answer["t"], answer["code"]) == ("error", "order_not_found")
            assert not {"status", "version"} & answer.keys()
        assert order not in str(phone.welcome)
    assert await matrix_calls.as_("owner").do("GET", f"/api/v2/orders/{order}") == before
    await matrix_calls.clear(order)


async def test_accounts_of_others_are_for_admins_alone(matrix_calls: MatrixCalls) -> None:
    for thief in ("other", "stranger"):
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"})):
            path = f"/api/v2/users/usr_{matrix_calls.numbers['owner']}"
            status, answer, _ = await matrix_calls.as_(thief).call(method, path, body)
            assert (status, answer["code"]) == (403, "forbidden")
