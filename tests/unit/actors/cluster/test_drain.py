"""How an instance takes its name and its leases away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.cluster.drain import forsaking
from actors.cluster.leases import LeasesAway
from actors.cluster.reconciler import Reconciler


class _Leases:
    """Knows who has left."""

    def __init__(self, *, away: bool = False) -> None:
        self.left: list[tuple[str, str]] = []
        self.away = away

    async def leave(self, incarnation: str, instance: str) -> None:
        if self.away:
            raise LeasesAway("gone")
        self.left.append((incarnation, instance))


def _reconciler(leases: _Leases, said: list[str]) -> Reconciler:
    def log(event: str, **_: Any) -> None:
        said.append(event)

    runtime = SimpleNamespace(incarnation="ann.1", instance="ann", log=log)
    return cast("Reconciler", SimpleNamespace(leases=leases, runtime=runtime))


async def test_instance_whose_rooms_fail_to_close_deregisters_all_the_same() -> None:
    leases, said = _Leases(), list[str]()
    with pytest.raises(ZeroDivisionError):
        async with forsaking(_reconciler(leases, said)):
            raise ZeroDivisionError
    assert leases.left == [("ann.1", "ann")]
    assert said == []


async def test_instance_that_ends_well_deregisters_once() -> None:
    leases = _Leases()
    async with forsaking(_reconciler(leases, [])):
        assert leases.left == []
    assert leases.left == [("ann.1", "ann")]


async def test_leases_that_cannot_be_given_up_are_said_to_be_left_behind() -> None:
    said = list[str]()
    async with forsaking(_reconciler(_Leases(away=True), said)):
        pass
    assert said == ["left_leases_behind"]
