"""Delivery of a notice: decided when its job runs, rendered, sent, and noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from actors.clock import Clock
from actors.tracing import trace_id
from actors.values import frozen
from dispatch.jobs.tasks import Permanent, Snooze
from dispatch.notices.decisions import DropNotice, HoldNotice, SendNow, decide_notice
from dispatch.notices.kinds import KINDS, MAIL, Channel
from dispatch.notices.ports import Letter, Letters, Mail, SendRefused, Sms
from dispatch.notices.recipients import Recipient, store_from, user_from
from dispatch.notices.values import Values, order_values, pickup_values
from dispatch.ports import QueryPool, Row

log = structlog.get_logger()

# Name of the sender where a notice is about no zone.
HOUSE = "Mall Delivery"


@frozen
class NoticeFacts:
    """What a notice is about, as it is now. `superseded`: it is no news any more, beyond what the status says."""

    values: Mapping[str, Any]
    status: str | None = None
    superseded: bool = False


class NoticeDelivery:
    """Sends notices. A sender that is None has no channel."""

    def __init__(
        self,
        database: QueryPool,
        letters: Letters,
        mail: Mail | None,
        sms: Sms | None,
        clock: Clock,
        public_url: str | None,
    ) -> None:
        self._database = database
        self._letters = letters
        self._mail = mail
        self._sms = sms
        self._clock = clock
        self._public_url = public_url

    async def deliver(self, number: int) -> None:
        """Send a notice, or drop it. It may be repeated: what was noted as sent is not sent again.

        A notice is dead with its job: the commit in which the job dies notes it (functions/notices.sql).

        Raises:
            Snooze: it waits for the end of quiet hours.
            Permanent: it can never be sent.
            SendUnavailable, SendUnsure: try again.
        """
        notice = await self._database.row("notice_get", number)
        if notice is None or notice["status"] in ("sent", "dropped"):
            return
        try:
            await self._deliver(notice)
        except SendRefused as error:
            raise Permanent(f"refused: {error}") from error

    async def _deliver(self, notice: Row) -> None:
        kind, channel = KINDS[notice["type"]], notice["channel"]
        recipient, facts = await self._recipient(notice), await self._facts(notice)
        now_ms = round(self._clock.wall() * 1000)
        decision = decide_notice(
            kind, channel, recipient, now_ms, status=facts.status, replaced=facts.superseded
        )
        if isinstance(decision, HoldNotice):
            raise Snooze(decision.until_ms)
        if isinstance(decision, DropNotice):
            await self._settle(notice["id"], "dropped", decision.why)
            log.info("dropped_notice", notice=notice["id"], type=kind.type, why=decision.why)
            return
        assert recipient is not None
        letter = self._letters.render(kind.type, channel, recipient, facts.values)
        await self._send(notice, channel, decision, letter)
        await self._settle(notice["id"], "sent", None)
        log.info("sent_notice", notice=notice["id"], type=kind.type, channel=channel)

    async def _send(self, notice: Row, channel: Channel, decision: SendNow, letter: Letter) -> None:
        """Hand the letter to the sender of the channel.

        Raises:
            SendUnavailable, SendUnsure, SendRefused: it was not sent, or that is not known.
        """
        key = f"notice-{notice['id']}"
        if channel == MAIL and self._mail is not None:
            headers = {"X-Trace-Id": trace_id(notice["trace"])} if notice["trace"] else {}
            await self._mail.send(key, decision.address, letter.subject, letter.text, letter.html, headers)
        elif channel != MAIL and self._sms is not None:
            await self._sms.send(key, decision.address, letter.text)
        else:
            raise SendRefused("there is no sender for this channel any more")

    async def _settle(self, number: int, status: str, why: str | None) -> None:
        await self._database.rows("notice_settle", number, status, why)

    async def _recipient(self, notice: Row) -> Recipient | None:
        if notice["user_id"]:
            row = await self._database.row("notice_users", [notice["user_id"]])
            return None if row is None else user_from(row)
        row = await self._database.row("notice_stores", [notice["store_id"]])
        return None if row is None else store_from(row)

    async def _facts(self, notice: Row) -> NoticeFacts:
        if notice["topic"] == "stock":
            return await self._stock_facts(notice)
        if not notice["order_id"]:
            return NoticeFacts({"mall": HOUSE, **notice["data"]})
        version = notice["version"] if notice["topic"] == "order" else 0
        row = await self._database.row("notice_order", notice["order_id"], version)
        if row is None:
            return NoticeFacts({}, superseded=True)
        values: Values = order_values(row, self._public_url) | notice["data"]
        waited_ms = max(0.0, self._clock.wall() * 1000 - row["created_ms"])
        values["waiting_m"] = notice["data"].get("waiting_m", round(waited_ms / 60_000))
        if notice["store_id"]:
            values["pickup"] = pickup_values(row, notice["store_id"])
        return NoticeFacts(values, row["status"], self._is_replaced(notice, row))

    def _is_replaced(self, notice: Row, row: Row) -> bool:
        """True when the driver of this news does not have the order any more, or has it again."""
        if notice["type"] == "assigned":
            return bool(row["replaced"])
        if notice["type"] == "driver_assigned":
            return bool(row["driver_id"] != notice["user_id"])
        if notice["type"] == "driver_released":
            return bool(row["driver_id"] == notice["user_id"])
        return False

    async def _stock_facts(self, notice: Row) -> NoticeFacts:
        row = await self._database.row("notice_product", notice["data"]["product_id"])
        if row is None:
            return NoticeFacts({}, superseded=True)
        stock = row["stock"]
        over = stock is None or (stock > 0 if notice["type"] == "stock_out" else stock == 0)
        values = {"mall": row["zone"], "store": row["store"], "product": row["name"], "stock": stock}
        return NoticeFacts(values, superseded=over)
