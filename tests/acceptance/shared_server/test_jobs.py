"""Background jobs over REST, as an operator sees them and acts on them. No worker runs beside this server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.raw_http import JSON, RunningServer, faults, refusal

TRACE = "c" * 32
BROWSER = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")


class Jobs:
    """Jobs of one server."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    async def add(self, count: int = 1, *, task: str = "mail", dead: bool = True) -> list[str]:
        """Add jobs about order 17, which are dead unless they are to wait; returns their ids."""
        item = {"task": task, "payload": {"order_id": 17}, "key": f"{task}/order/17", "trace": TRACE}
        database = self.server.database
        made = await database.fetchval("SELECT enqueue_jobs($1)", json.dumps([item] * count))
        if dead:
            await self.end(made)
        return [f"job_{number}" for number in made]

    async def end(self, numbers: list[int]) -> None:
        """Let a worker fail at the jobs for good."""
        for number in numbers:
            await self.server.database.fetchval(
                "SELECT claim_jobs('mall-9/a', ARRAY(SELECT task FROM jobs WHERE id = $1), '{100}', 30, false)",
                number,
            )
            item = {"id": number, "attempt": 1, "outcome": "dead", "took_ms": 12, "error": "SMTPError: busy"}
            await self.server.database.fetchval("SELECT finish_jobs('mall-9/a', $1)", json.dumps([item]))

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What an admin is answered."""
        data = None if body is None else json.dumps(body).encode()
        answer = await self.server.send(method, f"/api/v2{path}", [JSON] if data else [], data, role="admin")
        return answer if answer.status >= 300 or not answer.body else answer.json


@pytest.fixture
async def jobs(server: RunningServer) -> AsyncIterator[Jobs]:
    yield Jobs(server)
    await server.database.execute(
        "DELETE FROM jobs; DELETE FROM job_runs; DELETE FROM job_pauses; DELETE FROM job_schedules;"
        "DELETE FROM job_tasks; DELETE FROM job_actions"
    )


async def test_dead_letter_is_found_read_and_retried(jobs: Jobs) -> None:
    [one] = await jobs.add()
    await jobs.add(dead=False, task="report")
    [row] = (await jobs.ask("GET", "/jobs?state=dead&task=mail"))["items"]
    assert (row["id"], row["error"], row["order_id"]) == (one, "SMTPError: busy", "ord_17")
    seen = await jobs.ask("GET", f"/jobs/{one}")
    assert seen["payload"] == {"order_id": 17}
    assert [(run["attempt"], run["outcome"], run["worker"]) for run in seen["runs"]] == [
        (1, "dead", "mall-9/a")
    ]
    assert seen["links"] == {"order": "/api/v2/orders/ord_17", "trace": f"/api/v2/jobs?trace_id={TRACE}"}
    again = await jobs.ask("POST", f"/jobs/{one}/retry")
    assert (again["state"], again["failures"], again["attempts"]) == ("waiting", 0, 1)
    assert [(done["action"], done["by"]) for done in again["actions"]] == [("retry", "usr_1")]


async def test_jobs_are_listed_by_every_filter_and_in_pages(jobs: Jobs) -> None:
    numbers = await jobs.add(3)
    for query in (f"trace_id={TRACE}", "order_id=ord_17", "key=mail/order/17", "state=dead"):
        found = await jobs.ask("GET", f"/jobs?{query}")
        assert [row["id"] for row in found["items"]] == numbers
    first = await jobs.ask("GET", "/jobs?sort=-id&limit=2")
    assert [row["id"] for row in first["items"]] == numbers[:0:-1]
    rest = await jobs.ask("GET", f"/jobs?sort=-id&limit=2&cursor={first['next']}")
    assert ([row["id"] for row in rest["items"]], rest["next"]) == (numbers[:1], None)


@pytest.mark.parametrize("query", ["state=late", "task=Mail!", "order_id=17", "trace_id=short", "worker=a"])
async def test_filter_that_makes_no_sense_is_named(jobs: Jobs, query: str) -> None:
    problem = refusal(await jobs.ask("GET", f"/jobs?{query}"), 422, "invalid")
    assert [fault["pointer"] for fault in problem["errors"]] == [query.partition("=")[0]]


async def test_discarded_job_is_still_shown_with_who_did_it(jobs: Jobs) -> None:
    [one] = await jobs.add()
    gone = await jobs.ask("POST", f"/jobs/{one}/discard")
    assert (gone["state"], gone["payload"], gone["created_at"]) == ("discarded", None, None)
    assert gone["runs"][0]["worker"] == "usr_1"
    assert (await jobs.ask("POST", f"/jobs/{one}/discard"))["state"] == "discarded"
    refusal(await jobs.ask("POST", f"/jobs/{one}/retry"), 409, "job_ended")
    assert (await jobs.ask("GET", "/jobs"))["items"] == []


async def test_job_that_a_worker_has_is_left_to_it(jobs: Jobs) -> None:
    [one] = await jobs.add(dead=False)
    await jobs.server.database.fetchval("SELECT claim_jobs('mall-9/b', '{mail}', '{1}', 30, false)")
    running = await jobs.ask("GET", f"/jobs/{one}")
    assert (running["state"], running["worker"]) == ("running", "mall-9/b")
    for action in ("retry", "discard"):
        refusal(await jobs.ask("POST", f"/jobs/{one}/{action}"), 409, "job_running")


async def test_job_that_waits_for_its_time_is_not_retried(jobs: Jobs) -> None:
    item = json.dumps([{"task": "mail", "payload": {}, "due_ms": 4_000_000_000_000}])
    [number] = await jobs.server.database.fetchval("SELECT enqueue_jobs($1)", item)
    refusal(await jobs.ask("POST", f"/jobs/job_{number}/retry"), 409, "job_not_failed")


async def test_many_jobs_are_counted_first_and_then_changed_as_they_were_counted(jobs: Jobs) -> None:
    await jobs.add(3)
    wanted = {"action": "discard", "filter": {"task": "mail", "state": "dead"}}
    counted = await jobs.ask("POST", "/job-actions", {**wanted, "dry_run": True})
    assert counted == {"action": "discard", "count": 3, "more": False, "done": False}
    await jobs.add(1)
    answer = await jobs.ask("POST", "/job-actions", {**wanted, "expected_count": 3})
    assert refusal(answer, 409, "count_differs")["count"] == 4
    assert len((await jobs.ask("GET", "/jobs"))["items"]) == 4
    done = await jobs.ask("POST", "/job-actions", {**wanted, "expected_count": 4})
    assert done == {"action": "discard", "count": 4, "more": False, "done": True}
    [said] = (await jobs.ask("GET", "/job-actions?sort=-id&limit=1"))["items"]
    assert (said["by"], said["action"], said["count"], said["task"]) == ("usr_1", "discard", 4, "mail")
    assert len(said["jobs"]) == 4


async def test_some_jobs_are_chosen_by_id(jobs: Jobs) -> None:
    first, second, third = await jobs.add(3)
    body = {"action": "retry", "filter": {"ids": [first, third]}, "expected_count": 2}
    assert (await jobs.ask("POST", "/job-actions", body))["done"]
    assert [row["id"] for row in (await jobs.ask("GET", "/jobs?state=dead"))["items"]] == [second]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "retry", "filter": {}, "dry_run": True}, "#/filter"),
        ({"action": "retry", "filter": {"task": None}, "dry_run": True}, "#/filter"),
        ({"action": "retry", "filter": {"state": "dead"}}, "#"),
        ({"action": "drop", "filter": {"state": "dead"}, "dry_run": True}, "#/action"),
        ({"action": "discard", "filter": {"state": "running"}, "dry_run": True}, "#/filter/state"),
        ({"action": "retry", "filter": {"ids": ["17"]}, "dry_run": True}, "#/filter/ids/0"),
    ],
)
async def test_action_on_many_says_which_and_how_many(jobs: Jobs, body: Any, pointer: str) -> None:
    problem = refusal(await jobs.ask("POST", "/job-actions", body), 422, "invalid")
    assert faults(problem) == {("body", pointer)}


async def test_task_is_paused_with_a_reason_and_goes_on(jobs: Jobs) -> None:
    await jobs.add(dead=False)
    paused = await jobs.ask("PUT", "/job-tasks/mail/pause", {"reason": "the sender is down"})
    assert (paused["paused"]["by"], paused["paused"]["reason"]) == ("usr_1", "the sender is down")
    [task] = (await jobs.ask("GET", "/job-tasks"))["items"]
    assert (task["name"], task["waiting"], task["paused"]) == ("mail", 1, paused["paused"])
    claimed = "SELECT claim_jobs('mall-9/a', '{mail}', '{9}', 30, false) ->> 'jobs'"
    assert await jobs.server.database.fetchval(claimed) == "[]"
    assert (await jobs.ask("DELETE", "/job-tasks/mail/pause")).status == 204
    assert await jobs.server.database.fetchval(claimed) != "[]"


@pytest.mark.parametrize("name", ["mial", "MAIL", "a" * 61, "%00", "mail%0a"])
async def test_task_or_schedule_that_nobody_knows_is_not_found(jobs: Jobs, name: str) -> None:
    await jobs.add(dead=False)
    for method, path, body in (
        ("PUT", f"/job-tasks/{name}/pause", {}),
        ("DELETE", f"/job-tasks/{name}/pause", None),
        ("PATCH", f"/job-schedules/{name}", {"paused": True}),
        ("POST", f"/job-schedules/{name}/run", None),
    ):
        refusal(await jobs.ask(method, path, body), 404, "not_found")


async def test_schedule_is_paused_and_run_by_hand(jobs: Jobs) -> None:
    item = json.dumps([{"name": "nightly", "task": "report", "payload": {}, "daily_at": "03:00"}])
    await jobs.server.database.execute("SELECT set_schedules($1)", item)
    [known] = (await jobs.ask("GET", "/job-schedules"))["items"]
    assert (known["name"], known["daily_at"], known["paused"]) == ("nightly", "03:00", False)
    assert known["next_at"].endswith("T03:00:00.000Z")
    paused = await jobs.ask("PATCH", "/job-schedules/nightly", {"paused": True})
    assert (paused["paused"], paused["next_at"]) == (True, None)
    made = await jobs.ask("POST", "/job-schedules/nightly/run")
    assert (made["task"], made["state"], made["key"]) == ("report", "waiting", "schedule/nightly")
    assert (await jobs.ask("POST", "/job-schedules/nightly/run"))["id"] == made["id"]


async def test_customers_and_drivers_see_no_jobs(jobs: Jobs) -> None:
    for role in ("customer", "driver"):
        refusal(await jobs.server.send("GET", "/api/v2/jobs", role=role), 403, "forbidden")


async def test_ops_port_shows_jobs_to_programs_and_to_people(jobs: Jobs) -> None:
    [one] = await jobs.add()
    await jobs.ask("PUT", "/job-tasks/mail/pause", {"reason": "<b>down</b>"})
    url, http = f"{jobs.server.process.ops_url}/status/jobs", jobs.server.http
    async with http.get(url) as answer:
        seen = await answer.json()
    assert [f"job_{row['id']}" for row in seen["dead"]] == [one]
    assert [task["paused"]["by"] for task in seen["tasks"]] == ["usr_1"]
    async with http.get(url, headers=dict([BROWSER])) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "script" not in policy
    for expected in (one, "SMTPError: busy", "Paused: task mail, by usr_1", "&lt;b&gt;down&lt;/b&gt;"):
        assert expected in page
    async with http.get(f"{jobs.server.process.ops_url}/") as answer:
        assert 'href="/status/jobs"' in await answer.text()
