"""`alive.sh`, the image's health check: good for 200 alone, and never longer than its limit."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtests.kit.server import ROOT, free_port

SCRIPT = ROOT / "config" / "deploy" / "alive.sh"
LIMIT_S = 20.0


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that gives an answer, or none while it keeps the connection; and what it was asked."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        over.set()
        server.close()


async def alive(port: int) -> int:
    process = await asyncio.create_subprocess_exec(
        "bash", str(SCRIPT), env={"PATH": "/usr/bin:/bin", "MALL_OPS_PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        return await process.wait()


async def test_process_that_answers_200_is_alive() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, heard):
        assert await alive(port) == 0
    assert heard[0].startswith(b"GET /health/liveness HTTP/1.1\r\nHost: 127.0.0.1\r\n")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 x 200 \r\n\r\n", b"", b"nonsense 200 \r\n", None])
async def test_any_other_answer_and_none_mean_that_it_is_not(answer: bytes | None) -> None:
    async with answering(answer) as (port, _):
        assert await alive(port) != 0


async def test_port_that_nobody_listens_on_means_that_it_is_not() -> None:
    assert await alive(free_port()) != 0


def test_image_asks_by_this_script_and_starts_no_python_for_it() -> None:
    found = re.search(
        r"^HEALTHCHECK (?:.|\\\n)*?CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert found is not None
    assert json.loads(found[1]) == ["bash", "/srv/mall/alive.sh"]
    assert 'config/deploy/alive.sh" "$target/"' in (ROOT / "config" / "deploy" / "image.sh").read_text()
