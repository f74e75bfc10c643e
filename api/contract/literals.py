"""Grammar of numbers and times, the same for bodies and queries.

A number is a JSON number, so that every number that this server prints can be sent back, in a body or in a query, also
`6.5e-05` and fifteen decimals. A number without a fraction is an integer in any notation (JSON Schema 2020-12, 6.1.1).
A time is one of RFC 3339; other notations that libraries accept are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# No number needs more, and Python's own parser takes quadratic time.
NUMBER_LENGTH_MAX = 40
TIME_LENGTH_MAX = 40
# A float holds integers exactly up to this.
EXACT_MAX = 2**53
# For the documents, in the syntax of every dialect of regular expressions.
NUMBER_PATTERN = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"
TIME_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_NUMBER = re.compile(NUMBER_PATTERN)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def number_of(text: str) -> float:
    """Parse a number.

    Raises:
        ValueError: it is not a number, or exceeds a float.
    """
    if len(text) > NUMBER_LENGTH_MAX or _NUMBER.fullmatch(text) is None:
        raise ValueError("must be a number such as 52.52")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("must be a number within what a double holds")
    return value


def whole_of(text: str) -> int:
    """Parse an integer.

    Raises:
        ValueError: it is not an integer.
    """
    if len(text) <= NUMBER_LENGTH_MAX and text.isascii() and text.isdigit():
        return int(text)
    try:
        value = number_of(text)
    except ValueError:
        raise ValueError("must be a whole number such as 50") from None
    if not value.is_integer():
        raise ValueError("must be a whole number, without a fraction")
    return int(value)


def as_whole(value: object) -> object:
    """Convert a float without a fraction to an integer; return any other value unchanged."""
    if type(value) is float and value.is_integer() and -EXACT_MAX <= value <= EXACT_MAX:
        return int(value)
    return value


def time_of(text: str) -> datetime:
    """Parse a time of RFC 3339, in UTC. Digits beyond the microsecond are cut off.

    Raises:
        ValueError: it is not a time, or its year is not from 1 to 9999.
    """
    found = _TIME.fullmatch(text) if len(text) <= TIME_LENGTH_MAX else None
    if found is None:
        raise ValueError("must be a time of RFC 3339 such as 2030-01-31T12:00:00Z")
    day, minute, second, fraction, sign, hours, minutes = found.groups()
    try:
        if int(hours or 0) > 23 or int(minutes or 0) > 59:
            raise ValueError
        # RFC 3339 allows leap seconds, which Python does not: parse the second before, and add one.
        leaps = second == "60"
        moment = datetime.fromisoformat(f"{day}T{minute}:{'59' if leaps else second}").replace(tzinfo=UTC)
        moment += timedelta(seconds=int(leaps), microseconds=int((fraction or "0")[:6].ljust(6, "0")))
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        return moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):
        raise ValueError("must be a time that there is, such as 2030-01-31T12:00:00Z") from None
