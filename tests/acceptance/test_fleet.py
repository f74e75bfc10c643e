"""The tool for several instances in small: it kills, it races, and it ends in a report that passes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from loadtests.kit.server import ROOT

WAIT_S = 60.0


async def fleet(out: Path, *arguments: str) -> dict[str, Any]:
    """Run a scenario in a process of its own; its report, which must have passed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.fleet", *arguments, "--no-limits", "--json", str(out),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return read(out)


def read(out: Path) -> dict[str, Any]:
    """The report as it was written."""
    report: dict[str, Any] = json.loads(out.read_text())
    return report


async def test_survivor_serves_every_shard_of_the_instance_that_was_killed(tmp_path: Path) -> None:
    report = await fleet(tmp_path / "takeover.json", "takeover", "--instances", "2", "--kills", "1")
    assert report["operations"]["all shards of a victim"]["count"] == 1
    assert report["operations"]["a shard of a victim"]["count"] == 128
    assert report["operations"]["balanced after start"]["count"] == 1


async def test_one_of_many_drivers_on_two_instances_wins_an_order(tmp_path: Path) -> None:
    arguments = ("race", "--instances", "2", "--drivers", "30", "--orders", "5")
    report = await fleet(tmp_path / "race.json", *arguments)
    assert report["facts"]["told"] == {"won": 5, "order_taken": 29 * 5}
    assert report["operations"]["delivery"]["count"] == 2 * 5
