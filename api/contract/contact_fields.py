"""Field types of how a person or a store is reached: phone number, language, time zone, local time."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, StringConstraints

# E.164, as the columns check it.
DialledNumber = Annotated[str, StringConstraints(max_length=16, pattern=r"^\+[1-9][0-9]{6,14}$")]
Language = Literal["en", "de"]


# Areas of the time zone database. Names outside of them are old, or of one machine only, such as `localtime`.
_AREAS = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/",
    "Pacific/",
)  # fmt: skip


@cache
def _zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if name.startswith(_AREAS)) | {"UTC"}


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("must be a time zone such as Europe/Berlin")
    return name


TimeZone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$"),
    AfterValidator(_known_zone),
]
# A time of the day on a wall clock.
LocalTime = Annotated[str, StringConstraints(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
