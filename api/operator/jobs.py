"""Command `jobs`: look at background work and act on it, on the database alone; a server may run or not.

Each action records `cli:` and the name of the user of this host. An action on all jobs that fit a filter counts them
first, and asks.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from config.settings import Settings
from dispatch.domain import ids
from dispatch.errors import (
    JobEnded,
    JobNotFailed,
    JobRunning,
    NoSuchJob,
    NoSuchSchedule,
    NoSuchTask,
    ServiceError,
)
from dispatch.jobs.control import BULK_MAX, JobControl, JobFilter
from storage.postgres.database import COMMAND_CONNECT_S, open_database
from storage.servers import reach_database

Row = Mapping[str, Any]
Say = Callable[[str], None]
Ask = Callable[[str], bool]

ERROR_CHARS = 60
_REFUSALS: Mapping[type[ServiceError], str] = {
    JobEnded: "it is done or was discarded",
    JobRunning: "a worker is at it",
    JobNotFailed: "it waits for its time, and has not failed",
    NoSuchJob: "there is no such job",
    NoSuchTask: "there is no such task; `jobs tasks` lists them",
    NoSuchSchedule: "there is no such schedule; `jobs schedules` lists them",
}


def _ask(question: str) -> bool:
    """True if a person at a terminal says yes; without a terminal, false."""
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _user() -> str:
    """Name of the user of this host. A container may have a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class JobCommands:
    """The commands, by the name of their method."""

    def __init__(
        self, jobs: JobControl, options: argparse.Namespace, say: Say, ask: Ask = _ask, user: str = ""
    ) -> None:
        self._jobs = jobs
        self._options = options
        self._say = say
        self._ask = ask
        self._by = f"cli:{user or _user()}"

    async def run(self) -> int:
        """Carry the command out; returns the exit code: 1 for a refusal."""
        commands: Mapping[str, Callable[[], Awaitable[int]]] = {
            "list": self.list_jobs,
            "show": self.show,
            "retry": self.change,
            "discard": self.change,
            "pause": self.pause,
            "resume": self.pause,
            "tasks": self.tasks,
            "schedules": self.schedules,
            "run": self.run_schedule,
        }
        try:
            return await commands[self._options.action]()
        except ServiceError as error:
            self._say(f"Refused: {_REFUSALS[type(error)]}.")
            return 1

    # -- jobs ---------------------------------------------------------------------------------

    @property
    def _filter(self) -> JobFilter:
        o = self._options
        return JobFilter(None, o.task, o.state, o.key, o.trace, o.order)

    async def list_jobs(self) -> int:
        """Print the newest jobs that fit."""
        rows = await self._jobs.jobs(self._filter.given, "-id", None, self._options.limit)
        heads = ("JOB", "STATE", "TASK", "KEY", "ATTEMPTS", "DUE", "ERROR")
        self._print(
            rows,
            heads,
            lambda row: (
                _job(row["id"]), row["state"], row["task"], row["key"], row["attempts"], _at(row["due_ms"]),
                (row["error"] or "")[:ERROR_CHARS],
            ),
        )  # fmt: skip
        return 0

    async def show(self) -> int:
        """Print a job with its runs and with what people did to it."""
        row = await self._jobs.job(self._options.job)
        if self._options.json:
            self._say(json.dumps(_public(row)))
            return 0
        for name, value in _public(row).items():
            if name not in ("runs", "actions") and value is not None:
                self._say(f"{name:<12} {value}")
        runs = [
            (run["attempt"], run["outcome"], _at(run["at_ms"]), run["took_ms"], run["worker"], run["error"])
            for run in row["runs"]
        ]
        self._table(("ATTEMPT", "OUTCOME", "AT", "MS", "WORKER", "ERROR"), runs)
        self._table(
            ("ACTION", "AT", "BY"),
            [(done["action"], _at(done["at_ms"]), done["by"]) for done in row["actions"]],
        )
        return 0

    async def change(self) -> int:
        """Retry or discard jobs: those that are named, or all that fit a filter."""
        numbers, chosen = self._options.job, self._filter
        if bool(numbers) == bool(chosen.given):
            self._say("Name jobs such as job_17, or say which by --task, --state, --key, --order or --trace.")
            return 2
        if not numbers:
            return await self._change_all(chosen)
        refused = 0
        for number in numbers:
            try:
                await getattr(self._jobs, self._options.action)(number, self._by)
                self._say(f"{_job(number)}: {_DONE[self._options.action]}")
            except ServiceError as error:
                self._say(f"{_job(number)}: refused: {_REFUSALS[type(error)]}")
                refused = 1
        return refused

    async def _change_all(self, chosen: JobFilter) -> int:
        action = self._options.action
        counted = await self._jobs.count(action, chosen)
        if counted.count == 0:
            self._say(f"No job to {action}.")
            return 0
        more = f"; there are others beyond {BULK_MAX}, which this leaves" if counted.more else ""
        if not self._options.yes and not self._ask(f"{action} {counted.count} jobs{more}?"):
            self._say(
                f"{counted.count} jobs{more}. Nothing was changed; --yes changes them without a question."
            )
            return 1
        found = await self._jobs.change(action, chosen, self._by, counted.count)
        if not found.done:
            self._say(
                f"Refused: there are {found.count} jobs by now, not {counted.count}. Nothing was changed."
            )
            return 1
        self._say(f"{found.count} jobs: {_DONE[action]}{more}")
        return 0

    # -- tasks and schedules ------------------------------------------------------------------

    async def pause(self) -> int:
        """Pause a task or a schedule, or go on with it."""
        name, paused = self._options.name, self._options.action == "pause"
        if self._options.schedule:
            await self._jobs.pause_schedule(name, self._by, paused=paused)
        elif paused:
            await self._jobs.pause(name, self._by, self._options.reason)
        else:
            await self._jobs.resume(name, self._by)
        self._say(f"{name}: {'paused' if paused else 'goes on'}")
        return 0

    async def tasks(self) -> int:
        """Print the tasks, those with the oldest jobs first."""
        rows = sorted(await self._jobs.tasks(), key=lambda row: -(row["oldest_s"] or 0))
        heads = (
            "TASK", "OLDEST_S", "WAITING", "RUNNING", "SCHEDULED", "DEAD", "ATTEMPTS", "FAILED", "P50_MS", "P95_MS",
            "PAUSED BY",
        )  # fmt: skip
        self._print(
            rows,
            heads,
            lambda row: (
                row["task"], None if row["oldest_s"] is None else round(row["oldest_s"]), row["waiting"],
                row["running"], row["scheduled"], row["dead"], row["recent"]["attempts"],
                row["recent"]["failures"], row["recent"]["p50_ms"], row["recent"]["p95_ms"],
                row["paused"] and row["paused"]["by"],
            ),
        )  # fmt: skip
        return 0

    async def schedules(self) -> int:
        """Print the schedules."""
        self._print(
            await self._jobs.schedules(),
            ("SCHEDULE", "TASK", "RUNS", "NEXT", "LAST"),
            lambda row: (
                row["name"], row["task"],
                f"daily at {row['daily_at']}" if row["every_s"] is None else f"every {row['every_s']} s",
                "paused" if row["paused"] else _at(row["next_ms"]), _at(row["last_ms"]),
            ),
        )  # fmt: skip
        return 0

    async def run_schedule(self) -> int:
        """Run a schedule now."""
        number = await self._jobs.run_schedule(self._options.name, self._by)
        self._say(f"{self._options.name}: {_job(number)}")
        return 0

    # -- output -------------------------------------------------------------------------------

    def _print(
        self, rows: Sequence[Row], heads: Sequence[str], cells: Callable[[Row], Sequence[object]]
    ) -> None:
        if self._options.json:
            self._say(json.dumps([_public(row) for row in rows]))
        else:
            self._table(heads, [cells(row) for row in rows], empty="None.")

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "") -> None:
        if not rows:
            if empty:
                self._say(empty)
            return
        texts = [list(heads), *([_text(value) for value in row] for row in rows)]
        widths = [max(len(row[at]) for row in texts) for at in range(len(heads))]
        for row in texts:
            self._say(
                "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
            )


_DONE = {"retry": "due now", "discard": "discarded"}


def _text(value: object) -> str:
    """A value in one line, without characters that would move a terminal's cursor."""
    said = "-" if value is None or value == "" else " ".join(str(value).split())
    return "".join(char if char.isprintable() else "?" for char in said)


def _job(number: int) -> str:
    return ids.public_id(ids.JOB, number)


def _at(ms: int | None) -> str | None:
    return None if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _public(row: Row) -> dict[str, Any]:
    """A row with public ids, for programs; times are milliseconds since 1970."""
    shown = {name: value for name, value in row.items() if name != "sort_key"}
    for name in ("id", "behind"):
        if isinstance(shown.get(name), int):
            shown[name] = _job(shown[name])
    if shown.get("paused") is not None and not isinstance(shown["paused"], bool):
        shown["paused"] = dict(shown["paused"])
    return shown


def command_jobs(settings: Settings, options: argparse.Namespace, say: Say) -> int:
    """Look at jobs or act on them; returns the exit code."""

    async def work(url: str) -> int:
        async with open_database(url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
            return await JobCommands(JobControl(database), options, say).run()

    with reach_database(settings) as url:
        return asyncio.run(work(url))
