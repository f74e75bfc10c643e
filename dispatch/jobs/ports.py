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

    async def end_former(self, name: str, worker: str) -> int:
        """End the leases of earlier processes of this name; returns their number."""
        ...


class ScheduleStore(Protocol):
    """Schedules of jobs."""

    async def set_schedules(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Make the program's schedules known."""
        ...

    async def fire(self, names: Sequence[str]) -> int:
        """Make jobs of those that are due; returns their number."""
        ...
