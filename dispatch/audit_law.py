"""The law of an audit: rules of this product that `run.py verify` compares the database with."""

from __future__ import annotations

from dispatch.domain.order import CARRIED, TRANSITIONS
from dispatch.jobs.cleanup import FEED_DAYS
from dispatch.jobs.events import ORDER_EVENTS
from storage.postgres.audit import Law


def audit_law(run_days: int) -> Law:
    """The law of this version. `run_days`: for how long attempts of jobs are kept."""
    types = {event: kind for event, (kind, _) in ORDER_EVENTS.items()}
    return Law(TRANSITIONS, CARRIED, FEED_DAYS, types, run_days)
