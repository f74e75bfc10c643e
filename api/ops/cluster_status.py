"""The status of the whole cluster, as one instance sees it.

Every peer is asked at the same time over the lines that are there anyway. Whoever does not answer in time is
shown as silent, with the reason, and with what is believed of it; nothing that a peer says or leaves out is an
error of the whole. The answers are not of one instant: a shard that is handed over between two of them may be
claimed twice (the higher epoch counts, as it does in the journal) or by nobody.
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

# An operator waits this long for an instance that is frozen or cut off.
ASK_S = 1.0
# What is known of a shard.
SERVED, HANDED_OVER, UNKNOWN, NOBODY = "served", "handed_over", "unknown", "nobody"
STATES = (SERVED, HANDED_OVER, UNKNOWN, NOBODY)


class PeerCalls(Protocol):
    """The peers of an instance; actors.cluster.peer_links.PeerLinks."""

    async def call(self, incarnation: str, name: str, value: Any, wait_s: float) -> Any: ...


@frozen
class Silent:
    """No answer, and why."""

    reason: str


@frozen
class ClusterView:
    """What the asked instance knows by itself.

    Attributes:
        me: its incarnation.
        members: everybody, as the last ticks have shown; by incarnation.
        holders: the incarnation with the lease of each shard, "" for nobody; by number of shard.
        owners, epochs: who is believed to serve each shard, and the newest epoch heard of.
        tick_age_s: how long ago the tick was sent that has shown the holders; None before the first.
    """

    me: str
    members: Mapping[str, Member]
    holders: Sequence[str]
    owners: Sequence[str]
    epochs: Sequence[int]
    tick_age_s: float | None


@frozen
class InstanceReport:
    """The status of one instance, as far as the whole needs it."""

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
    """What an instance says of itself. One of another version may leave things out.

    Raises:
        ArithmeticError, AttributeError, KeyError, TypeError, ValueError: that is no status.
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


# -- asking ---------------------------------------------------------------------------------------


async def cluster_status(services: Services, own: Mapping[str, Any]) -> dict[str, Any]:
    """Ask everybody else, and put it together with the own status."""
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
    """The status of each of these, or Silent; after `wait_s` at the latest."""
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


# -- putting together -----------------------------------------------------------------------------


def merge(view: ClusterView, answers: Mapping[str, Any]) -> dict[str, Any]:
    """One status of all, from what each has answered (a status, or Silent), by incarnation."""
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
    """Who serves it by their own word; who is silent is believed to serve what it did."""
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
    """One line of the members' table; of a silent one nothing is known but its record."""
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
    """Sums, and of ages and quantiles the worst: quantiles of parts do not add up to one of the whole."""
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
    """Name by name; Counter's own sum would leave out what is 0."""
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
