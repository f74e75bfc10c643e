"""Figures of days when something changes later: what is computed again, and what is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from dispatch.reports.daily import DailyReports
from dispatch.reports.tasks import LOOP_S
from tests.integration.reports.world import STORES, TRACE, Placed, ReportWorld
from tests.support.clocks import Hands

AT = datetime(2026, 5, 4, 10, tzinfo=UTC)
DAY = "2026-05-04"


def _order(zone: int = 1, at: datetime = AT, **other: Any) -> Placed:
    return Placed(zone, ((STORES[zone][0], ((1, 500),)),), at, **other)


async def _refunded(world: ReportWorld) -> Any:
    return (await world.figures())[1, 0, DAY]["amounts"][0]["refunded_minor"]


async def test_refund_of_the_next_day_changes_the_day_of_the_order(world: ReportWorld) -> None:
    number = await world.place(_order(payment="card", ended=AT + timedelta(hours=1)))
    await world.compute()
    assert await _refunded(world) == 0
    await world.owner.execute(
        "UPDATE payments SET refunded_minor = 120, version = version + 1 WHERE order_id = $1", number
    )
    await world.compute()
    assert await _refunded(world) == 120


async def test_delivery_after_midnight_counts_on_the_day_of_the_order_and_its_cash_on_the_next(
    world: ReportWorld,
) -> None:
    late = datetime(2026, 5, 4, 21, 50, tzinfo=UTC)
    number = await world.place(_order(at=late, status="picked_up", driver=201, pay_minor=300))
    await world.compute()
    assert (await world.figures())[1, 0, DAY]["delivered"] == 0
    await world.owner.execute("UPDATE orders SET status = 'delivered', version = 2 WHERE id = $1", number)
    await world.owner.execute(
        "INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)"
        " VALUES ($1, 2, 'delivered', 'driver', 'drv_201', $2, $3)",
        number, TRACE, late + timedelta(minutes=20),
    )  # fmt: skip
    await world.tell(number, 2)
    await world.compute()
    figures = await world.figures()
    assert {place: row["delivered"] for place, row in figures.items()} == {(1, 0, DAY): 1, (1, 11, DAY): 1}
    assert await world.cash() == {(1, 201, "2026-05-05", "EUR"): (1, 300, 500)}


async def test_computing_a_day_again_changes_nothing(world: ReportWorld) -> None:
    await world.place(_order(ended=AT + timedelta(hours=1), driver=201))
    await world.compute()
    kept = await world.owner.fetch(
        "SELECT zone_id, store_id, day, orders, amounts FROM daily_figures ORDER BY 2"
    )
    cash = await world.cash()
    for _ in range(2):
        await world.owner.execute("SELECT refresh_day(1, $1)", date.fromisoformat(DAY))
    again = await world.owner.fetch(
        "SELECT zone_id, store_id, day, orders, amounts FROM daily_figures ORDER BY 2"
    )
    assert (again, await world.cash()) == (kept, cash)


async def test_rows_of_what_is_no_longer_true_go(world: ReportWorld) -> None:
    number = await world.place(_order(ended=AT + timedelta(hours=1), driver=201))
    await world.compute()
    await world.owner.execute("UPDATE orders SET driver_id = 202 WHERE id = $1", number)
    await world.owner.execute("UPDATE daily_figures SET store_id = 999 WHERE store_id = 11")
    await world.owner.execute("SELECT refresh_day(1, $1)", date.fromisoformat(DAY))
    assert {store for _, store, _ in await world.figures()} == {0, 11}
    assert {driver for _, driver, _, _ in await world.cash()} == {202}


async def test_only_days_with_news_are_marked_and_each_event_is_read_once(world: ReportWorld) -> None:
    await world.place(_order(status="confirmed"))
    await world.place(_order(2, at=AT - timedelta(days=3), ended=AT))
    await world.relay()
    assert await world.database.value("mark_report_days", 100) == 5
    marked = await world.owner.fetch("SELECT zone_id, day::text FROM report_days ORDER BY 1, 2")
    assert [tuple(row) for row in marked] == [(1, DAY), (2, "2026-05-01"), (2, DAY)]
    assert await world.database.value("mark_report_days", 100) == 0


async def test_marks_are_made_in_bites(world: ReportWorld) -> None:
    for _ in range(3):
        await world.place(_order(status="confirmed"))
    await world.relay()
    assert [await world.database.value("mark_report_days", 4) for _ in range(3)] == [4, 2, 0]


class _SlowClock(Hands):
    """Each look at it takes more than half the time of a loop."""

    def monotonic(self) -> float:
        self.now += 0.6 * LOOP_S
        return self.now


async def test_what_does_not_fit_into_a_job_is_done_by_the_next_the_newest_day_first(
    world: ReportWorld,
) -> None:
    for days in range(2):
        await world.place(_order(at=AT - timedelta(days=days), status="confirmed"))
    world.hands = _SlowClock()
    await world.compute()
    assert {day for _, _, day in await world.figures()} == {DAY}
    world.hands = Hands()
    await world.compute()
    assert {day for _, _, day in await world.figures()} == {DAY, "2026-05-03"}


async def test_lists_show_zones_or_the_stores_of_a_zone(world: ReportWorld) -> None:
    for zone in (1, 2):
        await world.place(_order(zone, status="confirmed"))
    await world.compute()
    daily = DailyReports(world.database)
    span = {"day_from": AT.date(), "day_to": AT.date()}

    async def shown(**filters: Any) -> list[tuple[int, int]]:
        rows = await daily.figures(span | filters, "day", None, 50)
        return [(row["zone_id"], row["store_id"]) for row in rows]

    assert sorted(await shown()) == [(1, 0), (2, 0)]
    assert sorted(await shown(zone_id=1)) == [(1, 0), (1, 11)]
    assert await shown(store_id=21) == [(2, 21)]
    assert await daily.figures({"day_from": date(2026, 5, 5)}, "day", None, 50) == []
