"""Status of this instance: the first data that an operator needs in an incident.

It is also made for every peer that asks, and its count of actors by kind is scraped every few seconds. So the walk over
all actors yields to the loop: 65,000 of them had taken 20 ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter
from typing import Any

from actors.cell import FLUSHING, READY, STATES, Cell
from actors.runtime import Runtime
from actors.shards import SHARD_COUNT
from api.http.services import Services
from dispatch.compiled_planner import compiled_planner

# Rows of a table that a person still reads.
TOP = 20


def quantile(samples: Sequence[float], q: float) -> float:
    """The q-quantile of the samples; 0 without samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


async def residents(runtime: Runtime) -> Counter[str]:
    """Number of actors in memory by kind."""
    found: Counter[str] = Counter()
    async for cells in runtime.cells.in_turn():
        found.update([actor.kind for actor in cells])
    return found


@dataclass(slots=True)
class Census:
    """Counts of the actors in memory by kind, the busy ones, and the ones with the most turns."""

    kinds: Counter[str] = field(default_factory=Counter)
    busy: list[Cell] = field(default_factory=list)
    hottest: list[Cell] = field(default_factory=list)


async def census(runtime: Runtime) -> Census:
    """Count all actors in memory, in one walk."""
    found = Census()
    async for cells in runtime.cells.in_turn():
        found.kinds.update([actor.kind for actor in cells])
        found.busy += [cell for cell in cells.values() if cell.status != READY or cell.mailbox is not None]
        found.hottest = nlargest(TOP, [*found.hottest, *cells.values()], key=attrgetter("turns"))
    return found


async def status(services: Services) -> dict[str, Any]:
    """Shards, lease, actors, mailboxes, output gate, commit lanes, links, hand-overs, sessions, timers, as JSON."""
    runtime = services.dispatch.runtime
    g = runtime.counters
    seen = await census(runtime)
    # A cell that was busy when its shard was walked may be idle, or gone, by now.
    busy = [cell for cell in seen.busy if cell.status != READY or cell.mailbox is not None]
    return {
        "instance": runtime.instance,
        "incarnation": runtime.incarnation,
        "draining": services.draining,
        "member": _member(services),
        "lease": _lease(services),
        "shards": _shards(services),
        "actors": {"kinds": dict(seen.kinds), "states": _states(seen.kinds.total(), busy)},
        "hottest": [{"actor": str(cell.id), "turns": cell.turns} for cell in seen.hottest if cell.turns],
        "mailboxes": _deepest(busy),
        "gate": {
            "pending": runtime.gated,
            "oldest_s": _oldest_gated_s(busy, runtime.clock.monotonic()),
            "wait_s_p99": quantile(g.gate_wait_s.newest, 0.99),
        },
        "lanes": [
            {"lane": lane.index, "waiting": len(lane), "settling": lane.settling} for lane in runtime.lanes
        ],
        "flush": {
            "count": g.flushes,
            "items_mean": g.flushed_items / g.flushes if g.flushes else 0.0,
            "s_p50": quantile(g.flush_s.newest, 0.5),
            "s_p99": quantile(g.flush_s.newest, 0.99),
            "outcomes": dict(g.outcomes),
            "settled": dict(g.settled),
        },
        "handovers": _handovers(services),
        "forwarding": _forwarding(services),
        "doubts": {
            "waited": services.cluster.reconciler.counts["doubts"],
            "stale": g.stale_answers,
        },
        "timers": {"near": len(runtime.timers), "fired": g.timers_fired},
        "planner": "compiled" if compiled_planner() else "plain",
        "sessions": len(services.hub.sessions),
        "pool": services.database.sizes(),
        "loop_late_s": services.watchdog(),
    }


def _member(services: Services) -> dict[str, Any]:
    member = services.cluster.reconciler.member
    return {
        "state": member.state,
        "address": member.address,
        "version": member.version,
        "since_ms": member.since_ms,
    }


def _lease(services: Services) -> dict[str, Any]:
    """How long the leases of this instance are valid, and why they could not be renewed."""
    reconciler = services.cluster.reconciler
    return {
        "state": reconciler.lease_state.state,
        "margin_s": reconciler.lease_state.margin_s,
        "gaps": reconciler.lease_state.gaps,
        "ticks_failed": reconciler.counts["ticks_failed"],
        "trouble": str(getattr(reconciler.leases, "trouble", "")),  # the store in memory has no `trouble`
    }


def _shards(services: Services) -> dict[str, Any]:
    """Owned shards, and shards that are being handed over."""
    runtime, reconciler = services.dispatch.runtime, services.cluster.reconciler
    owned = runtime.cells.owned
    return {
        "owned": len(runtime.cells.held()),
        "epochs": {str(o.shard): o.epoch for o in owned if o is not None},
        "leaving": runtime.cells.leaving(),
        "arriving": [s for s in range(SHARD_COUNT) if owned[s] is None and reconciler.handover.moves(s)],
        "taken": reconciler.counts["shards_taken"],
        "lost": runtime.counters.lost_shards,
    }


def _states(count: int, busy: Sequence[Cell]) -> dict[str, int]:
    found = Counter(STATES[cell.status] for cell in busy)
    found[STATES[READY]] += count - len(busy)
    return dict(+found)


def _deepest(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    waiting = [cell for cell in cells if cell.mailbox]
    return [
        {"actor": str(cell.id), "waiting": len(cell.mailbox or ()), "state": STATES[cell.status]}
        for cell in nlargest(TOP, waiting, key=lambda cell: len(cell.mailbox or ()))
    ]


def _oldest_gated_s(cells: Sequence[Cell], now: float) -> float:
    """Age of the oldest decision that waits for its commit; 0 without any.

    A cell that waits for a commit takes no turn, so its last turn made the decision.
    """
    decided = [cell.used_at for cell in cells if cell.status == FLUSHING]
    return max(0.0, now - min(decided)) if decided else 0.0


def _handovers(services: Services) -> dict[str, Any]:
    """Shards given away, groups that could not be, shards under way, and the duration of a group."""
    runtime, reconciler = services.dispatch.runtime, services.cluster.reconciler
    return {
        "count": reconciler.counts["handovers"],
        "failed": reconciler.counts["handovers_failed"],
        "under_way": sum(map(reconciler.handover.moves, range(SHARD_COUNT))),
        "parked": sum(len(o.parked) for o in runtime.cells.owned if o is not None and o.parked),
        "s_p50": quantile(reconciler.handover.seconds.newest, 0.5),
        "s_p99": quantile(reconciler.handover.seconds.newest, 0.99),
        "buried": reconciler.counts["buried"],
    }


def _forwarding(services: Services) -> dict[str, int]:
    """Messages from and to other instances by outcome, messages under way, and messages without an owner."""
    cluster = services.cluster
    return {
        **cluster.peers.counts,
        "under_way": cluster.forwarding.under_way,
        "waiting": cluster.forwarding.waiting,
    }
