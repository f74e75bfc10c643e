"""Tasks of notices: those that follow from events, and those that send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dispatch.jobs.cleanup import Nothing
from dispatch.jobs.tasks import Job, Payload, Retries, Task
from dispatch.notices.delivery import NoticeDelivery
from dispatch.notices.resets import TASK as RESET_TASK
from dispatch.notices.resets import ResetMails
from dispatch.notices.wanted import NoticeSubject, WantedNotices
from dispatch.ports import QueryPool

# A mail server may be away for three hours.
SEND_RETRIES = Retries(failures_max=24, first_s=2.0, max_s=600.0)
# A link is good for an hour, and a person waits for it.
RESET_RETRIES = Retries(failures_max=10, first_s=2.0, max_s=120.0)
KEEP_DAYS = 90
# Jobs that died are told of so often, all together.
DEAD_JOBS_EVERY_S = 900
DIGEST_TASK = "send_digest"
TRIM_S = 120.0
TRIM_ROWS, TRIM_BITES = 5_000, 200


class EventPayload(Payload):
    """Subject of an event, as dispatch/jobs/events.py gives it."""

    type: str
    ref: int
    version: int
    order_id: int | None = None


class NoticePayload(Payload):
    """A notice that is sent."""

    notice: int


class ResetPayload(Payload):
    """The normal form of the address of an account that may exist."""

    email: str


class UsersPayload(Payload):
    """Notice to users; without `users` to the administrators. `data` is what its templates name."""

    type: str
    users: list[int] | None = None
    data: Mapping[str, Any] = {}


class DigestPayload(Payload):
    """A driver's day, as make_digests() counts it; amounts are of a currency each."""

    driver_id: int
    zone_id: int
    day: str
    deliveries: int
    amounts: list[Mapping[str, Any]]


class NoticeTasks:
    """The functions of the tasks."""

    def __init__(
        self,
        database: QueryPool,
        wanted: WantedNotices,
        delivery: NoticeDelivery,
        resets: ResetMails,
        retries: Retries = SEND_RETRIES,
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._delivery = delivery
        self._resets = resets
        self._retries = retries

    def all(self) -> tuple[Task[Any], ...]:
        """The tasks, for a worker."""
        return (
            Task("notify_order", EventPayload, self.notify_order),
            Task("notify_stock", EventPayload, self.notify_stock),
            Task("notify_operators", EventPayload, self.notify_operators),
            Task("notify_users", UsersPayload, self.notify_users),
            Task(DIGEST_TASK, DigestPayload, self.send_digest),
            Task("tell_dead_jobs", Nothing, self.tell_dead_jobs, width=1),
            Task("send_mail", NoticePayload, self.send, retries=self._retries),
            Task("send_sms", NoticePayload, self.send, retries=self._retries),
            Task(RESET_TASK, ResetPayload, self.send_password_reset, retries=RESET_RETRIES, width=4),
            Task("trim_notices", Nothing, self.trim_notices, width=1, deadline_s=TRIM_S),
        )

    async def notify_order(self, payload: EventPayload, job: Job) -> None:
        """Tell all whom an event of an order or its payment concerns."""
        if payload.type.startswith("payment."):
            await self._wanted.tell_of_refund(payload.ref, _subject("payment", payload, job))
        else:
            await self._wanted.tell_of_order(payload.type, _subject("order", payload, job))

    async def notify_stock(self, payload: EventPayload, job: Job) -> None:
        """Tell a store that a product is short."""
        await self._wanted.tell_of_stock(payload.type, payload.ref, _subject("stock", payload, job))

    async def notify_operators(self, payload: EventPayload, job: Job) -> None:
        """Tell the administrators that nobody takes an order."""
        await self._wanted.tell_admins("order_unassigned", _subject("order", payload, job))

    async def notify_users(self, payload: UsersPayload, job: Job) -> None:
        """Tell users, or the administrators, something that is about no order."""
        subject = NoticeSubject("job", 0, job.id, job.trace)
        if payload.users is None:
            await self._wanted.tell_admins(payload.type, subject, payload.data)
        else:
            await self._wanted.tell_users(payload.type, subject, payload.users, payload.data)

    async def send_digest(self, payload: DigestPayload, job: Job) -> None:
        """Tell a driver what it has delivered and earned on a day."""
        # Noon, so that it is the same day in the driver's time zone, wherever that is.
        noon = datetime.fromisoformat(payload.day).replace(hour=12, tzinfo=UTC)
        amounts = [
            {
                name: {"amount_minor": amount[f"{name}_minor"], "currency": amount["currency"]}
                for name in ("pay", "cash")
            }
            for amount in payload.amounts
        ]
        data = {
            "day_ms": int(noon.timestamp() * 1000),
            "deliveries": payload.deliveries,
            "amounts": amounts,
        }
        subject = NoticeSubject("job", 0, job.id, job.trace)
        await self._wanted.tell_users("driver_digest", subject, [payload.driver_id], data)

    async def tell_dead_jobs(self, payload: Nothing, job: Job) -> None:
        """Tell the administrators which jobs have died since the last time."""
        del payload
        rows = await self._database.rows("dead_jobs_since", DEAD_JOBS_EVERY_S)
        if rows:
            tasks = [{"task": row["task"], "count": row["many"], "error": row["error"]} for row in rows]
            data = {"count": sum(row["many"] for row in rows), "tasks": tasks}
            await self._wanted.tell_admins("dead_jobs", NoticeSubject("job", 0, job.id, job.trace), data)

    async def send(self, payload: NoticePayload, job: Job) -> None:
        """Send a notice."""
        del job
        await self._delivery.deliver(payload.notice)

    async def send_password_reset(self, payload: ResetPayload, job: Job) -> None:
        """Mail a link that sets a password."""
        await self._resets.send(payload.email, job)

    async def trim_notices(self, payload: Nothing, job: Job) -> None:
        """Delete old notices."""
        del payload, job
        for _ in range(TRIM_BITES):
            if await self._database.value("notices_trim", KEEP_DAYS, TRIM_ROWS) < TRIM_ROWS:
                return


def _subject(topic: str, payload: EventPayload, job: Job) -> NoticeSubject:
    return NoticeSubject(topic, payload.order_id or 0, payload.version, job.trace)
