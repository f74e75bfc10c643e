"""Prometheus metrics made from the runtime's plain counters at each scrape, so that no turn calls a metric library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actors.counters import Samples
from api.http.services import Services
from dispatch.order_actor import GUARDS

KINDS = ("order", "driver", "zone")
# Counters of the links between instances, by their key in PeerLinks.counts.
_PEER_COUNTS = {
    "forwarded": ("mall_forwarded", "Asks sent to the instance that owns the actor."),
    "served": ("mall_served", "Asks of other instances that were taken in."),
    "moved": ("mall_moved", "Asks of other instances that were sent on: the shard is not here."),
    "repeated": ("mall_repeated", "Sendings that the edge repeated."),
    "lines_lost": ("mall_lines_lost", "Lines to peers that ended."),
    "garbled": ("mall_garbled_frames", "Frames of peers that could not be read."),
    "tells_dropped": ("mall_tells_dropped", "Messages without an asker that found no owner."),
    "emits_dropped": ("mall_emits_dropped", "Frames for sessions of a peer that could not be sent."),
}
# Counters of ownership, by their key in Reconciler.counts.
_KEEPER_COUNTS = {
    "ticks_failed": ("mall_lease_ticks_failed", "Lease renewals that failed."),
    "looks_failed": ("mall_looks_failed", "Steps of the keeper that failed and are repeated."),
    "shards_taken": ("mall_shards_taken", "Shards claimed: each raised an epoch."),
    "handovers": ("mall_shards_handed_over", "Shards given to another instance."),
    "handovers_failed": ("mall_handovers_failed", "Hand-overs of a group of shards that came to nothing."),
    "buried": ("mall_peers_buried", "Peers found dead by their line, and taken over from early."),
    "doubts": ("mall_doubts", "Answers from memory that waited for a check of their epoch."),
}


class RuntimeCollector:
    """Collector that reads the runtime's and the cluster's plain counters at each scrape."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics of the runtime, of the cluster, and of the connection pool."""
        yield from self._pool()
        yield from self._orders()
        yield from self._runtime()
        yield from self._lines()
        yield from self._ownership()

    def _pool(self) -> Iterable[Metric]:
        """Metrics of the connection pool."""
        database = self._services.database
        sizes = Counter(database.sizes())
        yield _gauges("mall_pool_connections", "Postgres pool.", "state", sizes)
        yield GaugeMetricFamily(
            "mall_pool_waiting", "Callers that wait for a connection.", value=database.waiting
        )
        yield CounterMetricFamily(
            "mall_pool_timeouts", "Callers that got no connection in time.", value=database.refused
        )
        yield _histogram("mall_pool_wait_seconds", "Wait for a connection.", database.waits_s)

    def _orders(self) -> Iterable[Metric]:
        """Metrics of orders. Each order is counted by its owner."""
        progress = self._services.dispatch.progress
        yield _counters("mall_orders", "Events of orders, after their commit.", "event", progress.events)
        stages = HistogramMetricFamily(
            "mall_order_stage_seconds", "From placing to the end of a stage.", labels=["stage"]
        )
        for stage, samples in progress.stages.items():
            stages.add_metric([stage], _buckets(samples), samples.total)
        yield stages
        yield _histogram(
            "mall_first_offer_seconds",
            "From when a driver could be asked for an order to its first offer, or to its place in a plan.",
            progress.first_offers,
        )
        yield _counters(
            "mall_promises",
            "Deliveries by whether they kept what was promised at placing.",
            "result",
            progress.promises,
        )
        yield _counters(
            "mall_offers_declined",
            "Offers that drivers have declined, by the reason that they gave.",
            "reason",
            progress.declines,
        )
        yield _counters(
            "mall_saved_distance_m",
            "Metres along the way that trips saved against each order alone, when they are delivered.",
            "zone",
            progress.saved_m,
        )
        yield _histogram(
            "mall_eta_error_ratio",
            "Error of the time expected at placing, as a share of the time that the delivery took.",
            progress.errors,
        )

    def _runtime(self) -> Iterable[Metric]:
        runtime = self._services.dispatch.runtime
        g = runtime.counters
        yield _counters("mall_actor_turns", "Turns taken.", "kind", g.turns, KINDS)
        yield _counters("mall_activations", "Actors brought into memory.", "reason", g.activations)
        yield _counters("mall_passivations", "Actors that left memory.", "reason", g.passivations)
        yield _counters("mall_actor_crashes", "Turns that failed.", "kind", g.crashes, KINDS)
        yield _counters("mall_actor_refusals", "Messages refused by the runtime.", "reason", g.refusals)
        yield _counters("mall_flush_outcomes", "Items flushed, by result.", "result", g.outcomes, GUARDS)
        yield _counters("mall_settled", "Unanswered commits, by what they had done.", "result", g.settled)
        yield CounterMetricFamily("mall_flushes", "Batches flushed.", value=g.flushes)
        yield CounterMetricFamily("mall_command_replays", "Commands answered from the ring.", value=g.replays)
        yield CounterMetricFamily("mall_timers_fired", "Durable timers fired.", value=g.timers_fired)
        yield CounterMetricFamily(
            "mall_clock_steps", "Times that somebody has set Postgres's clock.", value=g.clock_steps
        )
        yield _histogram("mall_flush_seconds", "One flush.", g.flush_s)
        yield _histogram("mall_flush_items", "Items in a flush.", g.flush_items)
        yield _histogram("mall_gate_wait_seconds", "From decision to commit.", g.gate_wait_s)
        yield _histogram("mall_timer_lateness_seconds", "From due to fired.", g.timer_late_s)
        yield GaugeMetricFamily("mall_gate_pending", "Decisions that wait for a commit.", value=runtime.gated)
        yield CounterMetricFamily(
            "mall_lock_waits",
            "Commits that a lane has waited for in vain: somebody holds a row.",
            value=g.lock_waits,
        )
        held = sum((lane.blocked.holders() for lane in runtime.lanes), Counter[str]())
        yield _gauges("mall_blocked_commits", "Commits set aside, by who holds their row.", "holder", held)
        locked = sum((lane.blocked.locked() for lane in runtime.lanes), Counter[str]())
        yield _gauges(
            "mall_locked_rows", "Rows that commits needed and somebody else holds, by who.", "holder", locked
        )
        yield GaugeMetricFamily("mall_timers_pending", "Near timers.", value=len(runtime.timers))
        yield GaugeMetricFamily(
            "mall_creations_waiting", "Orders being placed.", value=len(self._services.dispatch.creations)
        )
        yield GaugeMetricFamily("mall_slice_seconds_max", "Longest slice of turns.", value=g.slice_s_max)
        yield _gauges("mall_actors_active", "Actors in memory.", "kind", self._services.residents)

    def _lines(self) -> Iterable[Metric]:
        """Metrics of messages between instances."""
        cluster = self._services.cluster
        yield from _totals(_PEER_COUNTS, cluster.peers.counts)
        yield GaugeMetricFamily("mall_peer_lines", "Lines to peers.", value=len(cluster.peers.links))
        yield GaugeMetricFamily(
            "mall_peer_asks_in_flight",
            "Asks that other instances have not answered yet.",
            value=cluster.forwarding.under_way,
        )
        yield GaugeMetricFamily(
            "mall_messages_waiting",
            "Messages for shards that nobody is known to serve.",
            value=cluster.forwarding.waiting,
        )

    def _ownership(self) -> Iterable[Metric]:
        """Metrics of shards, leases and hand-overs."""
        runtime, reconciler = self._services.dispatch.runtime, self._services.cluster.reconciler
        leaving = len(runtime.cells.leaving())
        owned = Counter(served=len(runtime.cells.held()) - leaving, handed_over=leaving)
        yield _gauges("mall_shards_owned", "Shards owned, by state.", "state", owned)
        yield from _totals(_KEEPER_COUNTS, reconciler.counts)
        lost, stale = runtime.counters.lost_shards, runtime.counters.stale_answers
        yield CounterMetricFamily("mall_shards_lost", "Shards that somebody else had claimed.", value=lost)
        yield CounterMetricFamily("mall_stale_answers", "Answers withheld: the epoch had risen.", value=stale)
        yield CounterMetricFamily(
            "mall_lease_gaps",
            "Times that leases were renewed too late to be believed.",
            value=reconciler.lease_state.gaps,
        )
        yield GaugeMetricFamily(
            "mall_lease_margin_seconds",
            "How long the leases are still good; negative when they are not.",
            value=reconciler.lease_state.margin_s,
        )
        yield _histogram(
            "mall_handover_seconds", "Hand-over of a group of shards.", reconciler.handover.seconds
        )


def _counters(name: str, text: str, label: str, values: Counter[str], known: Iterable[str] = ()) -> Metric:
    """A counter with a label. Known values are exported from the start: a first event is an increase then."""
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted({**dict.fromkeys(known, 0), **values}.items()):
        family.add_metric([key], value)
    return family


def _gauges(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _totals(names: dict[str, tuple[str, str]], counts: Counter[str]) -> Iterable[Metric]:
    """One counter per name. A counter of 0 is exported, too: an alert needs a value to compare with."""
    for key, (name, text) in names.items():
        yield CounterMetricFamily(name, text, value=counts[key])


def _histogram(name: str, text: str, samples: Samples) -> Metric:
    return HistogramMetricFamily(name, text, buckets=_buckets(samples), sum_value=samples.total)


def _buckets(samples: Samples) -> list[tuple[str, float]]:
    """Upper bounds with the number of samples up to each."""
    bounds = [*(str(float(bound)) for bound in samples.bounds), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, accumulate(samples.buckets), strict=True)]
