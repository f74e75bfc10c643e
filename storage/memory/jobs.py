"""Jobs, outbox and schedules in memory: the same named queries and answers as Postgres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.clock import Clock
from storage.memory.outbox import MemoryOutbox

SUSPECT_DEATHS, DEAD_DEATHS = 2, 3
# Attempts after which a job counts each death of a worker, whatever that one did.
ESCAPES_MAX = 16
_DIED = "Its worker ended while it was done, three times."


@dataclass(slots=True)
class _Job:
    """A row of `jobs`; times are seconds. `due_s` None: dead. `begun_s`: of the attempt under way."""

    id: int
    task: str
    key: str | None
    payload: Mapping[str, Any]
    trace: str
    due_s: float | None
    created_ms: int
    attempts: int = 0
    failures: int = 0
    deaths: int = 0
    worker: str | None = None
    begun_s: float | None = None
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in (
                "id", "task", "key", "payload", "trace", "attempts", "failures", "deaths", "created_ms",
            )
        }  # fmt: skip

    def leave(self) -> None:
        """No worker has it any more."""
        self.worker = self.begun_s = None


class MemoryJobs:
    """The tables of background work, with the queries of storage/postgres/sql/jobs.sql by name.

    Attributes:
        outbox: rows as `outbox_due` reads them, those of a MemoryJournal if it has been given its outbox.
        events: items of the log in order.
        runs: how attempts ended: (job, attempt, outcome).
        woken: called with the types of new events, in the commit of the relay.
    """

    def __init__(self, clock: Clock, outbox: MemoryOutbox | None = None) -> None:
        self._clock = clock
        self.outbox: list[dict[str, Any]] = [] if outbox is None else outbox.rows
        self.events: list[Mapping[str, Any]] = []
        self.jobs: dict[int, _Job] = {}
        self.runs: list[tuple[int, int, str]] = []
        self.schedules: dict[str, dict[str, Any]] = {}
        self.paused: set[str] = set()
        self.woken: list[Callable[[Sequence[str]], None]] = []
        self._last = 0
        self._calls: Mapping[str, Callable[..., Any]] = {
            "outbox_due": self._outbox_due,
            "relay_outbox": self._relay,
            "enqueue_jobs": self._enqueue,
            "claim_jobs": self._claim,
            "finish_jobs": self._finish,
            "extend_jobs": self._extend,
            "end_former_workers": self._end_former,
            "set_schedules": self._set_schedules,
            "fire_schedules": self._fire,
        }

    async def rows(self, name: str, *args: Any) -> list[Any]:
        """All rows of a query."""
        return list(self._calls[name](*args))

    async def value(self, name: str, *args: Any) -> Any:
        """The value of a query."""
        return self._calls[name](*args)

    def _now_s(self) -> float:
        return self._clock.wall()

    # -- relay --------------------------------------------------------------------------------

    def _outbox_due(self, limit: int) -> list[dict[str, Any]]:
        return [row | {"log_end": len(self.events)} for row in self.outbox[:limit]]

    def _relay(self, log_end: int, said: Mapping[str, Any]) -> bool:
        if log_end != len(self.events):
            return False
        ids = set(said["ids"])
        left = [row for row in self.outbox if row["id"] not in ids]
        if len(left) != len(self.outbox) - len(ids):
            raise ValueError("a row of the outbox was relayed twice")
        self.outbox[:] = left
        self.events += said["events"]
        for wake in self.woken:
            wake([event["type"] for event in said["events"]])
        self._enqueue(said["jobs"])
        return True

    # -- jobs ---------------------------------------------------------------------------------

    def _enqueue(self, items: Sequence[Mapping[str, Any]]) -> list[int]:
        made = []
        for item in items:
            self._last += 1
            due_ms = item.get("due_ms")
            due_s = self._now_s() if due_ms is None else due_ms / 1000
            self.jobs[self._last] = _Job(
                self._last,
                item["task"],
                item.get("key"),
                item["payload"],
                item.get("trace", ""),
                due_s,
                int(self._now_s() * 1000),
            )
            made.append(self._last)
        return made

    def _due(self, worker: str, task: str, limit: int) -> list[_Job]:
        now = self._now_s()
        first: dict[str, int] = {}
        for job in self.jobs.values():
            if job.key is not None and job.due_s is not None:
                first.setdefault(job.key, job.id)
        due = [
            job
            for job in self.jobs.values()
            if job.task == task and job.due_s is not None and job.due_s <= now and job.worker != worker
            if job.key is None or first[job.key] == job.id
        ]
        return sorted(due, key=lambda job: (job.due_s, job.id))[:limit]

    def _claim(
        self, worker: str, tasks: Sequence[str], limits: Sequence[int], lease_s: float, alone: bool
    ) -> dict[str, Any]:
        pairs = zip(tasks, limits, strict=True)
        due = [
            job for task, many in pairs if task not in self.paused for job in self._due(worker, task, many)
        ]
        for job in due:
            job.deaths += job.worker is not None
            job.leave()
        for job in [job for job in due if job.deaths >= DEAD_DEATHS]:
            job.due_s, job.error = None, _DIED
            self.runs.append((job.id, job.attempts, "dead"))
        suspects = sorted(
            (job for job in due if job.deaths == SUSPECT_DEATHS), key=lambda job: (job.due_s, job.id)
        )
        chosen = suspects[:1] if alone else [job for job in due if job.deaths < SUSPECT_DEATHS]
        for job in chosen:
            job.worker, job.begun_s, job.due_s = worker, self._now_s(), self._now_s() + lease_s
            job.attempts += 1
        left = len(suspects) - (len(chosen) if alone else 0)
        return {
            "jobs": [job.shown() for job in sorted(chosen, key=lambda job: job.id)],
            "suspects": left,
        }

    def _finish(self, worker: str, items: Sequence[Mapping[str, Any]]) -> list[int]:
        counted = []
        for item in items:
            job = self.jobs.get(item["id"])
            if job is None or job.worker != worker or job.attempts != item["attempt"]:
                continue
            counted.append(job.id)
            outcome = item["outcome"]
            self.runs.append((job.id, job.attempts, outcome))
            job.leave()
            job.error = item["error"] or job.error
            job.failures += outcome in ("retry", "dead")
            if outcome == "done":
                del self.jobs[job.id]
            elif outcome == "retry":
                job.due_s = self._now_s() + item["after_s"]
            elif outcome == "snoozed":
                job.due_s = item["due_ms"] / 1000
            else:
                job.due_s = None if outcome == "dead" else self._now_s()
        return counted

    def _extend(self, worker: str, ids: Sequence[int], attempts: Sequence[int], lease_s: float) -> list[int]:
        known = dict(zip(ids, attempts, strict=True))
        held = []
        for job in self.jobs.values():
            if job.worker != worker:
                continue
            if known.get(job.id) == job.attempts:
                job.due_s = self._now_s() + lease_s
                held.append(job.id)
            else:
                job.leave()
                job.due_s = self._now_s()
        return held

    def _end_former(self, name: str, worker: str, last: str | None, step: int | None) -> int:
        ended = 0
        for job in self.jobs.values():
            former = job.worker
            if former is None or former == worker or former.partition("/")[0] != name:
                continue
            ended += former == last or (job.due_s is not None and job.due_s > self._now_s())
            job.due_s = self._now_s()
            if former == last and job.id != step and job.attempts <= ESCAPES_MAX:
                job.leave()
        return ended

    # -- schedules ----------------------------------------------------------------------------

    def _set_schedules(self, items: Sequence[Mapping[str, Any]]) -> None:
        for item in items:
            known = self.schedules.get(item["name"])
            if known is None or any(known[name] != item[name] for name in item):
                self.schedules[item["name"]] = dict(item) | {"next_s": self._next_s(item), "paused": False}

    def _next_s(self, item: Mapping[str, Any]) -> float:
        now = self._now_s()
        if item["every_s"] is not None:
            return float(now + item["every_s"])
        hour, minute = map(int, item["daily_at"].split(":"))
        at = now // 86_400 * 86_400 + 3600 * hour + 60 * minute
        return float(at if at > now else at + 86_400)

    def _fire(self, names: Sequence[str]) -> int:
        made = 0
        for name in names:
            item = self.schedules.get(name)
            if item is None or item["paused"] or item["next_s"] > self._now_s():
                continue
            item["next_s"] = self._next_s(item)
            key = f"schedule/{name}"
            if all(job.key != key or job.due_s is None for job in self.jobs.values()):
                self._enqueue([{"task": item["task"], "payload": item["payload"], "key": key}])
                made += 1
        return made
