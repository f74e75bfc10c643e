"""People, stores and orders for tests of notices, senders in memory, and a runner of jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from actors.clock import SystemRandomness
from api.outbound.rendering import Templates
from dispatch.jobs.policy import DONE, outcome_of
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob, Retries, Task
from dispatch.notices.delivery import NoticeDelivery
from dispatch.notices.kinds import CHANNELS, Channel
from dispatch.notices.ports import Mail, Sms
from dispatch.notices.resets import ResetMails
from dispatch.notices.tasks import SEND_RETRIES, NoticeTasks
from dispatch.notices.wanted import WantedNotices
from storage.postgres.database import Database
from tests.support.clocks import Hands
from tests.support.letters import NOON_MS, SITE

CUSTOMER, DRIVER, OTHER_DRIVER, ADMIN = 2, 3, 4, 9
ORDER = 17
TRACE = "0af7651916cd43dd8448eb211c80319c"
FOUNDATION = """
INSERT INTO zones (id, name, time_zone) VALUES (1, 'Passage', 'Europe/Berlin');
INSERT INTO stores (id, zone_id, name, lat, lon, contact_email, locale) VALUES
    (1, 1, 'Bäckerei', 52.5, 13.4, 'bakery@mall.example', 'de'), (2, 1, 'Café', 52.5, 13.4, NULL, 'en');
INSERT INTO products (id, store_id, name, price_minor, currency, stock) VALUES (1, 1, 'Brot', 450, 'EUR', 3),
    (2, 2, 'Tea', 200, 'EUR', 0);
INSERT INTO users (id, email, email_key, role, name, password_hash, phone, locale, time_zone) VALUES
    (2, 'Zoe@mall.example', 'zoe@mall.example', 'customer', 'Zoë', 'h', '+4930111111', 'de', 'Europe/Berlin'),
    (3, 'max@mall.example', 'max@mall.example', 'driver', 'Max', 'h', '+4930222222', 'en', 'Europe/Berlin'),
    (4, 'eva@mall.example', 'eva@mall.example', 'driver', 'Eva', 'h', NULL, 'en', 'UTC'),
    (9, 'ada@mall.example', 'ada@mall.example', 'admin', 'Ada', 'h', NULL, 'en', 'UTC');
INSERT INTO drivers (id, shard, zone_id, status) VALUES (3, 1, 1, 'online'), (4, 1, 1, 'online');
"""


class Outbox:
    """A sender of mail and SMS that notes what it was given. `failures` are raised first, one each."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []
        self.texts: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class MailNotes(Outbox):
    """Implements Mail."""

    async def send(
        self, key: str, to: str, subject: str, text: str, html: str, headers: Mapping[str, str]
    ) -> None:
        self._fail()
        self.mails.append({"key": key, "to": to, "subject": subject, "text": text, "headers": dict(headers)})

    def subjects(self) -> list[tuple[str, str]]:
        """Recipients and subjects in the order in which they were sent."""
        return [(mail["to"], mail["subject"]) for mail in self.mails]


class SmsNotes(Outbox):
    """Implements Sms."""

    async def send(self, key: str, to: str, text: str) -> None:
        self._fail()
        self.texts.append({"key": key, "to": to, "text": text})


