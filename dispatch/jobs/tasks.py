"""Jobs and tasks. A task is a kind of job: its payload, its function, and how it is retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from actors.values import frozen


class Payload(BaseModel):
    """Base of payloads: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


P = TypeVar("P", bound=BaseModel)


class Snooze(Exception):
    """Put the job off until `until_ms`. That is no failure."""

    def __init__(self, until_ms: int) -> None:
        super().__init__(f"until {until_ms}")
        self.until_ms = until_ms


class Permanent(Exception):
    """The job cannot succeed, also if it is tried again: it becomes a dead letter at once."""


class RetryAfter(Exception):
    """The job failed, and its receiver has asked for a pause of `after_s`."""

    def __init__(self, after_s: float, reason: str = "") -> None:
        super().__init__(reason or f"retry after {after_s} s")
        self.after_s = after_s


@frozen
class NewJob:
    """A job to be added.

    Attributes:
        key: jobs of one key run one after the other, in the order in which they were added.
        due_ms: when it may begin; None: at once.
    """

    task: str
    payload: Mapping[str, Any]
    key: str | None = None
    due_ms: int | None = None

    def item(self, trace: str) -> dict[str, Any]:
        """As enqueue_jobs() takes it (storage/postgres/functions/jobs.sql)."""
        return {
            "task": self.task,
            "payload": self.payload,
            "key": self.key,
            "due_ms": self.due_ms,
            "trace": trace,
        }


@frozen
class Job:
    """A job as a worker has claimed it.

    Attributes:
        trace: trace id of the request that caused it.
        attempts: attempts that have begun, this one included.
        failures: attempts that failed.
        deaths: workers that ended during an attempt.
    """

    id: int
    task: str
    key: str | None
    payload: Mapping[str, Any]
    trace: str
    attempts: int
    failures: int
    deaths: int
    created_ms: int


@frozen
class Retries:
    """How often a job is tried, with pauses that double from `first_s` to `max_s`, each longer by up to a half."""

    failures_max: int = 8
    first_s: float = 2.0
    max_s: float = 600.0


@frozen
class Task(Generic[P]):
    """A kind of job.

    `run` may be called again for a job that it has already done, because a worker may die between the work and the
    record of it. So it must be idempotent. It raises Snooze, Permanent or RetryAfter; any other exception is a
    failure that is retried.

    Attributes:
        width: jobs of it that one worker runs at the same time.
        deadline_s: limit of one attempt. It is cancelled then, and the attempt has failed.
    """

    name: str
    payload: type[P]
    run: Callable[[P, Job], Awaitable[None]]
    retries: Retries = Retries()
    width: int = 8
    deadline_s: float = 10.0
