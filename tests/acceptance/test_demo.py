"""The demo as a process: a short run with its verdict, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.kit.server import ROOT
from tests.acceptance.test_process import processes_of
from tests.support.waiting import until

LIMIT_S = 90.0
ZEROS = (
    "double assignments",
    "lost orders",
    "deliveries by another driver than the winner",
    "feed gaps",
    "feed duplicates",
    "faults that phones saw",
    "positions behind a fresh snapshot",
    "errors",
)


@asynccontextmanager
async def demo(home: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m loadtests.demo`; its server's folder is made below `home`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.demo", *arguments, "--plain", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": str(home)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def heard_until(process: asyncio.subprocess.Process, words: str) -> str:
    """What it says, up to a line with these words."""
    assert process.stdout is not None
    said = ""
    while words not in said:
        line = await process.stdout.readline()
        assert line, f"it ended before it said {words!r}:\n{said}"
        said += line.decode()
    return said


@pytest.fixture
def home(short_tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for one demo alone."""
    made = short_tmp_path / f"home-{request.node.name[-20:]}"
    made.mkdir()
    return made


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def limits_of(report: dict[str, Any]) -> dict[str, float]:
    return {limit["name"]: limit["value"] for limit in report["limits"]}


async def test_short_demo_delivers_orders_and_finds_nothing_wrong(home: Path, short_tmp_path: Path) -> None:
    file = short_tmp_path / "demo.json"
    options = (
        "--drivers",
        "8",
        "--orders-per-min",
        "120",
        "--seed",
        "3",
        "--minutes",
        "0.2",
        "--json",
        str(file),
    )
    async with demo(home, *options) as process:
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    report = json.loads(file.read_text())
    assert report["passed"]
    assert report["facts"]["delivered"] > 0
    assert report["facts"]["not ended"] == 0
    assert report["facts"]["orders compared"] == "{0} of {0}".format(sum(report["facts"]["orders"].values()))
    assert limits_of(report) == dict.fromkeys(ZEROS, 0)
    assert report["operations"]["order to acceptance"]["ms"]["p95"] > 0
    await until(lambda: processes_of(home) == [])


@pytest.mark.long
async def test_ctrl_c_gives_the_verdict_and_leaves_nothing_behind(home: Path) -> None:
    async with demo(home, "--drivers", "4", "--orders-per-min", "60") as process:
        await heard_until(process, "5.0 s open")
        assert processes_of(home) != []
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == "passed"
    assert "pass  lost orders: 0 (at most 0)" in out.decode()
    assert process.returncode == 0
    await until(lambda: processes_of(home) == [])
    assert names_in(home) == []


async def test_second_ctrl_c_ends_at_once(home: Path) -> None:
    async with demo(home, "--drivers", "4", "--orders-per-min", "240") as process:
        await heard_until(process, "5.0 s open")
        process.send_signal(signal.SIGINT)
        await heard_until(process, " closing ")
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 1
    await until(lambda: processes_of(home) == [])
