"""Steps of a payment against the real tables, with a gateway and an order that do as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import pytest

from actors.clock import SystemRandomness
from actors.errors import Unavailable
from dispatch.domain.commands import NotePayment
from dispatch.domain.money import Money
from dispatch.messages import Reply
from dispatch.payment_notes import payment_note
from dispatch.payments import (
    GIVE_UP_S,
    HOLD_TRIES,
    Declined,
    GatewayLater,
    GatewayRefused,
    GatewayUnsure,
    Held,
    Payments,
)
from dispatch.service import Caller
from storage.postgres.database import Database, open_database


class ScriptedProvider:
    """A gateway that says what it is told to; `calls` are (step, key)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.says: list[Held | Declined | Exception] = []
        self.refunds: list[tuple[str, int]] = []

    async def hold(self, key: str, amount: Money, token: str, *, trace: str = "") -> Held | Declined:
        assert (amount, token) == (Money(900, "EUR"), "tok_success")
        said = self._said("hold", key)
        assert said is not None
        return said

    async def capture(self, key: str, ref: str, amount: Money | None = None, *, trace: str = "") -> None:
        assert ref == "hld_1"
        self._said("capture", key)

    async def void(self, key: str, ref: str, *, trace: str = "") -> None:
        assert ref == "hld_1"
        self._said("void", key)

    async def cancel(self, key: str, *, trace: str = "") -> None:
        self._said("cancel", key)

    async def refund(self, key: str, ref: str, amount: Money, *, trace: str = "") -> None:
        assert ref == "hld_1"
        self._said("refund", key)
        self.refunds.append((key, amount.amount_minor))

    def _said(self, step: str, key: str) -> Held | Declined | None:
        self.calls.append((step, key))
        if not self.says:
            return Held("hld_1") if step == "hold" else None
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


