"""The simulator finds what is planted into background work, each defect within 300 seeds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from dispatch.jobs.relay import GATHER_S, POLL_S, Relay
from dispatch.jobs.worker import Worker
from storage.errors import StorageError
from storage.memory.jobs import MemoryJobs
from tests.simulation.test_planted import Plant, finds
from tests.simulation.wires import Faults


def _outcomes_have_no_fence(patch: pytest.MonkeyPatch) -> Faults:
    """An outcome counts for the job, whoever has it and whatever its attempt is."""
    finish = MemoryJobs._finish

    def lenient(self: MemoryJobs, worker: str, items: Sequence[Mapping[str, Any]]) -> list[int]:
        for item in items:
            if (job := self.jobs.get(item["id"])) is not None and job.due_s is not None:
                job.worker, job.attempts = worker, item["attempt"]
        return finish(self, worker, items)

    patch.setattr(MemoryJobs, "_finish", lenient)
    return Faults(evil_every_s=2.0)


def _deaths_are_not_counted(patch: pytest.MonkeyPatch) -> Faults:
    claim = MemoryJobs._claim

    def forgetful(self: MemoryJobs, *args: Any) -> dict[str, Any]:
        for job in self.jobs.values():
            job.deaths = -1 if job.worker is not None else 0
        return claim(self, *args)

    patch.setattr(MemoryJobs, "_claim", forgetful)
    return Faults()


def _death_counts_as_failure(patch: pytest.MonkeyPatch) -> Faults:
    """After three of them a job is dead, and those that were done with it. Nobody is a suspect."""
    claim = MemoryJobs._claim
    counted: Counter[int] = Counter()

    def blaming(self: MemoryJobs, *args: Any) -> dict[str, Any]:
        for job in self.jobs.values():
            if job.worker is not None and job.due_s is not None and job.due_s <= self._now_s():
                counted[job.id] += 1
                job.worker = None
            job.deaths = 3 if counted[job.id] == 3 else 0
        return claim(self, *args)

    patch.setattr(MemoryJobs, "_claim", blaming)
    return Faults()


def _suspects_are_done_among_others(patch: pytest.MonkeyPatch) -> Faults:
    claim = MemoryJobs._claim

    def mixed(self: MemoryJobs, worker: str, tasks: Any, limits: Any, lease_s: float, alone: bool) -> Any:
        found = claim(self, worker, tasks, limits, lease_s, False)
        if found["suspects"]:
            found["jobs"] += claim(self, worker, tasks, limits, lease_s, True)["jobs"]
        return found | {"suspects": 0}

    patch.setattr(MemoryJobs, "_claim", mixed)
    return Faults()


def _relay_does_not_compare(patch: pytest.MonkeyPatch) -> Faults:
    def careless(self: MemoryJobs, log_end: int, said: Mapping[str, Any]) -> bool:
        ids = set(said["ids"])
        self.outbox[:] = [row for row in self.outbox if row["id"] not in ids]
        self.events += said["events"]
        self._enqueue(said["jobs"])
        return True

    patch.setattr(MemoryJobs, "_relay", careless)
    return Faults()


def _relay_skips_what_failed(patch: pytest.MonkeyPatch) -> Faults:
    """Rows are deleted first, and their events are written by a call of its own."""
    relay = Relay.relay_batch

    async def hasty(self: Relay) -> int:
        read = await self._store.outbox(self._batch)
        try:
            return await relay(self)
        except StorageError:
            rows: list[Any] = self._store._queries.host.work.jobs.outbox  # type: ignore[attr-defined]
            rows[:] = [row for row in rows if row["id"] not in {x["id"] for x in read}]
            raise

    patch.setattr(Relay, "relay_batch", hasty)
    return Faults()


def _worker_loses_wakes(patch: pytest.MonkeyPatch) -> Faults:
    """Who was woken while it looked forgets it before it waits."""
    wait = Worker._wait

    async def deaf(self: Worker) -> None:
        self.due.clear()
        await wait(self)

    patch.setattr(Worker, "_wait", deaf)
    return Faults()


def _relay_loses_wakes(patch: pytest.MonkeyPatch) -> Faults:
    async def run(self: Relay) -> None:
        while True:
            with suppress(StorageError):
                await self.relay_batch()
            self.due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self.due.wait()
                    await asyncio.sleep(GATHER_S)

    patch.setattr(Relay, "run", run)
    return Faults()


def _jobs_that_have_ended_are_not_named(patch: pytest.MonkeyPatch) -> Faults:
    """Leases of jobs whose outcome is not yet written are not extended: they are given back, and done again."""
    extend = Worker._extend

    async def short(self: Worker) -> None:
        running = self._running
        self._running = {key: attempt for key, attempt in running.items() if key not in self._outcomes}
        waiting = extend(self)
        try:
            await waiting
        finally:
            self._running = running

    patch.setattr(Worker, "_extend", short)
    return Faults()


def _keys_are_ignored(patch: pytest.MonkeyPatch) -> Faults:
    claim = MemoryJobs._claim

    def unordered(self: MemoryJobs, *args: Any) -> dict[str, Any]:
        keys = {job.id: job.key for job in self.jobs.values()}
        for job in self.jobs.values():
            job.key = None
        found = claim(self, *args)
        for job in self.jobs.values():
            job.key = keys[job.id]
        for row in found["jobs"]:
            row["key"] = keys[row["id"]]
        return found

    patch.setattr(MemoryJobs, "_claim", unordered)
    return Faults()


# What is planted, and what the finding must say.
PLANTED: dict[str, tuple[Plant, str]] = {
    "outcomes have no fence": (_outcomes_have_no_fence, "counted too late"),
    "deaths are not counted": (_deaths_are_not_counted, "jobs are not ended \\(.*poison"),
    "a death counts as a failure": (_death_counts_as_failure, "innocent job \\d+ is dead"),
    "suspects are done among others": (_suspects_are_done_among_others, "is done among others"),
    "the relay does not compare": (_relay_does_not_compare, "was relayed twice|names another"),
    "the relay deletes before it writes": (_relay_skips_what_failed, "never relayed"),
    "a worker loses wakes": (_worker_loses_wakes, "though nothing was wrong"),
    "a relay loses wakes": (_relay_loses_wakes, "after its row, though nothing was wrong"),
    "jobs that have ended are not named": (_jobs_that_have_ended_are_not_named, "begun jobs were given back"),
    "keys are ignored": (_keys_are_ignored, "before its turn"),
}
QUICK = (
    "outcomes have no fence",
    "a death counts as a failure",
    "the relay does not compare",
    "a worker loses wakes",
)


@pytest.mark.parametrize("name", QUICK)
def test_common_defect_of_background_work_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PLANTED if name not in QUICK])
def test_planted_defect_of_background_work_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)
