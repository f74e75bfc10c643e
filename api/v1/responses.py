"""Answers of version 2 as version 1 gives them: the differences run backward."""

from __future__ import annotations

from typing import Any

from api.v1.transforms import conditions, identity, money, paging, pickups, places, problems, statuses, times

# Money comes after these: what it writes is no JSON that anybody could look into.
_DIFFERENCES = (
    pickups.backward,
    identity.backward,
    places.backward,
    times.backward,
    statuses.backward,
    conditions.backward,
)


def answer(value: Any) -> Any:
    """A good answer; the parts of `value` are changed in place."""
    shown = paging.backward(value)
    for difference in _DIFFERENCES:
        difference(shown)
    money.backward(shown)
    return shown


def refusal(operation: str, problem: dict[str, Any]) -> dict[str, Any]:
    """A problem as a flat error; its parts are changed in place."""
    for difference in _DIFFERENCES:
        difference(problem)
    money.backward(problem)
    return problems.backward(operation, problem)
