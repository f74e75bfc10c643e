"""Relay: polls, announcements, a store that is away, and several relays at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dispatch.jobs.events import Event
from dispatch.jobs.relay import GATHER_S, POLL_S, Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import NewJob
from tests.unit.dispatch.work import TRACE, WorkFloor, play


def _put(floor: WorkFloor, subject: int) -> None:
    """A row that needs no other table."""
    row = {"id": subject, "topic": "stock", "ref": subject, "version": 1, "trace": TRACE, "at_ms": 1}
    facts = {"data": {"event": "low", "stock": 1, "limit": 5}, "store_id": 1, "product_name": "Tea"}
    floor.memory.outbox.append(row | facts | {"product_zone_id": 1})


def _follow(event: Event) -> list[NewJob]:
    return [NewJob("mail", {"ref": event.ref})]


@asynccontextmanager
async def relaying(*relays: Relay) -> AsyncIterator[None]:
    """Relays that run until the block ends."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(relay.run()) for relay in relays]
        yield
        for one in running:
            one.cancel()


def _subjects(floor: WorkFloor) -> list[int]:
    return [item["ref"] for item in floor.memory.events]


def test_row_that_was_announced_is_relayed_at_once_and_another_one_by_the_next_poll() -> None:
    async def story(floor: WorkFloor) -> None:
        relay = Relay(StoredJobs(floor.store))
        async with relaying(relay):
            await asyncio.sleep(0.1)
            _put(floor, 1)
            relay.due.set()
            await asyncio.sleep(GATHER_S + 0.01)
            assert _subjects(floor) == [1]
            _put(floor, 2)
            await asyncio.sleep(POLL_S + 0.05)
            assert _subjects(floor) == [1, 2]

    play(story)


def test_row_that_comes_while_the_relay_looks_is_relayed_at_once() -> None:
    async def story(floor: WorkFloor) -> None:
        relay = Relay(StoredJobs(floor.store))
        async with relaying(relay):
            await asyncio.sleep(0.1)
            write = floor.store.held["relay_outbox"] = asyncio.Event()
            _put(floor, 1)
            relay.due.set()
            await asyncio.sleep(0.1)
            del floor.store.held["relay_outbox"]
            _put(floor, 2)
            relay.due.set()
            write.set()
            await asyncio.sleep(GATHER_S + 0.02)
            assert _subjects(floor) == [1, 2]

    play(story)


def test_more_rows_than_a_batch_are_relayed_without_a_pause() -> None:
    async def story(floor: WorkFloor) -> None:
        for subject in range(1, 8):
            _put(floor, subject)
        async with relaying(Relay(StoredJobs(floor.store), batch=2)):
            await asyncio.sleep(0.05)
            assert _subjects(floor) == list(range(1, 8))

    play(story)


def test_store_that_comes_back_gets_every_row_once() -> None:
    async def story(floor: WorkFloor) -> None:
        floor.store.away = True
        failed: list[object] = []
        async with relaying(Relay(StoredJobs(floor.store), failed=failed.append)):
            _put(floor, 1)
            await asyncio.sleep(8.0)
            assert _subjects(floor) == []
            assert 3 < len(failed) < 12, "pauses grow, and have a limit"
            floor.store.away = False
            await asyncio.sleep(2.5)
            assert _subjects(floor) == [1]

    play(story)


def test_row_whose_commit_has_no_answer_is_relayed_once() -> None:
    async def story(floor: WorkFloor) -> None:
        floor.store.deaf = {"relay_outbox"}
        async with relaying(Relay(StoredJobs(floor.store), following=_follow)):
            _put(floor, 1)
            await asyncio.sleep(3.0)
        assert _subjects(floor) == [1]
        assert len(floor.memory.jobs) == 1

    play(story)


def test_two_relays_relay_each_row_once() -> None:
    async def story(floor: WorkFloor) -> None:
        store, counts = StoredJobs(floor.store), list[int]()
        relays = [Relay(store, batch=3, following=_follow, relayed=counts.append) for _ in range(2)]
        async with relaying(*relays):
            for subject in range(1, 21):
                _put(floor, subject)
                for relay in relays:
                    relay.due.set()
                await asyncio.sleep(0.003)
            await asyncio.sleep(1.0)
        assert _subjects(floor) == list(range(1, 21))
        assert sum(counts) == len(floor.memory.jobs) == 20

    play(story)
