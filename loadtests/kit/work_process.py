"""`run.py work` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from loadtests.kit.client import open_http
from loadtests.kit.server import ROOT, free_port
from loadtests.kit.waiting import until

READY_S = 60.0


@asynccontextmanager
async def run_work(
    folder: Path, database_url: str, name: str = "bench", environ: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """A worker with all of its tasks and schedules; the block gets its pid when it is ready.

    Raises:
        TimeoutError: it is not ready in time; with the end of its log.
    """
    port, log_path = free_port(), folder / f"{name}.log"
    settings = {
        **os.environ,
        "DATABASE_URL": database_url,
        "MALL_DATA_DIR": str(folder / name),
        "MALL_INSTANCE": name,
        "MALL_OPS_PORT": str(port),
        "MALL_LOG_LEVEL": "warning",
        **(environ or {}),
    }
    with log_path.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), "work", cwd=ROOT, env=settings, stdout=out, stderr=out
        )
    try:
        async with open_http(1) as http:
            url = f"http://127.0.0.1:{port}/health/readiness"
            if not await until(partial(_is_ready, http, url), READY_S):
                tail = log_path.read_text(errors="replace")[-2000:]
                raise TimeoutError(f"the worker is not ready:\n{tail}")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False
