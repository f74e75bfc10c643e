"""Worker: how it stops, what it does when a lease or the store is lost, suspects, widths, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dispatch.jobs.tasks import Job
from dispatch.jobs.worker import LAST_OUTCOMES_S, LEASE_S, POLL_S, Worker
from tests.unit.dispatch.work import WorkFloor, play, takes


@asynccontextmanager
async def at_work(worker: Worker, drain_s: float = 5.0) -> AsyncIterator[asyncio.Event]:
    """A worker that runs until the block ends; the event stops it earlier."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop, drain_s))
        yield stop
        stop.set()


async def _seconds(floor: WorkFloor, worker: Worker, drain_s: float = 5.0) -> float:
    """How long a worker takes that is told to stop after half a second."""
    async with at_work(worker, drain_s):
        await asyncio.sleep(0.5)
        began = floor.clock.monotonic()
    return floor.clock.monotonic() - began


# -- the end of a worker --------------------------------------------------------------------------


def test_job_that_ends_in_time_is_finished_when_the_worker_stops() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        assert 1.4 < await _seconds(floor, floor.worker(floor.task("mail", takes(2.0)))) < 1.6
        assert floor.runs() == [(job, "done")]

    play(story)


def test_job_that_takes_longer_is_given_back_when_the_worker_stops() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        assert 4.9 < await _seconds(floor, floor.worker(floor.task("mail", takes(9.0)))) < 5.2
        assert floor.runs() == floor.outcomes == [(job, "released")]
        left = floor.memory.jobs[job]
        assert (left.worker, left.failures, left.deaths) == (None, 0, 0)

    play(story)


def test_job_that_was_claimed_while_the_worker_was_told_to_stop_is_given_back_unbegun() -> None:
    async def story(floor: WorkFloor) -> None:
        claim = floor.store.held["claim_jobs"] = asyncio.Event()
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", takes(8.0)))) as stop:
            await asyncio.sleep(0.5)
            stop.set()
            await asyncio.sleep(0.5)
            claim.set()
            began = floor.clock.monotonic()
        assert floor.clock.monotonic() - began < 0.1
        assert (floor.begun, floor.runs()) == ([], [(job, "released")])

    play(story)


def test_worker_that_stops_without_its_store_ends_all_the_same() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", takes(1.0)))) as stop:
            await asyncio.sleep(0.5)
            floor.store.away = True
            stop.set()
            began = floor.clock.monotonic()
        assert floor.clock.monotonic() - began < 5.0 + LAST_OUTCOMES_S + 2.0
        assert floor.ended == [job]
        assert floor.memory.jobs[job].worker == "a/1", "its lease runs out, and it is done again"

    play(story)


# -- attempts -------------------------------------------------------------------------------------


def test_attempt_beyond_its_deadline_has_failed() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", takes(9.0), deadline_s=2.0))):
            await asyncio.sleep(2.5)
        assert floor.runs() == [(job, "retry")]
        assert floor.memory.jobs[job].error == "DeadlineExceeded: no end within 2 s"
        assert floor.ended == []

    play(story)


def test_attempt_that_is_cancelled_by_what_it_waited_for_has_failed_and_is_not_repeated_at_once() -> None:
    async def cancelled(job: Job) -> None:
        del job
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", cancelled))):
            await asyncio.sleep(0.5)
        assert floor.runs() == [(job, "retry")]

    play(story)


def test_error_that_cannot_be_stored_is_made_storable() -> None:
    async def garbled(job: Job) -> None:
        raise ValueError("they said \0 and \udce4 " + "x" * 1000)

    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", garbled))):
            await asyncio.sleep(0.5)
        error = floor.memory.jobs[job].error or ""
        assert error.startswith("ValueError: they said \ufffd and ? x")
        assert len(error) == 500

    play(story)


def test_attempt_whose_lease_another_worker_has_is_cancelled_and_counts_for_nothing() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", takes(60.0), deadline_s=90.0))):
            await asyncio.sleep(1.0)
            row = floor.memory.jobs[job]
            row.worker, row.attempts, row.due_s = "b/1", 2, floor.clock.wall() + 100
            await asyncio.sleep(LEASE_S / 3 + 1.0)
            assert (floor.ended, floor.runs(), floor.outcomes) == ([], [], [])
            assert row.worker == "b/1"

    play(story)


def test_job_that_is_claimed_again_while_its_lost_attempt_still_ends_is_done() -> None:
    async def slow_to_end(job: Job) -> None:
        try:
            await asyncio.sleep(60.0 if job.attempts == 1 else 2.0)
        finally:
            await asyncio.sleep(1.0)

    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        async with at_work(floor.worker(floor.task("mail", slow_to_end, deadline_s=90.0))):
            await asyncio.sleep(1.0)
            # Another worker has taken it meanwhile, and has failed.
            row = floor.memory.jobs[job]
            row.worker, row.attempts, row.due_s = None, 2, floor.clock.wall() + 1
            await asyncio.sleep(LEASE_S)
        assert floor.begun == [job, job]
        assert floor.runs() == [(job, "done")]

    play(story)


