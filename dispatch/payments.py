"""Payments of card orders: hold, capture on delivery, release when the order ends otherwise, refund by an admin.

The gateway is somebody else's database, so nothing can be atomic with it. Each payment is a row with a status
that says how far it came (a recovery point), and a step is repeated until its outcome is known: the key that
the gateway gets follows from the payment's number and the step, so asking again never charges twice. (The
scheme: Brandur Leach, "Implementing Stripe-like Idempotency Keys in Postgres".)

    payment   | order                     | step                                  | then
    ----------|---------------------------|---------------------------------------|---------------------
    pending   | any                       | hold (also to learn what became of it) | held, declined
    held      | awaiting_payment          | tell the order: paid                  | held
    held      | cancelled, undeliverable  | void                                  | voided
    held      | delivered                 | capture                               | captured
    refunding | delivered                 | refund                                | refunded

An order that ends wakes its payment in its own commit (a trigger), so no order's end can be missed. Whoever
works at a payment has moved its `due_at` ahead; if it dies, anybody finds the row due again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from time import perf_counter
from typing import Any, Protocol

from actors.clock import Entropy
from actors.errors import ActorError
from actors.frozen import frozen
from dispatch.domain import order as o
from dispatch.domain.money import Money
from dispatch.domain.refusals import ORDER_CLOSED
from dispatch.service import KEY_TTL_S, Caller, Dispatch

PAY_ROUTE = "POST /payments"
# Longer than the slowest step: a gateway's deadline and an order's, with room.
LEASE_S = 12.0
# Between two tries of a step whose outcome is unknown, doubling.
RETRY_S, RETRY_MAX_S = 0.5, 60.0
# Nothing is put off for longer: what is due later was so by a clock that has been set back.
LATEST_S = 2 * RETRY_MAX_S + LEASE_S
# Payments worked at together; one instance then holds as many calls to the gateway open.
BATCH = 16


class GatewayUnsure(Exception):
    """The gateway gave no answer, or none that can be understood: ask again with the same key."""


@frozen
class Held:
    """The money is held under this reference."""

    ref: str


@frozen
class Declined:
    """The card was refused, with the gateway's code."""

    code: str


class Gateway(Protocol):
    """What a payment provider does for us. The same key has one effect, however often it is sent.

    All methods raise GatewayUnsure.
    """

    async def hold(self, key: str, amount: Money, token: str) -> Held | Declined: ...

    async def capture(self, key: str, ref: str) -> None: ...

    async def void(self, key: str, ref: str) -> None: ...

    async def refund(self, key: str, ref: str) -> None: ...


