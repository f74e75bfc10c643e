"""The swarm in small: every scenario that a big run needs ends in a report without an error."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.kit.server import ROOT

WAIT_S = 60.0


async def swarm(out: Path, *arguments: str) -> dict[str, Any]:
    """Run a scenario in a process of its own; its report, which must have passed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.swarm", *arguments, "--no-limits", "--json", str(out),
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
    assert report["passed"]
    assert all(operation["errors"] == {} for operation in report["operations"].values())
    assert {"cpu_swarm", "cpu_server", "loop_lag_swarm_p99_ms"} <= report["facts"].keys()
    return report


def kept(report: dict[str, Any]) -> dict[str, float]:
    """What is held to without limits on time: counts."""
    return {limit["name"]: limit["value"] for limit in report["limits"]}


@pytest.mark.long
async def test_idle_sockets_stay_open(tmp_path: Path) -> None:
    report = await swarm(tmp_path / "idle.json", "idle", "--sockets", "50", "--seconds", "1")
    assert report["operations"]["connect"]["count"] == 50
    assert report["facts"]["sessions_on_server"] == 50
    assert kept(report) == {"open sockets": 50, "errors": 0}


async def test_every_order_is_offered_and_delivered(tmp_path: Path) -> None:
    arguments = ("offers", "--sockets", "40", "--seconds", "2", "--orders-per-s", "8")
    report = await swarm(tmp_path / "offers.json", *arguments)
    assert kept(report) == {"orders not delivered": 0, "errors": 0}
    assert report["facts"]["delivered"] == report["facts"]["orders"] == 16
    assert report["facts"]["accepts"]["won"] == 16
    assert report["operations"]["offer to socket"]["count"] >= 16


async def test_everybody_comes_back_and_is_told_what_was_missed(tmp_path: Path) -> None:
    arguments = ("storm", "--sockets", "40", "--spread-s", "1", "--missed", "0.1")
    report = await swarm(tmp_path / "storm.json", *arguments)
    assert kept(report) == {
        "resumed lines": 40,
        "snapshots instead": 0,
        "drivers told too much or too little": 0,
        "database reads for feeds": 0,
        "errors": 0,
    }
    assert report["operations"]["reconnect"]["count"] == 40
    assert report["facts"]["missed_entries"] == 2 * 4


@pytest.mark.long
async def test_customers_and_drivers_use_the_mall_together(tmp_path: Path) -> None:
    arguments = ("users", "--users", "30", "--spread-s", "1", "--seconds", "3", "--factor", "10")
    report = await swarm(tmp_path / "users.json", *arguments)
    assert kept(report) == {"errors": 0}
    assert report["facts"]["connections"] == {"drivers": 6, "customers": 24}
    assert report["operations"]["products"]["count"] > 0
    assert report["facts"]["locations_per_s"] > 0
