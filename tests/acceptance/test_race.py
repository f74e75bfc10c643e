"""Many drivers for one order, one driver for many: a short run of loadtests/faults/race.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtests.faults.race import GREEDY_ORDERS, race
from loadtests.kit.server import ServerProcess, open_server


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with open_server(short_tmp_path / "race", {"DATABASE_URL": "", "REDIS_URL": ""}) as running:
        yield running


async def test_every_order_has_one_winner_and_every_loser_is_told_why(server: ServerProcess) -> None:
    report = await race(server, orders=20, drivers=40, capacities=())
    assert report.violations == []
    assert report.winners.total() == 20
    assert report.losers == {"order_taken": 20 * 39}


async def test_driver_with_three_slots_wins_three_of_fifty_orders(server: ServerProcess) -> None:
    report = await race(server, orders=0, drivers=2, capacities=(3,), seed=2)
    assert report.violations == []
    assert report.greedy == [f"capacity 3, {GREEDY_ORDERS} orders: driver_busy 47, won 3"]
