"""Status of the whole cluster, from the view of one instance.

All peers are queried at the same time over the open links. A peer that does not answer in time is shown as silent, with
the reason and its last known state. A missing or malformed answer never fails the whole. The answers are not of one
instant: a shard that is handed over between two of them may be claimed twice (the higher epoch counts, as it does in
the journal) or by none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from heapq import nlargest
from typing import Any, Protocol

from actors.cluster.leases import Member
from actors.cluster.transport import LinkLost
from actors.shards import SHARD_COUNT
from actors.values import frozen
from api.http.services import Services
from api.ops.instance_status import TOP

# Wait for an instance that is frozen or unreachable.
ASK_S = 1.0
# States of a shard.
SERVED, HANDED_OVER, UNKNOWN, NOBODY = "served", "handed_over", "unknown", "nobody"
STATES = (SERVED, HANDED_OVER, UNKNOWN, NOBODY)


class PeerCalls(Protocol):
    """Interface to the peers of an instance; implemented by actors.cluster.peer_links.PeerLinks."""

    async def call(self, incarnation: str, name: str, value: Any, wait_s: float) -> Any: ...


@frozen
class Silent:
    """A peer without an answer, and the reason."""

    reason: str


@frozen
class ClusterView:
    """The cluster as the queried instance knows it.

    Attributes:
        me: own incarnation.
        members: all members as of the last ticks; by incarnation.
        holders: incarnation with the lease of each shard, "" for none; by number of shard.
        owners, epochs: last known owner of each shard, and its newest known epoch.
        tick_age_s: age of the tick that has returned the holders; None before the first.
    """

    me: str
    members: Mapping[str, Member]
    holders: Sequence[str]
    owners: Sequence[str]
    epochs: Sequence[int]
    tick_age_s: float | None


@frozen
class InstanceReport:
    """The parts of one instance's status that the cluster's status uses."""

    member: Member
    epochs: Mapping[int, int]
    leaving: frozenset[int]
    arriving: frozenset[int]
    lease: Mapping[str, Any]
    gate: Mapping[str, Any]
    handovers: Mapping[str, Any]
    forwarding: Counter[str]
    doubts: Counter[str]
    lost: int
    sessions: int
    actors: int
    hottest: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    mailboxes: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def read_report(incarnation: str, status: Any) -> InstanceReport:
    """Read the status of an instance. Another version may omit members.

    Raises:
        ArithmeticError, AttributeError, KeyError, TypeError, ValueError: it is not a status.
    """
    shards, member = status["shards"], status.get("member", {})
    text = {name: str(member.get(name, "")) for name in ("address", "state", "version")}
    return InstanceReport(
        member=Member(
            str(status["instance"]),
            incarnation,
            text["address"],
            text["state"],
            text["version"],
            int(member.get("since_ms", 0)),
        ),
        epochs={int(shard): int(epoch) for shard, epoch in shards["epochs"].items()},
        leaving=frozenset(map(int, shards.get("leaving", ()))),
        arriving=frozenset(map(int, shards.get("arriving", ()))),
        lease=_numbers(status.get("lease", {}), "margin_s", "ticks_failed")
        | {"state": str(status.get("lease", {}).get("state", ""))},
        gate=_numbers(status.get("gate", {}), "pending", "oldest_s"),
        handovers=_numbers(
            status.get("handovers", {}), "count", "failed", "under_way", "buried", "s_p50", "s_p99"
        ),
        forwarding=_counts(status.get("forwarding", {})),
        doubts=_counts(status.get("doubts", {})),
        lost=int(shards.get("lost", 0)),
        sessions=int(status.get("sessions", 0)),
        actors=_counts(status.get("actors", {}).get("kinds", {})).total(),
        hottest=[_ranked(row, "turns") for row in status.get("hottest", ())],
        mailboxes=[_ranked(row, "waiting") for row in status.get("mailboxes", ())],
    )


def _numbers(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: round(found.get(name, 0), 4) for name in names}


def _counts(found: Mapping[str, Any]) -> Counter[str]:
    return Counter({str(name): int(number) for name, number in found.items()})


def _ranked(row: Mapping[str, Any], by: str) -> dict[str, Any]:
    return {"actor": str(row["actor"]), by: int(row[by])}


# -- queries --------------------------------------------------------------------------------------


async def cluster_status(services: Services, own: Mapping[str, Any]) -> dict[str, Any]:
    """Query all peers, and merge their answers with the own status."""
    view = _view(services)
    began = services.clock.monotonic()
    others = [incarnation for incarnation in view.members if incarnation != view.me]
    answers = await ask_all(services.cluster.peers, others)
    merged = merge(view, {view.me: own, **answers})
    return {"asked": own["instance"], "took_s": round(services.clock.monotonic() - began, 4), **merged}


def _view(services: Services) -> ClusterView:
    reconciler, routing_table = services.cluster.reconciler, services.cluster.routing_table
    tick = reconciler.tick
    members = {m.incarnation: m for m in reconciler.membership.members} | {
        reconciler.member.incarnation: reconciler.member
    }
    return ClusterView(
        me=reconciler.member.incarnation,
        members=members,
        holders=("",) * SHARD_COUNT if tick is None else tick.holders,
        owners=[routing_table.owner(shard) for shard in range(SHARD_COUNT)],
        epochs=[routing_table.epoch(shard) for shard in range(SHARD_COUNT)],
        tick_age_s=None if tick is None else round(services.clock.boot() - tick.sent_at, 3),
    )


async def ask_all(peers: PeerCalls, incarnations: Iterable[str], wait_s: float = ASK_S) -> dict[str, Any]:
    """The status of each of these instances, or Silent, after `wait_s` at the latest."""
    async with asyncio.TaskGroup() as tasks:
        asked = {i: tasks.create_task(_ask(peers, i, wait_s), name=f"status of {i}") for i in incarnations}
    return {incarnation: task.result() for incarnation, task in asked.items()}


async def _ask(peers: PeerCalls, incarnation: str, wait_s: float) -> Any:
    try:
        return await peers.call(incarnation, "status", None, wait_s)
    except TimeoutError:
        return Silent(f"no answer within {wait_s:g} s")
    except LinkLost as error:
        return Silent(str(error))


# -- merging --------------------------------------------------------------------------------------


def merge(view: ClusterView, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the answers (a status, or Silent, by incarnation) into one status of the cluster."""
    reports: dict[str, InstanceReport] = {}
    silent: dict[str, str] = {}
    for incarnation, answer in answers.items():
        if isinstance(answer, Silent):
            silent[incarnation] = answer.reason
            continue
        try:
            reports[incarnation] = read_report(incarnation, answer)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            silent[incarnation] = "its answer cannot be read"
    shards = [_shard(view, shard, reports, silent) for shard in range(SHARD_COUNT)]
    states = Counter(str(shard["state"]) for shard in shards)
    return {
        "answered": len(reports),
        "silent": len(silent),
        "members": _members(view, reports, silent, shards),
        "shards": {
            **{state: states[state] for state in STATES},
            "tick_age_s": view.tick_age_s,
            "map": shards,
        },
        **_totals(view, reports),
    }


