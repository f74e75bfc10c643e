"""Payments of card orders: hold, capture on delivery, release when the order ends otherwise, refund by an admin.

The gateway is somebody else's database, so nothing can be atomic with it. Each payment is a row with a status
that says how far it came (a recovery point), and a step is repeated until its outcome is known: the key that
the gateway gets follows from the payment's number and the step, so asking again never charges twice. (The
scheme: Brandur Leach, "Implementing Stripe-like Idempotency Keys in Postgres".)

    payment   | order                     | step                                  | then
    ----------|---------------------------|---------------------------------------|---------------------
    pending   | awaiting_payment          | hold (also to learn what became of it) | held, declined
    pending   | any other                 | cancel whatever was held              | voided
    held      | awaiting_payment          | tell the order: paid                  | held
    held      | cancelled, undeliverable  | void                                  | voided
    held      | delivered                 | capture                               | captured
    refunding | any                       | refund, in whole or in part           | refunded, captured

A gateway says no for good (GatewayRefused), does not say what became of it (GatewayUnsure), or has certainly done
nothing yet (GatewayLater). The first ends a hold, and makes any other step stuck; the others are asked again, for a
day at most. A payment that is stuck waits for an operator, who looks at the gateway's books and settles it.

An order that ends wakes its payment in its own commit (a trigger), so no order's end can be missed. Whoever
works at a payment has moved its `due_at` ahead; if it dies, anybody finds the row due again. The order's history
hears of every outcome after the hold; the row remembers which version of it the order knows.
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
from actors.values import frozen
from dispatch.domain import order as o
from dispatch.domain.money import Money
from dispatch.domain.refusals import ORDER_CLOSED
from dispatch.service import KEY_TTL_S, Caller, Dispatch

PAY_ROUTE = "POST /payments"
# Longer than the slowest step: a gateway's deadline and an order's, with room.
LEASE_S = 12.0
# Between two tries of a step, doubling; after so long it is given up, and the payment is stuck.
RETRY_S, RETRY_MAX_S = 0.5, 60.0
# Nothing is put off for longer: what is due later was so by a clock that has been set back.
LATEST_S = 2 * RETRY_MAX_S + LEASE_S
GIVE_UP_S = 24 * 3600.0
# A hold that the gateway has certainly not made is declined after so many tries: the customer waits, for 8 s.
HOLD_TRIES = 5
# Payments worked at together; one instance then holds as many calls to the gateway open.
BATCH = 16


class GatewayUnsure(Exception):
    """The gateway gave no answer, or none that can be understood: ask again with the same key."""


class GatewayLater(Exception):
    """The gateway has certainly done nothing: it cannot be reached, is busy, or does not know us. Ask again later."""


class GatewayRefused(Exception):
    """The gateway says no, and will say so again; `code` is its own."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


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

    All methods raise GatewayUnsure, GatewayLater and GatewayRefused.
    """

    async def hold(self, key: str, amount: Money, token: str) -> Held | Declined: ...

    async def cancel(self, key: str) -> None:
        """See to it that no money is held under this key of a hold, now or later."""

    async def capture(self, key: str, ref: str) -> None: ...

    async def void(self, key: str, ref: str) -> None: ...

    async def refund(self, key: str, ref: str, amount: Money) -> None: ...


class PaymentRows(Protocol):
    """The named blocks that payments need; storage provides them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...

    async def value(self, name: str, *args: Any) -> Any: ...


