"""What must hold of background work, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from dispatch.jobs.events import ORDER_EVENTS
from dispatch.jobs.tasks import Job
from storage.memory.jobs import MemoryJobs
from storage.memory.journal import MemoryJournal
from tests.simulation.checks import Violation

if TYPE_CHECKING:
    from tests.simulation.work import WorkHost

SUSPECT_DEATHS, DEAD_DEATHS = 2, 3
# Type, subject and version of an event.
Fact = tuple[str, int, int]


def _fact(item: Mapping[str, Any]) -> Fact:
    return item["type"], item["ref"], item["version"]


def is_probe(payload: Mapping[str, Any]) -> bool:
    """Its row was put into the outbox when it was calm."""
    return payload.get("type") == "stock.low"


class WorkChecks:
    """Invariants at each call of the store, and what must be when all is settled.

    Attributes:
        repeats: attempts beyond the first of each job.
    """

    def __init__(self, jobs: MemoryJobs, store: MemoryJournal, broken: list[str]) -> None:
        self._jobs = jobs
        self._store = store
        self._broken = broken
        self._relayed: dict[Fact, None] = {}
        self._versions: dict[tuple[str, int], int] = {}
        # Where and when the newest attempt of a job was claimed.
        self._claimed: dict[int, tuple[WorkHost, float]] = {}
        self._done: Counter[int] = Counter()
        self._noted: set[Fact] = set()
        self._excused: set[Fact] = set()
        # Of probes, by number: when their rows came, their jobs began and ended, and that was written.
        self._due_probes: dict[int, float] = {}
        self._begun_probes: dict[int, float] = {}
        self._ended_probes: dict[int, float] = {}
        self._written_probes: dict[int, float] = {}
        self.repeats = 0

    # -- at each call -----------------------------------------------------------------------------

    def at_relay(self, relay: Callable[[], bool]) -> bool:
        """Places without a gap, each event once, those of a subject in order."""
        place = len(self._jobs.events)
        won = relay()
        for item in self._jobs.events[place:]:
            place += 1
            fact, subject = _fact(item), (item["topic"], item["ref"])
            self._want(
                orjson.loads(item["body"])["sequence"] == place, f"an event at place {place} names another"
            )
            self._want(fact not in self._relayed, f"{fact} was relayed twice")
            known = self._versions.get(subject, 0)
            self._want(known <= item["version"], f"{fact} was relayed after version {known}")
            self._relayed[fact] = None
            self._versions[subject] = item["version"]
        return won

    def at_claim(self, host: WorkHost, now: float, claim: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Of a key only the oldest living job; nobody is dead who did not end three workers."""
        runs = len(self._jobs.runs)
        found = claim()
        for number, _, outcome in self._jobs.runs[runs:]:
            if outcome == "dead":
                self._died(number)
        for row in found["jobs"]:
            living = [
                job.id
                for job in self._jobs.jobs.values()
                if row["key"] is not None and job.key == row["key"] and job.due_s is not None
            ]
            self._want(
                min(living, default=row["id"]) == row["id"], f"a job of {row['key']} is before its turn"
            )
            self._claimed[row["id"]] = (host, now)
            self.repeats += row["attempts"] > 1
        return found

    def _died(self, number: int) -> None:
        job = self._jobs.jobs[number]
        if job.task == "poison":
            self._want(job.deaths == DEAD_DEATHS, f"poison is dead after {job.deaths} deaths")
            return
        host, claimed_at = self._claimed[number]
        self._want(host.troubled_at >= claimed_at, f"innocent job {number} is dead")
        self._excused.add(_fact(job.payload))

    def at_finish(
        self, worker: str, now: float, items: Sequence[Mapping[str, Any]], finish: Callable[[], Sequence[int]]
    ) -> Sequence[int]:
        """An outcome counts if it is the newest attempt's, and once."""
        named = [self._jobs.jobs[item["id"]] for item in items if item["id"] in self._jobs.jobs]
        held = {job.id: (job.worker, job.attempts) for job in named}
        probes = {job.id: job.payload["ref"] for job in named if is_probe(job.payload)}
        counted = finish()
        newest = [item for item in items if held.get(item["id"]) == (worker, item["attempt"])]
        late = set(counted) - {item["id"] for item in newest}
        self._want(not late, f"outcomes of jobs {sorted(late)} counted too late")
        for item in newest:
            self._want(item["outcome"] != "dead", f"innocent job {item['id']} is dead")
            self._done[item["id"]] += item["outcome"] == "done"
            self._want(self._done[item["id"]] <= 1, f"job {item['id']} is counted as done twice")
            if item["id"] in probes:
                self._written_probes.setdefault(probes[item["id"]], now)
        return counted

    def at_extend(
        self, worker: str, begun: Collection[tuple[int, int]], extend: Callable[[], Sequence[int]]
    ) -> Sequence[int]:
        """What a worker has begun it does not give back while it lives."""
        mine = {job.id: job.attempts for job in self._jobs.jobs.values() if job.worker == worker}
        held = extend()
        given_back = {(number, attempt) for number, attempt in mine.items() if number not in held}
        wrong = sorted(given_back.intersection(begun))
        self._want(not wrong, f"begun jobs were given back: {wrong}")
        return held

    # -- at each job ------------------------------------------------------------------------------

    def begun(self, job: Job, now: float, *, alone: bool) -> None:
        """A job's function begins."""
        self._want(alone or job.deaths < SUSPECT_DEATHS, f"suspect {job.id} is done among others")
        if is_probe(job.payload):
            self._begun_probes.setdefault(job.payload["ref"], now)

    def noted(self, job: Job, now: float) -> None:
        """A job's function had its effect."""
        self._noted.add(_fact(job.payload))
        if is_probe(job.payload):
            self._ended_probes.setdefault(job.payload["ref"], now)

    # -- at the end -------------------------------------------------------------------------------

    def at_end(self) -> None:
        """After the faults have stopped: everything relayed and done, nothing left but dead poison."""
        self._want(not self._jobs.outbox, f"{len(self._jobs.outbox)} rows are still in the outbox")
        wanted = {fact for event in self._store.order_events for fact in self._facts(event)}
        orders = {fact for fact in self._relayed if fact[0].startswith("order.")}
        missing, invented = sorted(wanted - orders), sorted(orders - wanted)
        self._want(not missing, f"never relayed: {missing[:5]}")
        self._want(not invented, f"relayed without a change: {invented[:5]}")
        left = [job for job in self._jobs.jobs.values() if job.due_s is not None]
        kinds = sorted({job.task for job in left})
        self._want(not left, f"{len(left)} jobs are not ended ({', '.join(kinds)})")
        undone = sorted(set(self._relayed) - self._noted - self._excused)
        self._want(not undone, f"never done: {undone[:5]}")

    def _facts(self, event: Mapping[str, Any]) -> Sequence[Fact]:
        known = ORDER_EVENTS.get(event["type"])
        if known is None:
            return ()
        facts = [(known[0], event["order_id"], event["version"])]
        if event["type"] == "created" and event["status"] == "confirmed":
            facts.append(("order.confirmed", event["order_id"], event["version"]))
        return facts

    def wait_for(self, probe: int, now: float) -> None:
        """A row was committed and announced when nothing is wrong."""
        self._due_probes[probe] = now

    def probes_at_end(self, limit_s: float) -> None:
        """Each job of such a row began soon, and its end was written soon."""
        never = float("inf")
        for probe, now in self._due_probes.items():
            took_s = self._begun_probes.get(probe, never) - now
            self._want(
                took_s <= limit_s, f"a job began {took_s:.3f} s after its row, though nothing was wrong"
            )
        for probe, now in self._ended_probes.items():
            took_s = self._written_probes.get(probe, never) - now
            self._want(took_s <= limit_s, f"an end was written {took_s:.3f} s late, though nothing was wrong")

    def _want(self, holds: bool, what: str) -> None:
        if not holds:
            self._broken.append(what)
            raise Violation(what)
