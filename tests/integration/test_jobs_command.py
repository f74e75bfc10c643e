"""`run.py jobs` on a database alone: what it prints, what it asks before it changes many, and who it says it was."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from api.operator.jobs import JobCommands
from config.cli import make_parser
from dispatch.jobs.control import JobControl
from dispatch.jobs.policy import DONE, JobOutcome
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import NewJob
from loadtests.kit.server import ROOT
from storage.postgres.database import Database, open_database

TRACE = "d" * 32
WORKER = "mall-1/a"


class Terminal:
    """A terminal at which the commands are given.

    Attributes:
        answer: what its user says to questions; the last one is in `asked`.
    """

    def __init__(self, database: Database, owner: Any) -> None:
        self._jobs = JobControl(database)
        self.store = StoredJobs(database)
        self.owner = owner
        self.answer = True
        self.asked = ""
        self.said: list[str] = []

    def _ask(self, question: str) -> bool:
        self.asked = question
        return self.answer

    async def run(self, *arguments: str) -> int:
        """Give a command; `said` are the lines that it has printed."""
        self.said = []
        options = make_parser().parse_args(["jobs", *arguments])
        return await JobCommands(self._jobs, options, self.said.append, self._ask, "ada").run()

    async def json(self, *arguments: str) -> Any:
        """What a command prints for machines."""
        assert await self.run(*arguments, "--json") == 0
        [line] = self.said
        return json.loads(line)

    async def dead(self, count: int = 1) -> list[int]:
        """Jobs that have failed for good."""
        await self.store.enqueue([NewJob("mail", {"order_id": 17}, "mail/order/17")] * count, TRACE)
        made: list[int] = []
        while len(made) < count:
            claimed = await self.store.claim(WORKER, {"mail": count}, 30.0, alone=False)
            ended = JobOutcome("dead", error="SMTPError: no such\nmailbox\x1b[2J")
            made += await self.store.finish(WORKER, [ended.item(job, 0.2) for job in claimed.jobs])
        return sorted(made)

    async def states(self) -> list[str]:
        """The states of all jobs that are left."""
        return [row["state"] for row in await self.owner.fetch("SELECT state FROM job_rows ORDER BY id")]


@pytest.fixture
async def terminal(database_url: str) -> AsyncIterator[Terminal]:
    owner = await asyncpg.connect(database_url)
    async with open_database(database_url, size_max=2) as database:
        yield Terminal(database, owner)
    await owner.close()


async def test_list_is_a_table_with_a_line_for_each_job(terminal: Terminal) -> None:
    first, second = await terminal.dead(2)
    assert await terminal.run("list", "--state", "dead", "--order", "ord_17") == 0
    head, *lines = terminal.said
    assert head.split() == ["JOB", "STATE", "TASK", "KEY", "ATTEMPTS", "DUE", "ERROR"]
    assert [line.split()[0] for line in lines] == [f"job_{second}", f"job_{first}"]
    assert lines[0].index("dead") == head.index("STATE")
    assert "no such mailbox" in lines[0], "an error is one line"
    assert "\x1b" not in lines[0], "an error does not move the cursor"


async def test_list_says_when_there_is_nothing(terminal: Terminal) -> None:
    assert await terminal.run("list") == 0
    assert terminal.said == ["None."]
    assert await terminal.json("list") == []


async def test_list_for_machines_has_all_of_a_job(terminal: Terminal) -> None:
    [number] = await terminal.dead()
    [row] = await terminal.json("list", "--task", "mail", "--trace", TRACE)
    assert (row["id"], row["state"], row["payload"]) == (f"job_{number}", "dead", {"order_id": 17})


async def test_show_has_every_attempt_and_who_did_what_also_of_a_job_that_is_gone(terminal: Terminal) -> None:
    [number] = await terminal.dead()
    assert await terminal.run("retry", f"job_{number}") == 0
    [job] = (await terminal.store.claim(WORKER, {"mail": 1}, 30.0, alone=False)).jobs
    await terminal.store.finish(WORKER, [DONE.item(job, 0.1)])
    assert await terminal.run("show", str(number)) == 0
    text = "\n".join(terminal.said)
    for expected in (f"job_{number}", "done", "dead", WORKER, "retry", "cli:ada"):
        assert expected in text
    seen = await terminal.json("show", f"job_{number}")
    assert [(run["attempt"], run["outcome"]) for run in seen["runs"]] == [(2, "done"), (1, "dead")]


async def test_show_of_no_job_is_refused(terminal: Terminal) -> None:
    assert await terminal.run("show", "job_17") == 1
    assert terminal.said == ["Refused: there is no such job."]


async def test_jobs_that_are_named_are_changed_without_a_question(terminal: Terminal) -> None:
    first, second = await terminal.dead(2)
    assert await terminal.run("discard", str(first), "job_999") == 1
    assert terminal.said == [f"job_{first}: discarded", "job_999: refused: there is no such job"]
    assert await terminal.run("retry", f"job_{second}") == 0
    assert await terminal.states() == ["waiting"]
    assert terminal.asked == ""


async def test_all_that_fit_are_counted_and_asked_about(terminal: Terminal) -> None:
    await terminal.dead(3)
    terminal.answer = False
    assert await terminal.run("discard", "--task", "mail") == 1
    assert terminal.asked == "discard 3 jobs?"
    assert terminal.said == ["3 jobs. Nothing was changed; --yes changes them without a question."]
    assert await terminal.states() == ["dead"] * 3
    terminal.answer = True
    assert await terminal.run("retry", "--state", "dead") == 0
    assert terminal.said == ["3 jobs: due now"]
    assert await terminal.states() == ["waiting"] * 3


async def test_yes_asks_nothing(terminal: Terminal) -> None:
    await terminal.dead(2)
    terminal.answer = False
    assert await terminal.run("discard", "--order", "17", "--yes") == 0
    assert (terminal.asked, await terminal.states()) == ("", [])
    by = await terminal.owner.fetchval("SELECT by FROM job_actions")
    assert by == "cli:ada"


async def test_jobs_that_die_while_the_question_stands_are_not_changed(terminal: Terminal) -> None:
    await terminal.dead(2)

    def ask(question: str) -> bool:
        assert question == "discard 2 jobs?"
        return True

    options = make_parser().parse_args(["jobs", "discard", "--state", "dead"])
    command = JobCommands(_Late(terminal), options, terminal.said.append, ask, "ada")
    assert await command.run() == 1
    assert terminal.said == ["Refused: there are 3 jobs by now, not 2. Nothing was changed."]
    assert len(await terminal.states()) == 3


class _Late(JobControl):
    """A control of jobs that lets another job die before it changes any."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal._jobs._database)
        self._terminal = terminal

    async def change(self, *args: Any, **more: Any) -> Any:
        await self._terminal.dead()
        return await super().change(*args, **more)


