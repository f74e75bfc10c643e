"""Outcome of an attempt. Pure: the random number comes in as an argument."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from actors.values import frozen
from dispatch.jobs.tasks import Job, Permanent, Retries, RetryAfter, Snooze

Kind = Literal["done", "retry", "dead", "snoozed", "released"]
# A receiver may ask for a longer pause than that; it is not obeyed.
RETRY_AFTER_S_MAX = 24 * 3600.0
# Bound of the error that is stored.
ERROR_CHARS_MAX = 500
# Nothing is put off beyond the year 9999, which is the last one that dates can show.
UNTIL_MS_MAX = 253_402_300_799_000

P = TypeVar("P", bound=BaseModel)


@frozen
class JobOutcome:
    """How an attempt ended; see finish_jobs() in storage/postgres/functions/jobs.sql."""

    kind: Kind
    after_s: float | None = None
    due_ms: int | None = None
    error: str | None = None

    def item(self, job: Job, took_s: float) -> dict[str, Any]:
        """As finish_jobs() takes it."""
        return {
            "id": job.id,
            "attempt": job.attempts,
            "outcome": self.kind,
            "after_s": self.after_s,
            "due_ms": self.due_ms,
            "error": self.error,
            "took_ms": round(took_s * 1000),
        }


DONE = JobOutcome("done")
RELEASED = JobOutcome("released")


def error_text(error: BaseException) -> str:
    """The error in one line, for people: its type, and what it says."""
    said = " ".join(str(error).split())
    name = type(error).__name__
    return _storable(f"{name}: {said}" if said else name)


def _storable(text: str) -> str:
    """The text without what Postgres cannot store. A receiver may have said anything."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()[:ERROR_CHARS_MAX]


def payload_of(model: type[P], job: Job) -> P:
    """The payload of a job.

    Raises:
        Permanent: it is not valid.
    """
    try:
        return model.model_validate(job.payload)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise Permanent(f"The payload is not valid: {fields}") from None


def retry_pause_s(retries: Retries, failures: int, chance: float) -> float:
    """Pause after this many earlier failures: doubling, and longer by up to a half. `chance` is in [0, 1)."""
    pause_s: float = min(retries.max_s, retries.first_s * 2.0 ** min(failures, 30))
    return pause_s * (1 + chance / 2)


def outcome_of(error: Exception, job: Job, retries: Retries, chance: float) -> JobOutcome:
    """The outcome of an attempt that raised this error."""
    if isinstance(error, Snooze):
        return JobOutcome("snoozed", due_ms=min(max(0, error.until_ms), UNTIL_MS_MAX))
    said = error_text(error)
    if isinstance(error, Permanent):
        return JobOutcome("dead", error=_storable(str(error)))
    if job.failures + 1 >= retries.failures_max:
        return JobOutcome("dead", error=said)
    pause_s = retry_pause_s(retries, job.failures, chance)
    if isinstance(error, RetryAfter):
        pause_s = max(pause_s, min(error.after_s, RETRY_AFTER_S_MAX))
    return JobOutcome("retry", after_s=pause_s, error=said)
