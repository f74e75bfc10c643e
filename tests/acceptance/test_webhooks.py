"""Webhooks from the log to real receivers: workers are killed, receivers hang, fail and refuse, and nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from api.outbound.sealing import Sealing
from api.outbound.signing import new_secret, shown_secret
from tests.support.receiver import Receiver, always, hang, receiving
from tests.support.waiting import Arrivals, seconds_until

ROOT = Path(__file__).resolve().parents[2]
KEY = b"k" * 32
TRACE = "0af7651916cd43dd8448eb211c80319c"
NAMES = ("one", "two")
LIMIT_S = 100.0
KINDS = ("order.created", "order.confirmed", "order.assigned", "order.picked_up", "order.delivered")


def _event(pos: int) -> dict[str, Any]:
    kind = KINDS[pos % len(KINDS)]
    body = {
        "type": kind,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "sequence": pos,
        "data": {"order_id": f"ord_{pos}", "status": "öffentlich"},
    }
    return {
        "type": kind,
        "topic": "order",
        "ref": pos,
        "version": 1,
        "order_id": pos,
        "zone_id": 1 + pos % 2,
        "store_ids": [1],
        "body": json.dumps(body, ensure_ascii=False),
        "trace": TRACE,
        "at_ms": 1_772_000_000_000,
    }


class Work:
    """Worker processes on a database whose log the test fills.

    Attributes:
        kills: how many workers were killed.
    """

    def __init__(self, url: str, owner: Any) -> None:
        self.url = url
        self.owner = owner
        self.kills = 0
        self._last = 0
        self._numbers = itertools.count(1)
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str, **settings: str) -> None:
        """Start a worker."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MALL_")},
            "DATABASE_URL": self.url,
            # Nothing of it is used.
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "MALL_INSTANCE": name,
            "MALL_OPS_PORT": "0",
            "MALL_LOG_LEVEL": "warning",
            "MALL_SECRETS_KEY": base64.b64encode(KEY).decode(),
            "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
            **settings,
        }
        self._running[name] = await asyncio.create_subprocess_exec(
            sys.executable, "run.py", "work", cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
        )

    async def kill(self, name: str) -> None:
        """Kill a worker with SIGKILL, and start it again."""
        process = self._running[name]
        process.kill()
        await process.wait()
        self.kills += 1
        await self.start(name)

    async def end(self, number: int = signal.SIGTERM) -> list[int | None]:
        """End all workers."""
        for process in self._running.values():
            if process.returncode is None:
                process.send_signal(number)
        return [await process.wait() for process in self._running.values()]

    async def endpoint(self, receiver: Receiver, **values: Any) -> int:
        """An endpoint for this receiver, from the end of the log on."""
        number, secret = next(self._numbers), new_secret()
        receiver.secrets = [shown_secret(secret)]
        usual = {"url": receiver.url, "types": [], "zone_ids": [], "store_ids": [], "owner_user_id": 1,
                 "on_refused": "skip"}  # fmt: skip
        sealed, said = Sealing([KEY]).seal(number, secret), json.dumps(usual | values)
        await self.owner.execute("SELECT create_webhook($1, $2, $3, 100)", number, sealed, said)
        return number

    async def happen(self, count: int) -> None:
        """Events come into the log, as the relay writes them."""
        events = [_event(self._last + nth) for nth in range(1, count + 1)]
        said = json.dumps({"ids": [], "events": events, "jobs": []})
        assert await self.owner.fetchval("SELECT relay_outbox($1, $2)", self._last, said)
        self._last += count

    async def column(self, name: str, number: int) -> Any:
        """A column of an endpoint."""
        return await self.owner.fetchval(f"SELECT {name} FROM webhook_rows WHERE id = $1", number)


@asynccontextmanager
async def _working(url: str) -> AsyncIterator[Work]:
    owner = await asyncpg.connect(url)
    await owner.execute(
        "INSERT INTO users (id, email, email_key, role, name) VALUES (1, 'a@b.example', 'a@b.example', 'admin', 'A')"
    )
    work = Work(url, owner)
    try:
        yield work
    finally:
        await work.end(signal.SIGKILL)
        await owner.close()


@pytest.fixture
async def work(database_url: str) -> AsyncIterator[Work]:
    async with _working(database_url) as work:
        yield work


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def _has_got(receiver: Receiver, count: int) -> bool:
    return len(receiver.got) >= count


def ids(*positions: int) -> list[str]:
    return [f"evt_{pos}" for pos in positions]


async def _failing_at_times(request: web.Request, number: int) -> web.StreamResponse:
    """One request of each 250 fails, which costs a pause of five seconds and more."""
    del request
    return web.Response(status=500 if number % 250 == 50 else 204)


