"""Stored jobs: leases, outcomes, deaths, keys, schedules and the relay, in memory and on Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from dispatch.jobs.policy import DONE, RELEASED, JobOutcome
from dispatch.jobs.ports import LastStep, Relayed
from dispatch.jobs.relay import Relay
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob
from storage.memory.jobs import MemoryJobs
from storage.postgres.database import open_database
from tests.conftest import copy_database
from tests.support.clocks import Hands

LEASE_S = 30.0
TRACE = "f" * 32


class JobsWorld:
    """Stored jobs with a clock that a test sets."""

    def __init__(self, store: StoredJobs, memory: MemoryJobs, hands: Hands, owner: Any = None) -> None:
        self.store = store
        self._memory = memory
        self._hands = hands
        self._owner = owner

    async def let_pass(self, seconds: float) -> None:
        """Everything that is stored is older by this."""
        self._hands.now += seconds
        if self._owner is not None:
            await self._owner.execute("UPDATE jobs SET due_at = due_at - make_interval(secs => $1)", seconds)
            await self._owner.execute(
                "UPDATE job_schedules SET next_at = next_at - make_interval(secs => $1)", seconds
            )

    async def pause(self, task: str) -> None:
        """No job of this task is taken from now on."""
        self._memory.paused.add(task)
        if self._owner is not None:
            await self._owner.execute("INSERT INTO job_pauses (task, by) VALUES ($1, 'usr_1')", task)

    async def states(self) -> dict[int, str]:
        """State of each job that is left: dead, running or waiting."""
        if self._owner is None:
            rows: Sequence[Any] = [(job.id, job.due_s, job.worker) for job in self._memory.jobs.values()]
        else:
            rows = await self._owner.fetch("SELECT id, due_at, worker FROM jobs ORDER BY id")
        return {
            number: "dead" if due is None else "running" if worker else "waiting"
            for number, due, worker in rows
        }

    async def begun(self) -> set[int]:
        """Jobs that are in an attempt, as the table has it."""
        if self._owner is None:
            return {job.id for job in self._memory.jobs.values() if job.begun_s is not None}
        return {row[0] for row in await self._owner.fetch("SELECT id FROM jobs WHERE begun_at IS NOT NULL")}

    async def outcomes(self, job: int) -> list[str]:
        """How the attempts of a job ended."""
        if self._owner is None:
            return [outcome for number, _, outcome in self._memory.runs if number == job]
        rows = await self._owner.fetch("SELECT outcome FROM job_runs WHERE id = $1 ORDER BY at", job)
        return [row[0] for row in rows]

    async def put(self, subject: int, stock: int) -> None:
        """Put a row into the outbox that needs no other table."""
        data = {"event": "low", "stock": stock, "limit": 5}
        if self._owner is None:
            row = {"id": len(self._memory.outbox) + 1, "topic": "stock", "ref": subject, "version": 1}
            facts = {"data": data, "trace": TRACE, "at_ms": 1, "store_id": 1, "product_name": "Tea"}
            self._memory.outbox.append({**row, **facts, "product_zone_id": 1})
            return
        await self._owner.execute(
            "INSERT INTO outbox (topic, ref, version, trace, data) VALUES ('stock', $1, 1, $2, $3)",
            subject,
            TRACE,
            json.dumps(data),
        )

    async def places(self) -> list[tuple[int, int]]:
        """Place and subject of each event of the log."""
        if self._owner is None:
            return [(at, item["ref"]) for at, item in enumerate(self._memory.events, 1)]
        return [tuple(row) for row in await self._owner.fetch("SELECT pos, ref FROM event_log ORDER BY pos")]

    async def claim(self, worker: str, many: int = 10, *, alone: bool = False) -> list[Job]:
        """Claim jobs of the task `mail`."""
        return list((await self.store.claim(worker, {"mail": many}, LEASE_S, alone=alone)).jobs)

    async def add(self, count: int, *, key: str | None = None) -> list[int]:
        """Add jobs of the task `mail`."""
        return await self.store.enqueue([NewJob("mail", {"n": n}, key) for n in range(count)], TRACE)

    async def end(self, worker: str, job: Job, outcome: JobOutcome) -> bool:
        """Record an outcome; True if it counted."""
        return bool(await self.store.finish(worker, [outcome.item(job, 0.1)]))


@pytest.fixture
async def jobs(server: str | None) -> AsyncIterator[JobsWorld]:
    hands = Hands()
    memory = MemoryJobs(hands)
    if server is None:
        yield JobsWorld(StoredJobs(memory), memory, hands)
        return
    url = await copy_database(server)
    owner = await asyncpg.connect(url)
    try:
        # A product with a store, for rows of the outbox.
        await owner.execute("INSERT INTO zones (name) VALUES ('North')")
        await owner.execute("INSERT INTO stores (zone_id, name, lat, lon) VALUES (1, 'Tea house', 1, 1)")
        await owner.execute(
            "INSERT INTO products (store_id, name, price_minor, currency)"
            " SELECT 1, 'Tea', 1, 'EUR' FROM generate_series(1, 9)"
        )
        async with open_database(url, size_max=4) as database:
            yield JobsWorld(StoredJobs(database), memory, hands, owner)
    finally:
        await owner.close()


async def test_job_is_claimed_by_one_worker(jobs: JobsWorld) -> None:
    added = await jobs.add(3)
    first = await jobs.claim("a/1", 2)
    second = await jobs.claim("b/1")
    assert [job.id for job in first] == added[:2]
    assert [job.id for job in second] == added[2:]
    assert first[0].payload == {"n": 0}
    assert first[0].trace == TRACE


async def test_done_job_is_gone_and_its_run_is_kept(jobs: JobsWorld) -> None:
    [number] = await jobs.add(1)
    [job] = await jobs.claim("a/1")
    assert await jobs.end("a/1", job, DONE)
    assert await jobs.states() == {}
    assert await jobs.outcomes(number) == ["done"]


async def test_outcome_of_a_worker_whose_lease_ran_out_does_not_count(jobs: JobsWorld) -> None:
    await jobs.add(1)
    [frozen] = await jobs.claim("a/1")
    await jobs.let_pass(LEASE_S + 1)
    [taken] = await jobs.claim("b/1")
    assert not await jobs.end("a/1", frozen, DONE)
    assert not await jobs.end("a/1", frozen, JobOutcome("dead", error="late"))
    assert await jobs.states() == {taken.id: "running"}
    assert await jobs.end("b/1", taken, DONE)
    assert await jobs.outcomes(taken.id) == ["done"]


async def test_outcome_that_is_told_twice_counts_once(jobs: JobsWorld) -> None:
    await jobs.add(1)
    [job] = await jobs.claim("a/1")
    assert await jobs.end("a/1", job, JobOutcome("retry", after_s=60.0, error="busy"))
    assert not await jobs.end("a/1", job, JobOutcome("retry", after_s=60.0, error="busy"))
    await jobs.let_pass(61)
    [again] = await jobs.claim("a/1")
    assert (again.attempts, again.failures, again.deaths) == (2, 1, 0)


async def test_failed_job_waits_for_its_pause(jobs: JobsWorld) -> None:
    await jobs.add(1)
    [job] = await jobs.claim("a/1")
    await jobs.end("a/1", job, JobOutcome("retry", after_s=60.0, error="busy"))
    await jobs.let_pass(59)
    assert await jobs.claim("a/1") == []
    await jobs.let_pass(2)
    assert len(await jobs.claim("a/1")) == 1


async def test_extended_lease_outlives_its_first_end(jobs: JobsWorld) -> None:
    [number] = await jobs.add(1)
    [job] = await jobs.claim("a/1")
    await jobs.let_pass(LEASE_S - 1)
    assert await jobs.store.extend("a/1", [(job.id, job.attempts)], LEASE_S) == {number}
    await jobs.let_pass(LEASE_S - 1)
    assert await jobs.claim("b/1") == []


async def test_job_that_its_worker_does_not_know_is_given_back_without_a_death(jobs: JobsWorld) -> None:
    await jobs.add(2)
    known, _ = await jobs.claim("a/1")
    assert await jobs.store.extend("a/1", [(known.id, known.attempts)], LEASE_S) == {known.id}
    [given_back] = await jobs.claim("b/1")
    assert (given_back.attempts, given_back.deaths) == (2, 0)


async def test_leases_of_a_former_process_of_the_name_end_at_once(jobs: JobsWorld) -> None:
    await jobs.add(2)
    await jobs.claim("a/1", 1)
    await jobs.claim("b/1", 1)
    assert await jobs.store.end_former("a", "a/2", None) == 1
    [job] = await jobs.claim("a/2")
    assert job.deaths == 1


async def test_death_counts_for_the_job_at_its_step_alone(jobs: JobsWorld) -> None:
    _, guilty = await jobs.add(2)
    await jobs.claim("a/1")
    await jobs.let_pass(LEASE_S + 1)  # nobody has taken them meanwhile
    assert await jobs.store.end_former("a", "a/2", LastStep("a/1", guilty)) == 2
    assert [job.deaths for job in await jobs.claim("a/2")] == [0, 1]


async def test_death_between_steps_counts_for_no_job(jobs: JobsWorld) -> None:
    await jobs.add(2)
    await jobs.claim("a/1")
    assert await jobs.store.end_former("a", "a/2", LastStep("a/1", None)) == 2
    assert [job.deaths for job in await jobs.claim("a/2")] == [0, 0]


async def test_steps_of_another_process_excuse_nobody(jobs: JobsWorld) -> None:
    await jobs.add(2)
    await jobs.claim("a/1", 1)
    await jobs.claim("a/2", 1)
    assert await jobs.store.end_former("a", "a/3", LastStep("a/2", None)) == 2
    assert [job.deaths for job in await jobs.claim("a/3")] == [1, 0]


async def test_job_that_ends_its_workers_between_its_steps_is_found_at_last(jobs: JobsWorld) -> None:
    [poison] = await jobs.add(1)
    lives = 0
    while (await jobs.states())[poison] != "dead":
        lives += 1
        alone = lives > 18
        await jobs.claim(f"a/{lives}", alone=alone)
        await jobs.store.end_former("a", f"a/{lives + 1}", LastStep(f"a/{lives}", None))
        assert lives < 30
    assert await jobs.outcomes(poison) == ["dead"]


async def test_worker_does_not_claim_what_it_has(jobs: JobsWorld) -> None:
    [number] = await jobs.add(1)
    [job] = await jobs.claim("a/1")
    await jobs.let_pass(LEASE_S + 1)  # the whole machine slept
    assert await jobs.claim("a/1") == []
    assert await jobs.end("a/1", job, DONE)
    assert await jobs.outcomes(number) == ["done"]


async def test_snoozed_and_released_jobs_have_no_failure(jobs: JobsWorld) -> None:
    await jobs.add(2)
    first, second = await jobs.claim("a/1")
    assert await jobs.end("a/1", first, RELEASED)
    assert await jobs.end("a/1", second, JobOutcome("snoozed", due_ms=1))
    again = await jobs.claim("a/1")
    assert [(job.failures, job.deaths) for job in again] == [(0, 0), (0, 0)]


async def test_dead_job_is_claimed_by_nobody(jobs: JobsWorld) -> None:
    [number] = await jobs.add(1)
    [job] = await jobs.claim("a/1")
    await jobs.end("a/1", job, JobOutcome("dead", error="no such address"))
    await jobs.let_pass(1e6)
    assert await jobs.claim("a/1") == []
    assert await jobs.states() == {number: "dead"}
    assert await jobs.outcomes(number) == ["dead"]


async def test_jobs_of_a_key_run_one_after_the_other(jobs: JobsWorld) -> None:
    first, second = await jobs.add(2, key="ord_1")
    [job] = await jobs.claim("a/1")
    assert job.id == first
    assert await jobs.claim("b/1") == []
    await jobs.end("a/1", job, JobOutcome("dead", error="no"))
    assert [job.id for job in await jobs.claim("b/1")] == [second]


async def test_job_that_ends_its_worker_dies_alone_and_its_neighbours_are_done(jobs: JobsWorld) -> None:
    poison, *neighbours = await jobs.add(4)
    for life in (1, 2):
        assert len(await jobs.claim(f"a/{life}")) == 4
        await jobs.let_pass(LEASE_S + 1)
    claimed = await jobs.store.claim("a/3", {"mail": 10}, LEASE_S, alone=False)
    assert (claimed.jobs, claimed.suspects) == ((), 4)
    [job] = await jobs.claim("a/3", alone=True)
    assert job.id == poison
    await jobs.let_pass(LEASE_S + 1)
    for number in neighbours:
        [job] = await jobs.claim("a/4", alone=True)
        assert job.id == number
        assert await jobs.end("a/4", job, DONE)
    assert await jobs.states() == {poison: "dead"}
    assert await jobs.outcomes(poison) == ["dead"]


async def test_job_that_no_worker_has_is_in_no_attempt(jobs: JobsWorld) -> None:
    [number] = await jobs.add(1)
    for life in (1, 2):
        await jobs.claim(f"a/{life}")
        assert await jobs.begun() == {number}
        await jobs.let_pass(LEASE_S + 1)
    assert await jobs.claim("a/3") == []
    assert await jobs.begun() == set(), "it was put off, to be done alone"
    assert len(await jobs.claim("a/3", alone=True)) == 1
    await jobs.let_pass(LEASE_S + 1)
    assert await jobs.claim("a/4", alone=True) == []
    assert await jobs.states() == {number: "dead"}
    assert await jobs.begun() == set(), "it is dead"


async def test_job_whose_worker_has_ended_elsewhere_is_in_no_attempt(jobs: JobsWorld) -> None:
    guilty, _ = await jobs.add(2)
    await jobs.claim("a/1")
    await jobs.store.end_former("a", "a/2", LastStep("a/1", guilty))
    assert await jobs.begun() == {guilty}, "until a claim counts its death"


async def test_paused_task_is_left_alone(jobs: JobsWorld) -> None:
    await jobs.add(1)
    await jobs.pause("mail")
    assert await jobs.claim("a/1") == []


async def test_schedule_makes_one_job_while_the_last_one_waits(jobs: JobsWorld) -> None:
    schedule = Schedule("clean", "mail", every_s=60)
    for _ in range(2):
        await jobs.store.set_schedules([schedule.item()])
        await jobs.let_pass(40)
    assert await jobs.store.fire(["clean"]) == 1
    assert await jobs.store.fire(["clean"]) == 0
    await jobs.let_pass(1000)
    assert await jobs.store.fire(["clean"]) == 0  # the last job waits
    [job] = await jobs.claim("a/1")
    await jobs.end("a/1", job, DONE)
    await jobs.let_pass(61)
    assert await jobs.store.fire(["other"]) == 0
    assert await jobs.store.fire(["clean"]) == 1


async def test_relay_gives_places_without_a_gap_and_each_row_once(jobs: JobsWorld) -> None:
    for subject in (3, 1, 2):
        await jobs.put(subject, 4)
    relay = Relay(jobs.store, batch=2)
    assert [await relay.relay_batch() for _ in range(3)] == [2, 1, 0]
    assert await jobs.places() == [(1, 3), (2, 1), (3, 2)]


async def test_relay_that_was_slower_changes_nothing(jobs: JobsWorld) -> None:
    await jobs.put(1, 4)
    rows = await jobs.store.outbox(10)
    await Relay(jobs.store).relay_batch()
    stale = Relayed([row["id"] for row in rows], [], [NewJob("mail", {}).item(TRACE)])
    assert not await jobs.store.relay(rows[0]["log_end"], stale)
    assert await jobs.claim("a/1") == []
    assert await jobs.places() == [(1, 1)]
