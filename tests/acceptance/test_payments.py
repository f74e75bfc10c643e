"""Paying by card, with a gateway that is a process of its own: it declines, hangs, dies, and never charges twice."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.gateway import GatewayProcess, open_gateway_process
from loadtests.kit.server import ServerProcess, open_server
from tests.acceptance.running_mall import MallZone, RunningMall, refused

keys = (f"payment-key-{n:08d}" for n in itertools.count())
LIMIT_S = 40.0


class MallWithGateway(RunningMall):
    """A running mall whose payments go to a gateway in a process of its own."""

    def __init__(
        self,
        process: ServerProcess,
        http: aiohttp.ClientSession,
        tokens: dict[str, str],
        gateway: GatewayProcess,
    ) -> None:
        super().__init__(process, http, tokens)
        self.gateway = gateway
        self.http = http

    async def pay(
        self, order: str, token: str = "tok_success", key: str = "", client: Mall | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """POST /payments as the customer."""
        body = {"order_id": order, "method": "card", "token": token}
        return await (client or self.customer).call("POST", "/api/v2/payments", body, key=key or next(keys))

    async def effects(self, order: str) -> list[str]:
        """What became true at the gateway for the payments of an order, in order."""
        found = await self.admin.do("GET", f"/api/v2/orders/{order}/events")
        paid = [e["by"]["id"] for e in found["items"] if e["type"] == "paid"]
        return [
            entry["answer"]["status"]
            for entry in await self.gateway.effects(self.http)
            if entry["key"].rsplit("-", 1)[0].replace("mall-", "").replace("-", "_") in paid
        ]

    async def until(self, payment: str, status: str) -> dict[str, Any]:
        """The payment, once it has this status."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                seen = await self.customer.do("GET", f"/api/v2/payments/{payment}")
                if seen["status"] == status:
                    return seen


@pytest.fixture(scope="module")
async def mall(short_tmp_path: Path) -> AsyncIterator[MallWithGateway]:
    """A server whose payments go to a real service."""
    place = short_tmp_path / "payments"
    place.mkdir()
    async with open_gateway_process(place / "ledger.jsonl") as gateway, open_http() as http:
        environ = {"MALL_SAMPLE": "off", "MALL_GATEWAY_URL": gateway.url, "MALL_UNPAID_ORDERS_MAX": "50"}
        async with open_server(place / "mall", environ) as server:
            tokens = {
                name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
                for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
            }
            yield MallWithGateway(server, http, tokens, gateway)


@pytest.fixture
async def zone(mall: MallWithGateway) -> MallZone:
    return await mall.zone(mode="open")


async def test_customer_who_cancels_after_an_acceptance_pays_the_fee_alone(mall: MallWithGateway) -> None:
    zone = await mall.zone(mode="open", delivery_rules={"cancellation_fee_minor": 120})
    order = await zone.order("card")
    _, paid, _ = await mall.pay(order)
    async with (await zone.driver()).online() as driver:
        await mall.admin.do("POST", f"/api/v2/orders/{order}/assignment", {"driver_id": driver.id})
        await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "changed my mind"})
    seen = await mall.until(paid["id"], "captured")
    assert (seen["amount"]["amount_minor"], seen["refunded"]["amount_minor"]) == (500, 380)
    shown = await mall.customer.do("GET", f"/api/v2/orders/{order}")
    assert (shown["status"], shown["cancellation_fee"]["amount_minor"]) == ("cancelled", 120)
    assert await mall.effects(order) == ["held", "captured"]
    # The fee can be given back, and no more.
    path = f"/api/v2/payments/{paid['id']}/refund"
    over = {"amount": {"amount_minor": 121, "currency": "EUR"}}
    assert await refused(mall.admin.do("POST", path, over, key=next(keys))) == "refund_too_large"
    await mall.admin.do("POST", path, key=next(keys))
    await mall.until(paid["id"], "refunded")


async def test_cancellation_before_an_acceptance_costs_nothing(mall: MallWithGateway) -> None:
    zone = await mall.zone(mode="open", delivery_rules={"cancellation_fee_minor": 120})
    order = await zone.order("card")
    _, paid, _ = await mall.pay(order)
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "changed my mind"})
    await mall.until(paid["id"], "voided")
    assert "cancellation_fee" not in await mall.customer.do("GET", f"/api/v2/orders/{order}")


async def deliver(zone: MallZone, order: str) -> None:
    """A driver carries the order to its door."""
    async with (await zone.driver()).online() as driver:
        await zone.mall.admin.do("POST", f"/api/v2/orders/{order}/assignment", {"driver_id": driver.id})
        await driver.post(order, "pickup")
        await driver.post(order, "delivery")


