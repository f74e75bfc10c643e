"""Endpoints and the log of events, by the named queries of sql/webhooks.sql. Implements ports.WebhookStore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.clock import Clock
from dispatch.ports import Row
from dispatch.webhooks.ports import WebhookQueries
from dispatch.webhooks.values import (
    Attempt,
    Batch,
    Filters,
    LiveProgress,
    LoggedEvent,
    Replay,
    ReplayProgress,
    Settlement,
    Trouble,
    WebhookClaim,
)

# Positions that one read looks through: a filter that lets little pass must not make it long.
WINDOW = 5000
_FAR = 1 << 62


class QueryStore:
    """Endpoints and the log in Postgres. Times go there as ages, because two clocks are never compared.

    Args:
        name: of the process; no other one that runs has it.
        life: tells the process from former ones of its name.
    """

    def __init__(self, database: WebhookQueries, clock: Clock, *, name: str = "", life: str = "") -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._sender = f"{name}/{life}"

    async def begin(self) -> None:
        """See ports.WebhookStore."""
        await self._database.value("webhooks_end_former", self._name, self._sender)

    async def claim(self, count_max: int, failing_max: int, lease_s: float) -> Sequence[WebhookClaim]:
        """See ports.WebhookStore."""
        rows = await self._database.rows(
            "webhooks_claim", self._sender, count_max, failing_max, round(lease_s * 1000)
        )
        now = self._clock.monotonic()
        return [_claim_from(row, now) for row in rows]

    async def read(self, filters: Filters, after: int, upto: int | None, count_max: int) -> Batch:
        """See ports.WebhookStore."""
        last = _FAR if upto is None else upto
        rows = await self._database.rows(
            "webhook_events",
            after,
            last,
            list(filters.types),
            list(filters.zone_ids),
            list(filters.store_ids),
            filters.owner_store_id,
            WINDOW,
            count_max,
        )
        events = tuple(
            LoggedEvent(r["pos"], r["type"], r["body"], r["trace"]) for r in rows if r["pos"] is not None
        )
        log_begin, log_end = rows[0]["log_begin"], rows[0]["log_end"]
        full = len(events) == count_max
        seen = events[-1].pos if full else max(after, min(after + WINDOW, last, log_end))
        return Batch(events, seen, log_begin, log_end)

    async def settle(self, items: Sequence[Settlement], lease_s: float) -> frozenset[int]:
        """See ports.WebhookStore."""
        now = self._clock.monotonic()
        rows = [_settlement_row(item, now) for item in items]
        return frozenset(await self._database.value("webhooks_settle", rows, round(lease_s * 1000)))

    async def backlog(self) -> Row:
        """Numbers of endpoints and dead letters, and how far the endpoint that is farthest behind is."""
        row: Row = await self._database.row("webhooks_backlog")
        return row


def _since(age_ms: int | None, now: float) -> float | None:
    return None if age_ms is None else now - age_ms / 1000


def _age_ms(since: float | None, now: float) -> int | None:
    return None if since is None else max(0, round((now - since) * 1000))


def _claim_from(row: Mapping[str, Any], now: float) -> WebhookClaim:
    return WebhookClaim(
        row["id"],
        row["claim"],
        row["version"],
        row["wakes"],
        row["url"],
        tuple(row["secrets"]),
        Filters(tuple(row["types"]), tuple(row["zone_ids"]), tuple(row["store_ids"]), row["owner_store_id"]),
        row["on_refused"],
        row["reached"],
        Trouble(
            row["failures"], _since(row["failing_ms"], now), row["refusals"], _since(row["refused_ms"], now)
        ),
        row["live"],
        row["ping"],
        _replay_from(row["replay"], now),
        row["lease_ms"] / 1000,
    )


def _replay_from(found: Mapping[str, Any] | None, now: float) -> Replay | None:
    if found is None:
        return None
    trouble = Trouble(found["failures"], _since(found["failing_ms"], now))
    return Replay(found["id"], found["reached"], found["to_pos"], tuple(found["types"]), trouble)


def _settlement_row(item: Settlement, now: float) -> dict[str, Any]:
    return {
        "id": item.endpoint,
        "claim": item.claim,
        "step": item.step,
        "version": item.version,
        "wakes": item.wakes,
        "attempts": [_attempt_row(one, now) for one in item.attempts],
        "dead": [{"pos": one.pos, "status": one.status, "refusals": one.refusals} for one in item.dead],
        "live": _live_row(item.live, now),
        "replay": _replay_row(item.replay, now),
        "pinged": item.pinged,
        "release": None if item.release is None else {"due_ms": _ms(item.release.due_s)},
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _attempt_row(one: Attempt, now: float) -> dict[str, Any]:
    return {
        "message": one.message,
        "pos": one.pos,
        "replay_id": one.replay,
        "ago_ms": _age_ms(one.at, now),
        "status": one.answer.status,
        "error": one.answer.error,
        "took_ms": one.answer.took_ms,
    }


def _live_row(live: LiveProgress | None, now: float) -> dict[str, Any] | None:
    if live is None:
        return None
    return {
        "reached": live.reached,
        "failures": live.trouble.failures,
        "failing_ms": _age_ms(live.trouble.failing_since, now),
        "refusals": live.trouble.refusals,
        "refused_ms": _age_ms(live.trouble.refused_since, now),
        "disable": live.disable,
        "gap": live.gap,
    }


def _replay_row(replay: ReplayProgress | None, now: float) -> dict[str, Any] | None:
    if replay is None:
        return None
    return {
        "id": replay.id,
        "reached": replay.reached,
        "failures": replay.trouble.failures,
        "failing_ms": _age_ms(replay.trouble.failing_since, now),
        "due_ms": round(replay.due_s * 1000),
        "done": replay.done,
        "error": replay.error,
    }
