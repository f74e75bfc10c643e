"""Figures of days over REST: who sees them, which days, as pages and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from tests.acceptance.raw_http import RunningServer, faults, refusal

PATHS = ("/api/v2/reports/daily", "/api/v2/reports/daily/cash")
FIRST = date(2026, 3, 1)
AS_CSV = [("Accept", "text/csv")]
AMOUNTS = [
    {"currency": "EUR", "revenue_minor": 900, "refunded_minor": 100, "driver_pay_minor": 350},
    {"currency": "USD", "revenue_minor": 50, "refunded_minor": 0, "driver_pay_minor": 0},
]
_FIGURES = """INSERT INTO daily_figures (zone_id, store_id, day, orders, delivered, cancelled, undeliverable,
    delivery_mean_s, delivery_p90_s, cancelled_by, amounts, alone_m, saved_m, saved_bound_m)
    VALUES ($1, $2, $3, 9, 5, 3, 1, 100.25, NULL, $4, $5, 9000.4, CASE $2::bigint WHEN 0 THEN 1200.4 END, 2000)"""
_CASH = """INSERT INTO daily_cash (zone_id, driver_id, day, currency, deliveries, pay_minor, cash_minor)
    VALUES ($1, $2, $3, 'EUR', 4, 1400, 2000)"""


@pytest.fixture
async def zone(server: RunningServer) -> AsyncIterator[int]:
    """A zone with figures of two stores and two drivers over 120 days; nothing of it is left."""
    number: int = await server.database.fetchval(
        "SELECT 900000 + coalesce(max(zone_id), 0) FROM daily_figures"
    )
    by, amounts = json.dumps({"customer": 1, "system": 1, "other": 1}), json.dumps(AMOUNTS)
    for at in range(120):
        day = FIRST + timedelta(days=at)
        for store in (0, 71, 72):
            await server.database.execute(_FIGURES, number, store, day, by, amounts)
        for driver in (31, 32):
            await server.database.execute(_CASH, number, driver, day)
    yield number
    for table in ("daily_figures", "daily_cash"):
        await server.database.execute(f"DELETE FROM {table} WHERE zone_id = $1", number)


async def _walk(server: RunningServer, path: str) -> list[dict[str, Any]]:
    """All rows of all pages."""
    rows: list[dict[str, Any]] = []
    following = ""
    while True:
        page = (await server.send("GET", f"{path}&limit=50{following}", role="admin")).json
        rows += page["items"]
        if page["next"] is None:
            return rows
        following = f"&cursor={page['next']}"


async def test_zone_is_shown_by_day_with_its_stores(server: RunningServer, zone: int) -> None:
    span = f"from={FIRST}&to={FIRST + timedelta(days=91)}"
    rows = await _walk(server, f"{PATHS[0]}?{span}&zone_id=zon_{zone}")
    assert len(rows) == 92 * 3
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    assert {row["store_id"] for row in rows} == {None, "sto_71", "sto_72"}
    shown = rows[0]
    assert shown | {"updated_at": ""} == {
        "day": "2026-03-01", "zone_id": f"zon_{zone}", "store_id": None, "orders": 9, "delivered": 5, "cancelled": 3,
        "undeliverable": 1, "delivery_mean_s": 100.2, "delivery_p90_s": None,
        "cancelled_by": {"customer": 1, "admin": 0, "system": 2}, "amounts": AMOUNTS, "distance_alone_m": 9000,
        "distance_saved_m": 1200, "distance_saved_bound_m": 2000, "updated_at": "",
    }  # fmt: skip


async def test_store_is_shown_alone_and_zones_without_stores(server: RunningServer, zone: int) -> None:
    day = f"?from={FIRST}&to={FIRST}"
    rows = await _walk(server, f"{PATHS[0]}{day}&store_id=sto_72")
    assert [(row["zone_id"], row["store_id"]) for row in rows] == [(f"zon_{zone}", "sto_72")]
    assert [row["store_id"] for row in await _walk(server, f"{PATHS[0]}{day}")] == [None]


async def test_cash_is_shown_by_driver(server: RunningServer, zone: int) -> None:
    path = f"{PATHS[1]}?from={FIRST}&to={FIRST}&zone_id=zon_{zone}"
    assert {row["driver_id"] for row in await _walk(server, path)} == {"drv_31", "drv_32"}
    [row] = await _walk(server, f"{path}&driver_id=drv_32")
    assert (row["deliveries"], row["pay"], row["cash"]) == (
        4, {"amount_minor": 1400, "currency": "EUR"}, {"amount_minor": 2000, "currency": "EUR"},
    )  # fmt: skip


async def test_table_has_all_rows_and_a_line_for_each_currency(server: RunningServer, zone: int) -> None:
    path = f"{PATHS[0]}?from={FIRST}&to={FIRST + timedelta(days=91)}&zone_id=zon_{zone}&limit=1"
    answer = await server.send("GET", path, AS_CSV, role="admin")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert "Accept" in answer.headers["vary"]
    lines = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert len(lines) == 92 * 3 * 2
    assert sum(int(line["orders"] or 0) for line in lines) == 92 * 3 * 9, "counts stand once"
    assert sum(int(line["distance_saved_m"] or 0) for line in lines) == 92 * 1200
    assert sum(int(line["revenue_minor"]) for line in lines) == 92 * 3 * 950
    assert [lines[1][name] for name in ("day", "store_id", "orders", "currency")] == [
        "2026-03-01",
        "",
        "",
        "USD",
    ]
    answer = await server.send("GET", f"{PATHS[1]}?from={FIRST}&to={FIRST}", AS_CSV, role="admin")
    names = "day,zone_id,driver_id,currency,deliveries,pay_minor,cash_minor"
    assert answer.body.decode().splitlines()[:2] == [names, f"2026-03-01,zon_{zone},drv_31,EUR,4,1400,2000"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-02-30", "from"),
        ("from=1795967293", "from"),
        ("to=2026-3-1", "to"),
        ("to=20260301", "to"),
        ("to=2026-03-01T00:00:00Z", "to"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=2026-01-01&to=2026-04-03", "to"),
        ("from=0001-01-01", "to"),
        ("to=0001-01-01&from=0001-01-02", "from"),
        ("zone_id=1", "zone_id"),
        ("day_from=2026-03-01", "day_from"),
    ],
)
async def test_days_that_cannot_be_are_refused_by_name(
    server: RunningServer, path: str, query: str, field: str
) -> None:
    for headers in ([], AS_CSV):
        answer = await server.send("GET", f"{path}?{query}", headers, role="admin")
        assert faults(refusal(answer, 422, "invalid")) == {("query", field)}


@pytest.mark.parametrize("path", PATHS)
async def test_ninety_two_days_and_none_are_taken(server: RunningServer, path: str) -> None:
    for query in ("", "?to=0001-01-01", "?from=2026-01-01&to=2026-04-02", "?from=9999-12-31"):
        answer = await server.send("GET", path + query, role="admin")
        assert (answer.status, answer.json["items"]) == (200, [])


@pytest.mark.parametrize("path", PATHS)
async def test_only_admins_see_figures(server: RunningServer, path: str) -> None:
    for role in ("customer", "driver"):
        for headers in ([], AS_CSV):
            assert (await server.send("GET", path, headers, role=role)).status == 403
    assert (await server.send("GET", path)).status == 401


async def test_limits_of_stock_and_waiting_are_shown_in_version_2_alone(server: RunningServer) -> None:
    zone = (await server.write("zones.create", b'{"name": "Z"}')).json
    assert zone["unassigned_after_s"] == 300
    made = await server.send("GET", f"/api/v1/zones/{zone['id'].removeprefix('zon_')}", role="admin")
    assert "unassigned_after_s" not in made.json
    body = b'{"name": "Z", "unassigned_after_s": 9}'
    headers = [("Content-Type", "application/json")]
    refused = await server.send("POST", "/api/v1/zones", headers, body, role="admin")
    assert (refused.status, refused.json["details"][0]["field"]) == (422, "unassigned_after_s")