def _shard(
    view: ClusterView, shard: int, reports: Mapping[str, InstanceReport], silent: Mapping[str, str]
) -> dict[str, Any]:
    """One shard's owner by the members' own reports. Unreachable members keep their last known shards."""
    claims = sorted((r.epochs[shard], i) for i, r in reports.items() if shard in r.epochs)
    owner, epoch, state = "", view.epochs[shard], NOBODY
    if claims:
        epoch, owner = claims[-1]
        state = HANDED_OVER if shard in reports[owner].leaving else SERVED
    elif taker := next((i for i, report in reports.items() if shard in report.arriving), ""):
        owner, state = taker, HANDED_OVER
    elif view.owners[shard] in silent:
        owner, state = view.owners[shard], UNKNOWN
    found: dict[str, Any] = {
        "shard": shard,
        "owner": _instance(view, owner),
        "incarnation": owner,
        "epoch": epoch,
        "lease": view.holders[shard],
        "state": state,
    }
    if len(claims) > 1:
        found["also_claimed_by"] = [incarnation for _, incarnation in claims[:-1]]
    return found


def _instance(view: ClusterView, incarnation: str) -> str:
    member = view.members.get(incarnation)
    return incarnation.rpartition(".")[0] if member is None else member.instance


def _members(
    view: ClusterView,
    reports: Mapping[str, InstanceReport],
    silent: Mapping[str, str],
    shards: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    owned = Counter(str(shard["incarnation"]) for shard in shards)
    fresher = {incarnation: report.member for incarnation, report in reports.items() if report.member.state}
    members = {**view.members, **fresher}
    return [
        _entry(member, reports.get(member.incarnation))
        | {
            "shards_owned": owned[member.incarnation],
            "reason": silent.get(member.incarnation, ""),
        }
        for member in sorted(members.values(), key=lambda m: (m.instance, m.incarnation))
    ]


def _entry(member: Member, report: InstanceReport | None) -> dict[str, Any]:
    """One row of the table of members; a silent member has only its record."""
    known = {
        "instance": member.instance,
        "incarnation": member.incarnation,
        "state": member.state,
        "address": member.address,
        "version": member.version,
        "answered": report is not None,
    }
    if report is None:
        return known
    return known | {
        "lease": report.lease,
        "gate": report.gate,
        "handovers": report.handovers,
        "forwarding": dict(report.forwarding),
        "doubts": dict(report.doubts),
        "shards_lost": report.lost,
        "sessions": report.sessions,
        "actors": report.actors,
    }


def _totals(view: ClusterView, reports: Mapping[str, InstanceReport]) -> dict[str, Any]:
    """Sums; of ages and quantiles the maximum, because quantiles of parts do not add up."""
    found = reports.values()
    handovers = [report.handovers for report in found]
    sums = {name: int(sum(h[name] for h in handovers)) for name in ("count", "failed", "under_way", "buried")}
    return {
        "hottest": _top(view, reports, "hottest", "turns"),
        "mailboxes": _top(view, reports, "mailboxes", "waiting"),
        "gate": {
            "pending": int(sum(report.gate["pending"] for report in found)),
            "oldest_s": max((report.gate["oldest_s"] for report in found), default=0.0),
        },
        "handovers": sums
        | {f"{name}_worst": max((h[name] for h in handovers), default=0.0) for name in ("s_p50", "s_p99")},
        "forwarding": _sum(report.forwarding for report in found),
        "doubts": _sum(report.doubts for report in found),
        "shards_lost": sum(report.lost for report in found),
    }


def _sum(parts: Iterable[Counter[str]]) -> dict[str, int]:
    """The sum by name, zeros included, which Counter's own sum omits."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def _top(
    view: ClusterView, reports: Mapping[str, InstanceReport], table: str, by: str
) -> list[dict[str, Any]]:
    rows = [
        {"instance": _instance(view, incarnation), **row}
        for incarnation, report in reports.items()
        for row in getattr(report, table)
    ]
    return nlargest(TOP, rows, key=lambda row: int(row[by]))