@frozen
class PaymentResult:
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
        observe: told the step, its outcome (`ok`, `declined`, `refused`, `later`, `unsure`) and its seconds.
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
            return PaymentResult(code, facts, replayed)
        shown = await self._advance((await self._rows.rows("payment_get", facts["id"]))[0])
        return PaymentResult(shown["status"], shown, replayed=False)

    async def refund(
        self, caller: Caller, number: int, amount_minor: int | None = None, reason: str | None = None
    ) -> Mapping[str, Any]:
        """Give money of a captured payment back: so much, or all that is left.

        Returns:
            `code`: `refunding` (not known yet), `captured` or `refunded` (done, with something left or not), or a
            refusal; see want_refund() in storage/postgres/functions/refunds.sql.
        """
        request = {
            "id": number, "amount": amount_minor, "reason": reason, "by": caller.by.id, "lease_s": LEASE_S,
            "key": sha256(caller.key.encode()).hexdigest(),
        }  # fmt: skip
        answer: Mapping[str, Any] = await self._rows.value("payment_want_refund", request)
        if answer["code"] == "refunding":
            payment = (await self._rows.rows("payment_get", number))[0]
            return {"code": (await self._advance(payment))["status"]}
        return answer

    async def settle(self, caller: Caller, number: int, outcome: str, reason: str) -> str:
        """An operator says how a payment that is stuck has ended (`captured`, `voided`, `refunded`), or `retry`.

        Returns:
            `settled`, or a refusal: `not_found`, `invalid_transition`.
        """
        request = {"id": number, "outcome": outcome, "by": caller.by.id, "reason": reason}
        code: str = await self._rows.value("payment_settle", request)
        if code == "settled":
            await self._advance((await self._rows.rows("payment_get", number))[0])
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
        """The next step, if there is one, and the word to the order; returns what may be seen of the payment."""
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
        return shown  # as it was when the hold succeeded: a repetition gets the same

    async def _cancel(self, payment: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nobody needs the money any more: nothing is to be held, whatever became of the question."""
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
        if order_status in o.TERMINAL:
            await self._call("void", payment)
            return await self._end(payment, "voided")
        return await self._move(payment, "held")

    async def _end(self, payment: Mapping[str, Any], to: str) -> Mapping[str, Any]:
        """Write an outcome, and have the order's history tell it; whoever finds the row due again tells it then."""
        shown = await self._move(payment, to, next_s=LEASE_S)
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
        """Have the order's history tell what became of the payment, once for each version of it.

        Raises:
            ActorError: the order cannot be reached.
        """
        if payment["told"] < payment["version"] and payment["status"] not in ("pending", "declined"):
            await self._dispatch.note_payment(payment)
        await self._rows.value("payment_told", payment["id"], payment["version"], payment["wakes"])

    async def _call(self, step: str, payment: Mapping[str, Any]) -> Held | Declined | None:
        """Ask the gateway.

        Raises:
            GatewayUnsure, GatewayLater, GatewayRefused: see there.
        """
        key, began, outcome = f"mall-pay-{payment['id']}-{step}", perf_counter(), "unsure"
        try:
            found: Held | Declined | None = None
            if step == "hold":
                amount = Money(payment["amount_minor"], payment["currency"])
                found = await self._gateway.hold(key, amount, payment["token"])
            elif step == "cancel":
                await self._gateway.cancel(f"mall-pay-{payment['id']}-hold")
            elif step == "refund":
                key += f"-{payment['refund_number']}" if payment["refund_number"] > 1 else ""
                amount = Money(payment["refund_minor"], payment["currency"])
                await self._gateway.refund(key, payment["gateway_ref"], amount)
            else:
                await getattr(self._gateway, step)(key, payment["gateway_ref"])
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

    async def _move(
        self,
        payment: Mapping[str, Any],
        to: str,
        *,
        next_s: float | None = None,
        **said: str | bool,
    ) -> Mapping[str, Any]:
        """Write an outcome (`said`: ref, decline, unsure, stuck); when somebody else was faster, theirs counts."""
        outcome = {
            "id": payment["id"], "from": payment["status"], "to": to, "wakes": payment["wakes"], "next_s": next_s,
            "route": PAY_ROUTE, **said,
        }  # fmt: skip
        shown: Mapping[str, Any] | None = await self._rows.value("payment_step", outcome)
        return shown if shown is not None else (await self._rows.rows("payment_get", payment["id"]))[0]

    def _pause_s(self, attempts: int) -> float:
        """Doubling from RETRY_S, up to half of it more, so that many do not return together."""
        pause_s: float = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(attempts, 20))
        return pause_s * (1 + self._entropy.random() / 2)
