"""Endpoints of webhooks in memory: the same named queries and answers as Postgres, over the log of MemoryJobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.clock import Clock
from storage.memory.jobs import MemoryJobs

DOUBLINGS_MAX = 6
FILTERS = ("types", "zone_ids", "store_ids")


@dataclass(slots=True)
class MemoryReplay:
    """A row of `webhook_replays`; times are seconds."""

    id: int
    reached: int
    to_pos: int
    types: Sequence[str]
    due_s: float
    failures: int = 0
    failing_s: float | None = None
    done: bool = False
    error: str | None = None


@dataclass(slots=True)
class MemoryEndpoint:
    """A row of `webhook_endpoints`; times are seconds."""

    id: int
    reached: int
    secrets: Sequence[bytes]
    url: str = ""
    types: Sequence[str] = ()
    zone_ids: Sequence[int] = ()
    store_ids: Sequence[int] = ()
    owner_store_id: int | None = None
    on_refused: str = "skip"
    claim: int = 0
    sender: str = ""
    leased_s: float | None = None
    unsettled: int = 0
    step: int = 0
    wakes: int = 0
    failures: int = 0
    failing_s: float | None = None
    refusals: int = 0
    refused_s: float | None = None
    due_s: float | None = None
    errand_s: float | None = None
    ping: str | None = None
    gap: tuple[int, int] | None = None
    disabled_why: str | None = None
    version: int = 1
    replays: list[MemoryReplay] = field(default_factory=list)
    dead: dict[int, int] = field(default_factory=dict)

    @property
    def failing(self) -> bool:
        return self.failures > 0

    def wants(self, event: Mapping[str, Any]) -> bool:
        """True when an event of the log passes the filters."""
        return passes(event, self.types, self.zone_ids, self.store_ids, self.owner_store_id)


def passes(
    event: Mapping[str, Any],
    types: Sequence[str],
    zones: Sequence[int],
    stores: Sequence[int],
    owner: int | None,
) -> bool:
    """True when an event passes these filters."""
    return (
        (not types or event["type"] in types)
        and (not zones or event["zone_id"] in zones)
        and (not stores or bool({*stores} & {*event["store_ids"]}))
        and (owner is None or owner in event["store_ids"])
    )


class MemoryWebhooks:
    """The tables of webhooks, with queries of storage/postgres/sql/webhooks.sql by name.

    Attributes:
        endpoints: rows by id.
        attempts: (endpoint, item) in the order in which they were settled.
        log_begin: the oldest position that is kept.
    """

    def __init__(self, jobs: MemoryJobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self.endpoints: dict[int, MemoryEndpoint] = {}
        self.attempts: list[tuple[int, Mapping[str, Any]]] = []
        self.log_begin = 1
        jobs.woken.append(self.wake)
        self._calls: Mapping[str, Callable[..., Any]] = {
            "webhooks_claim": self._claim,
            "webhooks_end_former": self._end_former,
            "webhook_events": self._events,
            "webhooks_settle": self._settle,
            "webhook_create": self._create,
            "webhook_change": self._change,
            "webhook_enable": self._enable,
            "webhook_ping": self._ping,
            "webhook_replay": self._replay,
        }

    async def rows(self, name: str, *args: Any) -> list[Any]:
        """All rows of a query."""
        return list(self._calls[name](*args))

    async def row(self, name: str, *args: Any) -> Any:
        """The first row of a query, or None."""
        found = await self.rows(name, *args)
        return found[0] if found else None

    async def value(self, name: str, *args: Any) -> Any:
        """The value of a query."""
        return self._calls[name](*args)

    def wake(self, types: Sequence[str]) -> None:
        """What the relay does in the commit of events of these types."""
        for one in self.endpoints.values():
            if types and one.disabled_why is None and (not one.types or {*one.types} & {*types}):
                one.wakes += 1
                if one.due_s is None:
                    one.due_s = self._clock.wall()

    # -- the sender -----------------------------------------------------------------------------------

    def _end_former(self, name: str, sender: str) -> int:
        now, ended = self._clock.wall(), 0
        for one in self.endpoints.values():
            former = one.sender.split("/")[0] == name and one.sender != sender
            if former and one.unsettled < 2 and one.leased_s is not None and one.leased_s > now:
                one.leased_s, ended = None, ended + 1
        return ended

    def _claim(self, sender: str, limit: int, failing_max: int, lease_ms: int) -> list[dict[str, Any]]:
        now = self._clock.wall()
        due = [one for one in self.endpoints.values() if _is_due(one, now)]
        due.sort(key=lambda one: (one.failing, _first(one), one.id))
        good, bad = [one for one in due if not one.failing], [one for one in due if one.failing]
        taken = [*good, *bad[:failing_max]][:limit]
        rows = []
        for one in taken:
            lease_s = lease_ms / 1000 * 2 ** min(one.unsettled, DOUBLINGS_MAX)
            one.claim, one.step, one.sender = one.claim + 1, 0, sender
            one.unsettled, one.leased_s = one.unsettled + 1, now + lease_s
            rows.append(self._claimed(one, now, lease_s))
        return rows

    def _claimed(self, one: MemoryEndpoint, now: float, lease_s: float) -> dict[str, Any]:
        names = (
            "id", "claim", "version", "url", "types", "zone_ids", "store_ids", "owner_store_id", "secrets",
            "on_refused", "reached", "wakes", "failures", "refusals", "ping",
        )  # fmt: skip
        on = one.disabled_why is None
        waiting = [r for r in one.replays if on and not r.done and r.due_s <= now]
        replay = None
        if waiting:
            r = waiting[0]
            replay = {"id": r.id, "reached": r.reached, "to_pos": r.to_pos, "types": r.types,
                      "failures": r.failures, "failing_ms": _age_ms(r.failing_s, now)}  # fmt: skip
        return {
            **{name: getattr(one, name) for name in names},
            "failing_ms": _age_ms(one.failing_s, now),
            "refused_ms": _age_ms(one.refused_s, now),
            "live": on and one.due_s is not None and one.due_s <= now,
            "lease_ms": round(lease_s * 1000),
            "replay": replay,
        }

    def _events(
        self,
        after: int,
        upto: int,
        types: Sequence[str],
        zones: Sequence[int],
        stores: Sequence[int],
        owner: int | None,
        window: int,
        limit: int,
    ) -> list[dict[str, Any]]:
        log = self._jobs.events
        ends = {"log_begin": self.log_begin, "log_end": len(log)}
        found = []
        for pos in range(max(after + 1, self.log_begin), min(after + window, upto, len(log)) + 1):
            event = log[pos - 1]
            if passes(event, types, zones, stores, owner):
                body = event["body"]
                raw = body.encode() if isinstance(body, str) else body
                found.append(
                    {**ends, "pos": pos, "type": event["type"], "body": raw, "trace": event["trace"]}
                )
            if len(found) == limit:
                break
        return found or [{**ends, "pos": None, "type": None, "body": None, "trace": None}]

    def _settle(self, items: Sequence[Mapping[str, Any]], lease_ms: int) -> list[int]:
        held = []
        for item in items:
            one = self.endpoints.get(item["id"])
            if one is None or one.claim != item["claim"]:
                continue
            held.append(one.id)
            if one.step < item["step"]:
                self._store(one, item, lease_ms / 1000)
        return held

    def _store(self, one: MemoryEndpoint, item: Mapping[str, Any], lease_s: float) -> None:
        now, live, release = self._clock.wall(), item["live"], item["release"]
        for attempt in item["attempts"]:
            self.attempts.append((one.id, attempt))
            good = attempt["status"] is not None and 200 <= attempt["status"] <= 299
            if attempt["replay_id"] is not None and good:
                one.dead.pop(attempt["pos"], None)
        for letter in item["dead"]:
            one.dead.setdefault(letter["pos"], letter["status"])
        _store_replay(one, item["replay"], now)
        changed = one.version != item["version"]
        one.step, one.unsettled = item["step"], 0
        one.leased_s = None if release is not None else now + lease_s
        pinged = one.ping is not None and one.ping == item["pinged"]
        if pinged:
            one.ping = None
        if live is not None:
            one.reached = max(one.reached, live["reached"])
            one.failures, one.refusals = live["failures"], live["refusals"]
            one.failing_s = _since(live["failing_ms"], now)
            one.refused_s = _since(live["refused_ms"], now)
            one.gap = one.gap if live["gap"] is None else (live["gap"][0], live["gap"][1])
            one.disabled_why = one.disabled_why or live["disable"]
        if release is None:
            return
        if live is not None:
            if live["disable"] is not None:
                one.due_s = None
            elif changed:
                one.due_s = now
            elif release["due_ms"] is not None:
                one.due_s = now + release["due_ms"] / 1000
            else:
                one.due_s = now if one.wakes != item["wakes"] else None
        waiting = [r.due_s for r in one.replays if not r.done]
        one.errand_s = min(waiting) if waiting and one.disabled_why is None else None
        if one.ping is not None:
            one.errand_s = now

    # -- administration -------------------------------------------------------------------------------

    def _create(self, number: int, secret: bytes, values: Mapping[str, Any], limit: int) -> int | None:
        if len(self.endpoints) >= limit:
            return None
        names = ("url", "types", "zone_ids", "store_ids", "owner_store_id", "on_refused")
        made = MemoryEndpoint(number, len(self._jobs.events), [secret], **{n: values[n] for n in names})
        self.endpoints[number] = made
        return number

    def _change(self, number: int, tags: Sequence[str] | None, changes: Mapping[str, Any]) -> int | None:
        one = self.endpoints.get(number)
        if one is None or (tags is not None and str(one.version) not in tags):
            return None
        for name, value in changes.items():
            if name not in ("disabled", "description"):
                setattr(one, name, value)
        if "url" in changes and one.disabled_why is None:
            one.failures, one.due_s = 0, self._clock.wall()
        elif {*FILTERS} & {*changes} and one.disabled_why is None and one.due_s is None:
            one.due_s = self._clock.wall()
        if changes.get("disabled"):
            one.claim, one.due_s = one.claim + 1, None
            one.disabled_why = one.disabled_why or "by_hand"
        one.version += bool(changes)
        return number

    def _enable(self, number: int, from_now: bool) -> int | None:
        one = self.endpoints.get(number)
        if one is None:
            return None
        now = self._clock.wall()
        one.reached = len(self._jobs.events) if from_now else one.reached
        one.claim, one.unsettled, one.version = one.claim + 1, 0, one.version + 1
        one.failures, one.failing_s, one.refusals, one.refused_s = 0, None, 0, None
        one.due_s, one.errand_s, one.disabled_why = now, now, None
        return number

    def _ping(self, number: int, ping: str) -> str | None:
        one = self.endpoints.get(number)
        if one is None:
            return None
        one.ping, one.errand_s = one.ping or ping, self._clock.wall()
        return one.ping

    def _replay(self, number: int, wish: Mapping[str, Any], limit: int) -> dict[str, Any]:
        one = self.endpoints.get(number)
        if one is None:
            return {"code": "not_found"}
        if sum(not r.done for r in one.replays) >= limit:
            return {"code": "too_many"}
        first = max(wish["from_pos"] or 1, self.log_begin)
        last = min(wish["to_pos"] or one.reached, one.reached)
        if first > last:
            return {"code": "nothing"}
        now = self._clock.wall()
        made = MemoryReplay(len(one.replays) + 1, first - 1, last, wish["types"], now)
        one.replays.append(made)
        if one.disabled_why is None:
            one.errand_s = now
        return {"code": "accepted", "id": made.id, "from_pos": first, "to_pos": last}


def _is_due(one: MemoryEndpoint, now: float) -> bool:
    if one.leased_s is not None and one.leased_s > now:
        return False
    live = one.disabled_why is None and one.due_s is not None and one.due_s <= now
    return live or (one.errand_s is not None and one.errand_s <= now)


def _first(one: MemoryEndpoint) -> float:
    return min(at for at in (one.due_s, one.errand_s) if at is not None)


def _age_ms(since_s: float | None, now: float) -> int | None:
    return None if since_s is None else round((now - since_s) * 1000)


def _since(age_ms: int | None, now: float) -> float | None:
    return None if age_ms is None else now - age_ms / 1000


def _store_replay(one: MemoryEndpoint, said: Mapping[str, Any] | None, now: float) -> None:
    for replay in one.replays:
        if said is not None and replay.id == said["id"]:
            replay.reached = max(replay.reached, said["reached"])
            replay.failures, replay.failing_s = said["failures"], _since(said["failing_ms"], now)
            replay.due_s, replay.error = now + said["due_ms"] / 1000, said["error"]
            replay.done = said["done"]
