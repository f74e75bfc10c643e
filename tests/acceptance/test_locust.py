"""The rush: the smoke profile, played by locust through its runner, and a server that dies on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.kit.server import ROOT, open_server
from loadtests.rush.__main__ import LOCUST, NoResults, run_locust
from loadtests.rush.profiles import PROFILES

pytestmark = pytest.mark.long
INSTALL_S, RUN_S = 300.0, 120.0
# By then locust plays, with ten seconds before it.
DEATH_S = 9.0


@pytest.fixture(scope="module")
def locust() -> Path:
    """The load generator's own environment, made when it is missing."""
    if not LOCUST.exists():
        subprocess.run(["make", ".venv-load/.ready"], cwd=ROOT, check=True, timeout=INSTALL_S)
    return LOCUST


@pytest.mark.timeout(INSTALL_S + RUN_S)
@pytest.mark.usefixtures("locust")
async def test_smoke_profile_passes_and_says_so_to_people_and_machines(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    runner = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.rush", "--profile", "smoke", "--json", str(path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(RUN_S):
        out, _ = await runner.communicate()
    assert runner.returncode == 0, out.decode()
    assert out.decode().splitlines()[-1] == "passed"
    report = json.loads(path.read_bytes())
    assert report["passed"] is True
    assert report["operations"]["POST /orders"]["errors"] == {}
    assert report["operations"]["WS offer.accept"]["count"] > 0
    assert report["facts"]["orders delivered"] > 0


@pytest.mark.timeout(RUN_S)
@pytest.mark.usefixtures("locust")
async def test_server_that_dies_on_the_way_breaks_the_limits(short_tmp_path: Path, tmp_path: Path) -> None:
    profile = PROFILES["smoke"].resized(6, 10)
    async with open_server(short_tmp_path / "rush", {"DATABASE_URL": "", "REDIS_URL": ""}) as server:
        asyncio.get_running_loop().call_later(DEATH_S, os.kill, server.pid, signal.SIGKILL)
        report = await run_locust(server, profile, tmp_path, None)
    assert not report.passed
    assert report.errors > 0
    assert [limit.name for limit in report.limits if not limit.kept].count("share of errors") == 1


@pytest.mark.timeout(RUN_S)
@pytest.mark.usefixtures("locust")
async def test_locust_that_never_runs_leaves_nothing_to_report(
    short_tmp_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtests.rush.__main__.LOCUST", Path("/bin/false"))
    async with open_server(short_tmp_path / "rush-none", {"DATABASE_URL": "", "REDIS_URL": ""}) as server:
        with pytest.raises(NoResults, match="locust ended with 1"):
            await run_locust(server, PROFILES["smoke"].resized(2, 5), tmp_path, None)
