"""Translation of version 2's answers into those of version 1."""

from __future__ import annotations

from typing import Any

from api.v1.transforms import (
    conditions,
    identity,
    later,
    money,
    paging,
    pickups,
    places,
    problems,
    statuses,
    times,
)

# Money comes last: its result is not JSON that other transforms could read.
_DIFFERENCES = (
    later.backward,
    pickups.backward,
    identity.backward,
    places.backward,
    times.backward,
    statuses.backward,
    conditions.backward,
)


def answer(value: Any) -> Any:
    """Translate a successful answer; the parts of `value` are changed in place."""
    shown = paging.backward(value)
    for difference in _DIFFERENCES:
        difference(shown)
    money.backward(shown)
    return shown


def refusal(operation: str, problem: dict[str, Any]) -> dict[str, Any]:
    """Translate a problem into a flat error; its parts are changed in place."""
    for difference in _DIFFERENCES:
        difference(problem)
    money.backward(problem)
    return problems.backward(operation, problem)
