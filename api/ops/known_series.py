"""Series that exist from the start, at zero.

A counter that appears with its first event has no increase that an alert could see. So whatever labels are known are
made here, once, before the first scrape.
"""

from __future__ import annotations

from collections.abc import Iterable

from api.auth.permissions import POLICIES
from api.subscriptions import close_codes
from config import metrics
from dispatch import plan_steps, step_log

_STEPS = ("hold", "cancel", "capture", "void", "refund")
_OUTCOMES = ("ok", "declined", "refused", "later", "unsure")
_RANKS = ("browse", "read", "write", "vital")
_MALFORMED = ("no_head", "slow_body", "slow_reader", "wasteful_body", "too_many")


def make_known_series(chores: Iterable[str]) -> None:
    """Make them. `chores` are the names of the background rounds."""
    for policy in POLICIES:
        metrics.RATE_LIMITED.labels(policy.name)
    for rank in _RANKS:
        metrics.REQUESTS_SHED.labels(rank)
    for reason in _MALFORMED:
        metrics.MALFORMED_REQUESTS.labels(reason)
    for outcome in ("ok", "refused", "disabled"):
        metrics.LOGINS.labels(outcome)
    for code in close_codes.REASONS:
        metrics.FEED_CLOSES.labels(code)
    for outcome in ("resumed", "snapshot"):
        metrics.FEED_RESUMES.labels(outcome)
    for step in _STEPS:
        for outcome in _OUTCOMES:
            metrics.GATEWAY_SECONDS.labels(step, outcome)
    for reason in plan_steps.FAILURES:
        metrics.PLAN_STEPS_FAILED.labels(reason)
    for reason in step_log.DROPS:
        metrics.PLAN_STEPS_DROPPED.labels(reason)
    for use in ("limits", "cache"):
        metrics.REDIS_ERRORS.labels(use)
    for outcome in ("created", "replayed"):
        metrics.IDEMPOTENCY.labels(outcome)
    for chore in (*chores, "revocations", "settle_payments"):
        metrics.CHORE_FAILURES.labels(chore)
        metrics.CHORE_SECONDS.labels(chore)
