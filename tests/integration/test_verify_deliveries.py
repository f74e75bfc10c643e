"""The check of deliveries: which events an endpoint should have got, and how many rows it compares for that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest

from storage.postgres.audit import ID_MAX, ID_MIN, SETTINGS
from storage.postgres.queries import BLOCKS

STORES = 300
FOUNDATION = f"""
INSERT INTO users (id, email, email_key, role, name) VALUES (1, 'a@b.example', 'a@b.example', 'admin', 'A');
INSERT INTO zones (id, name) VALUES (1, 'North'), (2, 'South');
INSERT INTO stores (id, zone_id, name, lat, lon)
SELECT n, 1 + n % 2, 's' || n, 1, 1 FROM generate_series(1, {STORES}) n;
"""
EVENTS = """
INSERT INTO event_log (pos, type, topic, ref, version, order_id, zone_id, store_ids, body, trace, at)
SELECT n, CASE n % 2 WHEN 0 THEN 'order.created' ELSE 'order.delivered' END, 'order', n, 1, n, 1 + n % 2,
       CASE WHEN $2::bigint[] IS NULL THEN ARRAY[1 + n % 300] ELSE $2 END, '', 't', now()
  FROM generate_series(1, $1::bigint) n
"""


class DeliveryLog:
    """A log of events, endpoints, and what was sent to them."""

    def __init__(self, owner: Any, auditor: Any) -> None:
        self.owner = owner
        self.auditor = auditor

    async def events(self, count: int, stores: Sequence[int] | None = None) -> None:
        """Events 1, 2 and so on, of these stores, or of one store after the other."""
        await self.owner.execute(EVENTS, count, stores)
        await self.owner.execute("UPDATE event_log_end SET pos = $1", count)

    async def endpoint(self, number: int, reached: int, **values: Any) -> None:
        """An endpoint that is neither due nor claimed."""
        row = {"id": number, "owner_user_id": None if "owner_store_id" in values else 1, "url": "https://x.example/",
               "secrets": [b"x"], "secrets_from": [], "secrets_until": [], "reached": reached, **values}  # fmt: skip
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await self.owner.execute(
            f"INSERT INTO webhook_endpoints ({', '.join(row)}) VALUES ({places})", *row.values()
        )

    async def send(self, endpoint: int, *positions: int) -> None:
        """The endpoint has taken these events."""
        await self.owner.execute(
            "INSERT INTO webhook_attempts (endpoint_id, message, pos, status, took_ms)"
            " SELECT $1, 'evt_' || n, n, 204, 5 FROM unnest($2::bigint[]) n",
            endpoint,
            positions,
        )

    async def found(self) -> dict[str, str]:
        """What the check says."""
        rows = await self.auditor.fetch(BLOCKS["audit_deliveries"], ID_MIN, ID_MAX)
        return {row["key"]: row["why"] for row in rows}


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[DeliveryLog]:
    owner = await asyncpg.connect(database_url)
    auditor = await asyncpg.connect(database_url, server_settings=SETTINGS)
    await owner.execute(FOUNDATION)
    yield DeliveryLog(owner, auditor)
    await auditor.close()
    await owner.close()


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, 4),
        ({"owner_store_id": 2}, 4),
        ({"owner_store_id": 5}, 0),
        ({"store_ids": [2, 3]}, 4),
        ({"store_ids": [3, 4]}, 4),
        ({"store_ids": [5, 6]}, 0),
        ({"owner_store_id": 2, "store_ids": [3]}, 4),
        ({"owner_store_id": 2, "store_ids": [5]}, 0),
        ({"types": ["order.created"]}, 2),
        ({"types": ["order.created", "order.delivered"]}, 4),
        ({"types": ["stock.out"]}, 0),
        ({"zone_ids": [1]}, 2),
        ({"store_ids": [2, 3], "zone_ids": [2], "types": ["order.created"]}, 0),
    ],
    ids=str,
)
async def test_endpoint_must_have_got_what_passes_all_of_its_filters(
    log: DeliveryLog, filters: Mapping[str, Any], wanted: int
) -> None:
    await log.events(4, [2, 3])
    await log.endpoint(1, 4, **filters)
    said = await log.found()
    assert said.get("whk_1", "").startswith(f"has passed {wanted} events") == (wanted > 0)
    await log.send(1, 1, 2, 3, 4)
    assert await log.found() == {}


@pytest.mark.parametrize(
    ("filters", "missed"),
    [
        ({}, 2),
        ({"types": ["order.created"]}, 1),
        ({"types": ["order.created", "order.delivered"]}, 2),
        ({"types": ["stock.out"]}, 0),
        ({"due_at": "now"}, 0),
        ({"disabled_at": "now", "disabled_why": "gone"}, 0),
    ],
    ids=str,
)
async def test_endpoint_that_sleeps_must_have_been_woken_by_each_event_of_its_types(
    log: DeliveryLog, filters: Mapping[str, Any], missed: int
) -> None:
    await log.events(4, [2])
    now = await log.owner.fetchval("SELECT now()")
    values = {name: now if value == "now" else value for name, value in filters.items()}
    await log.endpoint(1, 2, gapless_from=2, store_ids=[7], **values)
    said = {"whk_1": f"was not woken by {missed} events, the first evt_{4 if missed == 1 else 3}"}
    assert await log.found() == (said if missed else {})


async def test_check_compares_no_endpoint_with_all_events(log: DeliveryLog) -> None:
    await log.events(1_000)
    for number in range(1, STORES + 1):
        await log.endpoint(number, 1_000, owner_store_id=number)
    plan = await log.auditor.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) " + BLOCKS["audit_deliveries"], ID_MIN, ID_MAX
    )
    [told] = json.loads(plan)
    assert 1_000 <= _rows_compared(told["Plan"]) < STORES * 1_000 / 20


def _rows_compared(node: Mapping[str, Any]) -> int:
    """Pairs of rows that joins have looked at: those that they gave, and those that they threw away."""
    compared = sum(_rows_compared(child) for child in node.get("Plans", ()))
    if "Join" in node["Node Type"] or node["Node Type"] == "Nested Loop":
        pairs = node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0)
        compared += round(pairs * node["Actual Loops"])
    return compared