def test_job_that_has_ended_keeps_its_lease_until_its_outcome_is_written() -> None:
    async def story(floor: WorkFloor) -> None:
        long, short = await floor.add("mail"), await floor.add("sms")
        mail, sms = floor.task("mail", takes(LEASE_S / 3 - 0.01)), floor.task("sms", takes(LEASE_S / 3))
        async with at_work(floor.worker(mail, sms)):
            await asyncio.sleep(1.0)
            # The outcome of one is under way while the other one ends, and leases are extended then.
            finish = floor.store.held["finish_jobs"] = asyncio.Event()
            await asyncio.sleep(LEASE_S / 3)
            assert floor.ended == [*long, *short]
            finish.set()
            await asyncio.sleep(1.0)
        assert "extend_jobs" in floor.store.calls
        assert floor.runs() == [(long[0], "done"), (short[0], "done")]

    play(story)


# -- the store ------------------------------------------------------------------------------------


def test_no_outcome_is_lost_while_the_store_is_away() -> None:
    async def story(floor: WorkFloor) -> None:
        jobs = await floor.add("mail", 3)
        async with at_work(floor.worker(floor.task("mail", takes(1.0)))):
            await asyncio.sleep(0.5)
            floor.store.away = True
            await asyncio.sleep(8.0)
            assert sorted(floor.ended) == jobs
            assert floor.runs() == []
            floor.store.away = False
            await asyncio.sleep(2.0)
        assert sorted(floor.runs()) == [(job, "done") for job in jobs]
        assert sorted(floor.begun) == jobs

    play(story)


def test_outcome_whose_answer_was_lost_counts_once() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        floor.store.deaf = {"finish_jobs"}
        async with at_work(floor.worker(floor.task("mail", takes(0.1)))):
            await asyncio.sleep(2.0)
            floor.store.deaf = set()
            await asyncio.sleep(2.0)
        assert floor.runs() == [(job, "done")]
        assert floor.store.calls.count("finish_jobs") > 1

    play(story)


def test_worker_that_does_not_know_what_it_has_claimed_gives_it_back() -> None:
    async def story(floor: WorkFloor) -> None:
        [job] = await floor.add("mail")
        floor.store.deaf = {"claim_jobs"}
        async with at_work(floor.worker(floor.task("mail", takes(0.1)))):
            await asyncio.sleep(0.2)
            floor.store.deaf = set()
            await asyncio.sleep(LEASE_S / 3 + POLL_S)
            assert floor.runs() == [(job, "done")]

    play(story)


def test_job_that_comes_while_the_worker_looks_is_begun_at_once() -> None:
    async def story(floor: WorkFloor) -> None:
        worker = floor.worker(floor.task("mail", takes(0.1)))
        async with at_work(worker):
            await asyncio.sleep(0.5)
            claim = floor.store.held["claim_jobs"] = asyncio.Event()
            worker.due.set()
            await asyncio.sleep(0.1)
            del floor.store.held["claim_jobs"]
            claim.set()
            [job] = await floor.add("mail")
            worker.due.set()
            await asyncio.sleep(0.05)
            assert floor.begun == [job]

    play(story)


# -- widths and suspects --------------------------------------------------------------------------


def test_width_of_each_task_is_respected() -> None:
    async def story(floor: WorkFloor) -> None:
        most: dict[str, int] = {}
        mail, sms = (
            floor.task("mail", takes(1.0), width=3),
            floor.task("sms", takes(1.0), width=1),
        )
        await floor.add("mail", 7)
        await floor.add("sms", 2)
        worker = floor.worker(mail, sms)
        async with at_work(worker):
            for _ in range(50):
                await asyncio.sleep(0.1)
                for name in ("mail", "sms"):
                    now = sum(job.task == name for job in worker.running)
                    most[name] = max(now, most.get(name, 0))
        assert most == {"mail": 3, "sms": 1}
        assert len(floor.ended) == 9

    play(story)


def test_suspect_is_done_alone_while_others_wait() -> None:
    async def story(floor: WorkFloor) -> None:
        first, suspect, *others = await floor.add("mail", 4)
        row = floor.memory.jobs[suspect]
        row.deaths = 2
        seen: list[set[int]] = []
        worker = floor.worker(floor.task("mail", takes(1.0)))

        async with at_work(worker):
            for _ in range(40):
                await asyncio.sleep(0.1)
                if (now := {job.id for job in worker.running}) and now not in seen:
                    seen.append(now)
                if len(seen) == 1:
                    others += await floor.add("mail")
                    worker.due.set()
                    seen.append(set())
        alone = [now for now in seen if suspect in now]
        assert alone == [{suspect}]
        assert seen.index({suspect}) > 0, "those that ran were waited for"
        assert sorted(floor.ended) == sorted([first, suspect, *others])

    play(story)