@dataclass
class Storm:
    """Events to endpoints while workers are killed; one receiver hangs, some fail at times."""

    work: Work
    events: int
    sound: list[Receiver]
    hanging: Receiver
    arrivals: Arrivals

    async def until_taken(self, count: int, limit_s: float) -> None:
        """Wait until so many events were taken, over all endpoints."""
        await self.arrivals.until(
            lambda: sum(receiver.taken_count for receiver in self.sound) >= count, limit_s
        )

    async def fill(self) -> None:
        """Events come into the log."""
        for _ in range(self.events // 50):
            await self.work.happen(50)

    async def run(self, killing: Callable[[Storm], Awaitable[None]], limit_s: float) -> None:
        """Have all events sent to all but the one that hangs."""
        for receiver in (*self.sound, self.hanging):
            await self.work.endpoint(receiver)
        for name in NAMES:
            await self.work.start(name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.fill())
            kills = tasks.create_task(self._ignored(killing))
            await self.until_taken(self.events * len(self.sound), limit_s)
            kills.cancel()

    async def _ignored(self, killing: Callable[[Storm], Awaitable[None]]) -> None:
        await killing(self)

    def check(self) -> None:
        """Nothing is missing, out of order or forged."""
        expected = ids(*range(1, self.events + 1))
        for receiver in self.sound:
            assert receiver.taken == expected, "missing, or out of order"
        assert [receiver.forged for receiver in (*self.sound, self.hanging)] == [[]] * (len(self.sound) + 1)
        assert {*self.hanging.ids} <= {"evt_1"}
        assert self.work.kills > 0
        repeats = sum(len(one.got) for one in self.sound) - self.events * len(self.sound)
        print(f"{self.work.kills} kills, {repeats} repeats at {len(self.sound)} endpoints")


async def _storm(work: Work, stack: AsyncExitStack, *, events: int, good: int, failing: int) -> Storm:
    arrivals, answers = Arrivals(), [*[None] * good, *[_failing_at_times] * failing]
    sound = [await stack.enter_async_context(receiving(answer, arrivals=arrivals)) for answer in answers]
    return Storm(work, events, sound, await stack.enter_async_context(receiving(hang)), arrivals)


async def test_kills_and_bad_receivers_lose_no_event(work: Work, stack: AsyncExitStack) -> None:
    storm = await _storm(work, stack, events=300, good=4, failing=1)

    async def after_each_400_more(storm: Storm) -> None:
        for kill, name in zip((1, 2, 3), itertools.cycle(NAMES), strict=False):
            await storm.until_taken(400 * kill, LIMIT_S)
            await work.kill(name)

    await storm.run(after_each_400_more, LIMIT_S)
    storm.check()


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_ten_thousand_events_to_thirty_receivers_survive_kills(
    work: Work, stack: AsyncExitStack
) -> None:
    storm = await _storm(work, stack, events=10_000, good=25, failing=4)

    async def every_five_seconds(storm: Storm) -> None:
        for name in itertools.cycle(NAMES):
            await asyncio.sleep(5)
            await storm.work.kill(name)

    await storm.run(every_five_seconds, 1700)
    storm.check()


async def test_receivers_that_refuse_end_and_go_on_as_their_answers_say(
    work: Work, stack: AsyncExitStack
) -> None:
    async def open_(answer: Any) -> Receiver:
        return await stack.enter_async_context(receiving(answer))

    gone, later, other = (
        await open_(always(410)),
        await open_(always(503, Retry_After="3600")),
        await open_(None),
    )
    turned = await open_(always(302, Location=other.url))
    fine = await open_(None)
    numbers = [await work.endpoint(one) for one in (gone, later, turned)]
    chosen = await work.endpoint(fine, types=["order.delivered"], zone_ids=[2])
    await work.start("one")
    await work.happen(40)

    async def settled() -> bool:
        return bool(
            await work.column("disabled_why", numbers[0]) == "gone"
            and await work.column("failures", numbers[1]) == 1
            and await work.column("failures", numbers[2]) == 1
            and await work.column("behind", chosen) == 0
        )

    await seconds_until(settled, 30)
    assert (gone.ids, later.ids, turned.ids) == (["evt_1"], ["evt_1"], ["evt_1"])
    assert other.got == []
    assert fine.taken == ids(*(pos for pos in range(1, 41) if pos % 5 == 4 and pos % 2 == 1))
    wait_s = await work.owner.fetchval(
        "SELECT extract(epoch FROM next_try_at - now())::float8 FROM webhook_rows WHERE id = $1", numbers[1]
    )
    assert 3500 < wait_s <= 3600
    assert fine.headers[0]["traceparent"].startswith(f"00-{TRACE}-")


async def test_worker_that_is_asked_to_end_repeats_nothing(work: Work, stack: AsyncExitStack) -> None:
    receiver = await stack.enter_async_context(receiving())
    await work.endpoint(receiver)
    await work.start("one")
    for wanted in (60, 120):
        await work.happen(60)
        await receiver.arrivals.until(partial(_has_got, receiver, wanted - 49), 30)
        assert await work.end() == [0]
        await work.start("one")
    await receiver.arrivals.until(lambda: receiver.taken_count == 120, 30)
    assert receiver.ids == ids(*range(1, 121))
