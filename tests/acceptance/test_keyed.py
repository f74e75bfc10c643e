"""Orders and payments under keys, duplicates and kills: a short run of loadtests/keyed.py, and its judge."""

from __future__ import annotations

from pathlib import Path

from loadtests.keyed import open_fire


async def test_killed_server_makes_each_keyed_order_and_each_charge_once(short_tmp_path: Path) -> None:
    async with open_fire(short_tmp_path / "keyed", cards=True, seed=3) as fire:
        await fire.run(60, senders=32, rate_s=15.0, kill_every_s=2.5)
        assert fire.found.violations == []
        assert fire.found.kills >= 1
        assert len(fire.found.bodies) == 120


async def test_keys_need_no_redis(short_tmp_path: Path) -> None:
    async with open_fire(short_tmp_path / "redisless", cards=False, seed=5) as fire:
        fire.valkey.kill()
        await fire.run(50, senders=16, rate_s=50.0, kill_every_s=60.0)
        assert fire.found.violations == []
        assert len(fire.found.bodies) == 50


async def test_judge_sees_an_order_too_many_and_stock_that_is_wrong(short_tmp_path: Path) -> None:
    async with open_fire(short_tmp_path / "judged", cards=False, seed=4) as fire:
        fire._sold = 7
        await fire.run(5, senders=5, rate_s=50.0, kill_every_s=60.0)
        fire.found.bodies.popitem()
        fire.found.violations.clear()
        await fire._judge()
    said = " ".join(fire.found.violations)
    assert "nobody was told" in said
    assert "stock is" in said
