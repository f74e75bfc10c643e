"""Orders and payments under keys, duplicates and kills: a short run of loadtests/faults/idempotency.py."""

from __future__ import annotations

from pathlib import Path

from loadtests.faults.idempotency import open_run


async def test_killed_server_makes_each_keyed_order_and_each_charge_once(short_tmp_path: Path) -> None:
    async with open_run(short_tmp_path / "keyed", cards=True, seed=3) as run:
        await run.run(60, senders=32, rate_s=15.0, kill_every_s=2.5)
        assert run.found.violations == []
        assert run.found.kills >= 1
        assert len(run.found.bodies) == 120


async def test_keys_need_no_redis(short_tmp_path: Path) -> None:
    async with open_run(short_tmp_path / "redisless", cards=False, seed=5) as run:
        run.stores.valkey.kill()
        await run.run(50, senders=16, rate_s=50.0, kill_every_s=60.0)
        assert run.found.violations == []
        assert len(run.found.bodies) == 50


async def test_judge_sees_an_order_too_many_and_stock_that_is_wrong(short_tmp_path: Path) -> None:
    async with open_run(short_tmp_path / "judged", cards=False, seed=4) as run:
        run._sold = 7
        await run.run(5, senders=5, rate_s=50.0, kill_every_s=60.0)
        run.found.bodies.popitem()
        run.found.violations.clear()
        await run._judge()
    said = " ".join(run.found.violations)
    assert "nobody was told" in said
    assert "stock is" in said