class Rows(Protocol):
    """The named blocks that payments need; storage provides them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...

    async def value(self, name: str, *args: Any) -> Any: ...


@frozen
class Asked:
    """What became of a request to pay.

    Attributes:
        code: `held`, `declined`, `pending` (not known yet), or why there is no payment.
        facts: the payment as it is kept under the key, or what the refusal is about.
    """

    code: str
    facts: Mapping[str, Any]
    replayed: bool


class Payments:
    """The cashier of one instance.

    Args:
        observe: told the step, its outcome (`ok`, `declined`, `unsure`) and its seconds.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        rows: Rows,
        gateway: Gateway,
        entropy: Entropy,
        observe: Callable[[str, str, float], None] = lambda _step, _outcome, _seconds: None,
    ) -> None:
        self._dispatch = dispatch
        self._rows = rows
        self._gateway = gateway
        self._entropy = entropy
        self._observe = observe

    async def pay(self, caller: Caller, order: int, token: str) -> Asked:
        """Hold the money for an order under the caller's key, and confirm the order.

        The intention is committed before the gateway is called; cancelled or killed after that, somebody
        finishes it within LEASE_S.
        """
        request = {
            "customer": caller.number, "route": PAY_ROUTE, "order": order, "method": "card", "token": token,
            "key": sha256(caller.key.encode()).hexdigest(), "fingerprint": sha256(caller.body).hexdigest(),
            "ttl_s": KEY_TTL_S, "lease_s": LEASE_S, "trace": caller.trace,
        }  # fmt: skip
        answer = await self._rows.value("payment_start", request)
        code, facts, replayed = answer["code"], answer["facts"], bool(answer.get("replayed"))
        if code != "pending" or replayed:
            return Asked(code, facts, replayed)
        shown = await self._advance((await self._rows.rows("payment_get", facts["id"]))[0])
        return Asked(shown["status"], shown, replayed=False)

    async def refund(self, number: int) -> str:
        """Give the money of a captured payment back: `refunded`, `refunding` (not known yet), or a refusal."""
        code: str = await self._rows.value("payment_want_refund", number, LEASE_S)
        if code == "refunding":
            payment = (await self._rows.rows("payment_get", number))[0]
            code = (await self._advance(payment))["status"]
        return code

    async def settle_due(self) -> None:
        """Take the next step of every payment that is due, those of instances that died included."""
        while True:
            claimed = await self._rows.rows("payments_claim", BATCH, LEASE_S)
            async with asyncio.TaskGroup() as tasks:
                for payment in claimed:
                    tasks.create_task(self._advance(payment), name=f"payment {payment['id']}")
            if len(claimed) < BATCH:
                return

    async def wake_late(self) -> int:
        """Have looked at what a clock that was ahead has put off for too long; returns how many."""
        [(woken,)] = await self._rows.rows("payments_wake_late", LATEST_S)
        return int(woken)

    async def _advance(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        """One step, and after a hold the word to the order; returns what may be seen of the payment."""
        try:
            if payment["status"] == "pending":
                return await self._hold(payment)
            if payment["status"] == "held":
                return await self._settle(payment)
            if payment["status"] == "refunding":
                await self._call("refund", payment)
                return await self._move(payment, "refunded")
        except (GatewayUnsure, ActorError):
            return await self._move(payment, payment["status"], next_s=self._pause_s(payment["attempts"]))
        return await self._move(payment, payment["status"])

    async def _hold(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        outcome = await self._call("hold", payment)
        if isinstance(outcome, Declined):
            return await self._move(payment, "declined", decline=outcome.code)
        assert isinstance(outcome, Held)
        shown = await self._move(payment, "held", next_s=LEASE_S, ref=outcome.ref)
        if shown["status"] == "held":
            await self._advance({**payment, "status": "held", "gateway_ref": outcome.ref, "attempts": 0})
        return shown  # as it was when the hold succeeded: a repetition gets the same

    async def _settle(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        order_status = payment["order_status"]
        if order_status == o.AWAITING_PAYMENT:
            reply = await self._dispatch.pay(payment["order_id"], payment["id"], payment["trace"])
            if reply.code != ORDER_CLOSED:
                return await self._move(payment, "held")
            order_status = o.CANCELLED
        if order_status == o.DELIVERED:
            await self._call("capture", payment)
            return await self._move(payment, "captured")
        if order_status in o.TERMINAL:
            await self._call("void", payment)
            return await self._move(payment, "voided")
        return await self._move(payment, "held")

    async def _call(self, step: str, payment: Mapping[str, Any]) -> Held | Declined | None:
        """Ask the gateway.

        Raises:
            GatewayUnsure: no outcome.
        """
        key, began, outcome = f"mall-pay-{payment['id']}-{step}", perf_counter(), "unsure"
        try:
            found: Held | Declined | None = None
            if step == "hold":
                amount = Money(payment["amount_minor"], payment["currency"])
                found = await self._gateway.hold(key, amount, payment["token"])
            else:
                await getattr(self._gateway, step)(key, payment["gateway_ref"])
            outcome = "declined" if isinstance(found, Declined) else "ok"
            return found
        finally:
            self._observe(step, outcome, perf_counter() - began)

    async def _move(
        self,
        payment: Mapping[str, Any],
        to: str,
        *,
        next_s: float | None = None,
        ref: str | None = None,
        decline: str | None = None,
    ) -> Mapping[str, Any]:
        """Write a step's outcome; when somebody else was faster, theirs counts."""
        shown: Mapping[str, Any] | None = await self._rows.value(
            "payment_move",
            payment["id"],
            payment["status"],
            to,
            payment["wakes"],
            next_s,
            ref,
            decline,
            PAY_ROUTE,
        )
        return shown if shown is not None else (await self._rows.rows("payment_get", payment["id"]))[0]

    def _pause_s(self, attempts: int) -> float:
        """Doubling from RETRY_S, up to half of it more, so that many do not return together."""
        pause_s: float = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(attempts, 20))
        return pause_s * (1 + self._entropy.random() / 2)
