"""Share links: made, found by their secret alone, bounded for each order, ended with it."""

from __future__ import annotations

import asyncio

import pytest

from actors.clock import SystemRandomness
from dispatch.order_shares import OUTLIVES_S, SHARES_MAX, OrderShares
from tests.integration.services.world import World


@pytest.fixture
def shares(world: World) -> OrderShares:
    return OrderShares(world.database, SystemRandomness())


async def new_order(world: World) -> int:
    """An open order of a new customer."""
    await world.give_order(await world.customer(), None)
    number: int = await world.owner.fetchval("SELECT max(id) FROM orders")
    return number


async def happen(world: World, order: int, event: str, ago_s: float) -> None:
    """Write an entry of the order's history."""
    await world.owner.execute(
        "INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)"
        " SELECT $1, count(*) + 1, $2, 'driver', 'drv_1', '', now() - make_interval(secs => $3)"
        " FROM order_events WHERE order_id = $1",
        order,
        event,
        ago_s,
    )


async def made(shares: OrderShares, order: int) -> str:
    """The secret of a new link."""
    secret = await shares.add(order)
    assert secret is not None
    return secret


async def test_secret_leads_to_its_order_and_no_other_does(world: World, shares: OrderShares) -> None:
    order = await new_order(world)
    secret = await made(shares, order)
    found = await shares.find(secret)
    assert found is not None
    assert found.order_id == order
    for wrong in ("A" * 22, secret[:-1], secret + "A", secret.swapcase(), "", "é" * 22):
        assert await shares.find(wrong) is None, wrong


async def test_database_keeps_no_secret(world: World, shares: OrderShares) -> None:
    secret = await made(shares, await new_order(world))
    [row] = await world.owner.fetch("SELECT s::text AS text, digest FROM order_shares s")
    assert secret not in row["text"]
    assert secret.encode() not in row["digest"]
    assert len(row["digest"]) == 32


async def test_order_has_a_few_links_at_most_also_when_many_are_made_at_once(
    world: World, shares: OrderShares
) -> None:
    order = await new_order(world)
    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(shares.add(order)) for _ in range(3 * SHARES_MAX)]
    secrets = {task.result() for task in tries} - {None}
    assert len(secrets) == SHARES_MAX
    assert await shares.add(await new_order(world)) is not None


async def test_revoked_links_lead_nowhere_and_make_room(world: World, shares: OrderShares) -> None:
    order, other = await new_order(world), await new_order(world)
    secrets = [await made(shares, order) for _ in range(SHARES_MAX)]
    kept = await made(shares, other)
    await shares.revoke(order)
    assert [await shares.find(secret) for secret in secrets] == [None] * SHARES_MAX
    assert await shares.find(kept) is not None
    assert await shares.add(order) is not None


@pytest.mark.parametrize("end", ["delivered", "cancelled", "failed", "returned"])
async def test_link_outlives_its_order_by_a_while_and_not_longer(
    world: World, shares: OrderShares, end: str
) -> None:
    recent, past = await new_order(world), await new_order(world)
    secrets = [await made(shares, recent), await made(shares, past)]
    await happen(world, recent, end, OUTLIVES_S - 60)
    await happen(world, past, end, OUTLIVES_S + 60)
    # A change of later does not lengthen its life.
    await happen(world, past, "payment_refunded", 1)
    found = await shares.find(secrets[0])
    assert found is not None
    assert end in found.times
    assert await shares.find(secrets[1]) is None


async def test_times_are_of_the_last_driver(world: World, shares: OrderShares) -> None:
    order = await new_order(world)
    for event, ago_s in (("assigned", 300), ("released", 200), ("assigned", 100), ("offered", 10)):
        await happen(world, order, event, ago_s)
    found = await shares.find(await made(shares, order))
    assert found is not None
    assert set(found.times) == {"assigned"}
    now_ms = await world.owner.fetchval("SELECT extract(epoch FROM now()) * 1000")
    assert 90_000 < now_ms - found.times["assigned"] < 190_000


@pytest.mark.parametrize("status", ["banned", "deleted"])
async def test_links_of_a_closed_account_lead_nowhere(world: World, shares: OrderShares, status: str) -> None:
    order = await new_order(world)
    secret = await made(shares, order)
    await world.owner.execute(
        "UPDATE users SET status = $2 WHERE id = (SELECT customer_id FROM orders WHERE id = $1)",
        order,
        status,
    )
    assert await shares.find(secret) is None


async def test_links_of_orders_that_ended_long_ago_are_deleted(world: World, shares: OrderShares) -> None:
    old, fresh, open_one = [await new_order(world) for _ in range(3)]
    for order in (old, fresh, open_one):
        await made(shares, order)
    await world.owner.execute("UPDATE order_shares SET created_at = now() - interval '1 day'")
    await world.owner.execute(
        "UPDATE orders SET status = 'delivered', updated_at = now() - interval '13 hours' WHERE id = $1", old
    )
    await world.owner.execute("UPDATE orders SET status = 'delivered' WHERE id = $1", fresh)
    await world.database.rows("trim_expired", 7, 100)
    rows = await world.owner.fetch("SELECT order_id FROM order_shares ORDER BY order_id")
    assert [row["order_id"] for row in rows] == [fresh, open_one]
