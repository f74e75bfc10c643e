"""Control of jobs by people: what there is, retry, discard, pause, run now. Each action records who did it.

Everything is read from Postgres, so history is there after any restart, and also when no worker runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from actors.values import frozen
from dispatch.errors import JobEnded, JobNotFailed, JobRunning, NoSuchJob, NoSuchSchedule, NoSuchTask
from dispatch.ports import QueryPool, Row
from storage.postgres.list_queries import After

# Jobs that one call changes at most: it holds their locks, and writes all of their ids down.
BULK_MAX = 5_000
DEAD_SHOWN, ACTIONS_SHOWN = 20, 10

Action = Literal["retry", "discard"]
State = Literal["waiting", "running", "scheduled", "dead"]
STATES: tuple[State, ...] = ("waiting", "running", "scheduled", "dead")


@frozen
class JobFilter:
    """Which jobs an action is about: those that fit all that is given."""

    ids: tuple[int, ...] | None = None
    task: str | None = None
    state: str | None = None
    key: str | None = None
    trace: str | None = None
    order_id: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@frozen
class Bulk:
    """Result of an action on many jobs.

    Attributes:
        count: jobs that it is about, at most BULK_MAX.
        more: there are others beyond that.
        done: it was carried out.
    """

    count: int
    more: bool
    done: bool


class JobControl:
    """Reads jobs, tasks and schedules, and acts on them. `by` names who does it."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    # -- jobs ---------------------------------------------------------------------------------

    async def jobs(self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int) -> list[Any]:
        """A page of jobs. Filters: task, state, key, trace, order_id."""
        wanted = dict(filters)
        state = wanted.pop("state", None)
        if state is not None:
            wanted[state] = True
        return await self._database.page("job_list", wanted, sort, after, limit)

    async def job(self, number: int) -> Row:
        """A job with its runs and with what people did to it; also one that is gone, while its runs are kept.

        Raises:
            NoSuchJob: there is none, or not any more.
        """
        row: Row | None = await self._database.row("job_get", number)
        if row is None:
            raise NoSuchJob
        return row

    async def retry(self, number: int, by: str) -> Row:
        """Make a job due that is dead or waits for a retry. A job that is due already stays as it is.

        Raises:
            NoSuchJob, JobEnded, JobRunning, JobNotFailed: it cannot be retried.
        """
        found = await self.change("retry", JobFilter(ids=(number,)), by)
        row = await self.job(number)
        if not found.done and row["state"] != "waiting":
            raise _refusal(row["state"])
        return row

    async def discard(self, number: int, by: str) -> Row:
        """Delete a job that no worker has. One that was discarded already stays so.

        Raises:
            NoSuchJob, JobEnded, JobRunning: it cannot be discarded.
        """
        found = await self.change("discard", JobFilter(ids=(number,)), by)
        row = await self.job(number)
        if not found.done and row["state"] != "discarded":
            raise _refusal(row["state"])
        return row

    async def count(self, action: Action, chosen: JobFilter) -> Bulk:
        """Count the jobs that an action would change."""
        return await self._call(action, chosen, counts_only=True)

    async def change(self, action: Action, chosen: JobFilter, by: str, expected: int | None = None) -> Bulk:
        """Retry or discard jobs, all at once; not if there are not as many as expected. Others are left out."""
        return await self._call(action, chosen, by=by, expected=expected)

    async def _call(self, action: Action, chosen: JobFilter, **said: Any) -> Bulk:
        wanted = {**chosen.given, **{name: value for name, value in said.items() if value is not None}}
        found = await self._database.value(f"{action}_jobs", wanted | {"limit": BULK_MAX})
        return Bulk(**found)

    async def actions(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of what people did."""
        return await self._database.page("job_action_list", filters, sort, after, limit)

    # -- tasks --------------------------------------------------------------------------------

    async def tasks(self) -> list[dict[str, Any]]:
        """All tasks: jobs by state, the age of the oldest, the pause, and attempts of the last hour.

        If there were too many attempts in an hour, those of a shorter time are counted: `window_s` says of which.
        """
        names = [row["task"] for row in await self._database.rows("job_task_names")]
        backlog = await self._database.rows("jobs_backlog", names)
        window_s = await self._database.value("job_run_window")
        recent = {row["task"]: row for row in await self._database.rows("job_runs_recent", window_s)}
        pauses = {row["task"]: dict(row) for row in await self._database.rows("job_pauses_all")}
        idle = {"attempts": 0, "failures": 0, "p50_ms": None, "p95_ms": None}
        return [
            {
                **row,
                "paused": pauses.get(row["task"]),
                "recent": {name: recent.get(row["task"], idle)[name] for name in idle}
                | {"window_s": window_s},
            }
            for row in sorted(backlog, key=lambda row: str(row["task"]))
        ]

    async def pause(self, task: str, by: str, reason: str | None) -> None:
        """Take no job of a task from now on. Jobs under way are finished.

        Raises:
            NoSuchTask: nobody knows it.
        """
        await self._require_task(task)
        said = {"by": by, "task": task, "paused": True, "reason": reason}
        await self._database.value("set_job_pause", said)

    async def resume(self, task: str, by: str) -> None:
        """Go on with a task. Nothing happens if it is not paused.

        Raises:
            NoSuchTask: nobody knows it.
        """
        await self._require_task(task)
        await self._database.value("set_job_pause", {"by": by, "task": task, "paused": False})

    async def _require_task(self, task: str) -> None:
        if all(row["task"] != task for row in await self._database.rows("job_task_names")):
            raise NoSuchTask

    # -- schedules ----------------------------------------------------------------------------

    async def schedules(self) -> Sequence[Row]:
        """All schedules: the next time, the last time, whether they are paused."""
        return await self._database.rows("job_schedules_all", None)

    async def schedule(self, name: str) -> Row:
        """A schedule.

        Raises:
            NoSuchSchedule: there is none of this name.
        """
        row: Row | None = await self._database.row("job_schedules_all", name)
        if row is None:
            raise NoSuchSchedule
        return row

    async def pause_schedule(self, name: str, by: str, *, paused: bool) -> Row:
        """Pause a schedule, or go on with it at its next time.

        Raises:
            NoSuchSchedule: there is none of this name.
        """
        await self._set_schedule({"by": by, "name": name, "paused": paused})
        return await self.schedule(name)

    async def run_schedule(self, name: str, by: str) -> int:
        """Run a schedule now, also a paused one; returns the job. One that is left of it, and not dead, is returned.

        Raises:
            NoSuchSchedule: there is none of this name.
        """
        found = await self._set_schedule({"by": by, "name": name, "run": True})
        return int(found["job"])

    async def _set_schedule(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = await self._database.value("set_schedule", said)
        if found is None:
            raise NoSuchSchedule
        return found

    # -- all of it ----------------------------------------------------------------------------

    async def overview(self) -> dict[str, Any]:
        """State of all background work, for a status page."""
        [outbox] = await self._database.rows("outbox_backlog")
        return {
            "at_ms": int(await self._database.value("wall_clock") * 1000),
            "tasks": await self.tasks(),
            "outbox": {"rows": outbox["many"], "oldest_s": max(0.0, outbox["oldest_s"])},
            "dead": [dict(row) for row in await self._database.rows("job_letters_newest", DEAD_SHOWN)],
            "workers": [dict(row) for row in await self._database.rows("job_workers")],
            "schedules": [dict(row) for row in await self.schedules()],
            "actions": [dict(row) for row in await self.actions({}, "-id", None, ACTIONS_SHOWN)],
        }


def _refusal(state: str) -> Exception:
    """Why a job in this state is not changed."""
    if state == "running":
        return JobRunning()
    return JobNotFailed() if state == "scheduled" else JobEnded()