@pytest.mark.parametrize("arguments", [("retry",), ("discard", "job_1", "--task", "mail")])
async def test_change_needs_either_names_or_a_filter(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    assert await terminal.run(*arguments) == 2


@pytest.mark.parametrize(
    "arguments", [("show", "ord_1"), ("list", "--order", "x"), ("list", "--limit", "0"), ()]
)
def test_command_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["jobs", *arguments])
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


async def test_task_is_paused_and_goes_on(terminal: Terminal) -> None:
    await terminal.dead()
    assert await terminal.run("pause", "mail", "--reason", "maintenance") == 0
    assert await terminal.run("tasks") == 0
    head, line = terminal.said
    assert (head.split()[0], line.split()[0], line.split()[-1]) == ("TASK", "mail", "cli:ada")
    [task] = await terminal.json("tasks")
    assert (task["dead"], task["paused"]["reason"]) == (1, "maintenance")
    assert await terminal.run("resume", "mail") == 0
    [task] = await terminal.json("tasks")
    assert task["paused"] is None
    assert await terminal.run("pause", "mial") == 1


async def test_schedules_are_shown_paused_and_run(terminal: Terminal) -> None:
    await terminal.store.set_schedules([Schedule("nightly", "report", daily_at="03:00").item()])
    assert await terminal.run("pause", "nightly", "--schedule") == 0
    assert await terminal.run("schedules") == 0
    assert terminal.said[1].split() == ["nightly", "report", "daily", "at", "03:00", "paused", "-"]
    assert await terminal.run("run", "nightly") == 0
    [line] = terminal.said
    assert line.startswith("nightly: job_")
    assert await terminal.run("resume", "nightly", "--schedule") == 0
    [one] = await terminal.json("schedules")
    assert (one["paused"], one["name"]) == (False, "nightly")
    assert await terminal.run("run", "never") == 1


async def test_reader_that_has_had_enough_is_no_fault(database_url: str) -> None:
    unread, out = os.pipe()
    os.close(unread)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), "jobs", "tasks", stdout=out, stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "DATABASE_URL": database_url},
        )  # fmt: skip
    finally:
        os.close(out)
    _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")
