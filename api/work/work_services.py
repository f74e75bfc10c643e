"""Shared objects of a worker process, made once at start."""

from __future__ import annotations

from dataclasses import dataclass

from actors.clock import Clock, Randomness
from actors.tracing import NO_TRACER, Tracer
from config.settings import Settings
from dispatch.jobs.control import JobControl
from dispatch.jobs.stored import StoredJobs
from dispatch.notices.ports import Mail, Sms
from storage.postgres.database import Database


@dataclass(frozen=True)
class WorkServices:
    """What tasks and loops of a worker use."""

    settings: Settings
    database: Database
    jobs: StoredJobs
    clock: Clock
    entropy: Randomness
    # None where there is no sender.
    mail: Mail | None
    sms: Sms | None
    tracer: Tracer = NO_TRACER

    @property
    def control(self) -> JobControl:
        """What people see of jobs."""
        return JobControl(self.database)
