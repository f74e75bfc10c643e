"""What people see of jobs and do to them, on the real tables; each action says who it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from dispatch.errors import JobEnded, JobNotFailed, JobRunning, NoSuchJob, NoSuchSchedule, NoSuchTask
from dispatch.jobs.control import BULK_MAX, Bulk, JobControl, JobFilter
from dispatch.jobs.policy import DONE, JobOutcome
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob
from storage.postgres.database import open_database
from storage.postgres.list_queries import After

ADMIN = "usr_1"
WORKER = "mall-1/a"
TRACE, OTHER_TRACE = "a" * 32, "b" * 32


class Control:
    """A control of jobs, the jobs' store, and the database's owner."""

    def __init__(self, control: JobControl, store: StoredJobs, owner: Any) -> None:
        self.of = control
        self.store = store
        self.owner = owner

    async def add(self, count: int = 1, *, task: str = "mail", trace: str = TRACE, **more: Any) -> list[int]:
        """Add jobs; returns their numbers."""
        payload = {"order_id": 17} if task == "mail" else {}
        return await self.store.enqueue([NewJob(task, payload, **more)] * count, trace)

    async def claim(self, task: str = "mail") -> list[Job]:
        """Claim all due jobs of a task."""
        return list((await self.store.claim(WORKER, {task: 10_000}, 30.0, alone=False)).jobs)

    async def end(self, outcome: JobOutcome) -> list[int]:
        """Claim all due jobs, and end the attempts."""
        jobs = await self.claim()
        await self.store.finish(WORKER, [outcome.item(job, 0.2) for job in jobs])
        return [job.id for job in jobs]

    async def dead(self, count: int = 1, **more: Any) -> list[int]:
        """Jobs that have failed for good."""
        await self.add(count, **more)
        return await self.end(JobOutcome("dead", error="SMTPError: no such mailbox"))

    async def recorded(self) -> list[tuple[str, str, int]]:
        """Who did what, to how many jobs."""
        rows = await self.owner.fetch("SELECT by, action, count FROM job_actions ORDER BY id")
        return [tuple(row) for row in rows]

    async def page(self, *, sort: str = "id", after: After | None = None, **filters: Any) -> list[int]:
        """Numbers of a page of jobs."""
        return [row["id"] for row in await self.of.jobs(filters, sort, after, 10)]


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    owner = await asyncpg.connect(database_url)
    async with open_database(database_url, size_max=4) as database:
        yield Control(JobControl(database), StoredJobs(database), owner)
    await owner.close()


# -- one job ----------------------------------------------------------------------------------------------


async def test_dead_job_that_is_retried_is_due_as_if_it_had_never_failed(control: Control) -> None:
    [number] = await control.dead()
    row = await control.of.retry(number, ADMIN)
    assert (row["state"], row["failures"], row["deaths"], row["attempts"]) == ("waiting", 0, 0, 1)
    assert row["died_ms"] is None
    [again] = await control.claim()
    assert (again.id, again.attempts) == (number, 2), "an outcome of the first attempt counts for nothing"
    assert await control.recorded() == [(ADMIN, "retry", 1)]


async def test_job_that_waits_for_its_retry_is_due_at_once(control: Control) -> None:
    await control.add()
    [number] = await control.end(JobOutcome("retry", after_s=600, error="SMTPError: busy"))
    assert await control.page(state="scheduled") == [number]
    assert (await control.of.retry(number, ADMIN))["state"] == "waiting"


async def test_retry_of_a_job_that_is_due_changes_nothing(control: Control) -> None:
    [number] = await control.add()
    assert (await control.of.retry(number, ADMIN))["state"] == "waiting"
    assert await control.recorded() == []


async def test_job_that_waits_for_its_time_is_not_retried(control: Control) -> None:
    [number] = await control.add(due_ms=4_000_000_000_000)
    with pytest.raises(JobNotFailed):
        await control.of.retry(number, ADMIN)


async def test_running_job_is_neither_retried_nor_discarded(control: Control) -> None:
    [number] = await control.add()
    [job] = await control.claim()
    for refused in (control.of.retry, control.of.discard):
        with pytest.raises(JobRunning):
            await refused(number, ADMIN)
    assert await control.store.finish(WORKER, [DONE.item(job, 0.1)]) == {number}
    assert await control.recorded() == []


async def test_discarded_job_is_gone_and_its_history_says_who_did_it(control: Control) -> None:
    [number] = await control.dead()
    row = await control.of.discard(number, ADMIN)
    assert (row["state"], row["payload"], row["task"]) == ("discarded", None, "mail")
    said = [(run["outcome"], run["worker"], run["error"]) for run in row["runs"]]
    error = "SMTPError: no such mailbox"
    assert said == [("discarded", ADMIN, error), ("dead", WORKER, error)]
    assert [(done["action"], done["by"]) for done in row["actions"]] == [("discard", ADMIN)]
    assert await control.page() == []
    assert (await control.of.discard(number, ADMIN))["state"] == "discarded", "a repetition is no error"
    assert await control.recorded() == [(ADMIN, "discard", 1)]


async def test_notice_whose_job_is_discarded_is_dropped(control: Control) -> None:
    base = {
        "topic": "order",
        "order_id": 17,
        "user_id": 2,
        "store_id": 0,
        "channel": "mail",
        "type": "placed",
    }
    new = json.dumps([base | {"version": version, "trace": TRACE} for version in (1, 2)])
    assert await control.owner.fetchval("SELECT add_notices($1)", new) == 2
    number = await control.owner.fetchval("SELECT job_id FROM notices WHERE id = 1")
    await control.of.discard(number, ADMIN)
    rows = await control.owner.fetch("SELECT status, why FROM notices ORDER BY id")
    assert [tuple(row) for row in rows] == [("dropped", "its job was discarded"), ("wanted", None)]


async def test_job_whose_worker_has_vanished_can_be_discarded(control: Control) -> None:
    [number] = await control.add()
    [job] = await control.claim()
    await control.owner.execute("UPDATE jobs SET due_at = now() - interval '1 second'")
    assert (await control.of.discard(number, ADMIN))["state"] == "discarded"
    assert await control.store.finish(WORKER, [DONE.item(job, 0.1)]) == set()


async def test_job_that_is_done_is_shown_and_left_alone(control: Control) -> None:
    await control.add()
    [number] = await control.end(DONE)
    row = await control.of.job(number)
    assert (row["state"], row["trace"], row["runs"][0]["took_ms"]) == ("done", TRACE, 200)
    for refused in (control.of.retry, control.of.discard):
        with pytest.raises(JobEnded):
            await refused(number, ADMIN)


async def test_job_that_never_was_is_not_found(control: Control) -> None:
    for refused in (control.of.retry, control.of.discard):
        with pytest.raises(NoSuchJob):
            await refused(17, ADMIN)


async def test_job_names_the_one_that_it_waits_for(control: Control) -> None:
    first, second = await control.add(2, key="mail/order/17")
    assert (await control.of.job(first))["behind"] is None
    assert (await control.of.job(second))["behind"] == first


# -- lists ------------------------------------------------------------------------------------------------


async def test_jobs_are_found_by_state(control: Control) -> None:
    [dead] = await control.dead()
    [running] = await control.add()
    await control.claim()
    [scheduled] = await control.add(due_ms=4_000_000_000_000)
    [waiting] = await control.add()
    found = {state: await control.page(state=state) for state in ("dead", "running", "scheduled", "waiting")}
    assert found == {"dead": [dead], "running": [running], "scheduled": [scheduled], "waiting": [waiting]}
    assert {row["id"]: row["state"] for row in await control.of.jobs({}, "id", None, 10)} == {
        number: state for state, [number] in found.items()
    }


async def test_jobs_are_found_by_task_key_trace_and_order(control: Control) -> None:
    [mail] = await control.add(key="k")
    [report] = await control.add(task="report", trace=OTHER_TRACE)
    assert await control.page(task="mail") == [mail]
    assert await control.page(key="k") == [mail]
    assert await control.page(trace=OTHER_TRACE) == [report]
    assert await control.page(order_id=17) == [mail]
    assert await control.page(order_id=1) == []
    assert await control.page(task="report", trace=TRACE) == []


async def test_pages_of_jobs_follow_each_other(control: Control) -> None:
    numbers = await control.add(15)
    assert await control.page() == numbers[:10]
    assert await control.page(after=After(0, numbers[9])) == numbers[10:]
    assert await control.page(sort="-id") == numbers[:4:-1]


# -- many jobs --------------------------------------------------------------------------------------------


async def test_jobs_are_counted_before_they_are_changed(control: Control) -> None:
    await control.dead(3)
    await control.add(2)
    chosen = JobFilter(task="mail", state="dead")
    assert await control.of.count("discard", chosen) == Bulk(3, more=False, done=False)
    assert len(await control.page(state="dead")) == 3
    assert await control.of.change("discard", chosen, ADMIN, 3) == Bulk(3, more=False, done=True)
    assert await control.page(state="dead") == []
    assert len(await control.page(state="waiting")) == 2


async def test_nothing_is_changed_if_there_are_more_or_fewer_than_expected(control: Control) -> None:
    await control.dead(3)
    for expected in (2, 4):
        found = await control.of.change("retry", JobFilter(state="dead"), ADMIN, expected)
        assert found == Bulk(3, more=False, done=False)
    assert len(await control.page(state="dead")) == 3
    assert await control.recorded() == []


async def test_running_jobs_are_left_out_of_a_discard(control: Control) -> None:
    running = await control.add(2)
    await control.claim()
    [waiting] = await control.add()
    assert await control.of.change("discard", JobFilter(task="mail"), ADMIN) == Bulk(1, more=False, done=True)
    assert await control.page() == running
    assert (await control.of.job(waiting))["state"] == "discarded"


async def test_retry_of_many_takes_those_that_failed_alone(control: Control) -> None:
    dead = await control.dead(2)
    later = await control.add(due_ms=4_000_000_000_000)
    assert (await control.of.change("retry", JobFilter(task="mail"), ADMIN)).count == 2
    assert await control.page(state="waiting") == dead
    assert await control.page(state="scheduled") == later


async def test_one_call_has_a_bound_and_says_that_there_are_more(control: Control) -> None:
    await control.owner.execute(
        "INSERT INTO jobs (task, payload, trace, due_at) SELECT 'mail', '{}', '', NULL"
        " FROM generate_series(1, $1)",
        BULK_MAX + 1,
    )
    chosen = JobFilter(state="dead")
    assert await control.of.change("retry", chosen, ADMIN, BULK_MAX) == Bulk(BULK_MAX, more=True, done=True)
    assert await control.of.change("retry", chosen, ADMIN) == Bulk(1, more=False, done=True)
    assert [count for _, _, count in await control.recorded()] == [BULK_MAX, 1]


async def test_action_keeps_what_its_jobs_were_chosen_by_and_which_they_were(control: Control) -> None:
    numbers = await control.dead(2)
    await control.of.change("retry", JobFilter(task="mail", order_id=17), "cli:ada", 2)
    [done] = await control.of.actions({}, "-id", None, 10)
    assert (done["by"], done["action"], done["count"]) == ("cli:ada", "retry", 2)
    assert done["target"] == {"task": "mail", "order_id": 17, "ids": numbers}


# -- tasks and schedules ----------------------------------------------------------------------------------


async def test_paused_task_is_left_until_somebody_goes_on_with_it(control: Control) -> None:
    await control.add()
    await control.of.pause("mail", ADMIN, "the sender is down")
    assert await control.claim() == []
    [task] = await control.of.tasks()
    assert (task["paused"]["by"], task["paused"]["reason"]) == (ADMIN, "the sender is down")
    await control.of.resume("mail", "usr_2")
    await control.of.resume("mail", "usr_2")
    assert len(await control.claim()) == 1
    assert await control.recorded() == [(ADMIN, "pause", 1), ("usr_2", "resume", 1)]


async def test_task_that_nobody_knows_is_not_paused(control: Control) -> None:
    with pytest.raises(NoSuchTask):
        await control.of.pause("mial", ADMIN, None)
    await control.store.note_tasks(["mial"])
    await control.of.pause("mial", ADMIN, None)


async def test_tasks_show_their_jobs_and_how_attempts_went(control: Control) -> None:
    await control.store.note_tasks(["idle", "mail"])
    await control.add(3)
    await control.end(DONE)
    await control.dead()
    await control.add()
    await control.owner.execute("UPDATE jobs SET due_at = due_at - interval '90 seconds'")
    idle, mail = await control.of.tasks()
    assert (idle["task"], idle["waiting"], idle["oldest_s"], idle["recent"]["attempts"]) == (
        "idle",
        0,
        None,
        0,
    )
    assert (mail["waiting"], mail["running"], mail["scheduled"], mail["dead"]) == (1, 0, 0, 1)
    assert 90 <= mail["oldest_s"] < 120
    recent = {"attempts": 4, "failures": 1, "p50_ms": 200, "p95_ms": 200, "window_s": 3600}
    assert mail["recent"] == recent


async def test_backlog_says_no_age_where_no_job_waits(control: Control) -> None:
    await control.dead()
    await control.add(due_ms=4_000_000_000_000)
    [idle] = await control.store.backlog()
    assert (idle["waiting"], idle["scheduled"], idle["dead"], idle["oldest_s"]) == (0, 1, 1, None)
    await control.add()
    [busy] = await control.store.backlog()
    assert busy["waiting"] == 1
    assert 0 <= busy["oldest_s"] < 60


async def test_jobs_of_a_task_that_no_worker_knows_are_counted_with_the_others(control: Control) -> None:
    await control.store.note_tasks(["known"])
    await control.dead()
    assert [(row["task"], row["dead"]) for row in await control.store.backlog()] == [
        ("known", 0),
        ("mail", 1),
    ]


async def test_too_many_runs_of_an_hour_shorten_the_time_that_is_counted(control: Control) -> None:
    await control.owner.execute(
        "INSERT INTO job_runs (id, task, trace, attempt, outcome, worker, at, took_ms)"
        " SELECT n, 'mail', '', 1, 'done', 'w', now() - n * interval '10 ms', 5 FROM generate_series(1, 200100) n"
    )
    await control.store.note_tasks(["mail"])
    [mail] = await control.of.tasks()
    assert mail["recent"]["window_s"] == 600
    assert 40_000 < mail["recent"]["attempts"] <= 60_000


async def test_schedule_runs_now_once_and_says_which_job_it_is(control: Control) -> None:
    await control.store.set_schedules([Schedule("nightly", "report", daily_at="03:00").item()])
    number = await control.of.run_schedule("nightly", ADMIN)
    assert await control.of.run_schedule("nightly", ADMIN) == number, "it waits still"
    row = await control.of.job(number)
    assert (row["task"], row["state"], row["key"]) == ("report", "waiting", "schedule/nightly")
    said = [(done["action"], done["by"]) for done in row["actions"]]
    assert said == [("run_schedule", ADMIN), ("run_schedule", ADMIN)]
    assert (await control.of.schedule("nightly"))["last_ms"] is not None


async def test_paused_schedule_makes_no_jobs_and_makes_nothing_up_later(control: Control) -> None:
    await control.store.set_schedules([Schedule("sweep", "trim", every_s=600).item()])
    assert (await control.of.pause_schedule("sweep", ADMIN, paused=True))["paused"]
    await control.owner.execute("UPDATE job_schedules SET next_at = now() - interval '1 hour'")
    assert await control.store.fire(["sweep"]) == 0
    assert not (await control.of.pause_schedule("sweep", ADMIN, paused=False))["paused"]
    assert await control.store.fire(["sweep"]) == 0
    await control.of.pause_schedule("sweep", ADMIN, paused=False)
    said = [action for _, action, _ in await control.recorded()]
    assert said == ["pause_schedule", "resume_schedule"]


async def test_schedule_that_does_not_exist_is_not_found(control: Control) -> None:
    with pytest.raises(NoSuchSchedule):
        await control.of.run_schedule("never", ADMIN)
    with pytest.raises(NoSuchSchedule):
        await control.of.pause_schedule("never", ADMIN, paused=True)


# -- all of it --------------------------------------------------------------------------------------------


async def test_overview_shows_workers_with_their_jobs_and_the_newest_dead_letters(control: Control) -> None:
    dead = await control.dead(25)
    running = await control.add(2)
    await control.claim()
    await control.of.pause("mail", ADMIN, None)
    seen = await control.of.overview()
    assert [row["id"] for row in seen["dead"]] == sorted(dead, reverse=True)[:20]
    [worker] = seen["workers"]
    assert (worker["worker"], worker["many"], [job["id"] for job in worker["jobs"]]) == (WORKER, 2, running)
    assert seen["outbox"] == {"rows": 0, "oldest_s": 0.0}
    assert json.dumps(seen), "a status page can show it"


async def test_server_may_not_change_jobs_but_through_the_functions(database_url: str) -> None:
    async with open_database(database_url, size_max=1) as database:
        for text in (
            "DELETE FROM jobs",
            "DELETE FROM job_actions",
            "INSERT INTO job_pauses (task, by) VALUES ('a', 'b')",
            "SELECT chosen_jobs('{\"limit\": 1}', true)",
            "SELECT record_job_action('{\"by\": \"somebody\"}', 'retry', '{1}')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.pool.execute(text)
