"""Payments of card orders: hold, capture on delivery, void if the order ends otherwise, refund by an admin.

The gateway is an external system, so no step can be atomic with it. Each payment is a row whose status is a recovery
point, and a step is repeated until its outcome is known. The gateway's idempotency key follows from the payment's
number and the step, so a repetition never charges twice. (The scheme: Brandur Leach, "Implementing Stripe-like
Idempotency Keys in Postgres".)

    payment   | order                     | step                                  | then
    ----------|---------------------------|---------------------------------------|---------------------
    pending   | awaiting_payment          | hold (also to learn what became of it) | held, declined
    pending   | any other                 | cancel whatever was held              | voided
    held      | awaiting_payment          | tell the order: paid                  | held
    held      | cancelled, undeliverable  | void                                  | voided
    held      | cancelled, with a fee     | capture the fee, let the rest go      | captured
    held      | delivered                 | capture                               | captured
    refunding | any                       | refund, in whole or in part           | refunded, captured

A gateway may refuse for good (GatewayRefused), leave the outcome unknown (GatewayUnsure), or certainly have done
nothing (GatewayLater). A refusal ends a hold, and makes any other step stuck. The others are repeated, for a day at
most. A stuck payment waits for an operator, who checks it at the gateway and settles it.

The commit that ends an order sets its payment's `due_at` (a trigger), so no end can be missed. An instance that claims
a payment moves its `due_at` ahead; if it dies, any instance finds the row due again. The order's history gets each
outcome after the hold; the row has the version that the order knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from time import perf_counter
from typing import Any, Protocol

from actors.clock import Randomness
from actors.errors import ActorError
from actors.tracing import RUNNING_TRACE, SpanKind, SpanService, is_recorded
from actors.values import frozen
from dispatch.domain import order as o
from dispatch.domain.money import Money
from dispatch.domain.refusals import ORDER_CLOSED
from dispatch.service import KEY_TTL_S, Caller, Dispatch

PAY_ROUTE = "POST /payments"
# Longer than the slowest step: the deadlines of a gateway call and of an order's command.
LEASE_S = 12.0
# Pause between two tries of a step, doubling. After GIVE_UP_S the payment is stuck.
RETRY_S, RETRY_MAX_S = 0.5, 60.0
# No step is put off for longer. A row that is due later was written before the clock was set back.
LATEST_S = 2 * RETRY_MAX_S + LEASE_S
GIVE_UP_S = 24 * 3600.0
# After this many tries (8 s), a hold that the gateway has certainly not made is declined, because the customer waits.
HOLD_TRIES = 5
# Payments processed at once; also the limit of open calls to the gateway.
BATCH = 16


class GatewayUnsure(Exception):
    """No answer, or an unreadable one: the outcome is unknown. Repeat with the same key."""


class GatewayLater(Exception):
    """The gateway has certainly done nothing: unreachable, busy, or not authenticated. Repeat later."""


class GatewayRefused(Exception):
    """The gateway refuses, also if asked again. `code` is the gateway's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@frozen
class Held:
    """Result of a hold: the money is held under this reference."""

    ref: str


@frozen
class Declined:
    """Result of a hold: the card was declined, with the gateway's code."""

    code: str


class Gateway(Protocol):
    """Port of a payment provider. A key has one effect, however often it is sent.

    All methods raise GatewayUnsure, GatewayLater and GatewayRefused. `trace` is the context of the call.
    """

    async def hold(self, key: str, amount: Money, token: str, *, trace: str = "") -> Held | Declined: ...

    async def cancel(self, key: str, *, trace: str = "") -> None:
        """Ensure that no money is held under this key of a hold, now or later."""

    async def capture(self, key: str, ref: str, amount: Money | None = None, *, trace: str = "") -> None:
        """Take the held money; with an amount only so much, and let the rest go."""

    async def void(self, key: str, ref: str, *, trace: str = "") -> None: ...

    async def refund(self, key: str, ref: str, amount: Money, *, trace: str = "") -> None: ...


