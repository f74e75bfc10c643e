"""A mail server that is away while notices are sent: all of them arrive when it is back, and none twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.clock import LoopClock, SystemRandomness
from api.outbound.mail import SmtpMail
from config.smtp_address import read_smtp_url
from dispatch.jobs.policy import JobOutcome
from dispatch.jobs.tasks import Job, Task
from dispatch.jobs.worker import Worker
from dispatch.notices.tasks import SEND_RETRIES
from tests.integration.notices.notice_world import CUSTOMER, TRACE, NoticeWorld, shorter
from tests.support.mail_server import MailServer
from tests.support.waiting import until

MANY = 40


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


@asynccontextmanager
async def working(world: NoticeWorld, server: MailServer) -> AsyncIterator[Watched]:
    mail = SmtpMail(read_smtp_url(server.url), "no-reply@mall.example", world.clock.wall, deadline_s=2.0)
    watched, stop = Watched(world, world.tasks(mail, retries=shorter(SEND_RETRIES))), asyncio.Event()
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


async def test_all_arrive_after_the_server_is_back_and_none_twice(
    world: NoticeWorld, server: MailServer
) -> None:
    await wanted(world)
    async with working(world, server) as watched:
        watched.worker.due.set()
        await until(lambda: watched.outcomes["send_mail retry"] >= MANY)
        assert watched.outcomes["send_mail done"] == 0
        await server.start()
        await until(lambda: watched.outcomes["send_mail done"] == MANY)
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
