"""Port of the stored jobs: what workers, the relay and schedules need. All methods raise StorageError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from actors.values import frozen
from dispatch.jobs.tasks import Job, NewJob


@frozen
class Claimed:
    """Result of a claim: the jobs, and how many suspects wait for a worker that does nothing else."""

    jobs: tuple[Job, ...]
    suspects: int = 0


@frozen
class Relayed:
    """What one commit of the relay writes: rows of the outbox go; events and jobs come."""

    ids: Sequence[int]
    events: Sequence[Mapping[str, Any]]
    jobs: Sequence[Mapping[str, Any]]


@frozen
class LastStep:
    """Where a process of a worker was when it ended.

    Attributes:
        worker: the process: name and suffix.
        job: the job whose code it ran; None: it ran none.
    """

    worker: str
    job: int | None


class OutboxStore(Protocol):
    """The outbox and the end of the event log."""

    async def outbox(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """The oldest rows with the facts of their subjects. Each has the end of the log as `log_end`."""
        ...

    async def relay(self, log_end: int, relayed: Relayed) -> bool:
        """Write all of it in one commit; False, and nothing is done, if the log has another end by now."""
        ...


class JobStore(Protocol):
    """Jobs and their leases."""

    async def enqueue(self, jobs: Sequence[NewJob], trace: str) -> list[int]:
        """Add jobs; returns their ids."""
        ...

    async def claim(self, worker: str, limits: Mapping[str, int], lease_s: float, *, alone: bool) -> Claimed:
        """Lease due jobs, at most so many of each task. With `alone`: one suspect and nothing else."""
        ...

    async def finish(self, worker: str, items: Sequence[Mapping[str, Any]]) -> set[int]:
        """Record outcomes; returns the ids of the jobs whose outcome counted."""
        ...

    async def extend(self, worker: str, attempts: Sequence[tuple[int, int]], lease_s: float) -> set[int]:
        """Extend leases of (job, attempt); returns the jobs that are still the worker's."""
        ...

    async def end_former(self, name: str, worker: str, last: LastStep | None) -> int:
        """End the leases of earlier processes of this name; returns their number.

        Of the one that `last` names only the job at its step counts the death.
        """
        ...


class StepRecord(Protocol):
    """Record of the job whose code a worker runs at the moment, which outlives the process."""

    def last(self) -> LastStep | None:
        """Where the former process of this worker ended; None: it is not known."""
        ...

    def begin(self, worker: str) -> None:
        """Record the steps of this process from now on."""
        ...

    def enter(self, job: int) -> None:
        """The code of this job runs now."""
        ...

    def leave(self) -> None:
        """No job's code runs now."""
        ...


class ScheduleStore(Protocol):
    """Schedules of jobs."""

    async def set_schedules(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Make the program's schedules known."""
        ...

    async def fire(self, names: Sequence[str]) -> int:
        """Make jobs of those that are due; returns their number."""
        ...
