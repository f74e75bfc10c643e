"""What makes an instance unready, and what does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage import health
from storage.errors import Unreachable
from storage.health import FRESH_S, LOST_LOOKS, LOST_S, DiskFull, Prober, look_at_disk
from tests.support.clocks import Hands


class Part:
    """A component that can be broken; counts the looks at it."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.trouble is not None:
            raise self.trouble


async def test_postgres_is_lost_after_several_looks_over_some_time_and_back_after_one() -> None:
    hands, postgres = Hands(), Part()
    prober = Prober({"postgres": postgres.look}, hands)
    postgres.trouble = Unreachable("gone")
    for _ in range(LOST_LOOKS + 1):
        assert await prober.look() == {"postgres": "down"}
        hands.now += FRESH_S
        assert prober.is_fit(), "many looks, but only for a moment"
    hands.now += LOST_S
    assert not prober.is_fit()
    postgres.trouble = None
    assert await prober.look() == {"postgres": "up"}
    assert prober.is_fit()


async def test_one_failed_look_long_ago_is_no_loss() -> None:
    hands, postgres = Hands(), Part()
    prober = Prober({"postgres": postgres.look}, hands)
    postgres.trouble = Unreachable("gone")
    await prober.look()
    hands.now += 10 * LOST_S
    assert prober.is_fit()


async def test_redis_that_is_away_makes_nobody_unfit() -> None:
    hands, redis = Hands(), Part()
    prober = Prober({"redis": redis.look}, hands)
    redis.trouble = OSError()
    for _ in range(10):
        assert await prober.look() == {"redis": "down"}
        hands.now += LOST_S
    assert prober.is_fit()


async def test_full_disk_is_unfit_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prober = Prober({"disk": lambda: look_at_disk(tmp_path)}, Hands())
    assert await prober.look() == {"disk": "up"}
    assert prober.is_fit()
    monkeypatch.setattr(health, "DISK_SHARE_MIN", 1.1)
    with pytest.raises(DiskFull):
        await look_at_disk(tmp_path)
    full = Prober({"disk": lambda: look_at_disk(tmp_path)}, Hands())
    assert await full.look() == {"disk": "down"}
    assert not full.is_fit()


async def test_component_that_hangs_is_down_and_all_who_ask_share_one_look() -> None:
    postgres = Part()

    async def hang() -> None:
        await asyncio.Event().wait()

    prober = Prober({"postgres": postgres.look, "redis": hang}, Hands())
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(prober.look()) for _ in range(20)]
    assert [task.result() for task in asked] == [{"postgres": "up", "redis": "down"}] * 20
    assert postgres.looks == 1