class NoticeWorld:
    """A database with an order, and the tasks of notices over it."""

    def __init__(self, owner: Any, database: Database) -> None:
        self.owner = owner
        self.database = database
        self.store = StoredJobs(database)
        self.clock = Hands(NOON_MS / 1000)
        self.mail = MailNotes()
        self.sms = SmsNotes()

    def tasks(
        self,
        mail: Mail | None = None,
        *,
        available: Sequence[Channel] = CHANNELS,
        retries: Retries = SEND_RETRIES,
    ) -> tuple[Task[Any], ...]:
        """The tasks, with the senders in memory unless another one is given."""
        letters, sms = Templates(), self.sms
        sender: Mail = self.mail if mail is None else mail
        typed: Sms = sms
        return NoticeTasks(
            self.database,
            WantedNotices(self.database, available),
            NoticeDelivery(self.database, letters, sender, typed, self.clock, SITE),
            ResetMails(self.database, SystemRandomness(), letters, sender, SITE),
            retries,
        ).all()

    async def order(
        self, status: str = "confirmed", driver: int | None = None, payment: str = "cash"
    ) -> None:
        """The order 17 of the customer, of both stores."""
        await self.owner.execute(
            "INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at,"
            " created_at, updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups)"
            " VALUES ($1, 7, 1, 1, $2, $3, $4, 'waves', to_timestamp($5), to_timestamp($5), now(), 1, 2, 'Hof 2',"
            " $6, 1100, 'EUR', '[[1, \"Bäckerei\", 52.5, 13.4, 4, [0]], [2, \"Café\", 52.5, 13.4, 9, [1]]]')",
            ORDER, CUSTOMER, driver, status, NOON_MS / 1000, payment,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor)"
            " VALUES (17, 1, 1, 'Brot', 2, 450), (17, 2, 2, 'Tea', 1, 200)"
        )

    async def set_order(self, status: str, driver: int | None = None) -> None:
        """Set the order's status and driver."""
        await self.owner.execute(
            "UPDATE orders SET status = $1, driver_id = $2 WHERE id = 17", status, driver
        )

    async def event(self, version: int, kind: str, role: str = "driver", **data: Any) -> None:
        """An entry of the order's history."""
        await self.owner.execute(
            "INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at, data)"
            " VALUES (17, $1, $2, $3, 'x', $4, to_timestamp($5), $6)",
            version, kind, role, TRACE, NOON_MS / 1000, json.dumps(data),
        )  # fmt: skip

    async def add(self, task: str, *, trace: str = TRACE, **payload: Any) -> int:
        """Add a job; returns its number."""
        [number] = await self.store.enqueue([NewJob(task, payload)], trace)
        return number

    async def news(self, task: str, event: str, version: int, **more: Any) -> None:
        """Add the job that follows from an event of the order."""
        await self.add(task, **{"type": event, "ref": ORDER, "version": version, "order_id": ORDER, **more})

    async def work(self, tasks: Sequence[Task[Any]] | None = None, limit: int = 50) -> list[str]:
        """Run all jobs that are due, one after the other; returns task and outcome of each."""
        known = {task.name: task for task in (self.tasks() if tasks is None else tasks)}
        done: list[str] = []
        while len(done) < limit:
            claimed = await self.store.claim("t/1", dict.fromkeys(known, 1), 30.0, alone=False)
            if not claimed.jobs:
                return done
            for job in claimed.jobs:
                done.append(await self._run(known[job.task], job))
        raise AssertionError(f"jobs without end: {done}")

    async def _run(self, task: Task[Any], job: Job) -> str:
        outcome = DONE
        try:
            await task.run(task.payload.model_validate(job.payload), job)
        except Exception as error:  # noqa: BLE001 - as a worker does
            outcome = outcome_of(error, job, task.retries, 0.0)
        await self.store.finish("t/1", [outcome.item(job, 0.0)])
        return f"{job.task} {outcome.kind}"

    async def later(self) -> None:
        """All that waits is due now."""
        await self.owner.execute("UPDATE jobs SET due_at = now() WHERE due_at > now()")

    async def notices(self) -> list[tuple[Any, ...]]:
        """Recipient, channel, type, status and reason of all notices."""
        rows = await self.owner.fetch(
            "SELECT coalesce(nullif(user_id, 0), -store_id), channel, type, status, why FROM notices ORDER BY id"
        )
        return [tuple(row) for row in rows]


def shorter(retries: Retries) -> Retries:
    """The same number of tries, with short pauses."""
    return replace(retries, first_s=0.01, max_s=0.02)
