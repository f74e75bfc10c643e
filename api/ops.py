"""For operators: what the runtime counts, as Prometheus metrics and as a status page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from actors.cell import STATES
from actors.runtime import Runtime
from api.call import OFFICE, Office, json_response
from config import metrics

TOP = 20


def quantile(samples: Sequence[float], q: float) -> float:
    """The q-quantile of some samples; 0 without samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


class RuntimeCollector:
    """Reads the runtime's plain counters at each scrape."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics of the runtime, and of the pool."""
        runtime = self._office.dispatch.runtime
        g = runtime.gauges
        for state, value in self._office.database.sizes().items():
            metrics.POOL_CONNECTIONS.labels(state).set(value)
        yield _counters("mall_actor_turns", "Turns taken.", "kind", g.turns)
        yield _counters("mall_activations", "Actors brought into memory.", "reason", g.activations)
        yield _counters("mall_passivations", "Actors that left memory.", "reason", g.passivations)
        yield _counters("mall_actor_crashes", "Turns that failed.", "kind", g.crashes)
        yield _counters("mall_actor_refusals", "Messages refused by the runtime.", "reason", g.refusals)
        yield _counters("mall_flush_outcomes", "Items flushed, by result.", "result", g.outcomes)
        yield _counters("mall_settled", "Unanswered commits, by what they had done.", "result", g.settled)
        yield CounterMetricFamily("mall_flushes", "Batches flushed.", value=g.flushes)
        yield CounterMetricFamily("mall_command_replays", "Commands answered from the ring.", value=g.replays)
        yield CounterMetricFamily("mall_timers_fired", "Durable timers fired.", value=g.timers_fired)
        yield _summary("mall_flush_seconds", "One flush.", g.flush_s)
        yield _summary("mall_flush_items", "Items in a flush.", g.flush_items)
        yield _summary("mall_gate_wait_seconds", "From decision to commit.", g.gate_wait_s)
        yield _summary("mall_timer_lateness_seconds", "From due to fired.", g.timer_late_s)
        yield GaugeMetricFamily("mall_gate_pending", "Decisions that wait for a commit.", value=runtime.gated)
        yield GaugeMetricFamily("mall_timers_pending", "Near timers.", value=len(runtime.timers))
        yield GaugeMetricFamily("mall_shards_owned", "Shards owned.", value=len(runtime.shards.held()))
        yield GaugeMetricFamily(
            "mall_creations_waiting", "Orders being placed.", value=len(self._office.dispatch.creations)
        )
        yield GaugeMetricFamily("mall_slice_seconds_max", "Longest slice of turns.", value=g.slice_s_max)
        actors = GaugeMetricFamily("mall_actors_active", "Actors in memory.", labels=["kind"])
        for kind, number in _kinds(runtime).items():
            actors.add_metric([kind], number)
        yield actors


def _counters(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _summary(name: str, text: str, samples: Iterable[float]) -> Metric:
    found = list(samples)
    return SummaryMetricFamily(name, text, count_value=len(found), sum_value=sum(found))


def _kinds(runtime: Runtime) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for ownership in runtime.shards.owned:
        kinds.update(actor.kind for actor in (ownership.cells if ownership else ()))
    return kinds


async def metrics_page(request: web.Request) -> web.Response:
    """Prometheus's text format."""
    del request
    return web.Response(
        body=generate_latest(metrics.REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4"}
    )


async def status_page(request: web.Request) -> web.Response:
    """What an operator asks first at two in the morning."""
    return json_response(status(request.app[OFFICE]))


def status(office: Office) -> dict[str, Any]:
    """Shards, actors, mailboxes, gate, lanes, sessions, timers."""
    runtime = office.dispatch.runtime
    g = runtime.gauges
    cells = [c for o in runtime.shards.owned if o is not None for c in o.cells.values()]
    deepest = sorted(cells, key=lambda c: len(c.mailbox or ()), reverse=True)[:TOP]
    return {
        "instance": runtime.instance,
        "incarnation": runtime.incarnation,
        "draining": office.draining,
        "shards": {
            "owned": len(runtime.shards.held()),
            "epochs": {str(o.shard): o.epoch for o in runtime.shards.owned if o is not None},
        },
        "actors": {"kinds": dict(_kinds(runtime)), "states": dict(Counter(STATES[c.status] for c in cells))},
        "mailboxes": [
            {"actor": str(c.id), "waiting": len(c.mailbox or ()), "state": STATES[c.status]}
            for c in deepest
            if c.mailbox
        ],
        "gate": {"pending": runtime.gated, "wait_s_p99": quantile(g.gate_wait_s, 0.99)},
        "lanes": [
            {"lane": lane.index, "waiting": len(lane), "settling": lane.settling} for lane in runtime.lanes
        ],
        "flush": {
            "count": g.flushes,
            "items_mean": g.flushed_items / g.flushes if g.flushes else 0.0,
            "s_p50": quantile(g.flush_s, 0.5),
            "s_p99": quantile(g.flush_s, 0.99),
            "outcomes": dict(g.outcomes),
            "settled": dict(g.settled),
        },
        "timers": {"near": len(runtime.timers), "fired": g.timers_fired},
        "sessions": len(office.hub.sessions),
        "pool": office.database.sizes(),
        "loop_late_s": office.watchdog(),
    }
