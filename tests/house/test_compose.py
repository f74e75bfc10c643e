"""compose.yaml: what it starts is closed to strangers, and what moves no money says so on purpose."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from loadtests.kit.server import free_port
from storage.embedded.binaries import find_valkey

COMPOSE: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[2] / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_every_secret_has_to_be_set_and_none_stands_in_the_file() -> None:
    asked = {
        (service, name): value
        for service, given in SERVICES.items()
        for name, value in given["environment"].items()
        if name.endswith("PASSWORD")
    }
    assert len(asked) == 3
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?set it in \.env\}", value) for value in asked.values())
    assert "${REDIS_PASSWORD}@redis" in SERVICES["mall"]["environment"]["REDIS_URL"]
    assert "${POSTGRES_PASSWORD}@postgres" in SERVICES["mall"]["environment"]["DATABASE_URL"]


def test_only_the_server_has_ports_and_the_one_of_operators_stays_here() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"mall"}
    assert SERVICES["mall"]["ports"] == ["8080:8080", "127.0.0.1:8081:8081"]


def test_gateway_is_the_sandbox_by_an_explicit_setting() -> None:
    assert SERVICES["mall"]["environment"]["MALL_GATEWAY_URL"] == "${MALL_GATEWAY_URL:-sandbox}"


def test_every_image_can_be_given_by_digest() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    images.append(SERVICES["mall"]["build"]["args"]["PYTHON_IMAGE"])
    assert all(re.match(r"\$\{[A-Z]+_IMAGE:-", image) for image in images)


async def test_redis_started_as_it_says_asks_for_the_password(tmp_path: Path) -> None:
    [shell, option, script] = SERVICES["redis"]["command"]
    port = free_port()
    script = script.replace("$$", "$").replace(
        "exec valkey-server -", f"exec {find_valkey()} - --port {port}"
    )
    process = await asyncio.create_subprocess_exec(
        shell, option, script, env={"REDIS_PASSWORD": "of-a-test", "PATH": "/usr/bin:/bin"}, cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        insider: Any = Redis.from_url(f"redis://:of-a-test@127.0.0.1:{port}/0")
        async with asyncio.timeout(30):
            while process.returncode is None:
                try:
                    assert await insider.ping()
                    break
                except RedisError:
                    await asyncio.to_thread(lambda: None)
        stranger: Any = Redis.from_url(f"redis://127.0.0.1:{port}/0")
        with pytest.raises(AuthenticationError):
            await stranger.ping()
        await stranger.aclose()
        await insider.aclose()
    finally:
        # The shell has the server at the end of a pipe, and does not pass signals on.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
