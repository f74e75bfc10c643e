"""Days and tables of reports, without a server."""

from __future__ import annotations

from datetime import date

import pytest

from api.contract.problems import Problem
from api.rest.reports import span

TODAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, (date(2026, 3, 4), TODAY)),
        (date(2026, 3, 9), None, (date(2026, 3, 9), TODAY)),
        (None, date(2026, 1, 8), (date(2026, 1, 2), date(2026, 1, 8))),
        (date(2026, 4, 1), None, (date(2026, 4, 1), date(2026, 4, 1))),
        (None, date.min, (date.min, date.min)),
        (date(2026, 1, 1), date(2026, 4, 2), (date(2026, 1, 1), date(2026, 4, 2))),
    ],
)
def test_missing_days_are_chosen_around_the_others(
    first: date | None, last: date | None, expected: tuple[date, date]
) -> None:
    assert span(first, last, TODAY) == expected


@pytest.mark.parametrize(
    ("first", "last", "named"),
    [
        (date(2026, 3, 2), date(2026, 3, 1), "from"),
        (date(2026, 1, 1), date(2026, 4, 3), "to"),
        (date(2025, 1, 1), None, "to"),
    ],
)
def test_days_in_the_wrong_order_and_too_many_are_refused_by_name(
    first: date, last: date | None, named: str
) -> None:
    with pytest.raises(Problem) as refused:
        span(first, last, TODAY)
    assert [fault.pointer for fault in refused.value.faults] == [named]
