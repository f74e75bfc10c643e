"""How times are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rest.serializers import time_of

# The last millisecond of the year 9999.
LAST_MS = 253_402_300_799_999


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_790_000_000_007, "2026-09-21T14:13:20.007Z"),
        (1_790_000_000_999, "2026-09-21T14:13:20.999Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_time_is_shown_in_utc_with_three_digits_of_a_second(ms: int, shown: str) -> None:
    assert time_of(ms) == shown


@given(st.integers(0, LAST_MS))
def test_time_that_is_shown_is_the_same_time_when_read(ms: int) -> None:
    read = datetime.fromisoformat(time_of(ms))
    assert (read - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == ms
