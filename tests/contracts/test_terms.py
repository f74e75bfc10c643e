"""What a customer asks for beside the goods, and a zone's rules, in memory and in Postgres."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import pytest

from storage.geo import metres_between
from tests.contracts.world import ZONE, JournalWorld, placing

NEAR = {"lat": 0.001, "lon": 0.002}
# From placing to the door at the earliest: preparation, the way, and what deliveries take beyond in a new zone.
EARLIEST_MS = 600_000 + metres_between(0.0, 0.0, 0.001, 0.002) * 1.3 / 5 * 1000 + 900_000
HOUR_MS = 3_600_000


async def rules(world: JournalWorld, **given: Any) -> None:
    """Set the zone's rules of deliveries."""
    if not world.url:
        world.journal.zones[ZONE]["delivery_rules"] = given
        return
    owner = await asyncpg.connect(world.url)
    await owner.set_type_codec("jsonb", encoder=str, decoder=str, schema="pg_catalog")
    pairs = [x for name, value in given.items() for x in (name, value)]
    places = ", ".join(f"${n + 1}::{'text' if n % 2 == 0 else 'int'}" for n in range(len(pairs)))
    await owner.execute(f"UPDATE zones SET delivery_rules = jsonb_build_object({places})", *pairs)
    await owner.close()


async def placed(world: JournalWorld, key: str, wish: Any, **other: Any) -> Any:
    [answer] = await world.placer.place([placing(key, ((1, 1),), wish=wish, **NEAR, **other)])
    return answer


@pytest.mark.parametrize("many", [1, 4])
async def test_order_without_wishes_in_a_zone_without_rules_has_no_terms(
    world: JournalWorld, many: int
) -> None:
    answers = await world.placer.place([placing(f"n{n}" * 8, ((1, 1),)) for n in range(many)])
    assert [answer["facts"]["terms"] for answer in answers] == [None] * many


@pytest.mark.parametrize("many", [1, 4])
async def test_tip_is_part_of_the_total_and_pin_is_drawn(world: JournalWorld, many: int) -> None:
    """Orders that are placed together take the other function of Postgres."""
    wish = {"deliver_ms": None, "tip_minor": 200, "pin": True}
    expected = {"expected": 700, "expected_currency": "EUR"}
    answers = await world.placer.place(
        [placing(f"t{n}" * 8, ((1, 1),), wish=wish, **expected) for n in range(many)]
    )
    for answer in answers:
        terms = answer["facts"]["terms"]
        assert (answer["facts"]["total_minor"], terms["tip_minor"]) == (700, 200)
        assert len(terms["pin"]) == 4
        assert terms["pin"].isdigit()
        assert "deliver_ms" not in terms
        assert (await world.row(answer["facts"]["id"]))["terms"] == terms


async def test_order_keeps_the_rules_of_its_placing(world: JournalWorld) -> None:
    await rules(world, cancellation_fee_minor=120)
    [first] = await world.placer.place([placing("first" * 4, ((1, 1),))])
    await rules(world, cancellation_fee_minor=500)
    assert (await world.row(first["facts"]["id"]))["terms"] == {"fee_minor": 120}


async def test_expected_total_without_the_tip_is_refused(world: JournalWorld) -> None:
    answer = await placed(world, "price" * 4, {"tip_minor": 200}, expected=500, expected_currency="EUR")
    assert (answer["code"], answer["facts"]["total_minor"]) == ("price_changed", 700)


async def test_order_for_a_time_is_expected_then_and_its_goods_are_ready_for_it(world: JournalWorld) -> None:
    await rules(world, offer_ahead_s=300)
    wanted_ms = int(time.time() * 1000) + HOUR_MS * 3
    answer = await placed(world, "later" * 4, {"deliver_ms": wanted_ms})
    facts = answer["facts"]
    assert answer["code"] == "created"
    assert facts["expected_ms"] == pytest.approx(wanted_ms, abs=2)
    assert facts["promised_ms"] - facts["expected_ms"] == pytest.approx(900_000, abs=2)
    assert facts["expected_ms"] - facts["ready_ms"] == pytest.approx(EARLIEST_MS - 600_000, abs=2)
    assert facts["terms"] == {"deliver_ms": wanted_ms, "ahead_s": 300}


async def test_goods_of_several_stores_are_held_back_alike(world: JournalWorld) -> None:
    wanted_ms = int(time.time() * 1000) + HOUR_MS * 72
    [answer] = await world.placer.place(
        [placing("several" * 3, ((1, 1), (3, 1)), wish={"deliver_ms": wanted_ms}, lat=1.0, lon=2.0)]
    )
    facts = answer["facts"]
    assert len(facts["ready_each"]) == 2
    assert max(facts["ready_each"]) == pytest.approx(facts["ready_ms"], abs=2)
    assert facts["expected_ms"] == pytest.approx(wanted_ms, abs=2)


async def test_time_that_cannot_be_kept_is_refused_with_the_earliest_one(world: JournalWorld) -> None:
    now_ms = time.time() * 1000
    answer = await placed(world, "soon" * 5, {"deliver_ms": int(now_ms + EARLIEST_MS / 2)})
    assert answer["code"] == "too_soon"
    assert answer["facts"]["earliest_ms"] == pytest.approx(now_ms + EARLIEST_MS, abs=5_000)
    again = await placed(world, "earliest" * 3, {"deliver_ms": answer["facts"]["earliest_ms"] + 5_000})
    assert again["code"] == "created"


async def test_orders_for_a_time_are_placed_beside_others(world: JournalWorld) -> None:
    wanted_ms = int(time.time() * 1000) + HOUR_MS * 3
    wishes = [None, {"deliver_ms": wanted_ms}, {"deliver_ms": 1}, None, {"tip_minor": 100}]
    answers = await world.placer.place(
        [placing(f"b{n}" * 8, ((1, 1),), wish=wish, **NEAR) for n, wish in enumerate(wishes)]
    )
    assert [answer["code"] for answer in answers] == ["created", "created", "too_soon", "created", "created"]
    assert [answer["facts"].get("total_minor") for answer in answers] == [500, 500, None, 500, 600]
