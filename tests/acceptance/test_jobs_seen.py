"""Background jobs as operators see them: at every ops port, in the command line, and after a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess
from tests.support.program import run
from tests.support.waiting import seconds_until

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
TASKS = {"trim_expired", "trim_jobs", "trim_sessions"}
DEAD = (
    "INSERT INTO jobs (task, payload, trace, attempts, failures, due_at, died_at, error)"
    " VALUES ('mail', '{\"order_id\": 17}', repeat('e', 32), 8, 8, NULL, now(), 'SMTPError: busy') RETURNING id"
)


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path) -> AsyncIterator[ServerProcess]:
    environ = {"MALL_WORK": "on", "MALL_INSTANCE": "seen"}
    server = ServerProcess(short_tmp_path / "seen", environ, ("--instances", "2", "--workers", "1"))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http() as http:
        yield http


@pytest.fixture
async def database(server: ServerProcess) -> AsyncIterator[Any]:
    note = json.loads((server.data_dir / "addresses.json").read_text())
    database = await asyncpg.connect(note["database_url"])
    yield database
    await database.close()


async def _processes(http: aiohttp.ClientSession, server: ServerProcess) -> list[dict[str, Any]]:
    """The processes of the machine that serve."""
    async with http.get(f"{server.ops_url}/status?local=1") as answer:
        machine = (await answer.json())["machine"]
    return [process for process in machine if process["state"] == "serving"]


async def _seen(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/status/jobs") as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def test_every_ops_port_shows_the_same_jobs(
    server: ServerProcess, http: aiohttp.ClientSession, database: Any
) -> None:
    number = await database.fetchval(DEAD)

    async def known() -> bool:
        names = {task["task"] for task in (await _seen(http, server.ops_url))["tasks"]}
        return names >= TASKS and len(await _processes(http, server)) == 3

    await seconds_until(known)
    ports = {process["ops_port"] for process in await _processes(http, server)} | {server.ops_port}
    assert len(ports) == 4
    for port in ports:
        url = f"http://127.0.0.1:{port}"
        seen = await _seen(http, url)
        assert number in [row["id"] for row in seen["dead"]]
        assert {one["name"] for one in seen["schedules"]} >= TASKS
        async with http.get(f"{url}/status/jobs", headers=BROWSER) as answer:
            page = await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert f"job_{number}" in page
        async with http.get(f"{url}/") as answer:
            assert 'href="/status/jobs"' in await answer.text()


async def test_command_line_acts_beside_running_instances(server: ServerProcess, database: Any) -> None:
    number = await database.fetchval(DEAD)
    environ = {"MALL_DATA_DIR": str(server.data_dir), "USER": "ada", "LOGNAME": "ada"}
    code, out = await run("jobs", "list", "--state", "dead", **environ)
    assert (code, f"job_{number}" in out) == (0, True), out
    code, out = await run("jobs", "discard", "--task", "mail", **environ)
    assert (code, "--yes" in out) == (1, True), "nobody is there to be asked"
    code, out = await run("jobs", "discard", f"job_{number}", **environ)
    assert (code, out.strip()) == (0, f"job_{number}: discarded")
    worker = await database.fetchval("SELECT worker FROM job_runs WHERE id = $1", number)
    assert worker == "cli:ada"


async def test_history_is_there_after_a_restart(
    server: ServerProcess, http: aiohttp.ClientSession, database: Any
) -> None:
    number = await database.fetchval(DEAD)
    [admin] = await server.mint("admin", 1, "--prefix", "boss")
    headers = {"Authorization": f"Bearer {admin['access_token']}"}
    path = f"{server.url}/api/v2/jobs/job_{number}"
    async with http.post(f"{path}/discard", headers=headers) as answer:
        assert answer.status == 200
        before = await answer.json()
    await database.close()
    await server.stop()
    await server.start()
    async with http.get(path, headers=headers) as answer:
        assert await answer.json() == before
    assert before["state"] == "discarded"
    assert [done["by"] for done in before["actions"]] == [admin["id"]]
    seen = await _seen(http, server.ops_url)
    assert ("discard", admin["id"]) in [(done["action"], done["by"]) for done in seen["actions"]]
