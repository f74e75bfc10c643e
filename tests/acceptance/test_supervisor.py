"""Several instances behind one port: they are kept alive, restarted in turn, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

LIMIT_S = 60.0


def children_of(pid: int) -> set[int]:
    """The instances of a supervisor."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return set()
    return {int(child) for child in found if b"--lifeline" in _command(int(child))}


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def _command(pid: int) -> bytes:
    return _read(pid, "cmdline")


async def _until(holds: object, what: str) -> None:
    """Wait until `holds()`, looking whenever the system's clock has moved on a little."""
    assert callable(holds)
    async with asyncio.timeout(LIMIT_S):
        while not holds():
            await asyncio.to_thread(os.sched_yield)
    assert holds(), what


@asynccontextmanager
async def _supervised(folder: Path, name: str) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(folder / name, {"MALL_LOG_LEVEL": "info"}, ("--instances", "2"))
    await server.start()
    try:
        await _until(lambda: server.log_path.read_text().count("started_instance") >= 2, "both serve")
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def _servers(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Postgres and Valkey of our own."""
    with EmbeddedPostgres(folder / "pg", durable=False) as postgres:
        valkey = EmbeddedValkey(folder / "valkey", durable=False)
        valkey.start()
        try:
            yield {"DATABASE_URL": postgres.database_url, "REDIS_URL": valkey.redis_url}
        finally:
            valkey.stop()


async def _works(server: ServerProcess) -> bool:
    async with open_http() as http:
        mall = Mall(http, server.url)
        login = {"email": "admin@mall.example", "password": "a password for tests"}
        return "access_token" in await mall.do("POST", "/api/v2/auth/login", login)


async def test_instance_that_is_killed_comes_back_and_the_port_stays_open(short_tmp_path: Path) -> None:
    async with _supervised(short_tmp_path, "kept-alive") as server:
        before = children_of(server.pid)
        assert len(before) == 2
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        assert await _works(server), "the other one answers"
        await _until(lambda: len(children_of(server.pid) - {victim}) == 2, "a new life")
        assert await _works(server)


async def test_instance_that_comes_back_makes_no_administrator_and_knows_no_password(
    short_tmp_path: Path,
) -> None:
    async with _supervised(short_tmp_path, "no-founding") as server:
        before = children_of(server.pid)
        for pid in before:
            assert b"ADMIN_PASSWORD" not in _read(pid, "environ")
        url = json.loads((server.data_dir / "addresses.json").read_text())["database_url"]
        owner = await asyncpg.connect(url)
        try:
            # The owner of the table alone can set the guard of the last one aside.
            await owner.execute(
                "ALTER TABLE users DISABLE TRIGGER users_last_admin;"
                " UPDATE users SET role = 'customer' WHERE role = 'admin';"
                " ALTER TABLE users ENABLE TRIGGER users_last_admin"
            )
            os.kill(min(before), signal.SIGKILL)
            await _until(lambda: server.log_path.read_text().count("started_instance") >= 3, "a new life")
            assert await owner.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 0
        finally:
            await owner.close()


async def test_hangup_restarts_the_instances_one_after_the_other(short_tmp_path: Path) -> None:
    async with _supervised(short_tmp_path, "rolling") as server:
        before = children_of(server.pid)
        os.kill(server.pid, signal.SIGHUP)
        await _until(lambda: "restarted_all_instances" in server.log_path.read_text(), "done")
        after = children_of(server.pid)
        assert len(after) == 2
        assert not before & after
        assert "Traceback" not in server.log_path.read_text()
        assert await _works(server)


async def test_farewell_ends_everything_with_code_zero(short_tmp_path: Path) -> None:
    async with _supervised(short_tmp_path, "farewell") as server:
        instances = children_of(server.pid)
        assert await server.stop() == 0
        assert not any(_command(pid) for pid in instances)
        said = server.log_path.read_text()
        assert said.count("draining_instance") == 2
        assert "Traceback" not in said


async def test_instances_leave_when_their_supervisor_is_killed(short_tmp_path: Path) -> None:
    async with _supervised(short_tmp_path, "orphans") as server:
        instances = children_of(server.pid)
        await server.kill()
        await _until(lambda: not any(_command(pid) for pid in instances), "they saw the lifeline end")


async def test_older_of_two_instances_of_one_name_ends(short_tmp_path: Path) -> None:
    async with _servers(short_tmp_path / "namesakes") as environ:
        older, younger = (
            ServerProcess(short_tmp_path / name, {**environ, "MALL_INSTANCE": "same"})
            for name in ("older", "younger")
        )
        await older.start()
        await younger.start()
        try:
            async with asyncio.timeout(LIMIT_S):
                assert await older.wait() == 3
            assert "set MALL_INSTANCE" in older.log_path.read_text()
            assert await _works(younger)
        finally:
            await younger.stop()
            await older.stop()


@pytest.mark.timeout(400)
async def test_older_of_two_supervisors_of_one_name_ends_at_once_and_says_why(short_tmp_path: Path) -> None:
    async with _servers(short_tmp_path / "rivals") as environ:
        older, younger = (
            ServerProcess(
                short_tmp_path / name,
                {**environ, "MALL_INSTANCE": "same", "MALL_LOG_LEVEL": "info"},
                ("--instances", "2"),
            )
            for name in ("rival-older", "rival-younger")
        )
        try:
            await older.start()
            await _until(lambda: older.log_path.read_text().count('"serves"') >= 2, "both serve")
            await younger.start()
            async with asyncio.timeout(4 * LIMIT_S):
                assert await older.wait() == 3
            said = [json.loads(line) for line in older.log_path.read_text().splitlines()]
            [why, *_] = [line for line in said if line["event"] == "ended_by_namesake" and "remedy" in line]
            assert (why["level"], why["setting"]) == ("error", "MALL_INSTANCE")
            assert why["instance"] in ("same-1", "same-2")
            assert not any(line["event"] == "lost_process" for line in said), "nobody fights"
            await _until(lambda: younger.log_path.read_text().count('"serves"') >= 2, "both serve")
            told = [json.loads(line) for line in younger.log_path.read_text().splitlines()]
            assert [line["starts"] for line in told if line["event"] == "started_process"] == [1, 1]
            assert await _works(younger)
        finally:
            await younger.stop()
            await older.stop()
