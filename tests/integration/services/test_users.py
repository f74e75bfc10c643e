"""Users as administrators change them: account and driver together or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.errors import NotProcessed, OutcomeUnknown, Unavailable
from dispatch.errors import EmailTaken, LastAdmin, NoSuchUser, StillCarrying, UnknownZone, UserBusy
from dispatch.ports import Row
from tests.integration.services.world import HASH, ZONE, World


async def _change(world: World, seen: Row, tags: list[str] | None = None, **changes: Any) -> Row | None:
    return await world.users.change(world.caller, await world.users.user(seen["id"]), tags, changes)


async def _stored(world: World, user: Row) -> Any:
    return await world.owner.fetchrow("SELECT * FROM users WHERE id = $1", user["id"])


# -- creation ---------------------------------------------------------------------------------------------


async def test_driver_is_created_with_its_account_or_not_at_all(world: World) -> None:
    made = await world.users.create("d@mall.example", HASH, "driver", "D", zone_id=ZONE, capacity=3)
    assert (made["zone_id"], made["capacity"]) == (ZONE, 3)
    with pytest.raises(UnknownZone):
        await world.users.create("e@mall.example", HASH, "driver", "E", zone_id=77)
    assert await world.accounts.by_address("e@mall.example") is None
    with pytest.raises(EmailTaken):
        await world.users.create("D@mall.example", HASH, "customer", "D")


# -- changes ----------------------------------------------------------------------------------------------


async def test_other_address_or_role_ends_the_sessions_another_name_does_not(world: World) -> None:
    user = await world.customer()
    session = await world.session(user)
    await _change(world, user, name="Renamed", email=user["email"])
    assert await world.open_sessions(user) == {session}
    await _change(world, user, role="admin")
    assert await world.open_sessions(user) == set()
    assert world.tokens.sessions == [session]


async def test_write_of_another_version_changes_nothing(world: World) -> None:
    user = await world.driver()
    assert await _change(world, user, ["7"], name="Lost") is None
    assert await world.users.delete(world.caller, await world.users.user(user["id"]), ["7"]) is None
    assert (await _stored(world, user))["name"] == "Driver"
    assert "ban" not in world.actors.verbs
    changed = await _change(world, user, ["1"], name="Won")
    assert changed is not None
    assert (changed["name"], changed["version"]) == ("Won", 2)


async def test_user_of_another_role_than_was_seen_is_not_changed(world: World) -> None:
    user = await world.customer()
    seen = await world.users.user(user["id"])
    await world.owner.execute("UPDATE users SET role = 'admin' WHERE id = $1", user["id"])
    with pytest.raises(NotProcessed):
        await world.users.change(world.caller, seen, None, {"name": "Lost"})
    assert (await _stored(world, user))["name"] == "Customer"


async def test_customer_becomes_a_driver_and_then_moves_by_its_actor(world: World) -> None:
    user = await world.customer()
    changed = await _change(world, user, role="driver", zone_id=ZONE)
    assert changed is not None
    assert (changed["zone_id"], changed["capacity"]) == (ZONE, 1)
    assert world.actors.asked == [], "there was no driver to ask"
    await _change(world, user, zone_id=2)
    assert world.actors.verbs == ["wake", "set 2 None"]


async def test_address_of_another_account_is_refused(world: World) -> None:
    user, other = await world.customer(), await world.customer()
    with pytest.raises(EmailTaken):
        await _change(world, user, email=other["email"].upper())


async def test_last_administrator_stays_one(world: World) -> None:
    admin = await world.users.create("last@mall.example", HASH, "admin", "L")
    await world.owner.execute(
        "UPDATE users SET role = 'customer' WHERE role = 'admin' AND id <> $1", admin["id"]
    )
    demotions: tuple[dict[str, Any], ...] = ({"status": "banned"}, {"role": "customer"})
    for changes in demotions:
        with pytest.raises(LastAdmin):
            await _change(world, admin, **changes)
    with pytest.raises(LastAdmin):
        await world.users.delete(world.caller, await world.users.user(admin["id"]), None)
    assert (await _stored(world, admin))["status"] == "active"
    assert world.tokens.users == []


# -- bans -------------------------------------------------------------------------------------------------


async def test_ban_takes_the_driver_offline_before_and_after_the_account_is_closed(world: World) -> None:
    user, seen = await world.driver(), []
    session = await world.session(user)

    async def look(number: int) -> None:
        seen.append((await _stored(world, user))["status"])

    world.actors.then = look
    await _change(world, user, status="banned")
    assert seen == ["active", "banned"]
    keys = [key for verb, _, key in world.actors.asked if verb == "ban"]
    assert len(set(keys)) == 2, "the same key would get the first answer again"
    assert (world.tokens.sessions, world.tokens.users) == ([session], [user["id"]])


async def test_nothing_is_changed_when_the_driver_cannot_be_taken_offline(world: World) -> None:
    user = await world.driver()
    session = await world.session(user)
    world.actors.failures = [Unavailable("away")]
    with pytest.raises(NotProcessed):
        await _change(world, user, status="banned")
    assert (await _stored(world, user))["status"] == "active"
    assert await world.open_sessions(user) == {session}
    assert (world.tokens.sessions, world.tokens.users) == ([], [])


async def test_ban_that_is_half_done_is_not_said_to_have_had_no_effect(world: World) -> None:
    user = await world.driver()
    world.actors.failures = [None, Unavailable("away")]
    with pytest.raises(OutcomeUnknown):
        await _change(world, user, status="banned")
    assert (await _stored(world, user))["status"] == "banned"
    assert world.tokens.users == [user["id"]]


async def test_drivers_are_changed_one_at_a_time_so_that_their_actors_find_a_connection(world: World) -> None:
    users = [await world.driver() for _ in range(6)]
    inside, most = 0, 0

    async def count(number: int) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await world.database.rows("ping")  # the actor's own connection
        inside -= 1

    world.actors.then = count
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for user in users:
            tasks.create_task(_change(world, user, role="customer"))
    assert most == 1
    assert await world.owner.fetchval("SELECT count(*) FROM users WHERE role = 'driver'") == 0


# -- drivers with orders, and deletion --------------------------------------------------------------------


async def test_driver_who_carries_an_order_stays_one(world: World) -> None:
    driver, customer = await world.driver(), await world.customer()
    await world.give_order(customer, driver)
    with pytest.raises(StillCarrying):
        await _change(world, driver, role="customer")
    assert (await _stored(world, driver))["role"] == "driver"
    for user in (driver, customer):
        with pytest.raises(UserBusy):
            await world.users.delete(world.caller, await world.users.user(user["id"]), None)
        assert (await _stored(world, user))["status"] == "active"


async def test_deleted_user_cannot_be_found_and_its_driver_is_offline(world: World) -> None:
    user = await world.driver()
    session = await world.session(user)
    assert await world.users.delete(world.caller, await world.users.user(user["id"]), None) is not None
    assert world.actors.verbs == ["wake", "ban"]
    assert world.tokens.sessions == [session]
    with pytest.raises(NoSuchUser):
        await world.users.user(user["id"])
    listed = await world.users.page({}, "id", None, 10)
    assert user["id"] not in {row["id"] for row in listed}
