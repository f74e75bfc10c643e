"""A mail server that is away while notices are sent: all of them arrive when it is back, and none twice."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.clock import LoopClock, SystemRandomness
from api.outbound.mail import SmtpMail
from config.smtp_address import read_smtp_url
from dispatch.jobs.policy import JobOutcome
from dispatch.jobs.tasks import Job, Retries, Task
from dispatch.jobs.worker import Worker
from dispatch.notices.tasks import SEND_RETRIES
from tests.integration.notices.notice_world import CUSTOMER, TRACE, NoticeWorld, shorter
from tests.support.mail_server import MailServer
from tests.support.waiting import seconds_until, until

MANY = 40
AWAY_S = 60.0
# Tries at once, and 2, 4, 8 and 16 s later, each up to a half more: the next one is after more than a minute.
TRIES_AWAY = 5
LIMIT_S = 60.0


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    it = MailServer()
    yield it
    await it.stop()


class Watched:
    """A worker, and what became of its jobs."""

    def __init__(self, world: NoticeWorld, tasks: tuple[Task[Any], ...]) -> None:
        clock = LoopClock(asyncio.get_running_loop())
        self.outcomes: Counter[str] = Counter()
        self.worker = Worker(
            world.store, tasks, clock, SystemRandomness(), name="w", life="1", ended=self._ended
        )

    def _ended(self, job: Job, outcome: JobOutcome, took_s: float) -> None:
        del took_s
        self.outcomes[f"{job.task} {outcome.kind}"] += 1


class StoredTime:
    """The store's clock, which skips the time in which nothing is due: what waits is due earlier by that.

    Attributes:
        passed_s: by this clock, since it was made.
    """

    def __init__(self, world: NoticeWorld, watched: Watched) -> None:
        self._owner = world.owner
        self._worker = watched.worker
        self._began_s = time.monotonic()
        self._skipped_s = 0.0

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self._began_s + self._skipped_s

    async def skip(self, at_most_s: float) -> None:
        """Let all that is due be tried, and skip the time until the next try is due."""
        await seconds_until(self._is_idle, LIMIT_S)
        due_s = await self._owner.fetchval(
            "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::double precision FROM jobs"
        )
        skipped_s = max(0.0, min(at_most_s, math.inf if due_s is None else due_s))
        await self._owner.execute("UPDATE jobs SET due_at = due_at - make_interval(secs => $1)", skipped_s)
        self._skipped_s += skipped_s
        self._worker.due.set()

    async def _is_idle(self) -> bool:
        return bool(
            await self._owner.fetchval(
                "SELECT NOT EXISTS (SELECT FROM jobs WHERE due_at <= clock_timestamp() OR worker IS NOT NULL)"
            )
        )


@asynccontextmanager
async def working(
    world: NoticeWorld, server: MailServer, retries: Retries | None = None
) -> AsyncIterator[Watched]:
    mail = SmtpMail(read_smtp_url(server.url), "no-reply@mall.example", world.clock.wall, deadline_s=2.0)
    tasks_of = world.tasks(mail, retries=retries or shorter(SEND_RETRIES))
    watched, stop = Watched(world, tasks_of), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched.worker.run(stop))
        try:
            yield watched
        finally:
            stop.set()


async def wanted(world: NoticeWorld) -> None:
    """Forty notices to the customer, each of a job of its own."""
    data = {"webhook": "whk_1", "host": "shop.example", "why": "status 410"}
    for _ in range(MANY):
        await world.add("notify_users", type="webhook_disabled", users=[CUSTOMER], data=data)


async def sent_ids(world: NoticeWorld) -> set[str]:
    """Message-IDs of the notices, all of which are noted as sent."""
    rows = await world.owner.fetch("SELECT id, status FROM notices")
    assert {row["status"] for row in rows} == {"sent"}
    assert len(rows) == MANY
    return {f"<notice-{row['id']}@mall.example>" for row in rows}


async def test_all_arrive_after_the_server_was_away_for_a_minute_and_none_twice(
    world: NoticeWorld, server: MailServer
) -> None:
    """A minute of the store's clock, with the product's own pauses; test_mails.py has a real one."""
    await wanted(world)
    async with working(world, server, SEND_RETRIES) as watched:
        watched.worker.due.set()
        clock = StoredTime(world, watched)
        while clock.passed_s < AWAY_S:
            await clock.skip(AWAY_S - clock.passed_s)
        assert watched.outcomes["send_mail done"] == 0
        assert watched.outcomes["send_mail retry"] >= MANY * TRIES_AWAY
        await server.start()
        while watched.outcomes["send_mail done"] < MANY:
            await clock.skip(SEND_RETRIES.max_s)
    assert len(server.mails) == MANY
    assert set(server.ids()) == await sent_ids(world)
    assert {mail["X-Trace-Id"] for mail in server.mails} == {TRACE}


async def test_mail_whose_answer_was_lost_comes_again_under_its_own_message_id(
    world: NoticeWorld, server: MailServer
) -> None:
    await server.start()
    await wanted(world)
    async with working(world, server) as watched:
        watched.worker.due.set()
        await until(lambda: len(server.mails) >= 5)
        await server.stop()
        before = watched.outcomes["send_mail retry"]
        await until(lambda: watched.outcomes["send_mail retry"] > before)
        await server.start()
        await until(lambda: watched.outcomes["send_mail done"] == MANY)
    assert set(server.ids()) == await sent_ids(world)
    assert len(server.mails) - MANY <= watched.outcomes["send_mail retry"]


async def test_busy_server_is_asked_again_and_gets_each_mail_once(
    world: NoticeWorld, server: MailServer
) -> None:
    await server.start()
    server.answers = ["451 try again later"] * 15
    await wanted(world)
    async with working(world, server) as watched:
        watched.worker.due.set()
        await until(lambda: watched.outcomes["send_mail done"] == MANY)
    assert watched.outcomes["send_mail retry"] == 15
    assert len(server.ids()) == len(set(server.ids())) == MANY