class Orders:
    """The one order, as its actor would move it."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.away = False
        self.notes: list[NotePayment] = []

    async def note_payment(self, row: Mapping[str, Any]) -> None:
        if self.away:
            raise Unavailable("away")
        self.notes.append(payment_note(row))

    async def pay(self, number: int, payment_id: int, trace: str) -> Reply:
        del payment_id, trace
        if self.away:
            raise Unavailable("away")
        status = await self.owner.fetchval("SELECT status FROM orders WHERE id = $1", number)
        if status == "cancelled":
            return Reply("order_closed", status, 2)
        await self.move("confirmed")
        return Reply("paid", "confirmed", 2)

    async def move(self, status: str) -> None:
        await self.owner.execute("UPDATE orders SET status = $1 WHERE id = 1", status)


class Shop:
    """A customer, an order to be paid, and the cashier."""

    def __init__(self, owner: Any, database: Database) -> None:
        self.owner = owner
        self.orders = Orders(owner)
        self.provider = ScriptedProvider()
        self.cashier = Payments(self.orders, database, self.provider, SystemRandomness())  # type: ignore[arg-type]

    async def pay(self, key: str = "key-of-a-payment") -> str:
        caller = Caller("customer", 100, "trace", key, b"body")
        return (await self.cashier.pay(caller, 1, "tok_success")).code

    async def refund(
        self, amount_minor: int | None = None, reason: str | None = None, key: str = "a refund"
    ) -> str:
        caller = Caller("admin", 9, "trace", key)
        answer = await self.cashier.refund(caller, (await self.row())["id"], amount_minor, reason)
        return str(answer["code"])

    async def settle(self, outcome: str) -> str:
        caller = Caller("admin", 9, "trace", "auto:1")
        return await self.cashier.settle(caller, (await self.row())["id"], outcome, "as the books say")

    async def captured(self) -> None:
        """Have the order paid and delivered."""
        assert await self.pay() == "held"
        await self.orders.move("delivered")
        await self.cashier.settle_due()
        assert (await self.row())["status"] == "captured"

    async def row(self) -> Any:
        return await self.owner.fetchrow("SELECT * FROM payments ORDER BY id DESC LIMIT 1")

    async def due(self) -> None:
        """Let time pass until whatever waits is due."""
        await self.owner.execute("UPDATE payments SET due_at = now() WHERE due_at IS NOT NULL")
        await self.cashier.settle_due()


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "INSERT INTO zones (id, name) VALUES (1, 'Z');"
        "INSERT INTO stores (id, zone_id, name, lat, lon) VALUES (1, 1, 'S', 1, 2);"
        "INSERT INTO users (id, email, role, name) VALUES (100, 'c@mall.example', 'customer', 'C');"
        "INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, ready_at, created_at, updated_at,"
        " dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups)"
        " VALUES (1, 7, 1, 1, 100, 'awaiting_payment', 'waves', now(), now(), now(), 1, 2, 'door', 'card', 900, 'EUR',"
        " '[[1, \"S\", 1, 2, 1, [0]]]')"
    )
    async with open_database(database_url, size_max=4) as database:
        yield Shop(owner, database)
    await owner.close()


async def test_each_step_has_its_key_and_delivery_takes_the_money(shop: Shop) -> None:
    assert await shop.pay() == "held"
    assert (await shop.row())["due_at"] is None, "nothing to do until the order ends"
    await shop.orders.move("delivered")
    await shop.cashier.settle_due()
    row = await shop.row()
    assert (row["status"], row["token"], row["due_at"]) == ("captured", None, None)
    assert await shop.refund() == "refunded"
    assert shop.provider.calls == [
        (step, f"mall-pay-{row['id']}-{step}") for step in ("hold", "capture", "refund")
    ]


async def test_step_without_an_answer_is_asked_again_with_the_same_key_later_and_later(shop: Shop) -> None:
    shop.provider.says = [GatewayUnsure(), GatewayUnsure(), GatewayUnsure(), Held("hld_1")]
    assert await shop.pay() == "pending"
    pauses = []
    for _ in range(3):
        pauses.append(await shop.owner.fetchval("SELECT extract(epoch FROM due_at - now()) FROM payments"))
        await shop.due()
    assert pauses[0] < pauses[1] < pauses[2]
    assert (await shop.row())["status"] == "held"
    assert len(set(shop.provider.calls)) == 1
    assert len(shop.provider.calls) == 4


async def test_order_that_was_cancelled_before_the_hold_is_known_gets_its_money_back(shop: Shop) -> None:
    shop.provider.says = [GatewayUnsure()]
    assert await shop.pay() == "pending"
    await shop.orders.move("cancelled")
    await shop.cashier.settle_due()
    assert (await shop.row())["status"] == "voided"
    assert [step for step, _ in shop.provider.calls] == ["hold", "cancel"], (
        "nothing is asked for that nobody needs"
    )


async def test_order_that_ends_while_its_payment_is_worked_at_is_not_forgotten(shop: Shop) -> None:
    """The worker has read `confirmed`; the order ends; the worker then writes that nothing is to be done."""
    assert await shop.pay() == "held"
    stale = dict((await shop.owner.fetch("SELECT * FROM payment_rows"))[0])
    await shop.orders.move("delivered")
    await shop.cashier._advance(stale)
    assert (await shop.row())["due_at"] is not None
    await shop.cashier.settle_due()
    assert (await shop.row())["status"] == "captured"


async def test_two_who_take_the_same_step_write_one_outcome(shop: Shop) -> None:
    assert await shop.pay() == "held"
    await shop.orders.move("delivered")
    stale = dict((await shop.owner.fetch("SELECT * FROM payment_rows"))[0])
    await shop.cashier.settle_due()
    await shop.cashier._advance(stale)
    row = await shop.row()
    assert (row["status"], row["version"], len(shop.orders.notes)) == ("captured", 3, 1)
    assert len(set(shop.provider.calls)) == 2, "the same key both times"


async def test_order_that_cannot_be_reached_is_told_later(shop: Shop) -> None:
    shop.orders.away = True
    assert await shop.pay() == "held", "the money is held, whatever else"
    assert await shop.owner.fetchval("SELECT status FROM orders") == "awaiting_payment"
    shop.orders.away = False
    await shop.due()
    assert await shop.owner.fetchval("SELECT status FROM orders") == "confirmed"
    assert [step for step, _ in shop.provider.calls] == ["hold"]


async def test_answer_under_a_key_is_kept_as_it_was_and_ends_after_its_time(shop: Shop) -> None:
    shop.provider.says = [Declined("card_declined")]
    assert await shop.pay() == "declined"
    assert await shop.pay() == "declined"
    assert len(shop.provider.calls) == 1
    # Nobody has cleaned up: the time counts, not the row.
    await shop.owner.execute("UPDATE idempotency SET expires_at = now() - interval '1 s'")
    assert await shop.pay() == "held"


async def test_only_the_functions_may_change_a_payment(shop: Shop, database_url: str) -> None:
    assert await shop.pay() == "held"
    async with open_database(database_url, size_max=2) as database, database.pool.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE payments SET status = 'captured'")


async def test_step_that_was_put_off_by_a_clock_that_was_ahead_is_due_at_once(shop: Shop) -> None:
    shop.provider.says = [GatewayUnsure(), Held("hld_1")]
    assert await shop.pay() == "pending"
    assert await shop.cashier.wake_late() == 0, "an honest pause is left alone"
    await shop.owner.execute("UPDATE payments SET due_at = due_at + interval '1 hour'")
    await shop.cashier.settle_due()
    assert len(shop.provider.calls) == 1
    assert await shop.cashier.wake_late() == 1
    await shop.cashier.settle_due()
    assert (await shop.row())["status"] == "held"


# -- what a gateway may say instead -----------------------------------------------------------------------


async def test_hold_that_is_refused_for_good_is_declined_and_another_card_may_pay(shop: Shop) -> None:
    shop.provider.says = [GatewayRefused("invalid_token")]
    assert await shop.pay() == "declined"
    assert (await shop.row())["decline_code"] == "invalid_token"
    assert await shop.pay("key-of-another-card") == "held"


async def test_hold_that_was_certainly_not_made_is_declined_after_a_few_tries(shop: Shop) -> None:
    shop.provider.says = [GatewayLater()] * HOLD_TRIES
    assert await shop.pay() == "pending"
    for _ in range(HOLD_TRIES - 1):
        await shop.due()
    row = await shop.row()
    assert (row["status"], row["decline_code"]) == ("declined", "gateway_unavailable")
    assert await shop.pay("key-of-another-card") == "held"


async def test_hold_that_may_have_been_made_is_never_declined_by_silence(shop: Shop) -> None:
    shop.provider.says = [GatewayUnsure(), *[GatewayLater()] * (2 * HOLD_TRIES), Held("hld_1")]
    assert await shop.pay() == "pending"
    for _ in range(2 * HOLD_TRIES):
        await shop.due()
        assert (await shop.row())["status"] == "pending"
    await shop.due()
    assert (await shop.row())["status"] == "held"


async def test_repetition_of_a_payment_that_its_orders_end_has_overtaken_is_answered(shop: Shop) -> None:
    shop.provider.says = [GatewayUnsure()]
    assert await shop.pay() == "pending"
    await shop.orders.move("cancelled")
    await shop.cashier.settle_due()
    assert await shop.pay() == "voided"
    assert (await shop.row())["decline_code"] == "order_closed"


async def test_capture_of_a_hold_that_has_expired_is_stuck_and_asked_for_no_more(shop: Shop) -> None:
    assert await shop.pay() == "held"
    await shop.orders.move("delivered")
    shop.provider.says = [GatewayRefused("hold_expired")]
    await shop.cashier.settle_due()
    row = await shop.row()
    assert (row["status"], row["stuck_code"], row["due_at"]) == ("held", "hold_expired", None)
    await shop.cashier.settle_due()
    assert [step for step, _ in shop.provider.calls] == ["hold", "capture"]
    [note] = shop.orders.notes
    assert (note.event, note.reason, note.paid.stuck) == ("payment_stuck", "hold_expired", True)


async def test_operator_settles_a_payment_that_is_stuck_or_has_it_tried_again(shop: Shop) -> None:
    assert await shop.pay() == "held"
    assert await shop.settle("voided") == "invalid_transition"
    await shop.orders.move("delivered")
    shop.provider.says = [GatewayRefused("hold_expired"), GatewayRefused("hold_expired")]
    await shop.cashier.settle_due()
    assert await shop.settle("refunded") == "invalid_transition"
    assert await shop.settle("retry") == "settled"
    assert (await shop.row())["stuck_code"] == "hold_expired", "it was tried, and refused again"
    assert await shop.settle("voided") == "settled"
    row = await shop.row()
    assert (row["status"], row["stuck_code"], row["due_at"]) == ("voided", None, None)
    note = shop.orders.notes[-1]
    assert (note.event, note.by.id, note.reason) == ("payment_settled", "usr_9", "as the books say")


async def test_step_that_nobody_answers_for_a_day_is_stuck(shop: Shop) -> None:
    assert await shop.pay() == "held"
    await shop.orders.move("delivered")
    shop.provider.says = [GatewayUnsure(), GatewayUnsure()]
    await shop.cashier.settle_due()
    assert (await shop.row())["stuck_code"] is None
    await shop.owner.execute(
        "UPDATE payments SET updated_at = now() - make_interval(secs => $1)", GIVE_UP_S + 1
    )
    await shop.due()
    assert (await shop.row())["stuck_code"] == "unknown"


# -- money that is given back -----------------------------------------------------------------------------


async def test_money_is_given_back_in_parts_each_under_a_key_of_its_own(shop: Shop) -> None:
    await shop.captured()
    number = (await shop.row())["id"]
    assert await shop.refund(300, "one loaf was stale", "first") == "captured"
    assert await shop.refund(300, "one loaf was stale", "first") == "captured", "once for each key"
    assert await shop.refund(200, "one loaf was stale", "first") == "key_reused"
    assert (await shop.row())["refunded_minor"] == 300
    assert await shop.refund(700, None, "second") == "refund_too_large"
    assert await shop.refund(None, "the rest", "third") == "refunded"
    assert shop.provider.refunds == [(f"mall-pay-{number}-refund", 300), (f"mall-pay-{number}-refund-2", 600)]
    told = [(n.event, n.reason, n.data.get("amount_minor")) for n in shop.orders.notes]
    assert told == [
        ("payment_captured", None, None),
        ("payment_refunded", "one loaf was stale", 300),
        ("payment_refunded", "the rest", 600),
    ]


async def test_second_refund_waits_for_the_first(shop: Shop) -> None:
    await shop.captured()
    shop.provider.says = [GatewayUnsure()]
    assert await shop.refund(300, None, "first") == "refunding"
    assert await shop.refund(100, None, "second") == "refund_in_progress"
    await shop.due()
    assert await shop.refund(100, None, "second") == "captured"
    assert (await shop.row())["refunded_minor"] == 400


async def test_refund_that_is_refused_is_stuck_until_it_is_settled_as_not_given_back(shop: Shop) -> None:
    await shop.captured()
    shop.provider.says = [GatewayRefused("too_old")]
    assert await shop.refund(300) == "refunding"
    assert (await shop.row())["stuck_code"] == "too_old"
    assert await shop.settle("captured") == "settled"
    row = await shop.row()
    assert (row["status"], row["refunded_minor"], row["due_at"]) == ("captured", 0, None)


async def test_orders_history_hears_of_the_capture_although_the_order_was_away(shop: Shop) -> None:
    assert await shop.pay() == "held"
    await shop.orders.move("delivered")
    shop.orders.away = True
    await shop.cashier.settle_due()
    assert ((await shop.row())["status"], shop.orders.notes) == ("captured", [])
    shop.orders.away = False
    await shop.due()
    assert [note.event for note in shop.orders.notes] == ["payment_captured"]
    await shop.due()
    assert len(shop.orders.notes) == 1
    assert (await shop.row())["due_at"] is None