class PaymentRows(Protocol):
    """Named queries of payments; storage implements them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...

    async def value(self, name: str, *args: Any) -> Any: ...


@frozen
class PaymentResult:
    """Result of a request to pay.

    Attributes:
        code: `held`, `declined`, `pending` (not known yet), or the refusal.
        facts: the payment as stored under the key, or details of the refusal.
    """

    code: str
    facts: Mapping[str, Any]
    replayed: bool


class Payments:
    """Payments service of one instance.

    Args:
        observe: called with each step, its outcome (`ok`, `declined`, `refused`, `later`, `unsure`) and its seconds.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        rows: PaymentRows,
        gateway: Gateway,
        entropy: Randomness,
        observe: Callable[[str, str, float], None] = lambda _step, _outcome, _seconds: None,
    ) -> None:
        self._dispatch = dispatch
        self._rows = rows
        self._gateway = gateway
        self._entropy = entropy
        self._observe = observe

    async def pay(self, caller: Caller, order: int, token: str) -> PaymentResult:
        """Hold the money for an order under the caller's key, and confirm the order.

        The payment is committed before the gateway is called. If this call is cancelled or the process dies after that,
        an instance continues it within LEASE_S.
        """
        request = {
            "customer": caller.number,
            "route": PAY_ROUTE,
            "order": order,
            "method": "card",
            "token": token,
            "key": sha256(caller.key.encode()).hexdigest(),
            "fingerprint": sha256(caller.body).hexdigest(),
            "ttl_s": KEY_TTL_S,
            "lease_s": LEASE_S,
            "trace": caller.trace,
        }
        answer = await self._rows.value("payment_start", request)
        code, facts, replayed = answer["code"], answer["facts"], bool(answer.get("replayed"))
        if code != "pending" or replayed:
            return PaymentResult(code, facts, replayed)
        shown = await self._advance((await self._rows.rows("payment_get", facts["id"]))[0])
        return PaymentResult(shown["status"], shown, replayed=False)

    async def refund(
        self, caller: Caller, number: int, amount_minor: int | None = None, reason: str | None = None
    ) -> Mapping[str, Any]:
        """Refund a captured payment: an amount, or all that is left.

        Returns:
            `code`: `refunding` (not known yet), `captured` or `refunded` (done, with something left or not), or a
            refusal; see want_refund() in storage/postgres/functions/refunds.sql.
        """
        request = {
            "id": number,
            "amount": amount_minor,
            "reason": reason,
            "by": caller.by.id,
            "lease_s": LEASE_S,
            "key": sha256(caller.key.encode()).hexdigest(),
        }
        answer: Mapping[str, Any] = await self._rows.value("payment_want_refund", request)
        if answer["code"] == "refunding":
            payment = (await self._rows.rows("payment_get", number))[0]
            return {"code": (await self._advance(payment))["status"]}
        return answer

    async def settle(self, caller: Caller, number: int, outcome: str, reason: str) -> str:
        """Settle a stuck payment by an operator: its outcome (`captured`, `voided`, `refunded`), or `retry`.

        Returns:
            `settled`, or a refusal: `not_found`, `invalid_transition`.
        """
        request = {"id": number, "outcome": outcome, "by": caller.by.id, "reason": reason}
        code: str = await self._rows.value("payment_settle", request)
        if code == "settled":
            await self._advance((await self._rows.rows("payment_get", number))[0])
        return code

    async def settle_due(self) -> None:
        """Take the next step of each due payment, including those of instances that died."""
        while True:
            claimed = await self._rows.rows("payments_claim", BATCH, LEASE_S)
            async with asyncio.TaskGroup() as tasks:
                for payment in claimed:
                    tasks.create_task(self._advance_due(payment), name=f"payment {payment['id']}")
            if len(claimed) < BATCH:
                return

    async def _advance_due(self, payment: Mapping[str, Any]) -> None:
        RUNNING_TRACE.set(payment["trace"])
        await self._advance(payment)

    async def wake_late(self) -> int:
        """Make payments due that a clock ahead has put off for too long. Returns their number."""
        [(woken,)] = await self._rows.rows("payments_wake_late", LATEST_S)
        return int(woken)

    async def _advance(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the next step and tell the order. Returns the payment as shown."""
        status, stuck = payment["status"], payment["stuck_code"] is not None
        try:
            if not stuck and status in ("pending", "held", "refunding"):
                return await self._step(payment)
            await self._tell(payment)
            return payment
        except GatewayRefused as error:
            return await self._stuck(payment, error.code)
        except (GatewayUnsure, GatewayLater, ActorError) as error:
            if payment["waited_s"] > GIVE_UP_S and not isinstance(error, ActorError):
                return await self._stuck(
                    payment, "unknown" if isinstance(error, GatewayUnsure) else "unavailable"
                )
            pause_s = self._pause_s(payment["attempts"])
            return await self._move(payment, status, next_s=pause_s, unsure=isinstance(error, GatewayUnsure))

    async def _step(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        if payment["status"] == "pending":
            return await (self._hold if payment["order_status"] == o.AWAITING_PAYMENT else self._cancel)(
                payment
            )
        if payment["status"] == "held":
            return await self._settle(payment)
        await self._call("refund", payment)
        return await self._end(payment, "refunded")

    async def _hold(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            outcome = await self._call("hold", payment)
        except GatewayRefused as error:
            return await self._move(payment, "declined", decline=error.code)
        except GatewayLater:
            if payment["unsure"] or payment["attempts"] + 1 < HOLD_TRIES:
                raise
            return await self._move(payment, "declined", decline="gateway_unavailable")
        if isinstance(outcome, Declined):
            return await self._move(payment, "declined", decline=outcome.code)
        assert isinstance(outcome, Held)
        shown = await self._move(payment, "held", next_s=LEASE_S, ref=outcome.ref)
        if shown["status"] == "held":
            await self._advance({**payment, "status": "held", "gateway_ref": outcome.ref, "attempts": 0})
        return shown  # as it was after the hold: a repetition gets the same

    async def _cancel(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        """Cancel a hold whose outcome is unknown, after the order has ended."""
        await self._call("cancel", payment)
        return await self._move(payment, "voided", decline="order_closed")

    async def _settle(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        order_status = payment["order_status"]
        if order_status == o.AWAITING_PAYMENT:
            reply = await self._dispatch.pay(payment["order_id"], payment["id"], payment["trace"])
            if reply.code != ORDER_CLOSED:
                return await self._move(payment, "held")
            order_status = o.CANCELLED
        if order_status == o.DELIVERED:
            await self._call("capture", payment)
            return await self._end(payment, "captured")
        if order_status == o.CANCELLED and payment["fee_minor"]:
            await self._call("capture", payment)
            return await self._end(payment, "captured", fee=payment["fee_minor"])
        if order_status in o.TERMINAL:
            await self._call("void", payment)
            return await self._end(payment, "voided")
        return await self._move(payment, "held")

    async def _end(self, payment: Mapping[str, Any], to: str, **said: int) -> Mapping[str, Any]:
        """Write an outcome, and tell the order's history. If that fails, the row is due again."""
        shown = await self._move(payment, to, next_s=LEASE_S, **said)
        await self._tell_row(shown["id"])
        return shown

    async def _stuck(self, payment: Mapping[str, Any], code: str) -> Mapping[str, Any]:
        shown = await self._move(payment, payment["status"], next_s=LEASE_S, stuck=code)
        await self._tell_row(shown["id"])
        return shown

    async def _tell_row(self, number: int) -> None:
        payment = (await self._rows.rows("payment_get", number))[0]
        with suppress(ActorError):  # it is due again
            await self._tell(payment)

    async def _tell(self, payment: Mapping[str, Any]) -> None:
        """Tell the order's history about the payment, once for each version of it.

        Raises:
            ActorError: the order cannot be reached.
        """
        if payment["told"] < payment["version"] and payment["status"] not in ("pending", "declined"):
            await self._dispatch.note_payment(payment)
        await self._rows.value("payment_told", payment["id"], payment["version"], payment["wakes"])

    async def _call(self, step: str, payment: Mapping[str, Any]) -> Held | Declined | None:
        """Call the gateway for one step.

        Raises:
            GatewayUnsure, GatewayLater, GatewayRefused: see there.
        """
        key, began, outcome = f"mall-pay-{payment['id']}-{step}", perf_counter(), "unsure"
        span, trace = None, payment["trace"]
        if is_recorded(trace):
            span = self._dispatch.runtime.tracer.begin(
                SpanService.EDGE, f"gateway {step}", trace, SpanKind.CLIENT
            )
            trace = span.trace
        try:
            found: Held | Declined | None = None
            if step == "hold":
                amount = Money(payment["amount_minor"], payment["currency"])
                found = await self._gateway.hold(key, amount, payment["token"], trace=trace)
            elif step == "cancel":
                await self._gateway.cancel(f"mall-pay-{payment['id']}-hold", trace=trace)
            elif step == "refund":
                key += f"-{payment['refund_number']}" if payment["refund_number"] > 1 else ""
                amount = Money(payment["refund_minor"], payment["currency"])
                await self._gateway.refund(key, payment["gateway_ref"], amount, trace=trace)
            elif step == "capture":
                fee_minor = payment["fee_minor"]
                fee = Money(fee_minor, payment["currency"]) if fee_minor else None
                await self._gateway.capture(key, payment["gateway_ref"], fee, trace=trace)
            else:
                await self._gateway.void(key, payment["gateway_ref"], trace=trace)
            outcome = "declined" if isinstance(found, Declined) else "ok"
            return found
        except GatewayRefused:
            outcome = "refused"
            raise
        except GatewayLater:
            outcome = "later"
            raise
        finally:
            self._observe(step, outcome, perf_counter() - began)
            if span is not None:
                span.end("" if outcome in ("ok", "declined") else outcome, **{"mall.outcome": outcome})

    async def _move(
        self,
        payment: Mapping[str, Any],
        to: str,
        *,
        next_s: float | None = None,
        **said: str | bool | int,
    ) -> Mapping[str, Any]:
        """Write an outcome (`said`: ref, decline, unsure, stuck, fee), unless another instance was faster."""
        outcome = {
            "id": payment["id"],
            "from": payment["status"],
            "to": to,
            "wakes": payment["wakes"],
            "next_s": next_s,
            "route": PAY_ROUTE,
            **said,
        }
        shown: Mapping[str, Any] | None = await self._rows.value("payment_step", outcome)
        return shown if shown is not None else (await self._rows.rows("payment_get", payment["id"]))[0]

    def _pause_s(self, attempts: int) -> float:
        """Pause before the next try: doubling from RETRY_S, with jitter of up to a half."""
        pause_s: float = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(attempts, 20))
        return pause_s * (1 + self._entropy.random() / 2)
