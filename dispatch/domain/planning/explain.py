"""A proposal in sentences, for people who ask why."""

from __future__ import annotations

from dispatch.domain.planning.settings import MINUTE_S
from dispatch.domain.planning.values import CandidateDriver, TripProposal


def explain(proposal: TripProposal) -> list[str]:
    """Sentences about a proposal: the trip, the driver, the next best, and how to make it again."""
    chosen, trip = proposal.chosen, proposal.trip
    orders = ", ".join(map(str, trip.order_ids))
    many = f"orders {orders}, delivered in this sequence," if len(trip.order_ids) > 1 else f"order {orders}"
    found = [
        f"Driver {chosen.driver_id} gets {many} with the last pick-up at {_clock(chosen.pickup_s)}.",
        f"It costs {_parts(chosen)}.",
    ]
    wait_s = proposal.latest_start_s - trip.start_s
    if wait_s > 0:
        found.append(f"The driver could set out {_minutes(wait_s)} later and still be in time.")
    for rank, other in enumerate(proposal.next_best):
        more_s = other.terms.total_s - chosen.terms.total_s
        name = "Next best" if rank == 0 else "After that"
        found.append(
            f"{name}: driver {other.driver_id}, pick-up at {_clock(other.pickup_s)}, {_compared(more_s)}: "
            f"{_parts(other)}."
        )
    if not proposal.next_best:
        found.append("No other driver could do it.")
    found.append(f"Plan {proposal.plan_number}, seed {proposal.seed}: the same state gives the same plan.")
    return found


def _parts(candidate: CandidateDriver) -> str:
    terms = candidate.terms
    parts = [f"{_minutes(terms.door_s)} to the doors"]
    if terms.driving_s:
        parts.append(f"{_minutes(terms.driving_s)} for driving")
    if terms.late_s:
        parts.append(f"{_minutes(terms.late_s)} for broken promises")
    if terms.position_s:
        verb = "for leaving a better place" if terms.position_s > 0 else "for coming to a better place"
        parts.append(f"{_minutes(terms.position_s)} {verb}")
    if terms.fair_s:
        share = "less" if terms.fair_s < 0 else "more"
        parts.append(f"{_minutes(terms.fair_s)} for having had {share} than a fair share")
    return " + ".join(parts) + (f" = {_minutes(terms.total_s)}" if len(parts) > 1 else "")


def _compared(more_s: float) -> str:
    if more_s >= 0:
        return f"{_minutes(more_s)} more"
    # The whole plan is cheapest as it is: this driver is needed for another trip.
    return f"{_minutes(-more_s)} less, but needed elsewhere"


def _minutes(seconds: float) -> str:
    return f"{seconds / MINUTE_S:.1f} min"


def _clock(seconds: float) -> str:
    minutes = int(seconds // MINUTE_S)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
