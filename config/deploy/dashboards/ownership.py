"""Ownership: shards, leases, hand-overs, and links between instances."""

from __future__ import annotations

from config.deploy.dashboards.panels import INSTANCES, Board, PanelQuery, Section, lines, stat
from config.deploy.dashboards.promql import at_rest, events, here, latest, per_second, quantile

_NOW = Section(
    "Now",
    (
        stat(
            1, "Shards served", "short",
            "Of 256 shards, those that an instance serves. Orders of the others stand still.",
            PanelQuery(latest("sum", 'mall_shards_owned{state="served"}'), "served"),
            alerts=("MallShardsWithoutOwner",), limited=True, low=True,
        ),
        stat(
            2, "Shards being handed over", "short",
            "Shards that are on their way from one instance to another. It takes moments.",
            PanelQuery(latest("sum", 'mall_shards_owned{state="handed_over"}'), "handed over"),
        ),
        stat(
            3, "Smallest margin of a lease", "s",
            "How long the leases of the worst instance are still good. Below 0 it stops serving.",
            PanelQuery(latest("min", "mall_lease_margin_seconds"), "margin"),
            alerts=("MallLeaseAtRisk",), limit=0, low=True,
        ),
        stat(
            4, "Links between instances", "short",
            "Open connections between instances. Each instance has one to every other.",
            PanelQuery(latest("sum", "mall_peer_lines"), "links"),
        ),
    ),
)  # fmt: skip
_SHARDS = Section(
    "Shards and leases",
    (
        lines(
            5, "Shards by instance", "short",
            "Shards that each instance serves. Equal parts are usual; an update moves all of them once.",
            PanelQuery(latest("sum", here('mall_shards_owned{state="served"}'), "instance"), "{{instance}}"),
            alerts=("MallShardsWithoutOwner",),
        ),
        lines(
            6, "Margin of leases", "s",
            "How long the leases of each instance are still good. It falls when Redis is slow or away, or when the "
            "loop is late.",
            PanelQuery(latest("min", here("mall_lease_margin_seconds"), "instance"), "{{instance}}"),
            alerts=("MallLeaseAtRisk",),
        ),
        lines(
            7, "Shards that change hands", "cps",
            "Shards claimed, given away in a hand-over, and lost to an instance that claimed them.",
            PanelQuery(per_second(here("mall_shards_taken_total")), "claimed"),
            PanelQuery(per_second(here("mall_shards_handed_over_total")), "handed over"),
            PanelQuery(per_second(here("mall_shards_lost_total")), "lost"),
        ),
        lines(
            8, "Time of a hand-over", "s",
            "Time in which a group of shards has no owner while it is handed over. Its commands wait.",
            PanelQuery(quantile(0.5, here("mall_handover_seconds"), window="10m"), "p50"),
            PanelQuery(quantile(0.99, here("mall_handover_seconds"), window="10m"), "p99"),
        ),
        lines(
            9, "Faults of leases and hand-overs", "short",
            "In ten minutes: renewals that failed or came too late, steps of the reconciler that failed, hand-overs "
            "that came to nothing, instances found dead by their link.",
            PanelQuery(events(here("mall_lease_gaps_total"), "10m"), "renewed too late"),
            PanelQuery(events(here("mall_lease_ticks_failed_total"), "10m"), "renewals failed"),
            PanelQuery(events(here("mall_looks_failed_total"), "10m"), "steps failed"),
            PanelQuery(events(here("mall_handovers_failed_total"), "10m"), "hand-overs failed"),
            PanelQuery(events(here("mall_peers_buried_total"), "10m"), "instances found dead"),
            alerts=("MallLeaseAtRisk",),
        ),
        lines(
            10, "Answers in doubt", "cps",
            "Answers from memory that waited until Postgres confirmed their epoch, and answers that were withheld "
            "because it had risen.",
            PanelQuery(per_second(here("mall_doubts_total")), "waited"),
            PanelQuery(per_second(here("mall_stale_answers_total")), "withheld"),
        ),
    ),
)  # fmt: skip
_LINKS = Section(
    "Messages between instances",
    (
        lines(
            11, "Messages", "mps",
            "Messages sent to the owner, taken in from others, sent on because the shard had moved, and repeated.",
            PanelQuery(per_second(here("mall_forwarded_total")), "sent"),
            PanelQuery(per_second(here("mall_served_total")), "taken in"),
            PanelQuery(per_second(here("mall_moved_total")), "sent on"),
            PanelQuery(per_second(here("mall_repeated_total")), "repeated"),
            width=6,
        ),
        lines(
            12, "Messages that wait", "short",
            "Messages without an answer yet, and messages for shards that nobody is known to serve.",
            PanelQuery(latest("sum", here("mall_peer_asks_in_flight")), "without an answer"),
            PanelQuery(latest("sum", here("mall_messages_waiting")), "without an owner"),
            alerts=("MallShardsWithoutOwner",), width=6,
        ),
        lines(
            13, "Faults of links", "short",
            "In ten minutes: links that ended, frames that could not be read, messages and frames that were dropped.",
            PanelQuery(events(here("mall_lines_lost_total"), "10m"), "links ended"),
            PanelQuery(events(here("mall_garbled_frames_total"), "10m"), "unreadable frames"),
            PanelQuery(events(here("mall_tells_dropped_total"), "10m"), "messages dropped"),
            PanelQuery(events(here("mall_emits_dropped_total"), "10m"), "frames dropped"),
            width=6,
        ),
        lines(
            14, "Steps of Postgres's clock", "short",
            "Times in the last hour that somebody has set the clock of Postgres. Timers follow it.",
            PanelQuery(at_rest(f"max(increase({here('mall_clock_steps_total')}[1h]))"), "steps"),
            width=6,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "ownership",
    "Ownership",
    "Which instance serves which shards, how safe its leases are, and what instances tell each other.",
    (_NOW, _SHARDS, _LINKS),
    (INSTANCES,),
    since="3h",
)
