"""Gauges of zones: open orders and their age, online drivers. Read from the database, because actors come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from prometheus_client import Gauge

from api.work.observers import failed_work
from config import metrics
from dispatch.domain import ids, order
from dispatch.ports import Row
from dispatch.records import Records
from storage.errors import StorageError

EVERY_S = 10.0
# Bound of the labels: the zones with the most open orders. The others are summed up as `others`.
ZONES_MAX = 100
OTHERS = "others"
STATES = (order.AWAITING_PAYMENT, order.CONFIRMED, order.ASSIGNED, order.PICKED_UP)
Labels = tuple[str, str]


async def watch_zones(records: Records) -> None:
    """Read the gauges until cancelled."""
    while True:
        try:
            show_zones(await records.open_orders(), await records.online_drivers())
        except StorageError as error:
            failed_work(error)
        await asyncio.sleep(EVERY_S)


def show_zones(orders: Sequence[Row], drivers: Sequence[Row]) -> None:
    """Set the gauges from the rows. A zone that is in none of them has no series."""
    size = Counter({row["zone_id"]: 0 for row in drivers})
    for row in orders:
        size[row["zone_id"]] += row["many"]
    largest = sorted(size, key=lambda zone: (-size[zone], zone))[:ZONES_MAX]
    names = {zone: ids.public_id(ids.ZONE, zone) for zone in largest}
    many: dict[Labels, float] = {(name, state): 0 for name in names.values() for state in STATES}
    oldest = dict(many)
    online: dict[Labels, float] = {
        (name, state): 0 for name in names.values() for state in ("reachable", "unreachable")
    }
    for row in orders:
        labels = (names.get(row["zone_id"], OTHERS), row["status"])
        many[labels] = many.get(labels, 0) + row["many"]
        oldest[labels] = max(oldest.get(labels, 0), row["oldest_s"])
    for row in drivers:
        name = names.get(row["zone_id"], OTHERS)
        for state, count in (
            ("reachable", row["online"] - row["unreachable"]),
            ("unreachable", row["unreachable"]),
        ):
            online[name, state] = online.get((name, state), 0) + count
    _show(metrics.OPEN_ORDERS, many)
    _show(metrics.OPEN_ORDERS_OLDEST_SECONDS, oldest)
    _show(metrics.ONLINE_DRIVERS, online)


def _show(gauge: Gauge, values: Mapping[Labels, float]) -> None:
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
