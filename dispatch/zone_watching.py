"""Turns of a zone's actor for operators who look at it. While nobody does, there is nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.behaviour import Done
from actors.messages import Emit, Query, QueryAnswer
from dispatch import messages as m
from dispatch.domain.order import order_from
from dispatch.zone_live import LiveView
from dispatch.zone_state import ZoneState

# Tags of the reads: what is under way, and orders that were missing.
CARRIED, MISSING = "live", "live_missing"
# Orders that one query reads.
SLICE = 250


def turn(state: ZoneState, message: object, now_ms: int) -> Done:
    """Handle a message about who looks, or an answer for them."""
    match message:
        case m.WatchZone():
            return _watch(state, message, now_ms)
        case m.UnwatchZone(to=to):
            if state.live is not None:
                state.live.unwatch(to)
            return Done()
        case QueryAnswer(query=Query(tag="live"), result=rows):
            return _compare(state, rows)
        case QueryAnswer(query=Query(tag="live_missing"), result=rows):
            if state.live is not None:
                state.live.fill([order_from(row, ()) for row in rows])
            return Done()
        case _:
            raise AssertionError(message)


def _watch(state: ZoneState, message: m.WatchZone, now_ms: int) -> Done:
    """Somebody looks: begin the picture, or go on, and show the whole to who needs it."""
    begins = state.live is None
    live = state.live = state.live or LiveView(now_ms)
    live.watch(message, now_ms)
    if begins:
        return Done(queries=ask_again(state))
    return Done(emits=tuple(live.whole(state.id, state.scene, now_ms)))


def ask_again(state: ZoneState) -> tuple[Query, ...]:
    """Compare what is under way with the rows; nothing while nobody looks."""
    if state.live is None:
        return ()
    state.live.touched.clear()
    return (Query("zone_carried", (state.id,), tag=CARRIED),)


def _compare(state: ZoneState, rows: Sequence[Any]) -> Done:
    if state.live is None:
        return Done()
    wanted = state.live.compare({row[0]: row[1] for row in rows})
    slices = [wanted[at : at + SLICE] for at in range(0, len(wanted), SLICE)]
    return Done(queries=tuple(Query("load_orders", (each,), tag=MISSING) for each in slices))


def unanswered(state: ZoneState, query: Query) -> None:
    """A read failed: the picture ends, and who looks says so again."""
    if query.tag in (CARRIED, MISSING):
        state.live = None


def ticks(state: ZoneState, now_ms: int) -> tuple[Emit, ...]:
    """The ticks of this second. When nobody looks any more, the picture is forgotten."""
    live = state.live
    if live is None:
        return ()
    if not live.is_watched(now_ms):
        state.live = None
        return ()
    return tuple(live.tick(state.id, state.scene, now_ms))
