"""A small day replayed against real servers, from the first sign-up to the report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess, open_server
from loadtests.replay.__main__ import ReplayOptions, replay
from tests.unit.loadtests.small_day import busy_day, write_day

ORDERS = 10
SPEEDUP = 600.0
EMAIL, PASSWORD = "admin@mall.example", "a password for tests"


async def test_day_on_a_server_of_its_own_is_delivered_by_the_rules(tmp_path: Path) -> None:
    day, out = write_day(tmp_path / "day", busy_day(ORDERS)), tmp_path / "out"
    report = await replay(ReplayOptions(day, out, SPEEDUP, quiet=True))
    assert (report["acknowledged"], report["delivered"]) == (ORDERS, ORDERS)
    for name in ("lost", "double_assigned", "feed_faults", "violations", "errors"):
        assert report[name] == [], name
    assert report["counts"]["accept: won"] == ORDERS + report["counts"].get("handed_back", 0)
    assert report == json.loads((out / "report.json").read_text())
    trips = (out / "solution_info_assignments.txt").read_text().splitlines()[1:]
    assert sum(len(trip.split()) - 3 for trip in trips) == ORDERS


async def test_day_survives_the_death_of_its_server(tmp_path: Path) -> None:
    day, out = write_day(tmp_path / "day", busy_day(ORDERS)), tmp_path / "out"
    async with open_server(tmp_path / "mall", {"MALL_SAMPLE": "off"}) as server:
        options = ReplayOptions(
            day, out, SPEEDUP, url=server.url, admin_email=EMAIL, admin_password=PASSWORD, quiet=True
        )
        async with asyncio.TaskGroup() as tasks:
            replaying = tasks.create_task(replay(options))
            await _until_delivered(server, 2)
            await server.kill()
            await server.start()
        report = replaying.result()
    assert (report["acknowledged"], report["delivered"]) == (ORDERS, ORDERS)
    for name in ("lost", "double_assigned", "feed_faults", "violations"):
        assert report[name] == [], name
    assert report["counts"]["reconnects"] >= 1


async def _until_delivered(server: ServerProcess, count: int) -> None:
    """Return when so many orders are delivered, as the API says."""
    async with asyncio.timeout(30), open_http() as http:
        mall = Mall(http, server.url)
        tokens = await mall.do("POST", "/api/v2/auth/login", {"email": EMAIL, "password": PASSWORD})
        admin = mall.as_(tokens["access_token"])
        while len((await admin.do("GET", "/api/v2/orders?status=delivered"))["items"]) < count:
            pass