async def test_money_is_held_when_the_customer_pays_and_taken_when_the_goods_arrive(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order = await zone.order("card")
    assert (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["status"] == "awaiting_payment"
    status, payment, headers = await mall.pay(order)
    assert (status, payment["status"], payment["order_id"]) == (201, "held", order)
    assert payment["amount"] == {"amount_minor": 500, "currency": "EUR"}
    assert headers["Location"] == f"/api/v2/payments/{payment['id']}"
    assert (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["status"] == "confirmed"
    await deliver(zone, order)
    await mall.until(payment["id"], "captured")
    assert await mall.effects(order) == ["held", "captured"]


@pytest.mark.parametrize(
    ("outcome", "money"), [("delivered", "captured"), ("failed", "voided"), ("returned", "voided")]
)
async def test_money_follows_an_order_that_an_operator_ends(
    mall: MallWithGateway, zone: MallZone, outcome: str, money: str
) -> None:
    order = await zone.order("card")
    _, payment, _ = await mall.pay(order)
    admin, path = mall.admin, f"/api/v2/orders/{order}"
    async with (await zone.driver()).online() as driver:
        await admin.do("POST", f"{path}/assignment", {"driver_id": driver.id})
        await driver.post(order, "pickup")
        await admin.do("POST", f"{path}/conclusion", {"outcome": outcome, "reason": "phone is dead"})
    await mall.until(payment["id"], money)
    assert await mall.effects(order) == ["held", money]


async def test_declined_card_leaves_the_order_waiting_and_another_card_pays_it(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order = await zone.order("card")
    key = next(keys)
    status, problem, _ = await mall.pay(order, "tok_insufficient", key)
    assert (status, problem["code"], problem["decline_code"]) == (
        402,
        "payment_declined",
        "insufficient_funds",
    )
    status, again, headers = await mall.pay(order, "tok_insufficient", key)
    assert (status, again["code"], headers["Idempotent-Replayed"]) == (402, "payment_declined", "true")
    assert (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["status"] == "awaiting_payment"
    assert (await mall.pay(order))[0] == 201


async def test_same_key_gets_the_same_bytes_and_another_body_is_refused(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order, key = await zone.order("card"), next(keys)
    first = await mall.pay(order, key=key)
    await deliver(zone, order)
    await mall.until(first[1]["id"], "captured")
    again = await mall.pay(order, key=key)
    assert (again[0], again[1]) == (201, first[1]), "as it was when it was made"
    assert again[2]["Idempotent-Replayed"] == "true"
    status, problem, _ = await mall.pay(order, "tok_decline", key)
    assert (status, problem["code"]) == (422, "key_reused")
    assert await mall.effects(order) == ["held", "captured"]


async def test_cancelled_order_gives_the_money_back(mall: MallWithGateway, zone: MallZone) -> None:
    order = await zone.order("card")
    _, payment, _ = await mall.pay(order)
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation")
    await mall.until(payment["id"], "voided")
    assert await mall.effects(order) == ["held", "voided"]


async def test_undeliverable_order_gives_the_money_back(mall: MallWithGateway, zone: MallZone) -> None:
    order = await zone.order("card")
    _, payment, _ = await mall.pay(order)
    async with (await zone.driver()).online() as driver:
        await mall.admin.do("POST", f"/api/v2/orders/{order}/assignment", {"driver_id": driver.id})
        await driver.post(order, "failure", {"reason": "nobody there"})
    await mall.until(payment["id"], "voided")


async def test_order_that_needs_no_payment_takes_none(mall: MallWithGateway, zone: MallZone) -> None:
    paid = await zone.order("card")
    await mall.pay(paid)
    cases = {
        await zone.order("cash"): "payment_not_due",
        paid: "payment_not_due",
        "ord_987654": "order_not_found",
    }
    for order, code in cases.items():
        _, problem, _ = await mall.pay(order)
        assert problem["code"] == code


async def test_fifty_cards_at_once_pay_an_order_once(mall: MallWithGateway, zone: MallZone) -> None:
    order = await zone.order("card")
    answers = await asyncio.gather(*(mall.pay(order) for _ in range(50)))
    codes = Counter(answer.get("code", answer.get("status")) for _, answer, _ in answers)
    assert codes["held"] == 1
    assert set(codes) <= {"held", "payment_exists", "payment_not_due"}
    assert await mall.effects(order) == ["held"]


async def test_payments_of_others_are_not_there(mall: MallWithGateway, zone: MallZone) -> None:
    order = await zone.order("card")
    _, payment, _ = await mall.pay(order)
    _, problem, _ = await mall.pay(order, client=mall.other)
    assert problem["code"] == "order_not_found"
    assert await refused(mall.other.do("GET", f"/api/v2/payments/{payment['id']}")) == "not_found"
    assert (await mall.admin.do("GET", f"/api/v2/payments/{payment['id']}"))["id"] == payment["id"]
    driver = (await zone.driver()).client
    assert await refused(driver.do("GET", f"/api/v2/payments/{payment['id']}")) == "forbidden"
    assert await refused(mall.customer.do("POST", f"/api/v2/payments/{payment['id']}/refund")) == "forbidden"


async def test_captured_payment_is_refunded_once_and_a_held_one_is_not(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order = await zone.order("card")
    _, payment, _ = await mall.pay(order)
    path = f"/api/v2/payments/{payment['id']}/refund"
    assert await refused(mall.admin.do("POST", path)) == "invalid_transition"
    await deliver(zone, order)
    await mall.until(payment["id"], "captured")
    for _ in range(3):
        assert (await mall.admin.do("POST", path))["status"] == "refunded"
    assert await mall.effects(order) == ["held", "captured", "refunded"]
    assert await refused(mall.admin.do("POST", "/api/v2/payments/pay_999999/refund")) == "not_found"


async def test_unknown_outcome_is_said_and_becomes_known_by_itself(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order, key = await zone.order("card"), next(keys)
    status, payment, headers = await mall.pay(order, "tok_unknown", key)
    assert (status, payment["status"]) == (202, "pending")
    assert headers["Retry-After"]
    await mall.until(payment["id"], "held")
    status, again, _ = await mall.pay(order, "tok_unknown", key)
    assert (status, again["status"], again["id"]) == (201, "held", payment["id"])
    assert await mall.effects(order) == ["held"]


async def test_request_that_is_being_worked_on_is_not_worked_on_twice(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order, key = await zone.order("card"), next(keys)
    answers = await asyncio.gather(*(mall.pay(order, "tok_slow", key) for _ in range(3)))
    assert sorted(status for status, _, _ in answers) == [201, 409, 409]
    for status, answer, headers in answers:
        if status == 409:
            assert answer["code"] == "request_in_flight"
            assert headers["Retry-After"]
    assert await mall.effects(order) == ["held"]


async def test_server_killed_while_the_gateway_works_charges_once(
    mall: MallWithGateway, zone: MallZone
) -> None:
    """The gateway has the money, the answer never comes back, and nobody remembers but the row."""
    orders = [(await zone.order("card"), next(keys)) for _ in range(3)]
    held = len(await mall.gateway.effects(mall.http))
    await mall.gateway.delay(mall.http, 3.0)
    calls = [asyncio.create_task(mall.pay(order, key=key)) for order, key in orders]
    async with asyncio.timeout(LIMIT_S):
        while len(await mall.gateway.effects(mall.http)) < held + 3:
            pass
    await mall.process.kill()
    await asyncio.gather(*calls, return_exceptions=True)
    await mall.gateway.delay(mall.http, 0.0)
    await mall.process.start()
    for order, key in orders:
        body = {"order_id": order, "method": "card", "token": "tok_success"}
        async with asyncio.timeout(LIMIT_S):
            while True:
                status, seen = await mall.customer.insist(
                    "POST", "/api/v2/payments", body, key=key, tries=200
                )
                if status == 201:
                    break
        assert seen["status"] == "held"
        assert await mall.effects(order) == ["held"]
    await mall.process.kill()
    await mall.process.start()
    for order, _ in orders:
        _, shown = await mall.customer.insist("GET", f"/api/v2/orders/{order}", tries=200)
        assert [paid["status"] for paid in shown["payments"]] == ["held"], (
            "an actor that was read knows it, too"
        )


async def test_gateway_that_dies_and_crawls_charges_each_order_once(
    mall: MallWithGateway, zone: MallZone
) -> None:
    orders = {await zone.order("card", quantity=1): next(keys) for _ in range(8)}

    async def insist(order: str, key: str) -> int:
        body = {"order_id": order, "method": "card", "token": "tok_success"}
        while True:
            status, _ = await mall.customer.insist("POST", "/api/v2/payments", body, key=key, tries=200)
            if status != 202:
                return status

    async with asyncio.timeout(LIMIT_S):
        await mall.gateway.delay(mall.http, 0.3)
        payers = [asyncio.create_task(insist(order, key)) for order, key in orders.items()]
        before = len(await mall.gateway.effects(mall.http))
        while len(await mall.gateway.effects(mall.http)) < before + 2:
            pass
        await mall.gateway.kill()
        await mall.gateway.start()
        assert set(await asyncio.gather(*payers)) == {201}
    for order in orders:
        assert await mall.effects(order) == ["held"]


async def test_every_charge_at_the_gateway_belongs_to_one_payment(mall: MallWithGateway) -> None:
    """After all of the above: no step was taken twice for any payment."""
    taken = Counter(entry["key"] for entry in await mall.gateway.effects(mall.http))
    assert taken
    assert set(taken.values()) == {1}


async def test_order_shows_its_payments_and_its_history_what_became_of_them(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order, customer, admin = await zone.order("card"), mall.customer, mall.admin
    path = f"/api/v2/orders/{order}"
    assert (await customer.do("GET", path))["payments"] == []
    payment = (await mall.pay(order))[1]["id"]
    amount, nothing = {"amount_minor": 500, "currency": "EUR"}, {"amount_minor": 0, "currency": "EUR"}
    [shown] = (await customer.do("GET", path))["payments"]
    assert shown == {"id": payment, "status": "held", "amount": amount, "refunded": nothing}
    await deliver(zone, order)
    await mall.until(payment, "captured")
    part = {"amount": {"amount_minor": 200, "currency": "EUR"}, "reason": "one loaf was stale"}
    key = next(keys)
    for _ in range(2):
        status, answer, _ = await admin.call("POST", f"/api/v2/payments/{payment}/refund", part, key=key)
        assert (status, answer["status"], answer["refunded"]["amount_minor"]) == (200, "captured", 200)
    status, problem, _ = await admin.call(
        "POST", f"/api/v2/payments/{payment}/refund", {"amount": amount}, key=next(keys)
    )
    assert (status, problem["code"], problem["refundable"]["amount_minor"]) == (409, "refund_too_large", 300)
    status, problem, _ = await admin.call("POST", f"/api/v2/payments/{payment}/refund", part)
    assert (status, problem["code"]) == (400, "invalid_idempotency_key")
    await admin.do("POST", f"/api/v2/payments/{payment}/refund")
    assert (await customer.do("GET", path))["payments"] == [
        {"id": payment, "status": "refunded", "amount": amount, "refunded": amount}
    ]
    found = (await admin.do("GET", f"{path}/events"))["items"]
    money = [(e["type"], e["reason"], e["by"]["role"]) for e in found if e["type"].startswith("payment_")]
    assert money == [
        ("payment_captured", None, "system"),
        ("payment_refunded", "one loaf was stale", "admin"),
        ("payment_refunded", None, "admin"),
    ]
    listed = await customer.do("GET", f"/api/v2/payments?order_id={order}")
    assert [row["id"] for row in listed["items"]] == [payment]
    assert (await mall.other.do("GET", f"/api/v2/payments?order_id={order}"))["items"] == []


async def test_payment_that_is_stuck_is_seen_and_settled_by_an_operator(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order, admin = await zone.order("card"), mall.admin
    payment = (await mall.pay(order, "tok_expired"))[1]["id"]
    await deliver(zone, order)

    async def stuck() -> list[dict[str, Any]]:
        return list((await admin.do("GET", "/api/v2/payments?stuck=true"))["items"])

    async with asyncio.timeout(LIMIT_S):
        while payment not in [row["id"] for row in await stuck()]:
            pass
    [row] = [row for row in await stuck() if row["id"] == payment]
    assert (row["status"], row["stuck"]["code"]) == ("held", "hold_expired")
    settled = {"outcome": "voided", "reason": "the card was gone"}
    answer = await admin.do("POST", f"/api/v2/payments/{payment}/settlement", settled)
    assert (answer["status"], answer["stuck"]) == ("voided", None)
    found = (await admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [(e["type"], e["reason"]) for e in found[-2:]] == [
        ("payment_stuck", "hold_expired"),
        ("payment_settled", "the card was gone"),
    ]


async def test_hold_that_is_refused_for_good_leaves_room_for_another_card(
    mall: MallWithGateway, zone: MallZone
) -> None:
    order = await zone.order("card")
    status, problem, _ = await mall.pay(order, "tok_refused")
    assert (status, problem["code"], problem["decline_code"]) == (402, "payment_declined", "invalid_token")
    assert (await mall.pay(order))[0] == 201
