"""What a start says is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.server.watchdogs import hindrances


class _Prober:
    def __init__(self, seen: Mapping[str, str]) -> None:
        self.reasons = {"redis": "authentication: it refuses"}
        self._seen = seen

    async def look(self) -> Mapping[str, str]:
        return self._seen


def services(*, settled: bool, looked: bool, redis: str = "up") -> Any:
    """An office of which only that is known; `started` follows the events a turn of the loop later."""
    events = asyncio.Event(), asyncio.Event()
    for event, happened in zip(events, (settled, looked), strict=True):
        if happened:
            event.set()
    return cast(
        "Any",
        SimpleNamespace(
            started=False,
            cluster=SimpleNamespace(reconciler=SimpleNamespace(settled=events[0])),
            tokens=SimpleNamespace(looked=events[1]),
            prober=_Prober({"postgres": "up", "redis": redis}),
        ),
    )


async def test_nothing_is_missing_as_soon_as_all_has_happened() -> None:
    assert await hindrances(services(settled=True, looked=True)) == ""


@pytest.mark.parametrize(
    ("settled", "redis", "expected"),
    [
        (False, "down", "Redis: authentication: it refuses"),
        (False, "up", "it has no shards yet"),
        (True, "up", "revocations are not known yet"),
    ],
)
async def test_what_is_missing_is_named(settled: bool, redis: str, expected: str) -> None:
    assert await hindrances(services(settled=settled, looked=False, redis=redis)) == expected
