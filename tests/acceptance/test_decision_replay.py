"""Decisions of a real server, made again by an operator: over REST and by `run.py explain --replay`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import open_server
from tests.acceptance.running_mall import MallZone, RunningMall
from tests.support.waiting import seconds_until

SETTINGS = {"rest_s": 0, "planned_offers": 10}


class ReplayableMall(RunningMall):
    """A running mall with its database."""

    database: Any

    async def decisions(self, order: str, query: str = "?replay=true") -> list[dict[str, Any]]:
        """The decisions of the planner about an order."""
        answer = await self.admin.do("GET", f"/api/v2/orders/{order}/decisions{query}")
        return [each for each in answer["items"] if each["plan"] is not None]

    async def stored(self, order: str, count: int) -> list[dict[str, Any]]:
        """The same, once the inputs of so many are stored."""

        async def are_stored() -> bool:
            return len(await self.database.fetch("SELECT FROM plan_steps WHERE zone_id = $1", zone)) >= count

        zone = await self.database.fetchval(
            "SELECT zone_id FROM orders WHERE id = $1", int(order.removeprefix("ord_"))
        )
        await seconds_until(are_stored)
        return await self.decisions(order)


@pytest.fixture(scope="module")
async def mall(short_tmp_path: Path) -> AsyncIterator[ReplayableMall]:
    environ = {"MALL_WORK": "off", "MALL_SAMPLE": "off"}
    async with open_server(short_tmp_path / "replays", environ) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        found = ReplayableMall(server, http, tokens)
        note = orjson.loads((short_tmp_path / "replays" / "addresses.json").read_bytes())
        found.database = await asyncpg.connect(note["database_url"])
        try:
            yield found
        finally:
            await found.database.close()


async def declined_once(zone: MallZone) -> str:
    """An order that one driver has declined and another one has accepted."""
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        await one.event("offer", order)
        async with (await zone.driver()).online() as two:
            await one.post(order, "decline", {"reason": "too far"})
            await two.event("offer", order)
            assert await two.accept(order) == "won"
    return order


async def test_every_planned_offer_is_made_again_with_the_same_answer(mall: ReplayableMall) -> None:
    order = await declined_once(await mall.zone(preparation_s=0, mode="planned", planning=SETTINGS))
    first, second = await mall.stored(order, 2)
    assert [each["replay"]["outcome"] for each in (first, second)] == ["same", "same"]
    assert first["replay"]["planner"] == first["replay"]["own_planner"]
    assert first["plan"]["chosen"]["driver_id"] != second["plan"]["chosen"]["driver_id"]
    assert first["sentences"][0].startswith("Rung 1 (planned). Offered to drv_")
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    reasons = [each["data"]["plan"] for each in history if each["type"] == "offered"]
    assert [each["seed"] for each in reasons] == [first["plan"]["seed"], second["plan"]["seed"]]
    assert [each["chosen"]["door_s"] for each in reasons] == [
        each["plan"]["chosen"]["door_s"] for each in (first, second)
    ]
    told = await mall.process.run("explain", order, "--replay")
    assert told.count("Made again: the same answer.") == 2
    assert "Made again" not in await mall.process.run("explain", order)
    [plain, _] = await mall.decisions(order, "")
    assert "replay" not in plain


async def test_planner_of_another_version_is_named_and_so_is_what_it_does_otherwise(
    mall: ReplayableMall,
) -> None:
    zone = await mall.zone(preparation_s=0, mode="planned", planning=SETTINGS)
    order = await declined_once(zone)
    await mall.stored(order, 2)
    await mall.database.execute(
        "UPDATE plan_steps SET planner = repeat('0', 16) WHERE zone_id = $1",
        int(zone.id.removeprefix("zon_")),
    )
    [one, _] = await mall.decisions(order)
    assert (one["replay"]["outcome"], one["replay"]["planner"]) == ("same", "0" * 16)
    assert f"(it was {'0' * 16}): the same answer." in await mall.process.run("explain", order, "--replay")
    # As if it had decided otherwise: the history says something that this planner does not.
    await mall.database.execute(
        "UPDATE order_events SET data = jsonb_set(data, '{plan,chosen,door_s}', '99999')"
        " WHERE order_id = $1 AND type = 'offered'", int(order.removeprefix("ord_")),
    )  # fmt: skip
    [differs, _] = await mall.decisions(order)
    assert differs["replay"]["outcome"] == "different"
    [difference] = differs["replay"]["differences"]
    assert (difference["part"], difference["stored"]) == ("chosen.door_s", "99999")
    with pytest.raises(RuntimeError, match="ended with 3"):
        await mall.process.run("explain", order, "--replay")


async def test_decision_whose_step_is_gone_says_so(mall: ReplayableMall) -> None:
    zone = await mall.zone(preparation_s=0, mode="direct")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        await driver.event("order.assigned", order)
    await mall.stored(order, 1)
    assert [each["replay"]["outcome"] for each in await mall.decisions(order)] == ["same"]
    await mall.database.execute(
        "DELETE FROM plan_steps WHERE zone_id = $1", int(zone.id.removeprefix("zon_"))
    )
    assert [each["replay"]["outcome"] for each in await mall.decisions(order)] == ["not_stored"]


async def test_where_no_inputs_are_kept_offers_are_made_as_ever(short_tmp_path: Path) -> None:
    environ = {"MALL_WORK": "off", "MALL_SAMPLE": "off", "MALL_PLAN_STEPS_HOURS": "0"}
    async with open_server(short_tmp_path / "unkept", environ) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        mall = ReplayableMall(server, http, tokens)
        order = await declined_once(await mall.zone(preparation_s=0, mode="planned", planning=SETTINGS))
        assert {each["replay"]["outcome"] for each in await mall.decisions(order)} == {"not_stored"}
