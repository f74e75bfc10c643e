"""Figures of days in plain Python, as an independent word on what the functions compute."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.integration.reports.world import TIME_ZONES, Placed


def day_of(zone: int, at: datetime) -> str:
    """The day of a moment in the time zone of the zone."""
    return at.astimezone(ZoneInfo(TIME_ZONES[zone])).date().isoformat()


def _p90(values: Sequence[float]) -> float:
    """The 90th percentile, between two values by their distance."""
    ordered, at = sorted(values), 0.9 * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def _amounts(parts: Iterable[tuple[Placed, int, bool]]) -> list[dict[str, Any]]:
    """Sums by currency of orders, each with its revenue and whether refunds and pay are counted."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for order, revenue_minor, whole in parts:
        found = sums[order.currency]
        delivered = order.status == "delivered"
        found["revenue_minor"] += revenue_minor * delivered
        found["refunded_minor"] += order.refunded_minor * whole
        found["driver_pay_minor"] += (order.pay_minor or 0) * (delivered and whole)
    names = ("revenue_minor", "refunded_minor", "driver_pay_minor")
    return [{"currency": c, **{name: sums[c][name] for name in names}} for c in sorted(sums)]


def figures(orders: Iterable[Placed]) -> dict[tuple[int, int, str], Mapping[str, Any]]:
    """Figures by zone, store (0: all) and day."""
    grouped: dict[tuple[int, int, str], list[tuple[Placed, int, bool]]] = defaultdict(list)
    for order in orders:
        day, one = day_of(order.zone, order.created), len(order.baskets) == 1
        grouped[order.zone, 0, day].append((order, order.total_minor, True))
        for store, lines in order.baskets:
            revenue_minor = sum(quantity * price for quantity, price in lines)
            grouped[order.zone, store, day].append((order, revenue_minor, one))
    return {place: _figures_of(parts) for place, parts in grouped.items()}


def _figures_of(parts: Sequence[tuple[Placed, int, bool]]) -> Mapping[str, Any]:
    placed = [order for order, _, _ in parts]
    many = Counter(order.status for order in placed)
    took_s = [
        (order.ended - order.created).total_seconds()
        for order in placed
        if order.status == "delivered" and order.ended is not None
    ]
    return {
        "orders": len(placed),
        **{status: many[status] for status in ("delivered", "cancelled", "undeliverable")},
        "delivery_mean_s": sum(took_s) / len(took_s) if took_s else None,
        "delivery_p90_s": _p90(took_s) if took_s else None,
        "cancelled_by": dict(Counter(order.role for order in placed if order.status == "cancelled")),
        "amounts": _amounts(parts),
    }


def cash(orders: Iterable[Placed]) -> dict[tuple[int, int, str, str], tuple[int, int, int]]:
    """Deliveries, pay and cash by zone, driver, day of the delivery and currency."""
    found: dict[tuple[int, int, str, str], tuple[int, int, int]] = {}
    for order in orders:
        if order.status != "delivered" or order.driver is None or order.ended is None:
            continue
        place = (order.zone, order.driver, day_of(order.zone, order.ended), order.currency)
        many, pay_minor, cash_minor = found.get(place, (0, 0, 0))
        collected = order.total_minor if order.payment == "cash" else 0
        found[place] = (many + 1, pay_minor + (order.pay_minor or 0), cash_minor + collected)
    return found
