"""A start says what it does, and what stands in its way, once and by name."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedValkey
from tests.support.program import run

LIMIT_S = 60.0


def lines_of(server: ServerProcess) -> list[dict[str, Any]]:
    """What the server has written so far, each line as it must be: JSON."""
    whole = server.log_path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


async def written(server: ServerProcess, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first line that is wanted, as soon as it is there."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = next((line for line in lines_of(server) if wanted(line)), None)
            if found is not None:
                return found
            await asyncio.to_thread(os.sched_yield)


async def require(url: str, password: str) -> None:
    client: Any = Redis.from_url(url)
    await client.config_set("requirepass", password)
    await client.aclose()


async def test_wrong_password_of_redis_is_said_once_and_again_when_it_is_right(
    short_tmp_path: Path, database_url: str, valkey: EmbeddedValkey
) -> None:
    await require(valkey.redis_url, "the-right-one")
    wrong = valkey.redis_url.replace("unix://", "unix://:not-the-right-one@")
    environ = {"DATABASE_URL": database_url, "REDIS_URL": wrong, "MALL_LOG_LEVEL": "info"}
    server = ServerProcess(short_tmp_path / "start-refused", environ)
    await server.launch()
    try:
        opened = await written(server, lambda line: line["event"] == "opened_doors")
        assert opened["level"] == "error"
        assert "serves nothing yet: Redis: authentication: it refuses" in opened["said"][0]
        async with open_http() as http, http.get(server.url + "/health/readiness") as answer:
            assert answer.status == 503
        await require(valkey.redis_url.replace("unix://", "unix://:the-right-one@"), "not-the-right-one")
        back = await written(server, lambda line: (line["event"], line.get("what")) == ("back", "redis"))
        assert back["away_s"] > 0
        await written(server, lambda line: line["event"] == "settled_instance")
        await server.wait_ready()
        [lost] = [line for line in lines_of(server) if line["event"] == "lost"]
        assert (lost["what"], lost["level"]) == ("redis", "error")
        assert "authentication" in lost["reason"]
        text = server.log_path.read_text()
        assert text.count("authentication") == 2, "the greeting, and the line that it is lost"
        assert "the-right-one" not in text
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MALL_HOST", "203.0.113.9", "MALL_HOST is '203.0.113.9', which is no address of this machine"),
        ("MALL_OPS_HOST", "203.0.113.9", "MALL_OPS_HOST is '203.0.113.9'"),
        ("MALL_PEER_HOST", "203.0.113.9", "MALL_PEER_HOST is '203.0.113.9'"),
        ("MALL_HOST", "no-such-host.invalid", "MALL_HOST is 'no-such-host.invalid'"),
        ("MALL_HOST", "2001:db8::1", "MALL_HOST is '2001:db8::1'"),
        ("MALL_PROT", "8080", "MALL_PROT: there is no such setting; did you mean MALL_PORT?"),
    ],
)
async def test_start_names_the_variable_that_is_wrong(
    variable: str, value: str, expected: str, short_tmp_path: Path
) -> None:
    environ = {
        "MALL_PORT": "0",
        "MALL_OPS_PORT": "0",
        "MALL_DATA_DIR": str(short_tmp_path / "never"),
        variable: value,
    }
    code, said = await run("serve", **environ)
    assert code == 2
    assert expected in said
    assert "to another port" not in said
    assert "Traceback" not in said
    assert not (short_tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("gateway", "expected"), [("", "orders by card are refused"), ("sandbox", "no money moves")]
)
async def test_start_warns_when_no_money_can_move(
    gateway: str, expected: str, short_tmp_path: Path, database_url: str, redis_url: str
) -> None:
    environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "MALL_GATEWAY_URL": gateway}
    server = ServerProcess(short_tmp_path / f"start-gateway-{gateway or 'none'}", environ)
    await server.start()
    await server.stop()
    said = [line for line in lines_of(server) if line["event"] == "doubtful_setting"]
    [warned] = [line for line in said if "payment" in line["said"][0]]
    assert warned["level"] == "warning"
    assert expected in warned["said"][0]
    assert "MALL_GATEWAY_URL" in warned["said"][1]


@pytest.mark.parametrize("command", ["migrate", "verify"])
async def test_command_on_the_database_needs_neither_redis_nor_the_administrators_password(
    command: str, database_url: str, tmp_path: Path
) -> None:
    code, said = await run(
        command, DATABASE_URL=database_url, MALL_DATA_DIR=str(tmp_path), MALL_REDIS_SERVER="/nowhere/valkey"
    )
    assert code == 0, said
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
