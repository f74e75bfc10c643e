"""When a new order is expected and promised at the door, in memory and in Postgres."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from storage.geo import metres_between
from tests.contracts.world import CUSTOMER, ZONE, JournalWorld, placing

# The way from store 1 to the drop-off of `placing`, as an unset zone reckons it: a street factor of 1.3, 5 m/s.
WAY_MS = metres_between(0.0, 0.0, 0.001, 0.002) * 1.3 / 5 * 1000
NEAR = {"lat": 0.001, "lon": 0.002}


async def learned(world: JournalWorld, likely_s: float, late_s: float) -> None:
    """Say what deliveries of late took beyond the way."""
    if not world.url:
        world.journal.delivery_times[ZONE] = (likely_s, late_s)
        return
    owner = await asyncpg.connect(world.url)
    await owner.execute(
        "INSERT INTO delivery_times VALUES ($1, $2, $3, 20, now()) ON CONFLICT (zone_id) DO UPDATE"
        " SET likely_s = excluded.likely_s, late_s = excluded.late_s", ZONE, likely_s, late_s,
    )  # fmt: skip
    await owner.close()


async def created(world: JournalWorld, key: str, **other: Any) -> Any:
    [answer] = await world.placer.place([placing(key, ((1, 1),), **other)])
    assert answer["code"] == "created"
    return answer["facts"]


@pytest.mark.parametrize("many", [1, 4])
async def test_order_is_promised_by_ready_time_way_and_what_deliveries_took_beyond(
    world: JournalWorld, many: int
) -> None:
    """Orders that are placed together take the other function of Postgres."""
    answers = await world.placer.place([placing(f"p{n}" * 8, ((1, 1),), **NEAR) for n in range(many)])
    for answer in answers:
        facts = answer["facts"]
        assert facts["expected_ms"] - facts["ready_ms"] == pytest.approx(WAY_MS + 900_000, abs=2)
        assert facts["promised_ms"] - facts["ready_ms"] == pytest.approx(WAY_MS + 1_800_000, abs=2)
        row = await world.row(facts["id"])
        assert (row["expected_ms"], row["promised_ms"]) == (facts["expected_ms"], facts["promised_ms"])
    await learned(world, 60.0, 300.0)
    facts = await created(world, "later" * 4, **NEAR)
    assert facts["expected_ms"] - facts["ready_ms"] == pytest.approx(WAY_MS + 60_000, abs=2)
    assert facts["promised_ms"] - facts["ready_ms"] == pytest.approx(WAY_MS + 300_000, abs=2)


async def test_short_of_goods_takes_the_way_of_one_by_one_and_promises_the_same(world: JournalWorld) -> None:
    await learned(world, 60.0, 300.0)
    answers = await world.placer.place(
        [placing(f"s{n}" * 8, ((2, 2),), customer=CUSTOMER, **NEAR) for n in range(2)]
    )
    codes = sorted(answer["code"] for answer in answers)
    assert codes == ["created", "out_of_stock"]
    [facts] = [answer["facts"] for answer in answers if answer["code"] == "created"]
    assert facts["expected_ms"] - facts["ready_ms"] == pytest.approx(WAY_MS + 60_000, abs=2)


async def test_promise_stays_when_the_goods_are_ready_later(world: JournalWorld) -> None:
    facts = await created(world, "late" * 4, **NEAR)
    row = await world.row(facts["id"])
    later = {"ready_ms": row["ready_ms"] + 600_000}
    [outcome] = await world.flush(world.item(row, "confirmed") | later)
    assert outcome.ok
    after = await world.row(facts["id"])
    assert after["ready_ms"] == later["ready_ms"]
    assert (after["expected_ms"], after["promised_ms"]) == (facts["expected_ms"], facts["promised_ms"])
